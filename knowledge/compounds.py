"""Takes words apart that a language writes as one, by a vocabulary: Spielzeit is of Spiel and Zeit.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

COMPOUNDING: Final = frozenset({
    "danish", "dutch", "finnish", "german", "hungarian", "norwegian", "swedish",
})  # fmt: skip
"""Languages that write compounds as one word."""

_SHORTEST_PART = 4
_LONGEST_WORD = 40
_LINKS = ("", "s", "es", "n", "en", "er", "e")
"""What may stand between the parts, and belongs to none: Verkehr-s-minister."""


def parts(word: str, known: Callable[[str], str | None]) -> tuple[str, ...]:
    """Return the two parts that a compound is most evenly made of; none where there are none.

    `known` returns what a part is searched by, or nothing for one that no text holds.

    >>> parts("spielzeit", {"spiel": "spiel", "zeit": "zeit"}.get)
    ('spiel', 'zeit')
    """
    if len(word) > _LONGEST_WORD:
        return ()
    middle = len(word) / 2
    cuts = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
    for cut in sorted(cuts, key=lambda at: (abs(at - middle), at)):
        last = known(word[cut:])
        first = _first(word[:cut], known) if last else None
        if first and last:
            return (first, last)
    return ()


def _first(part: str, known: Callable[[str], str | None]) -> str:
    """Return the first part, with a link at its end or without."""
    for link in _LINKS:
        stem = part.removesuffix(link)
        if part.endswith(link) and len(stem) >= _SHORTEST_PART and (found := known(stem)):
            return found
    return ""
