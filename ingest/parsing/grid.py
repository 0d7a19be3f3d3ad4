"""Lays the cells of a table out in rows, as a browser does, and finds its header. Pure."""

from __future__ import annotations

from ingest.parsing.builder import Builder, Row
from knowledge.errors import TooLarge

MAX_CELLS = 2_000_000
LABEL = 80
"""Characters; a merged cell with no more stands in each of its places, a longer one in its first.

So each row can be read by itself; that a title across the whole table stands once is seen to."""
_WIDEST = 1000


class Grid:
    """Takes rows and cells in reading order, with how many columns and rows they cover."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []
        self._heads: list[bool | None] = []
        self._taken: dict[int, tuple[int, str]] = {}  # column: rows that it still covers, text
        self._column = self._own = self._cells = 0
        self._open = False

    def row(self, *, header: bool | None = None) -> None:
        """Begin a row; `header` says that it is one, or that it is none, None that nobody knows."""
        self._finish()
        self._rows.append([])
        self._heads.append(header)
        self._column = self._own = 0
        self._open = True

    def add(self, text: str, columns: int = 1, rows: int = 1) -> None:
        """Append a cell to the row that was begun last; where none was, begin one."""
        if not self._open:
            self.row()
        self._fill()
        columns = max(1, min(columns, _WIDEST))
        shown = " ".join(text.split())
        again = shown if len(shown) <= LABEL else ""
        if rows > 1:
            for column in range(self._column, self._column + columns):
                self._taken[column] = (rows, again)  # this row included, see `_finish`
        self._put(shown, *[again] * (columns - 1))
        self._own += 1

    def rows(self) -> list[list[str]]:
        """Return the rows that show anything."""
        self._finish()
        return [row for row in self._rows if any(row)]

    def header_rows(self) -> int:
        """Return how many of `rows` are the header: those that say so, or the first."""
        heads = [head for head, row in zip(self._heads, self._rows, strict=True) if any(row)]
        if not heads or heads[0] is None:
            return 1
        return next((n for n, head in enumerate(heads) if not head), len(heads))

    def _put(self, *cells: str) -> None:
        self._rows[-1].extend(cells)
        self._column += len(cells)
        self._cells += len(cells)
        if self._cells > MAX_CELLS:
            raise TooLarge(
                f"it holds a table of more than {MAX_CELLS:,} cells; split it",
                code="too_many_cells",
            )

    def _fill(self) -> None:
        """Put what cells of earlier rows cover at this place."""
        while self._column in self._taken:
            self._put(self._taken[self._column][1])

    def _finish(self) -> None:
        """End the row: count down what covers it, and let what stands alone in it stand once."""
        if not self._open:
            return
        self._open = False
        row = self._rows[-1]
        covered = [column for column in self._taken if column >= self._column]
        for column in sorted(covered):
            if column > self._column:
                self._put(*[""] * (column - self._column))
            self._fill()
        if self._own == 1 and len(set(row)) == 1:
            del row[1:]
        self._taken = {
            column: (rows - 1, text) for column, (rows, text) in self._taken.items() if rows > 1
        }


def write(builder: Builder, grid: Grid, *, page: int | None = None) -> None:
    """Append the table in `grid`."""
    builder.table((Row(cells, page) for cells in grid.rows()), header_rows=grid.header_rows())
