"""Dates in a text, however they are written; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knowledge.models import Span


@dataclass(frozen=True, slots=True)
class Date:
    """A date, as far as it is told; a year alone is a number."""

    year: int | None
    month: int
    day: int | None
    span: Span

    def told_by(self, other: Date) -> bool:
        """Say whether `other` says all that this one does."""
        return (
            self.month == other.month
            and (self.year is None or self.year == other.year)
            and (self.day is None or self.day == other.day)
        )


def dates(text: str) -> list[Date]:
    """Return the dates in `text`, in order.

    Of days and months in figures only, both readings are given where both are possible.

    >>> [(d.year, d.month, d.day) for d in dates("July 21, 2017; 21. Juli 2017; 2017-07; 3/4/2017")]
    [(2017, 7, 21), (2017, 7, 21), (2017, 7, None), (2017, 4, 3), (2017, 3, 4)]
    """
    found = [date for match in _WRITTEN.finditer(text) if (date := _written(match))]
    found += [date for match in _ISO.finditer(text) if (date := _of(match, "ymd"))]
    for match in _FIGURES.finditer(text):
        both = (_of(match, "dmy"), _of(match, "mdy"))
        found += [date for date in dict.fromkeys(both) if date]
    return sorted(found, key=lambda date: date.span)


_MONTHS = (
    "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari",
    "february feb februar février fevrier févr febrero febbraio fevereiro fev februari",
    "march mar märz maerz mars marzo março marco maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug août aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre decembre diciembre dic dicembre dezembro",
)
_NUMBER_OF = {name: n for n, names in enumerate(_MONTHS, start=1) for name in names.split()}
_MONTH = "|".join(sorted(_NUMBER_OF, key=len, reverse=True))
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1\d|20|21)\d\d"
_ENDING = r"(?:st|nd|rd|th|er|º|°)?\.?"
_WRITTEN = re.compile(
    rf"(?<!\w)(?:(?P<before>{_DAY}){_ENDING}\s*(?:of\s+|de\s+)?)?"
    rf"(?P<month>{_MONTH})(?!\w)\.?"
    rf"(?:\s*(?P<after>{_DAY})(?:st|nd|rd|th)?(?!\d))?"
    rf"(?:\s*,?\s*(?:of\s+|de\s+|del\s+)?(?P<year>{_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_ISO = re.compile(rf"(?<![\d.-])(?P<y>{_YEAR})-(?P<m>0[1-9]|1[0-2])(?:-(?P<d>{_DAY}))?(?![\d-])")
_FIGURES = re.compile(
    rf"(?<![\d./])(?P<a>\d\d?)\s?(?P<by>[./-])\s?(?P<b>\d\d?)(?P=by)\s?(?P<y>{_YEAR})(?![\d/])"
)


def _written(match: re.Match[str]) -> Date | None:
    """Read a month's name; one that stands alone is no date: it may be a word."""
    day, year = match["before"] or match["after"], match["year"]
    if not (day or year):
        return None
    month = _NUMBER_OF[match["month"].casefold()]
    return Date(int(year) if year else None, month, int(day) if day else None, Span(*match.span()))


def _of(match: re.Match[str], order: str) -> Date | None:
    if order == "ymd":
        day, month = match["d"], match["m"]
    else:
        day, month = (match["a"], match["b"]) if order == "dmy" else (match["b"], match["a"])
    if not (1 <= int(month) <= 12 and (day is None or 1 <= int(day) <= 31)):
        return None
    return Date(int(match["y"]), int(month), int(day) if day else None, Span(*match.span()))
