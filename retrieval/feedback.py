"""Moves a question towards the best passage: what is said like it comes nearer, too; pure.

Pseudo-relevance feedback on vectors, after Rocchio (1971), with one passage and a small share.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot


def moved(
    question: Sequence[float], passage: Sequence[float], *, share: float
) -> tuple[float, ...]:
    """Return the vector that lies `share` (0..1) of the way to the passage's, of unit length.

    >>> moved((1.0, 0.0), (0.0, 1.0), share=0.5)
    (0.7071..., 0.7071...)
    """
    mixed = [(1 - share) * a + share * b for a, b in zip(question, passage, strict=True)]
    length = hypot(*mixed) or 1.0
    return tuple(value / length for value in mixed)
