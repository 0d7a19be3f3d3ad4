"""Tells the columns of a table: stretches that cells cover, parted by some that none covers."""

from __future__ import annotations

import re
from itertools import pairwise
from statistics import median

from ingest.parsing.pdf.cells import Rows, is_amount, is_figure
from ingest.parsing.pdf.page import Piece

_FAR = 1e9
_HEADING = 1.3  # times the size of what stands beside it in a table
_MARK = re.compile(r"\(?(?:\d{1,2}|[a-z])\)|[*†‡%)]+")

Column = tuple[float, float]
"""Where it begins and where it ends."""


def figure_columns(run: Rows) -> list[Column]:
    """Return the columns that the rows with figures tell."""
    return columns_of(_with_figures(run))


def columns_of(rows: Rows) -> list[Column]:
    """Return where columns begin and end: stretches covered by the cells of `rows`."""
    tolerated = len(rows) // 25
    edges = sorted(
        edge
        for row in rows
        for cell in row
        for x0, x1 in (_core(cell),)
        for edge in ((x0 + 0.3, 0, 1), (max(x1 - 0.3, x0 + 0.4), 1, -1))
    )
    columns: list[Column] = []
    covering, begin = 0, None
    for x, _, step in edges:
        before, covering = covering, covering + step
        if before <= tolerated < covering:
            begin = x
        elif covering <= tolerated < before and begin is not None:
            columns.append((begin, x))
    return _merged(columns, rows)


def _core(cell: Piece) -> Column:
    """Return where a cell begins and ends without the signs around its figure.

    Signs stand where columns may touch; a digit is about half as wide as it is high.
    """
    text = cell.text
    if not text[0].isdigit() and text[0] not in "(-" and is_figure(text):
        x0 = max(cell.x0, cell.x1 - 0.56 * cell.size * len(text.lstrip("$€£¥₹ ")))
    else:
        x0 = cell.x0
    x1 = cell.x1 - 0.8 * cell.size if text.endswith("%") and is_figure(text) else cell.x1
    return x0, max(x1, x0 + 1)


def _merged(columns: list[Column], rows: Rows) -> list[Column]:
    """Join columns that are too close, or of which one holds only marks to the other's figures.

    In few rows a heading and its figures may stand side by side; these are one column, too.
    """
    merged: list[Column] = []
    held: list[set[int]] = []
    for column in columns:
        inside = [
            (number, cell)
            for number, row in enumerate(rows)
            for cell in row
            if column[0] <= middle(cell) <= column[1]
        ]
        numbers = {number for number, _ in inside}
        marks = bool(inside) and all(_MARK.fullmatch(cell.text) for _, cell in inside)
        gap = column[0] - merged[-1][1] if merged else _FAR
        apart = len(rows) <= 3 and len(merged) > 1 and not (held[-1] & numbers)
        if gap < 1.5 or (marks and gap < 12) or (apart and gap < 25):
            merged[-1] = (merged[-1][0], column[1])
            held[-1] |= numbers
        else:
            merged.append(column)
            held.append(numbers)
    return merged


def with_empty_columns(columns: list[Column], heads: Rows) -> list[Column]:
    """Add columns that have a heading between those of their neighbours, but no cells."""
    added = []
    for left, right in pairwise(columns):
        between = [
            cell
            for row in heads
            if _stands_over(row, left) and _stands_over(row, right)
            for cell in row
            if left[1] < middle(cell) < right[0]
        ]
        if between:
            x0, x1 = min(cell.x0 for cell in between), max(cell.x1 for cell in between)
            if left[1] < x0 and x1 < right[0]:
                added.append((x0, x1))
    return sorted([*columns, *added])


def _stands_over(row: list[Piece], column: Column) -> bool:
    return any(cell.x0 < column[1] and cell.x1 > column[0] for cell in row)


def data_rows(run: Rows) -> Rows:
    """Return the rows that have figures right of their first cell."""
    return [row for row in run if len(row) > 1 and any(is_amount(cell.text) for cell in row[1:])]


def _with_figures(run: Rows) -> Rows:
    """Return the rows that tell the columns: those of data, and years too where they are few."""
    data = data_rows(run)
    if len(data) != 1:
        return data
    least = max(2, len(data[0]) - 1)
    return [
        row
        for row in run
        if len(row) >= least
        and (any(is_figure(cell.text) for cell in row[1:]) or len(row) == len(data[0]) > 2)
    ]


def fullest(run: Rows) -> Rows:
    """Return the rows with as many cells as any has, or nearly; all if these are few."""
    most = max(len(row) for row in run)
    for least in (most, most - 1):
        full = [row for row in run if len(row) >= max(2, least)]
        if len(full) > 2:
            return full
    return run


def is_numeric(run: Rows, columns: list[Column]) -> bool:
    """Say whether there are rows enough, and what stands right of their labels mostly figures."""
    rows = _with_figures(run)
    if len(columns) < 2:
        return False
    right = [cell.text for row in rows for cell in row if cell.x0 > columns[0][1] - 1]
    return len(rows) > 1 and 2 * sum(map(is_figure, right)) >= len(right) > 0


def is_text_table(run: Rows, columns: list[Column]) -> bool:
    """Say whether at least three rows have cells that are aligned in each further column."""
    full = [row for row in fullest(run) if len(row) > 1]
    if len(full) < 3 or any(b[0] - a[1] < 6 for a, b in pairwise(columns)):
        return False
    aligned = total = 0
    for x0, x1 in columns[1:]:
        inside = [cell for row in full for cell in row if x0 - 1 <= cell.x0 and cell.x1 <= x1 + 1]
        if len(inside) < 2:
            return False
        lefts, rights = [cell.x0 for cell in inside], [cell.x1 for cell in inside]
        middles = [(cell.x0 + cell.x1) / 2 for cell in inside]
        total += len(inside)
        aligned += max(_agreeing(lefts), _agreeing(rights), _agreeing(middles))
    return aligned >= 0.75 * total


def _agreeing(places: list[float]) -> int:
    usual = median(places)
    return sum(abs(place - usual) < 3 for place in places)


def covered_by(cell: Piece, columns: list[Column]) -> list[int]:
    """Return the columns that a cell covers, or the one that it is nearest to."""
    shares = [
        (min(cell.x1, x1) - max(cell.x0, x0)) / max(1.0, min(x1 - x0, cell.x1 - cell.x0))
        for x0, x1 in columns
    ]
    covered = [number for number, share in enumerate(shares) if share > 0.5]
    if covered:
        return covered if len(covered) == 1 or not is_figure(cell.text) else covered[:1]
    return [max(range(len(columns)), key=lambda number: shares[number])]


def middle(cell: Piece) -> float:
    """Return the middle of a cell, from left to right."""
    return (cell.x0 + cell.x1) / 2


def center(column: Column) -> float:
    """Return the middle of a column."""
    return (column[0] + column[1]) / 2


def gap_between(above: list[Piece], below: list[Piece]) -> float:
    """Return the distance between two lines of cells; negative where they overlap."""
    return min(cell.y0 for cell in below) - max(cell.y1 for cell in above)


def is_heading_to(row: list[Piece], other: list[Piece]) -> bool:
    """Say whether a line is one cell in so large a font that it is no row of the other's table."""
    return len(row) == 1 and row[0].size > _HEADING * max(cell.size for cell in other)
