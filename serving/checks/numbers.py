"""Numbers in a text with their units, whichever way they are written; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from knowledge.languages import ENGLISH
from serving.checks.counting import SCALES, spelled


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written, and what it may mean."""

    text: str
    values: frozenset[Decimal | str]
    """More than one where a separator can be read in two ways; a string: no quantity (`6.15.0`)."""
    unit: str = ""
    """One name for all spellings; empty: unknown or none."""
    in_words: bool = False
    at: int = field(default=0, compare=False)
    """Where it begins in its text."""


def numbers(text: str, language: str = ENGLISH, *, both: bool = False) -> list[Number]:
    """Return the numbers in `text`, which is in compatibility form; labels of lists are none.

    With `both`, 1.000 and 1,000 may each be a thousand or one; else it goes by the language.

    >>> [(n.text, *n.values, n.unit) for n in numbers("1,000 km, $1.5 bn, twenty-one")]
    [('1,000', Decimal('1000'), 'km'), ('1.5 bn', Decimal('1500000000'), '$'), \
('twenty-one', Decimal('21'), '')]
    """
    start = label.end() if (label := _LABEL.match(text)) else 0
    groups = ".," if both else "," if language == ENGLISH else "."
    figures = _FIGURE.finditer(text, start)
    found = [_figure(match, text, groups) for match in figures]
    found += [
        Number(
            written, frozenset({value}), _unit(text, at, at + len(written)), in_words=True, at=at
        )
        for at, written, value in spelled(text, language)
    ]
    return sorted(found, key=lambda number: number.at)


def rounds(value: Decimal, exact: Decimal) -> bool:
    """Say whether `value` is `exact` in fewer places.

    >>> rounds(Decimal("4.3"), Decimal("4.28")), rounds(Decimal(480), Decimal(487))
    (True, False)
    """
    if value == exact or not exact:
        return False
    kept, given = _places(value), _places(exact)
    return kept < given and Decimal(f"{exact:.{kept - 1}e}") == value


_LABEL = re.compile(r"\s*[*#-]*\s*\(?\d{1,3}[.)]\s")
_FIGURE = re.compile(
    r"(?<![\w.,])(?<!\d[:/])"
    r"(?P<figure>\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,:]\d+)*)"
    r"(?:(?:st|nd|rd|th|s|er|e|ème|º|ª)\b|(?![^\W\d_])|(?=(?:[kKMGT]?[mgBbWlL]|k|bn|mm|cm|h)\b))"
    r"(?:\s?-?(?P<scale>" + "|".join(sorted(SCALES, key=len, reverse=True)) + r")\b)?",
    re.IGNORECASE,
)
_UNITS = {
    "%": "% percent per_cent pct prozent pourcent por_ciento pour_cent per_cento procent",
    "$": "$ usd dollar dollars us$",
    "€": "€ eur euro euros",
    "£": "£ gbp",
    "¥": "¥ yen jpy",
    "km": "km kilometer kilometers kilometre kilometres kilomètres kilómetros chilometri",
    "m": "m meter meters metre metres metern mètres metros metri",
    "cm": "cm centimeter centimeters centimetre centimetres zentimeter",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "mile": "mile miles mi meilen",
    "foot": "foot feet ft",
    "inch": "inch inches",
    "kg": "kg kilogram kilograms kilogramm kilos kilo",
    "g": "g gram grams gramm grammes",
    "mg": "mg milligram milligrams milligramm",
    "t": "ton tons tonne tonnes tonnen",
    "lb": "lb lbs pound pounds",
    "l": "l liter liters litre litres liters litros",
    "second": "s sec second seconds sekunde sekunden secondes segundos",
    "minute": "min minute minutes minuten minutos",
    "hour": "h hour hours hrs stunde stunden heure heures horas ore",
    "day": "day days tag tage tagen jour jours día días giorni",
    "week": "week weeks woche wochen semaine semaines semanas settimane",
    "month": "month months monat monate monaten mois mes meses mesi",
    "year": "year years yr yrs jahr jahre jahren an ans année années año años anni",
    "°c": "°c celsius",
    "°f": "°f fahrenheit",
    "gb": "gb gigabyte gigabytes",
    "mb": "mb megabyte megabytes",
    "tb": "tb terabyte terabytes",
}
_UNIT_OF = {
    spelling.replace("_", " "): unit
    for unit, spellings in _UNITS.items()
    for spelling in spellings.split()
}
_AFTER = re.compile(
    r"\.?\s?-?(?:(?:per|por|pour)\s(?:cent|ciento|cento)\b|[%€£$¥]|°[CFcf]|[^\W\d_]+)"
)
_BEFORE = re.compile(r"(?:([$€£¥])|\b(USD|EUR|GBP))\s?$", re.IGNORECASE)


def _figure(match: re.Match[str], text: str, groups: str) -> Number:
    figure, scale = match["figure"], match["scale"]
    factor = SCALES[scale.casefold()] if scale else 1
    values: frozenset[Decimal | str] = frozenset(
        _plain(value * factor) if isinstance(value, Decimal) else value
        for value in _read(figure, groups)
    )
    end = match.end()
    start = match.start()
    return Number(text[start:end].strip(), values, _unit(text, start, end), at=start)


def _plain(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value


def _read(figure: str, groups: str) -> Iterator[Decimal | str]:
    """Yield what a figure may mean, where a lone mark of `groups` before three figures may group.

    Some write 1.000,5 and some 1,000.5.
    """
    bare = re.sub(r"[ '’]", "", figure)
    marks = re.findall(r"[.,:]", bare)
    if ":" in marks or (len(marks) > 1 and not _GROUPED.fullmatch(bare)):
        yield bare.lstrip("0") or bare  # a time, a version
    elif not marks:
        yield Decimal(bare)
    else:
        whole, _, rest = bare.rpartition(marks[-1])
        grouped = len(set(marks)) == 1 and len(rest) == 3 and (len(marks) > 1 or marks[0] in groups)
        if grouped:
            yield Decimal(re.sub(r"[.,]", "", bare))
        if len(set(marks)) > 1 or (len(marks) == 1 and not (grouped and len(groups) == 1)):
            yield Decimal(re.sub(r"[.,]", "", whole) + "." + rest)


_GROUPED = re.compile(r"\d{1,3}(?:(?:,\d{3})+(?:\.\d+)?|(?:\.\d{3})+(?:,\d+)?)")


def _unit(text: str, start: int, end: int) -> str:
    if before := _BEFORE.search(text, max(0, start - 5), start):
        return _UNIT_OF[(before[1] or before[2]).casefold()]
    after = _AFTER.match(text, end)
    return _UNIT_OF.get(after.group().strip(" .-").casefold(), "") if after else ""


def _places(value: Decimal) -> int:
    return len(value.normalize().as_tuple().digits)
