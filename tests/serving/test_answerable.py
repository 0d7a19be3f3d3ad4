from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ConfigurationError
from knowledge.models import Context, Question, Turn
from serving.answerable import (
    FEATURES,
    SENTENCES,
    SHIPPED,
    Answerability,
    Weights,
    features,
    read_weights,
)
from serving.extractive import ExtractiveGenerator
from tests.fakes import FakeEmbedder, context, passage

EMBEDDER = FakeEmbedder()
EVEN = Weights(
    embedder="fake",
    means=(0.0,) * len(FEATURES),
    scales=(1.0,) * len(FEATURES),
    weights=(1.0,) + (0.0,) * (len(FEATURES) - 1),
    bias=0.0,
    threshold=0.5,
)
SAID = ("soup costs", "three euro.", "The office opens", "at nine?", "tea is", "漢字", "free")
WORDS = st.lists(st.sampled_from(SAID), max_size=20).map(" ".join)


def unknown(_: object) -> dict[str, tuple[float, ...]]:
    return {}


@given(WORDS, st.lists(WORDS, max_size=4), st.lists(WORDS, max_size=2))
def test_every_context_has_a_probability(asked: str, texts: list[str], history: list[str]) -> None:
    turns = tuple(Turn("user", text) for text in history)
    passages = context("?", *texts).passages
    found = Context(Question(asked, history=turns), passages)
    values = features(found, EMBEDDER, unknown)
    if values is not None:
        assert len(values) == len(FEATURES)
        assert not any(map(math.isinf, values))
    judge = Answerability(read_weights(SHIPPED), EMBEDDER, unknown)
    assert 0 <= judge.probability(found) <= 1


def test_where_there_is_nothing_to_read_nothing_is_answered() -> None:
    judge = Answerability(replace(EVEN, bias=9.0), EMBEDDER, unknown)
    for nothing in (context("What does soup cost?"), context("What?", "Soup"), context("", "?")):
        assert judge.probability(nothing) == 0
        assert not judge.answers(nothing)


class Counting(FakeEmbedder):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.made.extend(texts)
        return super().embed(texts)


def test_vectors_that_the_index_has_are_not_made_again() -> None:
    asked = context("What does soup cost?", "Soup costs three euro in the canteen.")
    (found,) = asked.passages
    (vector,) = EMBEDDER.embed([found.text])
    known, other = Counting(), Counting()
    features(asked, known, lambda _: {found.chunk_id: vector})
    features(asked, other, unknown)
    assert not any(text.startswith("Handbook ") for text in known.made)
    assert any(text.startswith("Handbook ") for text in other.made)


def test_the_number_of_sentences_that_are_embedded_has_a_bound() -> None:
    embedder = Counting()
    text = " ".join(f"Sentence number {n} is about soup." for n in range(200))
    features(context("What is about soup?", text), embedder, unknown)
    assert len(embedder.made) <= SENTENCES + 3


def test_a_follow_up_counts_as_the_better_of_its_readings() -> None:
    asked = context("And in winter?", "In winter the office opens at ten.")
    before = replace(asked.question, history=(Turn("user", "When does the office open?"),))
    alone = features(asked, EMBEDDER, unknown)
    both = features(replace(asked, question=before), EMBEDDER, unknown)
    assert alone is not None
    assert both is not None
    for with_history, without in zip(both, alone, strict=True):
        assert with_history >= without or math.isnan(without)


def test_a_passage_that_is_no_nearer_than_what_lies_further_down_says_less() -> None:
    asked = context("What does soup cost?", "Soup costs three euro in the canteen.")
    (near,) = EMBEDDER.embed([asked.question.text])
    (far,) = EMBEDDER.embed(["The archive is closed."])
    ids = tuple(f"chunk-{number}" for number in range(20))

    def depth(usual: tuple[float, ...], found: tuple[str, ...] = ids) -> float:
        values = features(
            replace(asked, found=found), EMBEDDER, lambda _: dict.fromkeys(ids, usual)
        )
        assert values is not None
        return values[FEATURES.index("passage_depth")]

    assert depth(far) > depth(near) + 0.1
    assert math.isnan(depth(far, ids[:5]))


def test_quotes_are_an_answer_only_where_the_passages_answer() -> None:
    asked = context("What does soup cost?", "Soup costs three euro in the canteen.")
    for bias, quoted in ((-9.0, False), (9.0, True)):
        judge = Answerability(replace(EVEN, bias=bias), EMBEDDER, unknown)
        writer = ExtractiveGenerator(0.0, EMBEDDER, judge)
        assert bool(writer.choose(asked)) is quoted


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(EVEN.written())
    assert read_weights(path) == EVEN
    assert 0 < read_weights(SHIPPED).threshold < 1


@pytest.mark.parametrize(
    "written",
    ["", "[]", "{}", EVEN.written().replace("passage_depth", "other"), EVEN.written()[:-40]],
)
def test_anything_else_is_a_matter_of_configuration(tmp_path: Path, written: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(written)
    with pytest.raises(ConfigurationError, match="footnote calibrate"):
        read_weights(path)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("The notice period is eleven weeks.", "How long is the notice period?"),
        ("The gate code is 4711. Deliveries ring twice.", "What is the gate code?"),
        ("# Canteen\n\nSoup costs three euro. Tea is free.", "What does soup cost?"),
    ],
)
def test_one_short_document_is_enough_for_an_answer(text: str, asked: str) -> None:
    from knowledge.embedding.embedder import SentenceTransformerEmbedder

    judge = Answerability(read_weights(SHIPPED), SentenceTransformerEmbedder(), unknown)
    assert judge.answers(context(asked, text))
    assert judge.probability(context("Who painted the ceiling in 1512?", text)) < 0.2


def test_the_weights_that_ship_tell_an_answer_from_what_is_only_about_the_same() -> None:
    from knowledge.embedding.embedder import SentenceTransformerEmbedder

    embedder = SentenceTransformerEmbedder()
    judge = Answerability(read_weights(SHIPPED), embedder, unknown)
    question = Question("How many days of leave do new employees have?")
    about = (
        passage("Leave is asked for in writing. The head of the department decides.", rank=1),
        passage("Sick leave needs a certificate from the third day.", rank=2, document="b"),
    )
    answering = passage("New employees have thirty days of leave a year.", rank=1, document="c")
    without = judge.probability(Context(question, about))
    with_answer = judge.probability(Context(question, (answering, *about)))
    assert with_answer > without + 0.3
