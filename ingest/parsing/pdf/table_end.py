"""Adds to a table the lines below its last row that go on with one of that row's cells."""

from __future__ import annotations

from ingest.parsing.pdf.cells import Rows
from ingest.parsing.pdf.page import Drawn, Piece
from ingest.parsing.pdf.table_columns import Column, gap_between
from ingest.parsing.pdf.table_rows import wraps


def with_last_lines(cells: Rows, stop: int, columns: list[Column], drawn: Drawn) -> int:
    """Return the row after the last: a cell of the last row may go on below the others."""
    while stop < len(cells) and len(cells[stop]) == 1:
        (cell,), above = cells[stop], cells[stop - 1]
        if gap_between(above, [cell]) > 0.4 * (cell.y1 - cell.y0):
            break
        if not _goes_on(above, cell, columns) and not _on_one_shade(above[0], cell, drawn):
            break
        stop += 1
    return stop


def _goes_on(above: list[Piece], cell: Piece, columns: list[Column]) -> bool:
    """Say whether a cell stands below another of the table's last row and goes on with it."""
    labels = columns[0][1]
    if cell.x0 > labels:
        return any(abs(other.x0 - cell.x0) < 2 for other in above)
    return above[0].x0 < labels and cell.x1 < labels + 2 and wraps(above[0], cell, labels)


def _on_one_shade(above: Piece, below: Piece, drawn: Drawn) -> bool:
    return any(
        shade.y0 < above.middle and below.middle < shade.y1 < above.y1 + 5 * (above.y1 - above.y0)
        for shade in drawn.shades
    )
