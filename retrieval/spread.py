"""Lets other documents come before a document's many passages; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from knowledge.models import Passage


def spread(passages: Sequence[Passage], *, most: int) -> list[Passage]:
    """Put what exceeds `most` passages of a document behind all others, else in order."""
    seen: Counter[str] = Counter()
    first: list[Passage] = []
    rest: list[Passage] = []
    for passage in passages:
        seen[passage.document.id] += 1
        (first if seen[passage.document.id] <= most else rest).append(passage)
    return first + rest
