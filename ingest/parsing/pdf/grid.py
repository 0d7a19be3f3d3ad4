"""Finds tables that are drawn: rules from left to right that meet rules from top to bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.parsing.builder import Row
from ingest.parsing.pdf.cells import in_reading_order, into_cells, into_rows, is_amount
from ingest.parsing.pdf.page import Area, Page, Piece, Table, around
from knowledge.models import Box

_REACH = 3.0  # points by which rules that meet may miss each other
_OPEN = 15.0  # points between the outermost rule and the open side of a table
_MOST_RULES = 1_000
_MOST_SLOTS = 10_000


@dataclass(frozen=True, slots=True)
class Grid:
    """A ruled table, the pieces that stand in it, and a piece that stands for it on the page."""

    table: Table
    pieces: list[Piece]
    stand_in: Piece


def find_grids(page: Page) -> list[Grid]:
    """Return the ruled tables of a page: at least two rows and two columns with text in them."""
    across, down = _merged(page.drawn.across, 0), _merged(page.drawn.down, 1)
    if len(across) < 2 or len(down) < 2 or len(across) + len(down) > _MOST_RULES:
        return []
    return [grid for rules in _connected(across, down) if (grid := _grid(page, *rules)) is not None]


def _merged(rules: Sequence[Area], axis: int) -> list[Area]:
    """Join rules that lie on one line and touch; `axis` is the way they run, 0 across."""
    other = 1 - axis
    merged: list[Area] = []
    ordered = sorted(rules, key=lambda r: (round((r[other] + r[other + 2]) / 2), r[axis]))
    for rule in ordered:
        last = merged[-1] if merged else None
        if (
            last
            and abs(last[other] - rule[other]) < _REACH
            and rule[axis] <= last[axis + 2] + _REACH
        ):
            box = around([last, rule])
            merged[-1] = Area(box.x0, box.y0, box.x1, box.y1)
        else:
            merged.append(rule)
    return merged


def _connected(across: list[Area], down: list[Area]) -> Iterator[tuple[list[Area], list[Area]]]:
    """Yield the rules of each group that hangs together by crossings."""
    rest = set(range(len(down)))
    free = set(range(len(across)))
    while free:
        members, todo = {free.pop()}, True
        columns: set[int] = set()
        while todo:
            new_columns = {j for j in rest if any(_meet(across[i], down[j]) for i in members)}
            rest -= new_columns
            columns |= new_columns
            new_rows = {i for i in free if any(_meet(across[i], down[j]) for j in new_columns)}
            free -= new_rows
            members |= new_rows
            todo = bool(new_rows)
        if len(members) > 1 and len(columns) > 1:
            yield [across[i] for i in sorted(members)], [down[j] for j in sorted(columns)]


def _meet(across: Area, down: Area) -> bool:
    return (
        across.x0 - _REACH <= down.x1
        and down.x0 <= across.x1 + _REACH
        and down.y0 - _REACH <= across.y1
        and across.y0 <= down.y1 + _REACH
    )


def _grid(page: Page, across: list[Area], down: list[Area]) -> Grid | None:
    """Return the table that the rules make; None where it is a frame, or nothing stands in it."""
    xs = _levels([(rule.x0 + rule.x1) / 2 for rule in down])
    ys = _levels([(rule.y0 + rule.y1) / 2 for rule in across])
    xs = _with_open_sides(xs, across)
    slots = (len(xs) - 1) * (len(ys) - 1)
    if len(xs) < 3 or len(ys) < 3 or slots > _MOST_SLOTS:
        return None
    box = Area(xs[0], ys[0], xs[-1], ys[-1])
    inside = [piece for piece in page.pieces if piece.upright and _holds(box, piece)]
    cells: dict[tuple[int, int], list[Piece]] = {}
    for piece in inside:
        row = _slot(ys, piece.middle)
        column = _slot(xs, (piece.x0 + piece.x1) / 2)
        cells.setdefault(_origin(row, column, xs, ys, across, down), []).append(piece)
    rows, columns = {row for row, _ in cells}, {column for _, column in cells}
    if len(rows) < 2 or len(columns) < 2 or len(cells) < slots / 6 or _is_coarse(cells):
        return None
    table = Table(
        [
            _row(
                [cells.get((row, column), []) for column in range(len(xs) - 1)],
                page,
                _band(xs, ys, row),
            )
            for row in range(len(ys) - 1)
            if row in rows
        ],
        1,
        page.number,
    )
    stand_in = Piece("", box.x0, box.y0, box.x1, box.y1, 0.0, False)
    return Grid(table, inside, stand_in)


def _is_coarse(cells: dict[tuple[int, int], list[Piece]]) -> bool:
    """Say whether the rules only group the rows of a table, whose cells stand below each other.

    Then figures are stacked in some cells, or lines, as many in one as in the others, in three.
    """
    stacked: Counter[tuple[int, int]] = Counter()
    figures = 0
    for (row, _), pieces in cells.items():
        lines = len(into_rows(pieces))
        stacked[row, lines] += lines > 2
        figures += sum(is_amount(piece.text) for piece in into_cells(pieces)) > 1
    return figures > 2 or max(stacked.values()) > 2


def _with_open_sides(xs: list[float], across: list[Area]) -> list[float]:
    """Add the ends of the rules from left to right where they reach beyond the outer columns."""
    left, right = min(rule.x0 for rule in across), max(rule.x1 for rule in across)
    before = [left] if left < xs[0] - _OPEN else []
    return [*before, *xs, *([right] if right > xs[-1] + _OPEN else [])]


def _levels(places: list[float]) -> list[float]:
    """Return the different places among `places`, in order."""
    levels: list[float] = []
    for place in sorted(places):
        if not levels or place - levels[-1] > _REACH:
            levels.append(place)
    return levels


def _holds(area: Area, piece: Piece) -> bool:
    middle = (piece.x0 + piece.x1) / 2
    return area.x0 <= middle <= area.x1 and area.y0 <= piece.middle <= area.y1


def _slot(edges: list[float], place: float) -> int:
    return next((n for n, (a, b) in enumerate(pairwise(edges)) if a <= place <= b), len(edges) - 2)


def _origin(
    row: int, column: int, xs: list[float], ys: list[float], across: list[Area], down: list[Area]
) -> tuple[int, int]:
    """Return the top left slot of the merged cell that a slot belongs to."""
    while column > 0 and not _parted(down, xs[column], (ys[row] + ys[row + 1]) / 2, 0):
        column -= 1
    while row > 0 and not _parted(across, ys[row], (xs[column] + xs[column + 1]) / 2, 1):
        row -= 1
    return row, column


def _parted(rules: list[Area], place: float, along: float, axis: int) -> bool:
    """Say whether a rule at `place` passes `along`; `axis` is the way in which `place` counts."""
    other = 1 - axis
    return any(
        abs((rule[axis] + rule[axis + 2]) / 2 - place) <= _REACH
        and rule[other] - _REACH <= along <= rule[other + 2] + _REACH
        for rule in rules
    )


def _band(xs: list[float], ys: list[float], row: int) -> Box:
    return Box(xs[0], ys[row], xs[-1], ys[row + 1])


def _row(cells: list[list[Piece]], page: Page, box: Box) -> Row:
    return Row([_text(pieces) for pieces in cells], page.number, box)


def _text(pieces: list[Piece]) -> str:
    lines = (in_reading_order(into_cells(row)) for row in into_rows(pieces))
    return " ".join(piece.text for line in lines for piece in line)
