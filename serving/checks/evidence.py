"""What a sentence says that the passages it cites do not; pure.

Numbers, dates and names are looked up in all of the cited text: in which sentence they stand is a
matter of the quote. What only the question says is no evidence, but no invention either.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from knowledge.models import Span
from knowledge.terms import language_of
from serving.checks.dates import Date, dates
from serving.checks.names import Named, names
from serving.checks.numbers import Number, numbers, rounds

TRIVIAL = (Decimal(0), Decimal(1))
"""In words they are rarely numbers: no one, one of them."""
COUNTS = frozenset(Decimal(count) for count in range(2, 11))
"""In words they may count what a text lists."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The checkable things of a sentence."""

    numbers: tuple[Number, ...]
    dates: tuple[tuple[str, Date], ...]
    names: tuple[str, ...]


def facts(sentence: str) -> Facts:
    """Read a sentence; the parts of a date are no numbers of their own."""
    plain = unicodedata.normalize("NFKC", sentence)
    language = language_of(plain)
    told = dates(plain)
    rest = _without(plain, [date.span for date in told])
    return Facts(
        tuple(each for each in numbers(rest, language) if not _trivial(each)),
        tuple((date.span.cut(plain).strip(), date) for date in told),
        tuple(names(rest, language)),
    )


class Evidence:
    """A text that may carry a sentence, read once."""

    def __init__(self, *texts: str) -> None:
        text = unicodedata.normalize("NFKC", "\n".join(texts))
        self._units: dict[Decimal | str, set[str]] = {}
        for number in numbers(text, language_of(text), both=True):
            for value in number.values:
                self._units.setdefault(value, set()).add(number.unit)
        self._given = [value for value in self._units if isinstance(value, Decimal)]
        for run in _RUN.findall(text):  # within words and dates, too
            self._units.setdefault(Decimal(run), {""})
        self._dates = dates(text)
        self._named = Named(text)

    def lacks_number(self, number: Number) -> str:
        """Return why the number is not here, or nothing; `unit` if only with another unit."""
        units = [self._units[value] for value in number.values if value in self._units]
        if not units:
            return "derived" if self._follows(number) else "number"
        if number.unit and not any({number.unit, ""} & known for known in units):
            return "unit"
        return ""

    def lacks_date(self, date: Date) -> str:
        """Return `date` unless something here tells it in full."""
        return "" if any(self._tells(date, other) for other in self._dates) else "date"

    def lacks_name(self, name: str) -> str:
        """Return `name` unless it occurs."""
        return "" if self._named.holds(name) else "name"

    def spells_out(self, names: Sequence[str]) -> bool:
        """Say whether the initials of the names occur as a word."""
        return len(names) > 1 and self._named.spells_out(names)

    def _follows(self, number: Number) -> bool:
        """Say whether it may have been reckoned: a small count, or fewer places."""
        if number.in_words and min(number.values, key=str) in COUNTS:
            return True
        return any(
            rounds(value, given)
            for value in number.values
            for given in self._given
            if isinstance(value, Decimal)
        )

    def _tells(self, date: Date, other: Date) -> bool:
        if date.told_by(other):
            return True
        same = (date.month, date.day) == (other.month, other.day)
        return other.year is None and same and Decimal(date.year or 0) in self._units


def lacking(said: Facts, evidence: Sequence[Evidence]) -> list[str]:
    """Return what of `said` none of the texts has, as reasons such as `number:15`."""
    found = [
        (text, [each.lacks_number(number) for each in evidence])
        for text, number in ((number.text, number) for number in said.numbers)
    ]
    found += [(text, [each.lacks_date(date) for each in evidence]) for text, date in said.dates]
    if not any(each.spells_out(said.names) for each in evidence):
        found += [(name, [each.lacks_name(name) for each in evidence]) for name in said.names]
    return [f"{min(why, key=_MILDEST)}:{text}" for text, why in found if all(why)]


_RUN = re.compile(r"\d{1,15}")
_MILDEST = ("derived", "unit", "number", "date", "name").index


def _trivial(number: Number) -> bool:
    return number.in_words and any(value in TRIVIAL for value in number.values)


def _without(text: str, spans: Iterable[Span]) -> str:
    for span in spans:
        text = text[: span.start] + " " * (span.end - span.start) + text[span.end :]
    return text
