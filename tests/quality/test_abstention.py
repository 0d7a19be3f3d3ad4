"""How well the extractive writer knows what the documents do not answer.

ClapNQ pairs 150 questions that its passages answer with 150 that a passage on the same topic does
not. Prints the area under the ROC curve of the best sentence's support, and what each threshold
would do; `FOOTNOTE_SUPPORT_THRESHOLD` was chosen from this table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from footnote.wiring import House
from knowledge.models import Principal, Question
from knowledge.settings import Settings
from serving.extractive import ExtractiveGenerator, rank
from tests.quality import corpora
from tests.service import ROOT, footnote

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

NAME = "clapnq-a"
THRESHOLDS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60)


@dataclass(frozen=True)
class Asked:
    """One question, and what became of it."""

    answerable: bool
    support: float
    quoted: tuple[bool, ...]
    """Of each sentence of the answer: is it one of those that the judges chose?"""


def test_support_tells_answerable_questions_apart(capsys: pytest.CaptureFixture[str]) -> None:
    folder = corpora.folder(NAME)
    asked = ask_all(folder, ROOT / "build" / "quality" / NAME)
    yes = [question.support for question in asked if question.answerable]
    no = [question.support for question in asked if not question.answerable]
    area = area_under_curve(yes, no)
    with capsys.disabled():
        print(f"\n{NAME}: {len(yes)} answerable, {len(no)} not; AUROC of support {area:.3f}")
        for threshold in THRESHOLDS:
            answered, refused = share(yes, threshold), 1 - share(no, threshold)
            print(f"  threshold {threshold:.2f}: {answered:.1%} answered, {refused:.1%} refused")
        first = [
            question.quoted[0] for question in asked if question.answerable and question.quoted
        ]
        print(f"  first sentence is a gold sentence: {sum(first) / len(first):.1%} of {len(first)}")
    assert area >= 0.80


def ask_all(folder: Path, data: Path) -> list[Asked]:
    """Ingest the corpus by the command, and ask every question in this process."""
    corpus = folder / "corpus.jsonl.gz"
    done = footnote(data, "ingest", str(corpus), "--collection", NAME, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    settings = Settings(_env_file=None, data_dir=data)
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    with House(settings) as house:
        return [ask(house, json.loads(line)) for line in lines if line.strip()]


def ask(house: House, query: dict[str, object]) -> Asked:
    question = Question(str(query["text"]), collection=NAME)
    context = house.retriever.retrieve(question, Principal("judge"))
    found = rank(context, house.embedder)
    threshold = house.settings.support_threshold
    chosen = ExtractiveGenerator(threshold, house.embedder).choose(context)
    gold = [squeeze(text) for texts in nested(query["gold_sentences"]) for text in texts]
    return Asked(
        answerable=bool(query["answerable"]),
        support=found[0].support if found else 0.0,
        quoted=tuple(is_gold(candidate.text, gold) for candidate in chosen),
    )


def nested(value: object) -> list[list[str]]:
    return value if isinstance(value, list) else []


def is_gold(text: str, gold: Iterable[str]) -> bool:
    said = squeeze(text)
    return any(said in sentence or sentence in said for sentence in gold)


def squeeze(text: str) -> str:
    return "".join(text.split())


def share(supports: list[float], threshold: float) -> float:
    return sum(support >= threshold for support in supports) / len(supports)


def area_under_curve(yes: list[float], no: list[float]) -> float:
    """Return how often an answerable question has more support than one that is not."""
    pairs = [(a > b) + (a == b) / 2 for a in yes for b in no]
    return sum(pairs) / len(pairs)
