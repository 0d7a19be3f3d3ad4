"""Arranges one page: its tables and paragraphs in reading order."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.parsing.pdf.cells import into_rows
from ingest.parsing.pdf.columns import reading_order
from ingest.parsing.pdf.grid import Grid, find_grids
from ingest.parsing.pdf.page import Page, Paragraph, Pieces, Table
from ingest.parsing.pdf.paragraphs import into_lines, into_paragraphs
from ingest.parsing.pdf.tables import find_tables


def arrange(page: Page) -> Iterator[Table | Paragraph]:
    """Yield what stands on a page, in reading order."""
    grids = find_grids(page)
    taken = {id(piece) for grid in grids for piece in grid.pieces}
    free = [piece for piece in page.pieces if id(piece) not in taken]
    stand_ins = [grid.stand_in for grid in grids]
    known = {id(grid.stand_in): grid for grid in grids}
    for region in reading_order([*free, *stand_ins]):
        yield from _arranged(page, region, known)


def _arranged(page: Page, region: Pieces, known: dict[int, Grid]) -> Iterator[Table | Paragraph]:
    """Yield the grids of a region, and what stands between them, from top to bottom."""
    grids = sorted((known[id(p)] for p in region if id(p) in known), key=lambda g: g.stand_in.y0)
    rest = [piece for piece in region if id(piece) not in known]
    for grid in grids:
        above = [piece for piece in rest if piece.middle < grid.stand_in.middle]
        rest = [piece for piece in rest if piece.middle >= grid.stand_in.middle]
        yield from _without_grids(page, above)
        yield grid.table
    yield from _without_grids(page, rest)


def _without_grids(page: Page, pieces: Pieces) -> Iterator[Table | Paragraph]:
    if not pieces:
        return
    for found in find_tables(into_rows(pieces), page.drawn, page.number):
        if isinstance(found, Table):
            yield found
        else:
            yield from into_paragraphs(list(into_lines(found, page.number)))
