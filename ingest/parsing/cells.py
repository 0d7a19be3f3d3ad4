"""Cuts the cells of a sheet into tables: at empty rows and columns, each below its header. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.parsing.builder import Builder, Row
from ingest.parsing.grid import LABEL
from knowledge.models import BlockKind

_PLAIN_NAME = re.compile(r"[^\W\d]\w*")
_YEARS = range(1900, 2101)
_MOST_FILLED = 200_000
"""Cells that merged cells may fill in all."""


class Cell(NamedTuple):
    """What a cell shows, and whether that is a number, a date or a truth value."""

    text: str
    counts: bool = False


Rows = dict[int, dict[int, Cell]]
"""By row, then by column, both from 1; empty cells are left out."""
Merge = tuple[int, int, int, int]
"""First row, first column, last row, last column of a merged cell."""


def write_cells(builder: Builder, sheet: str, rows: Rows, merges: Sequence[Merge] = ()) -> None:
    """Append the tables of a sheet, with the cells of each row as its place, and their titles."""
    for region in _regions(rows, merges):
        for title in region.titles:
            builder.add(BlockKind.CAPTION, title)
        builder.table(_table(sheet, region), header_rows=region.header)


def column_number(letters: str) -> int:
    """Return the number of a column, from 1.

    >>> column_number("A"), column_number("AB"), _letters(28)
    (1, 28, 'AB')
    """
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


@dataclass(slots=True)
class _Region:
    """Neighbouring cells that are read as one table."""

    rows: Rows
    columns: range
    header: int = 1
    titles: list[str] = field(default_factory=list)


def _table(sheet: str, region: _Region) -> Iterator[Row]:
    first, last = _letters(region.columns[0]), _letters(region.columns[-1])
    where = sheet if _PLAIN_NAME.fullmatch(sheet) else f"'{sheet}'"
    for number, cells in region.rows.items():
        texts = [cells[column].text if column in cells else "" for column in region.columns]
        yield Row(texts, place=f"{where}!{first}{number}:{last}{number}")


def _regions(rows: Rows, merges: Sequence[Merge]) -> Iterator[_Region]:
    """Cut the cells of a sheet into tables, from top to bottom."""
    heights = _fill(rows, merges)
    found: list[_Region] = []
    for band in _bands(rows):
        for region in _side_by_side(band):
            _settle(region, heights)
            if found and _goes_on(found[-1], region):
                found[-1].rows.update(region.rows)
            else:
                found.append(region)
    yield from found


def _fill(rows: Rows, merges: Sequence[Merge]) -> dict[int, int]:
    """Let short merged cells stand in each of their places; return how far down a row's reach."""
    heights: dict[int, int] = {}
    left_to_fill, widest = _MOST_FILLED, max((max(cells) for cells in rows.values()), default=0)
    for top, left, bottom, right in merges:
        cell = rows.get(top, {}).get(left)
        if cell is None:
            continue
        right = min(right, widest)
        heights[top] = max(heights.get(top, 0), bottom)
        if len(cell.text) > LABEL or len(rows[top]) == 1:
            continue
        places = dict.fromkeys(range(left, right + 1), cell)
        for number in range(top, bottom + 1):
            left_to_fill -= max(1, len(places))
            if left_to_fill < 0:
                return heights
            if number in rows:
                rows[number] = places | rows[number]
    return heights


def _bands(rows: Rows) -> Iterator[Rows]:
    """Yield runs of rows without an empty one between them."""
    band: Rows = {}
    last = 0
    for number, cells in rows.items():
        if band and number > last + 1:
            yield band
            band = {}
        band[number] = cells
        last = number
    if band:
        yield band


def _side_by_side(band: Rows) -> Iterator[_Region]:
    """Split a band where a column is empty, if there is a table of two columns on either side."""
    used = sorted({column for cells in band.values() for column in cells})
    groups = [[used[0]]]
    for column in used[1:]:
        if column > groups[-1][-1] + 1 and len(groups[-1]) > 1:
            groups.append([])
        groups[-1].append(column)
    if any(len(group) < 2 for group in groups) or len(band) < 2:
        groups = [used]
    for group in groups:
        columns = range(group[0], group[-1] + 1)
        inside = {
            n: {c: cell for c, cell in cells.items() if c in columns} for n, cells in band.items()
        }
        yield _Region({n: cells for n, cells in inside.items() if cells}, columns)


def _settle(region: _Region, heights: dict[int, int]) -> None:
    """Take lone cells above a table for its titles, and find its header."""
    rows = list(region.rows.items())
    while len(rows) > 1 and len(rows[0][1]) == 1 and len(region.columns) > 1:
        number, cells = rows.pop(0)
        region.titles.extend(cell.text for cell in cells.values())
        del region.rows[number]
    if len(rows) == 1 and len(rows[0][1]) == 1:
        region.titles.extend(cell.text for cell in rows[0][1].values())
        region.rows.clear()
    region.header = _header_rows(rows, heights) if region.rows else 0


def _header_rows(rows: Sequence[tuple[int, dict[int, Cell]]], heights: dict[int, int]) -> int:
    """Return how many rows are the header: the first if it counts nothing, and what it reaches."""
    number, first = rows[0]
    if len(rows) < 2 or not _is_header(first) or len(first) < 2 <= len(rows[1][1]):
        return 0
    reach = heights.get(number, number)
    return max(1, sum(row <= reach and _is_header(cells) for row, cells in rows[:3]))


def _is_header(cells: dict[int, Cell]) -> bool:
    """Say whether a row could name columns: words, with years among them perhaps."""
    counted = [cell.text for cell in cells.values() if cell.counts]
    years = [text for text in counted if text.isdecimal() and int(text) in _YEARS]
    return len(counted) == len(years) and len(years) < max(len(cells), 2)


def _goes_on(before: _Region, region: _Region) -> bool:
    """Say whether a table goes on after an empty row: same columns, and no header of its own."""
    return (
        bool(before.rows and region.rows)
        and before.header > 0
        and region.header == 0
        and not region.titles
        and len(region.columns) > 1
        and set(region.columns) <= set(before.columns)
        and any(cell.counts for cells in region.rows.values() for cell in cells.values())
    )


def _letters(number: int) -> str:
    letters = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
