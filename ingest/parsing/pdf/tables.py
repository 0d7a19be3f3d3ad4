"""Finds tables without a grid of rules: rows of cells that stand below each other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ingest.parsing.pdf.cells import Rows, into_cells, is_amount, is_figure
from ingest.parsing.pdf.page import Drawn, Piece, Table
from ingest.parsing.pdf.table_columns import (
    Column,
    columns_of,
    data_rows,
    figure_columns,
    fullest,
    gap_between,
    is_numeric,
    is_text_table,
    with_empty_columns,
)
from ingest.parsing.pdf.table_header import (
    NEAR,
    count_header_lines,
    group_header,
    header_start,
    into_header,
    section_start,
    titles_above,
)
from ingest.parsing.pdf.table_rows import group_data, into_line, into_row, wraps

_FAR_CELL = 0.9  # line heights: the gap that makes two cells of two pieces of text
_MOST_LABELS = 5  # rows of labels only in a row


def find_tables(rows: Rows, drawn: Drawn, page: int) -> Iterator[Table | Rows]:
    """Yield tables, and between them the rows that belong to none, from top to bottom."""
    cells = [into_cells(row) for row in rows]
    done = start = 0
    width = max(row[-1].x1 for row in rows) - min(row[0].x0 for row in rows)
    while start < len(rows):
        stop = _run(cells, start, width)
        found = _table(cells, start, stop, done, drawn, page) if stop > start + 1 else None
        if found is None:
            start = max(stop, start + 1)
            continue
        first, last, table = found
        if first > done:
            yield rows[done:first]
        yield table
        done = start = last
    if done < len(rows):
        yield rows[done:]


def _table(
    cells: Rows, start: int, stop: int, floor: int, drawn: Drawn, page: int
) -> tuple[int, int, Table] | None:
    """Return the first row, the row after the last, and the table; None if it is none."""
    run = cells[start:stop]
    columns = figure_columns(run)
    numeric = is_numeric(run, columns)
    if not numeric:
        columns = columns_of(fullest(run))
        if len(columns) < 2 or not is_text_table(run, columns):
            return None
    first = header_start(cells, start, floor, columns, drawn)
    last = _with_last_lines(cells, stop, columns, drawn)
    heads = (
        count_header_lines([into_line(row, columns) for row in cells[first:last]]) if numeric else 1
    )
    skipped = titles_above(cells[first : first + heads], columns, drawn)
    first, heads = first + skipped, heads - skipped
    if not heads:
        first = section_start(cells, first, floor, columns)
    columns = with_empty_columns(columns, cells[first : first + heads])
    lines = into_header(cells[first : first + heads + 1], columns, drawn)
    lines += [into_line(row, columns) for row in cells[first + heads : last]]
    header = group_header(lines[:heads], drawn)
    groups = header + group_data(lines[heads:], drawn, numeric=numeric)
    rows = [into_row(group, len(columns), page) for group in groups]
    return first, last, Table(rows, len(header), page)


def _run(cells: Rows, start: int, width: float) -> int:
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


def _with_last_lines(cells: Rows, stop: int, columns: list[Column], drawn: Drawn) -> int:
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
