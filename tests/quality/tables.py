"""The judge of read tables: which cells of a typed truth stand in the right row and order.

Rows are matched in order, so that as many cells as possible are recovered. Within a pair of rows
a cell counts when it is whole (but for white space, `$` and the kind of dash) and keeps its place
from left to right among the others: the longest common subsequence. A cell that spans rows counts
once, in any of them. What a reader adds is not held against it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "tables"

Rows = Sequence[Sequence[str]]
Place = tuple[int, int]
"""Row and column of a cell."""

_ABOVE = "^"
_DASH = re.compile("[\u2010-\u2015\u2212]")
_UNSEEN = re.compile(r"[\s$\u00ad\u200b-\u200f\u2060\ufeff\ufffe\ufffd\x02]")
_LOOSE = re.compile(r"[)%]+")


@dataclass(frozen=True, slots=True)
class Table:
    """A table as typed from the page; `page` counts from 0, `^` goes on with the cell above."""

    number: int
    set: str
    pdf: str
    page: int
    table: int
    header: int
    rows: Rows
    note: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """How many cells are right.

    `recovered` ones stand in the right row and order; of these, `in_column` ones stand in that read
    column where most of their typed column was recovered: an empty cell left out shifts the rest.
    """

    recovered: int
    in_column: int
    cells: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.recovered + other.recovered,
            self.in_column + other.in_column,
            self.cells + other.cells,
        )

    def __str__(self) -> str:
        low, high = wilson(self.recovered, self.cells)
        share = self.recovered / self.cells
        return (
            f"{self.recovered} of {self.cells} cells ({share:.1%}, 95 % interval"
            f" {low:.1%} to {high:.1%}), {self.in_column} of them in one column"
        )


def load() -> list[Table]:
    """Return the typed tables in the order of their numbers."""
    return [Table(**json.loads(path.read_text("utf-8"))) for path in sorted(FOLDER.glob("*.json"))]


def score_best(truth: Table, tables: Iterable[Rows]) -> Score:
    """Score the one of a page's tables that holds most of the truth: a table cut in two loses."""
    scores = (score(truth, rows) for rows in tables)
    none = Score(0, 0, sum(1 for _ in _cells(truth.rows)))
    return max(scores, key=lambda each: (each.recovered, each.in_column), default=none)


def score(truth: Table, predicted: Rows) -> Score:
    """Score one read table."""
    wanted, got = _spread(truth.rows), _grid(predicted)
    found: dict[Place, int] = {}
    for row, other in _pairs(wanted, got):
        for mine, theirs in _common([text for _, text in row], [text for _, text in other]):
            found.setdefault(row[mine][0], other[theirs][0])
    columns: dict[int, Counter[int]] = {}
    for (_, column), theirs in found.items():
        columns.setdefault(column, Counter())[theirs] += 1
    in_column = sum(max(counted.values()) for counted in columns.values())
    return Score(len(found), in_column, sum(1 for _ in _cells(truth.rows)))


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share (Wilson 1927), at 95 % unless told."""
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def normalised(cell: str) -> str:
    """Return what is compared: no white space and no `$`, one kind of dash and of quote."""
    plain = _DASH.sub("-", unicodedata.normalize("NFKC", cell)).replace("’", "'")
    return _UNSEEN.sub("", plain)


# --- rows as (where, text) ----------------------------------------------------------------------


def _cells(rows: Rows) -> Iterator[Place]:
    """Yield the place of each cell of the truth that holds something of its own."""
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell not in ("", _ABOVE):
                yield i, j


def _spread(rows: Rows) -> list[list[tuple[Place, str]]]:
    """Return the truth's cells; one that spans rows is in each of them, under its one place."""
    spread: list[list[tuple[Place, str]]] = []
    above: dict[int, tuple[Place, str]] = {}
    for i, row in enumerate(rows):
        above = {
            j: above[j] if cell == _ABOVE else ((i, j), normalised(cell))
            for j, cell in enumerate(row)
            if cell
        }
        spread.append(list(above.values()))
    return spread


def _grid(rows: Rows) -> list[list[tuple[int, str]]]:
    """Return what was read by column; a closing mark of its own goes to the number on its left."""
    joined = [_joined([normalised(cell) for cell in row]) for row in rows]
    used = sorted({j for row in joined for j, cell in enumerate(row) if cell})
    index = {column: position for position, column in enumerate(used)}
    return [[(index[j], cell) for j, cell in enumerate(row) if cell] for row in joined]


def _joined(row: list[str]) -> list[str]:
    last = None
    for j, cell in enumerate(row):
        if _LOOSE.fullmatch(cell) and last is not None:
            row[last], row[j] = row[last] + cell, ""
        elif cell:
            last = j
    return row


# --- matching -----------------------------------------------------------------------------------


def _pairs(
    wanted: Sequence[Sequence[tuple[Place, str]]], got: Sequence[Sequence[tuple[int, str]]]
) -> Iterator[tuple[Sequence[tuple[Place, str]], Sequence[tuple[int, str]]]]:
    """Match rows to rows, in order, so that most cells are common."""
    mine = [[text for _, text in row] for row in wanted]
    theirs = [[text for _, text in row] for row in got]
    for i, j in _heaviest([[len(_common(a, b)) for b in theirs] for a in mine]):
        yield wanted[i], got[j]


def _common(mine: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of indices of a longest common subsequence."""
    if not set(mine) & set(theirs):
        return []
    return _heaviest([[int(a == b) for b in theirs] for a in mine])


def _heaviest(gain: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the pairs that rise in both indices and gain most in all; none that gains nothing."""
    height, width = len(gain), len(gain[0]) if gain else 0
    best = [[0] * (width + 1) for _ in range(height + 1)]
    for i in range(height):
        for j in range(width):
            best[i + 1][j + 1] = max(best[i][j + 1], best[i + 1][j], best[i][j] + gain[i][j])
    pairs, i, j = [], height, width
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
