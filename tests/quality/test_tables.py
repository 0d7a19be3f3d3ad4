"""The judge of tables is just: right cells count; shattered, glued or shuffled ones do not."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quality import tables
from tests.quality.tables import Score, Table, score, score_best, wilson

SALES = Table(
    number=0,
    set="",
    pdf="",
    page=0,
    table=1,
    header=2,
    rows=[
        ["", "2018", "", "Change"],
        ["(Millions)", "High", "Low", "^"],
        ["Net sales", "$32,765", "31,657", "(2)%"],
        ["Doubtful", "41", "", "-"],
    ],
)
CELLS = 12


def shares(predicted: tables.Rows) -> tuple[int, int]:
    scored = score(SALES, predicted)
    assert scored.cells == CELLS
    return scored.recovered, scored.in_column


def test_a_table_read_as_typed_has_every_cell() -> None:
    assert shares(SALES.rows) == (CELLS, CELLS)


def test_every_typed_table_recovers_itself() -> None:
    typed = tables.load()
    assert [table.number for table in typed] == list(range(1, 21))
    for table in typed:
        assert len({len(row) for row in table.rows}) == 1
        scored = score(table, table.rows)
        assert scored.recovered == scored.cells


def test_signs_in_columns_of_their_own_and_other_dashes_cost_nothing() -> None:
    read = [
        ["", "", "2018", "", "", "Change", ""],
        ["(Millions)", "", "High", "", "Low", "", ""],
        ["Net  sales", "$", "32,765", "", "31,657", "(2", ")%"],
        ["Doubtful", "", "41", "", "", "—", ""],
    ]
    assert shares(read) == (CELLS, CELLS)


def test_a_cell_over_two_rows_counts_once_in_whichever_row_it_stands() -> None:
    lower = [["", "2018", "", ""], ["(Millions)", "High", "Low", "Change"], *SALES.rows[2:]]
    both = [["", "2018", "", "Change"], ["(Millions)", "High", "Low", "Change"], *SALES.rows[2:]]
    assert shares(lower) == shares(both) == (CELLS, CELLS)


def test_a_table_shattered_into_cells_keeps_one_cell_a_row() -> None:
    shattered = [[cell] for row in SALES.rows for cell in row if cell]
    assert shares(shattered)[0] <= len(SALES.rows)


def test_cells_glued_to_one_recover_nothing() -> None:
    assert shares([[" ".join(row)] for row in SALES.rows]) == (0, 0)


def test_two_rows_glued_to_one_keep_only_one_of_them() -> None:
    glued = [*SALES.rows[:2], [*SALES.rows[2], *SALES.rows[3]]]
    assert shares(glued)[0] == CELLS - 3


def test_a_column_read_as_one_cell_is_lost() -> None:
    columns = [["2018 High 32,765 41"], ["Low 31,657"], ["Net sales", "Doubtful"]]
    assert shares(columns)[0] <= 1


def test_cells_in_reverse_keep_one_a_row_and_rows_in_reverse_one_row() -> None:
    assert shares([row[::-1] for row in SALES.rows])[0] == len(SALES.rows)
    assert shares(SALES.rows[::-1])[0] == 4


def test_a_row_that_drops_its_empty_cell_is_not_in_its_columns() -> None:
    dropped = [*SALES.rows[:3], ["Doubtful", "41", "-"]]
    recovered, in_column = shares(dropped)
    assert recovered == CELLS
    assert in_column == CELLS - 1


def test_a_wrong_digit_costs_its_cell() -> None:
    wrong = [*SALES.rows[:3], ["Doubtful", "47", "", "-"]]
    assert shares(wrong)[0] == CELLS - 1


def test_prose_around_a_table_changes_nothing() -> None:
    prose = [["It sold more in 2018 than before."], *SALES.rows, ["(1) See note 4."]]
    assert shares(prose) == (CELLS, CELLS)


def test_of_a_table_cut_in_two_only_the_larger_part_counts() -> None:
    whole = score_best(SALES, [[["another", "table"]], SALES.rows])
    cut = score_best(SALES, [SALES.rows[:3], SALES.rows[3:]])
    assert whole.recovered == CELLS
    assert cut.recovered == CELLS - 3


def test_a_page_without_a_table_scores_nothing() -> None:
    assert score_best(SALES, []) == Score(0, 0, CELLS)


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=4), max_size=5))
def test_no_reading_recovers_more_than_there_is(predicted: list[list[str]]) -> None:
    truth = dataclasses.replace(SALES, rows=[["a", "b"], ["^", "c"], ["b", "a"]])
    scored = score(truth, predicted)
    assert scored.cells == 5
    assert 0 <= scored.in_column <= scored.recovered <= scored.cells


def test_wilson_gives_the_interval_of_the_textbook() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, method 3
    assert wilson(20, 20)[1] == pytest.approx(1)
    assert "12 of 12 cells (100.0%" in str(Score(12, 12, 12))
