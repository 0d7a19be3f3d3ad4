"""Are documents that do not agree noticed, and are those left alone that do?

RGB has, for each question, snippets that answer it and the same ones with the answer falsified. The
limits were chosen on its questions of even number.

`pytest -m quality tests/quality/test_conflicts.py -s`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any

import pytest

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.models import Citation, Context, Question
from knowledge.ports import Embedder
from serving.conflicts import conflicts
from serving.extractive import ExtractiveGenerator
from serving.verify import Verifier
from tests.quality import beir, corpora
from tests.quality.judging import Case, interval, made, read
from tests.quality.shelf import Shelf
from tests.quality.test_abstention import SETS, rows
from tests.service import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

Row = dict[str, Any]
Sources = Callable[[Row], list[str]]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return SentenceTransformerEmbedder()


@pytest.fixture(scope="module")
def questions() -> list[Row]:
    return read(corpora.folder("rgb-en-fact") / "questions.jsonl")


def test_falsified_sources_are_noticed_beside_the_true_ones(
    questions: list[Row], embedder: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, verifier = ExtractiveGenerator(0.0, embedder), Verifier()

    def cited(context: Context) -> Sequence[Citation]:
        chosen = writer.choose(context)
        text = "\n\n".join(f"{each.text} [{each.number}]" for each in chosen)
        return verifier.verify(text, context).citations

    def every_other(row: Row) -> list[str]:
        return [*row["positive"][::2], *row["positive_wrong"][1::2]]

    several = [row for row in questions if len(row["positive"]) > 1]
    with capsys.disabled():
        print("\nrgb-en-fact: share of questions whose sources do not agree where that is noticed")
        noticed = _told("all snippets, true and false", questions, _both)
        _told("the same, questions that chose nothing", questions[1::2], _both)
        _told("the same, beside an extractive answer", questions, _both, cited)
        _told("no snippet in both versions", several, every_other)
        print("and where there is nothing to notice:")
        alarms = _told("true ones alone", several, lambda row: list(row["positive"]))
        _told("false ones alone", several, lambda row: list(row["positive_wrong"]))
        _told("true ones and noise", questions, lambda row: [*row["positive"], *row["negative"]])
    assert noticed >= 0.85
    assert alarms <= 0.03


@pytest.mark.parametrize("name", SETS)
def test_pages_of_one_collection_are_rarely_taken_to_disagree(
    name: str, embedder: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = beir.load(corpora.folder(name))
    shelf = Shelf(judged.name, judged.corpus, embedder, ROOT / "build" / "quality" / "shelf")
    noticed = []
    for row, (answered, _) in rows(name):
        question = Question(row["text"])
        found = conflicts(Context(question, tuple(shelf.passages_for(question, limit=12))))
        noticed += [bool(found)] if answered else []
    shelf.index.close()
    with capsys.disabled():
        print(f"\n{name}: noticed in {fmean(noticed):.1%} of {len(noticed)} answerable questions")
    assert fmean(noticed) <= 0.03


def _both(row: Row) -> list[str]:
    return [*row["positive"], *row["positive_wrong"]]


def _told(
    what: str,
    questions: Iterable[Row],
    sources: Sources,
    cited: Callable[[Context], Sequence[Citation]] | None = None,
) -> float:
    cases, noticed = [], []
    for row in questions:
        context = made(row["query"], [("", text) for text in sources(row)])
        cases.append(Case(what, str(row["id"]), "", context, True))
        noticed.append(bool(conflicts(context, cited and cited(context))))
    low, high = interval(cases, lambda places: fmean(noticed[at] for at in places))
    print(f"  {what}: {fmean(noticed):.3f} ({low:.3f} to {high:.3f}) of {len(cases)}")
    return fmean(noticed)
