"""Joins the lines of a table to rows: a cell may stand on several lines.

Shades behind rows tell it where there are some; elsewhere the wrapping of labels does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.parsing.builder import Row
from ingest.parsing.pdf.cells import is_figure
from ingest.parsing.pdf.page import Drawn, Piece, around
from ingest.parsing.pdf.table_columns import Column, covered_by

_CONNECTS = re.compile(
    r"(?:[,;(/]|\w-|\b(?:and|or|of|the|to|for|in|on|by|from|with|at|a|an|per|than|as|its|that))$"
)


@dataclass(slots=True)
class TableLine:
    """One line of a table: its cells by column."""

    cells: dict[int, Piece]
    y0: float
    y1: float
    spans: frozenset[int] = frozenset()
    """Columns whose cell also covers the next ones."""


def into_line(
    row: list[Piece], columns: list[Column], spanned: Mapping[int, list[int]] | None = None
) -> TableLine:
    """Put the cells of a line into columns; one that spans several stands in the leftmost."""
    cells: dict[int, Piece] = {}
    spans = set()
    for place, cell in enumerate(row):
        covered = (spanned or {}).get(place) or covered_by(cell, columns)
        column = covered[0]
        if len(covered) > 1:
            spans.add(column)
        before = cells.get(column)
        cells[column] = cell if before is None else _beside(before, cell)
    return TableLine(cells, min(c.y0 for c in row), max(c.y1 for c in row), frozenset(spans))


def _beside(left: Piece, right: Piece) -> Piece:
    box = around([left, right])
    text = f"{left.text} {right.text}"
    return left._replace(text=text, x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)


def group_data(lines: Sequence[TableLine], drawn: Drawn, *, numeric: bool) -> list[list[TableLine]]:
    """Group lines to rows: by shades where there are some, else by the wrapping of labels."""
    bands = _bands(drawn, lines[0].y0, lines[-1].y1) if lines else []
    limit = max((line.cells[0].x1 for line in lines if 0 in line.cells), default=0.0)
    gaps = [below.y0 - above.y1 for above, below in pairwise(lines)]

    def same(group: list[TableLine], line: TableLine) -> bool:
        above, here = _band(bands, group[-1]), _band(bands, line)
        if above is not None or here is not None:
            return above == here
        return _continues(group, line, limit) if numeric else _same_text_row(group, line, gaps)

    return grouped(lines, same)


def grouped(
    lines: Sequence[TableLine], same: Callable[[list[TableLine], TableLine], bool]
) -> list[list[TableLine]]:
    """Return the lines in groups; `same` says whether a line goes on with the group above it."""
    groups: list[list[TableLine]] = []
    for line in lines:
        if groups and same(groups[-1], line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _bands(drawn: Drawn, top: float, bottom: float) -> list[Column]:
    """Return the heights of shaded rows between `top` and `bottom`; none unless there are some."""
    found = sorted(
        {
            (round(shade.y0, 1), round(shade.y1, 1))
            for shade in drawn.shades
            if shade.y1 > top and shade.y0 < bottom and 5 < shade.y1 - shade.y0 < 80
        }
    )
    apart = [band for band, after in pairwise([*found, (1e9, 1e9)]) if band[1] <= after[0] + 1]
    return apart if len(apart) >= 3 else []


def _band(bands: list[Column], line: TableLine) -> Column | None:
    middle = (line.y0 + line.y1) / 2
    return next((band for band in bands if band[0] <= middle <= band[1]), None)


def _continues(group: list[TableLine], line: TableLine, limit: float) -> bool:
    """Say whether a line of data goes on with the label of the line above."""
    above = group[-1]
    gap = line.y0 - above.y1
    if gap > 0.45 * (line.y1 - line.y0):
        return False
    if 0 not in line.cells:
        if _has_figures(line):
            return all(set(part.cells) == {0} for part in group)
        return all(any(column in part.cells for part in group) for column in line.cells)
    if 0 not in above.cells:
        unnamed = not any(0 in part.cells for part in group)
        known = {column for part in group for column in part.cells}
        return unnamed and {0} < set(line.cells) <= {0, *known} and not _has_figures(line)
    valued = any(set(part.cells) != {0} for part in group)
    if valued and set(line.cells) != {0}:
        return False
    return wraps(above.cells[0], line.cells[0], limit)


def _has_figures(line: TableLine) -> bool:
    return any(is_figure(cell.text) for column, cell in line.cells.items() if column)


def wraps(above: Piece, below: Piece, limit: float) -> bool:
    """Say whether a label goes on in the line below because it found no room above."""
    if above.text.endswith(":") or below.x0 < above.x0 - 2 or above.bold != below.bold:
        return False
    if _CONNECTS.search(above.text):
        return True
    word = below.text.split(" ", 1)[0]
    room = (len(word) + 1) * (below.x1 - below.x0) / max(1, len(below.text))
    full = above.x1 + room > limit - 2
    small = bool(re.match("[a-z(]", below.text))
    return (full and (small or below.x0 > above.x0 + 2)) or (
        below.text[0].islower() and above.x1 > 0.6 * limit
    )


def _same_text_row(group: list[TableLine], line: TableLine, gaps: Sequence[float]) -> bool:
    """Say whether a line belongs to the row above: rows stand apart, or it has no first cell."""
    gap, least, most = line.y0 - group[-1].y1, min(gaps), max(gaps)
    if most > least + 2:
        return gap < min(0.6 * most, least + 1)
    return 0 not in line.cells


def into_row(lines: list[TableLine], count: int, page: int) -> Row:
    """Return a row of `count` cells; the lines of a cell are joined by a space."""
    cells = [
        " ".join(line.cells[column].text for line in lines if column in line.cells)
        for column in range(count)
    ]
    box = around(cell for line in lines for cell in line.cells.values())
    return Row(cells, page, box)
