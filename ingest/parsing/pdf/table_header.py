"""Reads the header of a table: where it begins, and which columns its cells span."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ingest.parsing.pdf.cells import Rows, is_amount
from ingest.parsing.pdf.page import Area, Drawn, Piece
from ingest.parsing.pdf.table_columns import (
    Column,
    center,
    covered_by,
    gap_between,
    is_heading_to,
    middle,
)
from ingest.parsing.pdf.table_rows import TableLine, grouped, into_line

NEAR = 2.4
"""Line heights: rows further apart are not of one table."""


def header_start(cells: Rows, start: int, floor: int, columns: list[Column], drawn: Drawn) -> int:
    """Return the first row of the header: lines close above that stand over figures only."""
    first = start
    while first > floor:
        row, below = cells[first - 1], cells[first]
        gap = gap_between(row, below)
        over = row[0].x0 > columns[0][1] - 2 and row[-1].x1 <= columns[-1][1] + 30
        ruled = _ruled_below(row, below, drawn)
        near = NEAR if ruled else 1.2
        centre = (columns[0][0] + columns[-1][1]) / 2
        title = len(row) == 1 and not ruled and abs(middle(row[0]) - centre) < 6
        far = gap > near * (row[0].y1 - row[0].y0)
        if not over or title or far or is_heading_to(row, below):
            break
        first -= 1
    return first


def section_start(cells: Rows, first: int, floor: int, columns: list[Column]) -> int:
    """Return the first row with the names of sections right above it; `first` has figures."""
    while first > floor and len(cells[first - 1]) == 1:
        (label,) = cells[first - 1]
        near = gap_between([label], cells[first]) < 1.2 * (label.y1 - label.y0)
        if not near or not label.text.endswith(":") or abs(label.x0 - columns[0][0]) > 12:
            break
        first -= 1
    return first


def titles_above(heads: Rows, columns: list[Column], drawn: Drawn) -> int:
    """Return how many of the lines are titles above the header: apart, or over labels alone."""
    gaps = [gap_between(row, below) for row, below in pairwise(heads)]
    apart = 0
    for place, (row, below) in enumerate(pairwise(heads), 1):
        usual = max(1.2 * (row[0].y1 - row[0].y0), 1.2 * median(gaps))
        over_labels = len(row) == 1 and row[0].x0 < columns[0][1] < below[0].x0
        if over_labels or (gaps[place - 1] > usual and not _ruled_below(row, below, drawn)):
            apart = place
    return apart


def _ruled_below(row: list[Piece], below: list[Piece], drawn: Drawn) -> bool:
    """Say whether a rule runs below each cell of a line, above the next line."""
    bottom = min(cell.middle for cell in below)
    return all(
        any(
            cell.middle < rule.y0 < bottom and rule.x0 < cell.x1 and rule.x1 > cell.x0
            for rule in drawn.across
        )
        for cell in row
    )


def count_header_lines(lines: Sequence[TableLine]) -> int:
    """Return how many lines stand before the first one with data."""
    for number, line in enumerate(lines):
        if any(column and is_amount(cell.text) for column, cell in line.cells.items()):
            while number and set(lines[number - 1].cells) == {0} and number > 1:
                number -= 1  # a label right above the data is a section, not a header
            if not number and 0 not in line.cells and len(lines) > 1 and 0 in lines[1].cells:
                return 1  # names of columns that look like figures
            return 0 if number == 1 and set(lines[0].cells) == {0} else number
    return 0


def into_header(rows: Rows, columns: list[Column], drawn: Drawn) -> list[TableLine]:
    """Return the lines of a header; the last of `rows` is the first below it.

    A cell right above one that spans several columns is its upper part, and spans the same.
    """
    lines: list[TableLine] = []
    spans: dict[int, list[int]] = {}
    for row, below in reversed(list(pairwise(rows))):
        found = _spanned(row, below, columns, drawn)
        for place, cell in enumerate(row):
            under = [
                n for n, other in enumerate(below) if other.x0 < cell.x1 and other.x1 > cell.x0
            ]
            same = spans.get(under[0], []) if len(under) == 1 else []
            if len(same) > 1 and len(found.get(place, [])) < 2 and _is_over(cell, same, columns):
                found[place] = same
        lines.append(into_line(row, columns, found))
        spans = found
    return lines[::-1]


def _spanned(
    row: list[Piece], below: list[Piece], columns: list[Column], drawn: Drawn
) -> dict[int, list[int]]:
    """Return which columns the cells of a header span, as rules below or their middles tell.

    Each column belongs to the cell whose middle is nearest; a cell spans its columns if it stands
    over their middle, and each has a cell of its own in the line below.
    """
    labels = columns[0][1]
    over = [place for place, cell in enumerate(row) if (cell.x0 + cell.x1) / 2 > labels]
    nearest: dict[int, list[int]] = {}
    for number in range(1, len(columns)):
        if over:
            place = min(over, key=lambda n: abs(middle(row[n]) - center(columns[number])))
            nearest.setdefault(place, []).append(number)
    filled = {covered_by(cell, columns)[0] for cell in below}
    ruled = _ruled(row, below, drawn)
    centred = {
        place: near
        for place, near in nearest.items()
        if len(near) == 1 or (filled.issuperset(near) and _is_centred(row[place], near, columns))
    }
    spanned = centred if len(centred) == len(nearest) else {}
    for place, near in nearest.items():
        under = _along(place, row, ruled, columns)
        if len(under) < 2:
            under = [
                number for number in near if any(_crosses(rule, columns[number]) for rule in ruled)
            ]
        if len(under) > 1 and _is_over(row[place], under, columns):
            spanned[place] = under
    return spanned


def _is_over(cell: Piece, under: list[int], columns: list[Column]) -> bool:
    """Say whether a cell stands roughly over the middle of some columns, or ends with them."""
    x0, x1 = columns[under[0]][0], columns[under[-1]][1]
    return abs(middle(cell) - (x0 + x1) / 2) < 0.25 * (x1 - x0) or abs(cell.x1 - x1) < 3


def _is_centred(cell: Piece, near: list[int], columns: list[Column]) -> bool:
    x0, x1 = columns[near[0]][0], columns[near[-1]][1]
    return abs(middle(cell) - (x0 + x1) / 2) < 0.08 * (x1 - x0) + 3


def _ruled(row: list[Piece], below: list[Piece], drawn: Drawn) -> list[Area]:
    """Return the rules right below a line of the header, from left to right."""
    height = max(cell.y1 - cell.y0 for cell in row)
    middle, last = max(cell.middle for cell in row), max(cell.y1 for cell in row)
    bottom = min(last + 1.2 * height, min(cell.y0 for cell in below) + 0.3 * height)
    return sorted(rule for rule in drawn.across if middle < rule.y0 < bottom)


def _along(place: int, row: list[Piece], rules: list[Area], columns: list[Column]) -> list[int]:
    """Return the columns along the rule under one cell; none if it runs on under another.

    The rule may be drawn in parts that touch.
    """
    cell = row[place]
    x0 = x1 = middle(cell)
    for rule in rules:
        if rule.x0 <= x1 + 1.5 and rule.x1 >= x0 - 1.5:
            x1 = max(x1, rule.x1)
    for rule in reversed(rules):
        if rule.x1 >= x0 - 1.5 and rule.x0 <= x1 + 1.5:
            x0 = min(x0, rule.x0)
    if any(x0 < middle(other) < x1 for other in row if other is not cell):
        return []
    return [n for n, column in enumerate(columns) if n and _crosses(Area(x0, 0, x1, 0), column)]


def _crosses(rule: Area, column: Column) -> bool:
    """Say whether a rule runs along most of a column's width."""
    x0, x1 = column
    return min(x1, rule.x1) - max(x0, rule.x0) > 0.5 * (x1 - x0)


def group_header(lines: Sequence[TableLine], drawn: Drawn) -> list[list[TableLine]]:
    """Group the lines of a header to rows: a cell may stand on several lines."""
    gaps = [below.y0 - above.y1 for above, below in pairwise(lines)]
    usual = 1.2 * median(gaps) if gaps else 0.0
    return grouped(lines, lambda group, line: _same_head(group, line, usual, drawn))


def _same_head(group: list[TableLine], line: TableLine, usual: float, drawn: Drawn) -> bool:
    """Say whether a line of the header, no further down than usual, goes on with those above."""
    above = group[-1]
    if line.y0 - above.y1 > max(usual, 0.8 * (line.y1 - line.y0)):
        return False
    if above.spans and not (above.spans <= line.spans and set(above.cells) <= set(line.cells)):
        return False
    if not above.spans and line.spans and not set(above.cells) <= set(line.cells):
        return False
    return not any(_underlined(cell, line, drawn) for cell in above.cells.values())


def _underlined(cell: Piece, below: TableLine, drawn: Drawn) -> bool:
    """Say whether a rule stands between a cell and the line below."""
    return any(
        cell.middle < rule.y0 < (below.y0 + below.y1) / 2
        and min(rule.x1, cell.x1) - max(rule.x0, cell.x0) > 0
        for rule in drawn.across
    )
