from __future__ import annotations

from tests.ingest.parsing.pdf.drawing import LOREM, Pen, drawn, headers, parsed, tables, texts

CELLS = (("City", "Rate", "Remark"), ("Oslo", "120", "by night"), ("Rome", "", "closed"))


def grid(pen: Pen, *, left: float = 72, top: float = 100) -> None:
    """Three rows and three columns, all lines drawn."""
    for number in range(4):
        pen.rule(left, top + 30 * number, left + 360, top + 30 * number)
        pen.rule(left + 120 * number, top, left + 120 * number, top + 90)
    for row, cells in enumerate(CELLS):
        for column, text in enumerate(cells):
            pen.text(left + 5 + 120 * column, top + 18 + 30 * row, text)


def test_a_ruled_table_becomes_rows_and_an_empty_cell_keeps_its_place() -> None:
    document = parsed(drawn(grid))
    assert tables(document) == [
        ["City | Rate | Remark", "Oslo | 120 | by night", "Rome | | closed"]
    ]
    assert headers(document) == ["City | Rate | Remark"]


def test_the_lines_of_a_cell_are_joined_and_a_word_cut_between_them_too() -> None:
    def draw(pen: Pen) -> None:
        for y in (100, 150, 200):
            pen.rule(72, y, 400, y)
        for x in (72, 200, 400):
            pen.rule(x, 100, x, 200)
        pen.text(76, 115, "Left")
        pen.text(204, 115, "one line")
        pen.text(204, 128, "and another")
        pen.text(76, 170, "Lower")
        pen.text(204, 170, "end")

    assert tables(parsed(drawn(draw))) == [["Left | one line and another", "Lower | end"]]


def test_a_merged_cell_stands_in_its_first_column() -> None:
    def draw(pen: Pen) -> None:
        for y in (100, 130, 160, 190):
            pen.rule(72, y, 432, y)
        for x in (72, 432):
            pen.rule(x, 100, x, 190)
        for x in (192, 312):
            pen.rule(x, 130, x, 190)
        pen.centred(252, 118, "All three")
        for row in range(2):
            for column in range(3):
                pen.text(77 + 120 * column, 148 + 30 * row, f"cell {row}{column}")

    assert tables(parsed(drawn(draw))) == [
        ["All three", "cell 00 | cell 01 | cell 02", "cell 10 | cell 11 | cell 12"]
    ]


def test_a_frame_around_prose_is_no_table() -> None:
    def draw(pen: Pen) -> None:
        for y in (90, 250):
            pen.rule(60, y, 500, y)
        for x in (60, 500):
            pen.rule(x, 90, x, 250)
        pen.paragraph(72, 110, LOREM, 400)

    document = parsed(drawn(draw))
    assert tables(document) == []
    assert texts(document) == [" ".join(LOREM)]


def test_text_above_and_below_a_grid_keeps_its_place() -> None:
    def draw(pen: Pen) -> None:
        pen.text(72, 80, "Before the table.")
        grid(pen)
        pen.text(72, 230, "After the table.")

    assert texts(parsed(drawn(draw)))[0] == "Before the table."
    assert texts(parsed(drawn(draw)))[-1] == "After the table."


def test_rules_that_only_part_columns_and_the_header_leave_the_rows_as_they_are() -> None:
    rows = [("Data set", "Base", "Large", "Notes")] + [
        (f"Set {letter}", "F / M", "M", f"Pictures of the kind {letter}") for letter in "ABCDE"
    ]

    def draw(pen: Pen) -> None:
        for y in (100, 116, 190):
            pen.rule(72, y, 480, y)
        for x in (180, 240, 300):
            pen.rule(x, 100, x, 190)
        for number, cells in enumerate(rows):
            for x, text in zip((76, 186, 246, 306), cells, strict=True):
                pen.text(x, 112 + 14 * number, text)

    assert tables(parsed(drawn(draw))) == [[" | ".join(cells) for cells in rows]]
