"""Shows a number as its cell in a spreadsheet does; the only file that knows openpyxl."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache

from openpyxl.styles.numbers import (  # type: ignore[import-untyped]
    BUILTIN_FORMATS,
    is_date_format,
    is_timedelta_format,
)
from openpyxl.utils.datetime import CALENDAR_MAC_1904, from_excel  # type: ignore[import-untyped]

from ingest.parsing.ooxml import number_text

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|_.|\*.|\[[^\]]*\]')
_DIGITS = re.compile(r"[#0?][#0?,.]*")
_MOST_DECIMALS = 15
_PLAIN = ("", "General", "@")


def format_of(number: int, custom: dict[int, str]) -> str:
    """Return the format with that number; the built-in ones are not in the file."""
    return custom.get(number) or str(BUILTIN_FORMATS.get(number, "General"))


def shown(raw: str, form: str, *, from_1904: bool = False) -> str:
    """Return a stored number in a format; dates as ISO 8601 writes them.

    >>> shown("0.125", "0.0%"), shown("1234.5", "#,##0.00"), shown("45000", "dd.mm.yyyy")
    ('12.5%', '1,234.50', '2023-03-15')
    >>> shown("-3", '#,##0 "pcs"'), shown("2.0", "General"), shown("0.5", "# ?/?")
    ('-3 pcs', '2', '0.5')
    """
    if form in _PLAIN:
        return number_text(raw)
    try:
        value = float(raw)
    except ValueError:
        return raw
    if is_date_format(form):
        return _date(value, from_1904=from_1904, span=is_timedelta_format(form)) or raw
    before, decimals, thousands, percent, after = _pattern(form)
    if decimals is None or abs(value) > 1e15:
        return number_text(raw)
    scaled = value * 100 if percent else value
    digits = f"{abs(scaled):,.{decimals}f}" if thousands else f"{abs(scaled):.{decimals}f}"
    return f"{'-' if value < 0 and digits.strip('0.,') else ''}{before}{digits}{after}"


def _date(value: float, *, from_1904: bool, span: bool) -> str:
    try:
        epoch = {"epoch": CALENDAR_MAC_1904} if from_1904 else {}
        moment = from_excel(value, timedelta=span, **epoch)
    except (ValueError, OverflowError, TypeError):
        return ""
    if isinstance(moment, datetime.datetime):
        whole = (moment + datetime.timedelta(microseconds=500_000)).replace(microsecond=0)
        return whole.isoformat(" ").removesuffix(" 00:00:00").removesuffix(":00")
    if isinstance(moment, datetime.time):
        return moment.replace(microsecond=0).isoformat().removesuffix(":00")
    return str(moment)


@lru_cache(maxsize=512)
def _pattern(form: str) -> tuple[str, int | None, bool, bool, str]:
    """Return what stands before, decimals, thousands?, percent?, what stands after a number.

    Decimals are None for forms that are not followed: fractions, powers of ten, text.
    """
    positive = form[:200].split(";")[0]
    plain = _LITERAL.sub("", positive)
    digits = _DIGITS.search(plain)
    if digits is None or "/" in plain or "E" in plain.upper() or len(_DIGITS.findall(plain)) > 1:
        return "", None, False, False, ""
    whole, _, fraction = digits[0].partition(".")
    decimals = sum(mark in "0#?" for mark in fraction)
    if set(fraction) & {"#", "?"} or digits[0].endswith(","):  # as many as there are, or scaled
        return "", None, False, False, ""
    marked = _LITERAL.sub(lambda match: match[1] or match[2] or match[3] or "", positive)
    before, _, after = marked.partition(digits[0])
    return before.strip(), min(decimals, _MOST_DECIMALS), "," in whole, "%" in plain, after.rstrip()
