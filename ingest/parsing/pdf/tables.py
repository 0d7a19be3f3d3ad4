"""Finds tables without a grid of rules: rows of cells that stand below each other."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.parsing.pdf.cells import Rows, into_cells
from ingest.parsing.pdf.page import Drawn, Table
from ingest.parsing.pdf.table_columns import (
    columns_of,
    figure_columns,
    fullest,
    is_numeric,
    is_text_table,
    with_empty_columns,
)
from ingest.parsing.pdf.table_end import with_last_lines
from ingest.parsing.pdf.table_header import (
    count_header_lines,
    group_header,
    header_start,
    into_header,
    section_start,
    titles_above,
)
from ingest.parsing.pdf.table_rows import group_data, into_line, into_row
from ingest.parsing.pdf.table_run import run_end


def find_tables(rows: Rows, drawn: Drawn, page: int) -> Iterator[Table | Rows]:
    """Yield tables, and between them the rows that belong to none, from top to bottom."""
    cells = [into_cells(row) for row in rows]
    done = start = 0
    width = max(row[-1].x1 for row in rows) - min(row[0].x0 for row in rows)
    while start < len(rows):
        stop = run_end(cells, start, width)
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
    last = with_last_lines(cells, stop, columns, drawn)
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
