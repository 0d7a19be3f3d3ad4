"""Page evidence: how often the pages that hold the answer are among the first ten found; pure."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

BEST = 10
"""Pages that count as found."""
_RESAMPLES = 10_000

Page: TypeAlias = tuple[str, int]
"""A document's name and a page, from 1."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A question, the document it is about, and the pages that together hold the answer."""

    id: str
    text: str
    company: str
    document: str
    gold: frozenset[Page]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many questions had all their gold pages, and how many any, among the first ten."""

    every: Sequence[bool]
    any: Sequence[bool]

    def __str__(self) -> str:
        return f"all {_said(self.every)}   any {_said(self.any)}"


def questions(folder: Path) -> list[Sought]:
    """Read the questions; their pages count from 0 in the file, and from 1 here."""
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [_sought(json.loads(line)) for line in lines]


def tally(asked: Iterable[Sought], ranked: Mapping[str, Sequence[Page]]) -> Tally:
    """Judge the ranked pages of each question, by its id."""
    pairs = [(each.gold, frozenset(ranked[each.id][:BEST])) for each in asked]
    return Tally(
        [gold <= found for gold, found in pairs], [bool(gold & found) for gold, found in pairs]
    )


def pages(passages: Iterable[Mapping[str, Any]]) -> list[Page]:
    """Return the pages that found passages lie on, in the order of the best passage on each."""
    found = (
        (Path(passage["document"]["uri"]).stem, page)
        for passage in passages
        for page in passage["pages"]
    )
    return list(dict.fromkeys(found))


def _sought(row: Mapping[str, Any]) -> Sought:
    gold = frozenset((each["doc"], each["page"] + 1) for each in row["evidence"])
    return Sought(row["_id"], row["text"], row["company"], row["doc"], gold)


def _said(hits: Sequence[bool]) -> str:
    low, high = _interval(hits)
    return f"{sum(hits):2}/{len(hits)} ({low:.2f} to {high:.2f})"


def _interval(hits: Sequence[bool]) -> tuple[float, float]:
    """Return the share's 95 % interval, by drawing the questions anew with replacement."""
    chance = random.Random(0)
    means = sorted(sum(chance.choices(hits, k=len(hits))) for _ in range(_RESAMPLES))
    low, high = means[_RESAMPLES // 40], means[-_RESAMPLES // 40]
    return low / len(hits), high / len(hits)
