from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing import grid as module
from ingest.parsing.grid import LABEL, Grid
from knowledge.errors import TooLarge

CELLS = st.tuples(st.text("ab ", max_size=4), st.integers(-1, 4), st.integers(-1, 4))


def laid_out(rows: list[list[tuple[str, int, int]]]) -> list[list[str]]:
    grid = Grid()
    for row in rows:
        grid.row()
        for cell in row:
            grid.add(*cell)
    return grid.rows()


def slowly(rows: list[list[tuple[str, int, int]]]) -> list[list[str]]:
    """The twin: each cell is written into every place of a table that grows as needed."""
    places: dict[tuple[int, int], str] = {}
    for number, row in enumerate(rows):
        column = 0
        for text, columns, height in row:
            while (number, column) in places:
                column += 1
            for down in range(max(1, height)):
                for right in range(max(1, columns)):
                    if down and (number + down, column + right) in places:
                        continue
                    places[number + down, column + right] = " ".join(text.split())
            column += max(1, columns)
    found = []
    for number, row in enumerate(rows):
        last = max((c for r, c in places if r == number), default=-1)
        cells = [places.get((number, column), "") for column in range(last + 1)]
        found.append(cells[:1] if len(row) == 1 and len(set(cells)) == 1 else cells)
    return [row for row in found if any(row)]


def test_a_short_merged_cell_stands_in_each_of_its_places() -> None:
    assert laid_out([[("Year", 1, 2), ("Sales", 2, 1)], [("Q1", 1, 1), ("Q2", 1, 1)]]) == [
        ["Year", "Sales", "Sales"],
        ["Year", "Q1", "Q2"],
    ]


def test_a_long_merged_cell_stands_in_its_first_place() -> None:
    text = "x" * (LABEL + 1)
    assert laid_out([[(text, 2, 1), ("b", 1, 1)]]) == [[text, "", "b"]]


def test_a_cell_before_any_row_begins_one() -> None:
    grid = Grid()
    grid.add("a")
    assert (grid.rows(), grid.header_rows()) == ([["a"]], 1)


def test_what_stands_alone_across_the_table_stands_once() -> None:
    assert laid_out([[("All of it", 3, 1)], [("a", 1, 1), ("b", 1, 1), ("c", 1, 1)]])[0] == [
        "All of it"
    ]


@given(st.lists(st.lists(CELLS, max_size=3), max_size=4))
def test_cells_lie_where_the_slow_way_puts_them(rows: list[list[tuple[str, int, int]]]) -> None:
    overlapping = any(height > 1 for row in rows for _, _, height in row)
    fast = laid_out(rows)
    if not overlapping:
        assert fast == slowly(rows)
    shown = {" ".join(text.split()) for row in rows for text, _, _ in row}
    assert {cell for row in fast for cell in row} <= shown | {""}
    assert shown - {""} <= {cell for row in fast for cell in row}


@pytest.mark.parametrize(
    ("heads", "expected"), [([None, False], 1), ([True, True, False], 2), ([False, True], 0)]
)
def test_the_header_is_the_rows_that_say_so_or_the_first(
    heads: list[bool | None], expected: int
) -> None:
    grid = Grid()
    for head in heads:
        grid.row(header=head)
        grid.add("x")
        grid.add("y")
    grid.rows()
    assert grid.header_rows() == expected


def test_a_table_of_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CELLS", 100)
    with pytest.raises(TooLarge) as caught:
        laid_out([[("x", 1000, 60_000)]])
    assert caught.value.code == "too_many_cells"
