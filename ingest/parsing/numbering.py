"""Counts the numbers of headings and list items as Word does: it stores only how to count."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingest.parsing.markup import Element, attribute, child, children
from ingest.parsing.ooxml import Part

_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"),
    (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_LEVELS = 9


@dataclass(frozen=True, slots=True)
class _Level:
    form: str = "decimal"
    text: str = ""
    start: int = 1


class Numbering:
    """Knows the lists of a document and how far each has been counted."""

    def __init__(self, part: Part | None) -> None:
        self._lists: dict[str, tuple[str, dict[int, _Level]]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        if part is not None:
            self._learn(part.root)

    def label(self, place: tuple[str, int] | None) -> tuple[str, bool]:
        """Count one more item at `place` (list, depth); return its label, and if it is an item."""
        if place is None or place[0] not in self._lists:
            return "", False
        key, levels = self._lists[place[0]]
        depth = min(place[1], _LEVELS - 1)
        level = levels.get(depth, _Level())
        counts = self._counts.setdefault(key, {})
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [other for other in counts if other > depth]:
            del counts[deeper]
        if level.form in ("bullet", "none"):
            return "", True
        return _PLACE.sub(
            lambda match: _number(int(match[1]) - 1, counts, levels), level.text
        ), True

    def _learn(self, root: Element) -> None:
        kinds = {
            attribute(kind, "abstractNumId"): {
                number: _level(level) for number, level in enumerate(children(kind, "lvl"))
            }
            for kind in children(root, "abstractNum")
        }
        for each in children(root, "num"):
            kind = child(each, "abstractNumId")
            key = attribute(kind, "val") if kind is not None else ""
            own = {
                int(attribute(change, "ilvl") or 0): change
                for change in children(each, "lvlOverride")
            }
            levels = dict(kinds.get(key, {}))
            for depth, change in own.items():
                levels[depth] = _changed(levels.get(depth, _Level()), change)
            name = attribute(each, "numId")
            # Lists of one kind count on from each other, unless a list begins anew.
            self._lists[name] = (name if own else key, levels)


def _level(element: Element) -> _Level:
    def value(which: str, default: str) -> str:
        found = child(element, which)
        return default if found is None else attribute(found, "val")

    start = value("start", "1")
    return _Level(
        value("numFmt", "decimal"),
        value("lvlText", ""),
        int(start) if start.isdecimal() else 1,
    )


def _changed(level: _Level, change: Element) -> _Level:
    whole = child(change, "lvl")
    if whole is not None:
        return _level(whole)
    start = child(change, "startOverride")
    value = attribute(start, "val") if start is not None else ""
    return _Level(level.form, level.text, int(value) if value.isdecimal() else level.start)


def _number(depth: int, counts: dict[int, int], levels: dict[int, _Level]) -> str:
    level = levels.get(depth, _Level())
    return _FORMS.get(level.form, str)(counts.get(depth, level.start))


def _letters(number: int) -> str:
    """Return a, b, … z, aa, bb, as Word counts."""
    return chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1) if 0 < number < 1000 else ""


def _roman(number: int) -> str:
    """Return a number below 4,000 in small Roman numerals.

    >>> _roman(1994)
    'mcmxciv'
    """
    if not 0 < number < 4000:
        return str(number)
    parts = []
    for value, sign in _ROMAN:
        count, number = divmod(number, value)
        parts.append(sign * count)
    return "".join(parts)


_FORMS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
}
