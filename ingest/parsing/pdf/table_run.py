"""Tells how far down the rows reach that may be one table."""

from __future__ import annotations

from itertools import pairwise

from ingest.parsing.pdf.cells import Rows, is_amount, is_figure
from ingest.parsing.pdf.page import Piece
from ingest.parsing.pdf.table_columns import columns_of, data_rows, gap_between, is_heading_to
from ingest.parsing.pdf.table_header import NEAR

_FAR_CELL = 0.9  # line heights: the gap that makes two cells of two pieces of text
_MOST_LABELS = 5  # rows of labels only in a row


def run_end(cells: Rows, start: int, width: float) -> int:
    """Return the end of the rows from `start` that may be a table; `start` itself if none."""
    if not _is_gridlike(cells[start]):
        return start
    end, labels = start + 1, 0
    places = {cell.x0 for cell in cells[start][1:]}
    for index in range(start + 1, len(cells)):
        row = cells[index]
        if _ends(cells, start, index):
            break
        if _is_gridlike(row):
            end, labels = index + 1, 0
            places.update(cell.x0 for cell in row[1:])
        elif _is_prose(row, width) and row[-1].x1 > _figures_begin(cells[start:end]):
            break
        elif not any(abs(row[0].x0 - place) < 2 for place in places):  # no further line of a cell
            labels += 1
            if labels > _MOST_LABELS:
                break
    return end


def _figures_begin(run: Rows) -> float:
    """Return where the leftmost figure stands; far left if there is none."""
    return min(
        (cell.x0 for row in data_rows(run) for cell in row[1:] if is_figure(cell.text)), default=0
    )


def _ends(cells: Rows, start: int, index: int) -> bool:
    """Say whether the table that begins at `start` ends above the row at `index`."""
    row = cells[index]
    height, gap = row[0].y1 - row[0].y0, gap_between(cells[index - 1], row)
    if gap > NEAR * height and not _resumes(cells, start, index, gap):
        return True
    if is_heading_to(row, cells[index - 1]):
        return True
    if gap > 0.5 * height and _begins_another(cells, start, index):
        return True
    return len(row) == 1 and gap > 0.9 * height and _is_title(cells, start, index)


def _resumes(cells: Rows, start: int, index: int, gap: float) -> bool:
    """Say whether the table goes on below a wide gap: soon there are figures in its columns."""
    height = cells[index][0].y1 - cells[index][0].y0
    soon = next((row for row in cells[index : index + 4] if _is_gridlike(row)), None)
    if soon is None or gap > 2 * NEAR * height or not is_amount(soon[-1].text):
        return False
    columns = columns_of(data_rows(cells[start:index]))
    return len(columns) == len(soon) and all(
        cell.x0 < x1 and x0 < cell.x1 for cell, (x0, x1) in zip(soon, columns, strict=True)
    )


def _begins_another(cells: Rows, start: int, index: int) -> bool:
    """Say whether a row is the header of another table: it has no figures but other columns."""
    row = cells[index]
    if index < start + 3 or len(row) < 2 or any(is_amount(cell.text) for cell in row[1:]):
        return False
    above = columns_of(data_rows(cells[start:index]))
    below = columns_of(data_rows(cells[index : index + 8]))
    if len(above) < 2 or len(below) < 2:
        return False
    return len(above) != len(below) or any(
        min(a[1], b[1]) <= max(a[0], b[0]) for a, b in zip(above, below, strict=True)
    )


def _is_title(cells: Rows, start: int, index: int) -> bool:
    """Say whether a line stands below a table as the title of another: not where labels do."""
    data = data_rows(cells[start:index])
    if data_rows(cells[index + 1 : index + 2]):
        return False  # a label that goes on in the next line
    return len(data) > 1 and cells[index][0].x0 > max(row[0].x0 for row in data) + 20


def _is_gridlike(row: list[Piece]) -> bool:
    return len(row) > 1 and any(
        right.x0 - left.x1 > _FAR_CELL * (right.y1 - right.y0) or is_figure(right.text)
        for left, right in pairwise(row)
    )


def _is_prose(row: list[Piece], width: float) -> bool:
    return row[-1].x1 - row[0].x0 > 0.7 * width and sum(len(cell.text) for cell in row) > 60
