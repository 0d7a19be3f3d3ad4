"""Can it be told, without a model, whether the documents answer? Curves, held out and transferred.

`pytest -m quality tests/quality/test_abstention.py -s`
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pytest

from footnote.fitting import Example, area, curve, fit, held_out
from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.models import Context, Principal, Question, Turn
from knowledge.ports import Embedder
from retrieval.retriever import SURROUNDINGS
from serving.answerable import FEATURES, features
from serving.extractive import ExtractiveGenerator
from tests.quality import beir, corpora
from tests.quality.shelf import Shelf
from tests.service import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

JUDGE = Principal("judge")
SETS = ("clapnq-a", "mtragun-govt-wiki")
IN_A_CONTEXT = 12
AIMS = {"clapnq-a": 0.90, "mtragun-govt-wiki": 0.88}
FLOORS = {"clapnq-a": 0.895, "mtragun-govt-wiki": 0.88}
"""Met by a hair on this machine's arithmetic; another's changes the third digit."""
SPLITS = 5
"""Ways to cut a set into folds; a figure is their mean."""
_RESAMPLES = 1000


@dataclass(frozen=True)
class Asked:
    """One question, and what came of it."""

    example: Example
    best_score: float
    """The best likeness of a passage alone."""
    quoted: tuple[bool, ...]
    """Of each sentence of the extractive answer: is it one of those that the judges chose?"""


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return SentenceTransformerEmbedder()


@pytest.fixture(scope="module")
def asked(embedder: Embedder) -> dict[str, list[Asked]]:
    return {name: list(ask_all(name, embedder)) for name in SETS}


@pytest.mark.parametrize("name", SETS)
def test_questions_without_an_answer_are_told_apart(
    name: str, asked: dict[str, list[Asked]], capsys: pytest.CaptureFixture[str]
) -> None:
    examples = [each.example for each in asked[name]]
    answered = [each.answered for each in examples]
    splits = [held_out(examples, seed=seed) for seed in range(SPLITS)]
    areas = [area(found, answered) for found in splits]
    low, high = interval(splits[0], answered)
    baseline = area([each.best_score for each in asked[name]], answered)
    with capsys.disabled():
        print(f"\n{name}: {sum(answered)} answerable, {len(answered) - sum(answered)} not")
        print(
            f"  AUROC held out {fmean(areas):.3f} ({min(areas):.3f} to {max(areas):.3f} by split)"
        )
        print(f"  interval of the first {low:.3f} to {high:.3f}; best score alone {baseline:.3f}")
        print("  threshold  precision and recall of refusal, share answered of the answerable")
        for point in curve(splits[0], answered)[1::2]:
            told = f"{point.precision:.1%}  {point.recall:.1%}  {point.answered:.1%}"
            print(f"  {point.threshold:.2f}       {told}")
        first = [each.quoted[0] for each in asked[name] if each.example.answered and each.quoted]
        if any(first):
            print(f"  first sentence is a gold sentence: {fmean(first):.1%} of {len(first)}")
        print(f"  aim {AIMS[name]}: {'met' if fmean(areas) >= AIMS[name] else 'MISSED'}")
    assert fmean(areas) >= FLOORS[name]


@pytest.mark.parametrize(("known", "unknown"), [SETS, SETS[::-1]])
def test_weights_of_one_set_on_the_other(
    known: str, unknown: str, asked: dict[str, list[Asked]], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = fit([each.example for each in asked[known]], "")
    found = [weights.probability(each.example.features) for each in asked[unknown]]
    answered = [each.example.answered for each in asked[unknown]]
    low, high = interval(found, answered)
    with capsys.disabled():
        print(f"\nfitted on {known}: AUROC on {unknown} {area(found, answered):.3f}", end=" ")
        print(f"({low:.3f} to {high:.3f})")
    assert area(found, answered) >= 0.80


def interval(found: list[float], answered: list[bool]) -> tuple[float, float]:
    """Return the 95 % interval of the area by a bootstrap over questions."""
    chance = random.Random(0)
    pairs = list(zip(found, answered, strict=True))
    areas = []
    for _ in range(_RESAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        areas.append(area([p for p, _ in drawn], [a for _, a in drawn]))
    areas.sort()
    return areas[_RESAMPLES // 40], areas[-_RESAMPLES // 40]


def ask_all(name: str, embedder: Embedder) -> Iterator[Asked]:
    judged = beir.load(corpora.folder(name))
    shelf = Shelf(judged.name, judged.corpus, embedder, ROOT / "build" / "quality" / "shelf")
    writer = ExtractiveGenerator(0.0, embedder)
    for row, example_of in rows(name):
        history = tuple(Turn(turn["speaker"], turn["text"]) for turn in row.get("history", ()))
        question = Question(row["text"], history=history)
        found = shelf.passages_for(question, limit=SURROUNDINGS)
        ids = tuple(each.chunk_id for each in found)
        context = Context(question, tuple(found[:IN_A_CONTEXT]), found=ids)
        values = features(context, embedder, shelf.index.vectors)
        chosen = writer.choose(context)
        gold = ["".join(text.split()) for texts in row.get("gold_sentences", ()) for text in texts]
        yield Asked(
            example=Example(values or (0.0,) * len(FEATURES), *example_of),
            best_score=values[0] if values else 0.0,
            quoted=tuple(is_gold(candidate.text, gold) for candidate in chosen),
        )
    shelf.index.close()


def rows(name: str) -> Iterator[tuple[dict[str, Any], tuple[bool, str]]]:
    """Yield each question that was judged, whether it is answered, and its title or conversation.

    A part of an answer is an answer; questions that are too vague to judge are left out.
    """
    folder = corpora.folder(name)
    path = folder / "queries.jsonl"
    for row in beir.rows(path if path.exists() else folder / "queries.jsonl.gz"):
        if "answerable" in row:
            yield row, (bool(row["answerable"]), str(row["passage"]))
        elif row["answerability"] != "UNDERSPECIFIED":
            answered = row["answerability"] != "UNANSWERABLE"
            yield row, (answered, str(row["_id"]).partition("<")[0])


def is_gold(text: str, gold: Iterable[str]) -> bool:
    said = "".join(text.split())
    return any(said in sentence or sentence in said for sentence in gold)
