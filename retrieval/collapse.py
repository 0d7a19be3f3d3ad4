"""Puts passages that say what a better one says behind all others; pure."""

from __future__ import annotations

from collections.abc import Sequence

from knowledge.models import Passage
from knowledge.text import normalise_for_match

SAME = 0.9
"""Share of common words from which on two passages are one, if their figures are the same too."""


def collapse(passages: Sequence[Passage]) -> list[Passage]:
    """Put those last that have nearly the words and exactly the figures of a better one.

    None is lost: where a copy lies may be what somebody wants to know, and a `not` is a small
    difference. Only passages that may be read are compared. The families that ingestion marks are
    not asked: whether two documents are of one may depend on a third that is hidden.
    """
    kept: list[tuple[frozenset[str], frozenset[str]]] = []
    first: list[Passage] = []
    last: list[Passage] = []
    for passage in passages:
        words = frozenset(normalise_for_match(passage.text).split())
        figures = frozenset(word for word in words if any(map(str.isdigit, word)))
        if any(figures == theirs and _alike(words, others) for others, theirs in kept):
            last.append(passage)
        else:
            kept.append((words, figures))
            first.append(passage)
    return first + last


def _alike(words: frozenset[str], others: frozenset[str]) -> bool:
    fewest, most = sorted((len(words), len(others)))
    if fewest < SAME * most:  # they cannot be
        return False
    return len(words & others) >= SAME * len(words | others)
