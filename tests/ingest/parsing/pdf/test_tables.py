from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parsing.pdf import parse_pdf
from knowledge.models import BlockKind
from tests.ingest.parsing.pdf.drawing import (
    HEIGHT,
    LOREM,
    WIDTH,
    Pen,
    drawn,
    headers,
    parsed,
    tables,
    texts,
)

STATEMENT = (
    ("Revenue", "1,234", "987"),
    ("Cost of sales", "(1,000)", "(800)"),
    ("Other income", "—", "12"),
    ("Profit", "234", "199"),
)


def statement(pen: Pen, *, top: float = 120, header: bool = True) -> float:
    if header:
        pen.text(72, top, "(In millions)")
        pen.centred(380, top, "2024")
        pen.centred(480, top, "2023")
    for number, (label, *values) in enumerate(STATEMENT, 1):
        y = top + 14 * number
        pen.text(72, y, label)
        for x, value in zip((400, 500), values, strict=True):
            if number in (1, len(STATEMENT)):
                pen.text(x - 60, y, "$")
            pen.right(x, y, value)
    return top + 14 * (len(STATEMENT) + 1)


def test_a_statement_without_rules_becomes_rows_with_signs_at_their_figures() -> None:
    (rows,) = tables(parsed(drawn(statement)))
    assert rows == [
        "(In millions) | 2024 | 2023",
        "Revenue | $1,234 | $987",
        "Cost of sales | (1,000) | (800)",
        "Other income | — | 12",
        "Profit | $234 | $199",
    ]


def test_rows_know_their_header_their_page_and_their_place() -> None:
    document = parsed(drawn(statement))
    rows = [block for block in document.blocks if block.table is not None]
    assert headers(document) == ["(In millions) | 2024 | 2023"]
    assert {row.page for row in rows} == {1}
    boxes = [row.box for row in rows if row.box]
    assert [round(box.y1 - box.y0) for box in boxes] == [12] * 5
    assert all(box.x0 < 75 and box.x1 > 460 for box in boxes)


def test_per_cent_signs_and_brackets_in_columns_of_their_own_belong_to_their_figures() -> None:
    def draw(pen: Pen) -> None:
        for number, (label, value) in enumerate(
            (("Growth", "12.5"), ("Margin", "(3.0"), ("Share", "40.1"))
        ):
            y = 120 + 14 * number
            pen.text(72, y, label)
            pen.right(400, y, value)
            pen.text(412, y, ")%" if value.startswith("(") else "%")

    (rows,) = tables(parsed(drawn(draw)))
    assert rows == ["Growth | 12.5%", "Margin | (3.0)%", "Share | 40.1%"]


def test_a_heading_over_several_columns_stands_in_the_first_of_them() -> None:
    def draw(pen: Pen) -> None:
        pen.centred(430, 106, "Year ended December 31,")
        pen.rule(320, 109, 520, 109)
        statement(pen)

    document = parsed(drawn(draw))
    assert tables(document)[0][:2] == [
        "| Year ended December 31,",
        "(In millions) | 2024 | 2023",
    ]
    assert headers(document) == ["| Year ended December 31,\n(In millions) | 2024 | 2023"]


def test_a_heading_on_several_lines_is_one_cell() -> None:
    def draw(pen: Pen) -> None:
        for number, line in enumerate(("Weighted", "average", "price")):
            pen.centred(480, 94 + 11 * number, line)
        pen.centred(380, 116, "Shares")
        for number in range(4):
            y = 130 + 14 * number
            pen.text(72, y, f"Grant of {2020 + number}")
            pen.right(400, y, f"{number + 1},000")
            pen.right(500, y, f"{number}.75")

    (rows,) = tables(parsed(drawn(draw)))
    assert rows[0] == "| Shares | Weighted average price"
    assert len(rows) == 5


def test_a_label_on_two_lines_is_one_row_and_a_section_is_a_row_of_its_own() -> None:
    def draw(pen: Pen) -> None:
        lines = (
            ("Operating activities:", ""),
            ("Net earnings", "7,637"),
            ("Adjustments to reconcile net earnings to net cash provided", ""),
            ("by operating activities", "927"),
            ("Depreciation", "10"),
        )
        pen.centred(490, 106, "2024")
        pen.text(72, 106, "(In millions)")
        for number, (label, value) in enumerate(lines):
            pen.text(72, 120 + 12 * number, label)
            if value:
                pen.right(500, 120 + 12 * number, value)

    assert tables(parsed(drawn(draw))) == [
        [
            "(In millions) | 2024",
            "Operating activities:",
            "Net earnings | 7,637",
            "Adjustments to reconcile net earnings to net cash provided "
            "by operating activities | 927",
            "Depreciation | 10",
        ]
    ]


def test_shaded_rows_hold_their_lines_together() -> None:
    def draw(pen: Pen) -> None:
        for number in range(4):
            y = 120 + 40 * number
            pen.shade(70, y - 12, 510, y + 16)
            pen.text(72, y, f"Agreement number {number}")
            pen.text(72, y + 12, "With A Partner")
            pen.right(500, y, f"{number},500")

    (rows,) = tables(parsed(drawn(draw)))
    assert rows == [f"Agreement number {n} With A Partner | {n},500" for n in range(4)]


def test_leader_dots_part_a_label_from_its_figure_and_are_not_text() -> None:
    def draw(pen: Pen) -> None:
        for number, label in enumerate(("Rent", "Heating", "Cleaning of windows")):
            y = 120 + 14 * number
            pen.text(72, y, label + " " + "." * (100 - 2 * len(label)))
            pen.right(500, y, f"{number + 1},000")

    (rows,) = tables(parsed(drawn(draw)))
    assert rows == ["Rent | 1,000", "Heating | 2,000", "Cleaning of windows | 3,000"]


def test_a_table_that_goes_on_after_a_page_break_is_one_table() -> None:
    def rest(pen: Pen) -> None:
        statement(pen, top=60, header=False)

    document = parsed(drawn(statement, rest))
    (rows,) = tables(document)
    assert len(rows) == 9
    assert [b.page for b in document.blocks if b.table] == [1] * 5 + [2] * 4
    assert headers(document) == ["(In millions) | 2024 | 2023"]


def test_two_tables_with_other_columns_are_two() -> None:
    def draw(pen: Pen) -> None:
        end = statement(pen)
        pen.text(72, end + 16, "Shares")
        pen.centred(310, end + 16, "2024")
        pen.centred(410, end + 16, "2023")
        pen.centred(510, end + 16, "2022")
        for number in range(3):
            pen.text(72, end + 30 + 14 * number, f"Class {number}")
            for x in (320, 420, 520):
                pen.right(x, end + 30 + 14 * number, f"{x},000")

    assert [len(rows) for rows in tables(parsed(drawn(draw)))] == [5, 4]


def test_a_line_in_a_much_larger_font_is_no_part_of_the_table_around_it() -> None:
    def draw(pen: Pen) -> None:
        for y, labels in (
            (100, ("City", "Number")),
            (140, ("Paris", "17-4")),
            (152, ("Rome", "8")),
        ):
            for x, label in zip((100, 400), labels, strict=True):
                pen.text(x, y, label)
        pen.text(200, 122, "Acme Company", size=18)
        pen.text(100, 164, "Oslo")
        pen.text(400, 164, "9")

    document = parsed(drawn(draw))
    assert tables(document) == [["Paris | 17-4", "Rome | 8", "Oslo | 9"]]
    assert "Acme Company" in texts(document)


def test_prose_is_no_table_even_when_it_is_justified_or_full_of_figures() -> None:
    def draw(pen: Pen) -> None:
        words = [word if n % 5 else f"{n},000" for n, word in enumerate(LOREM * 2)]
        y = pen.paragraph(72, 120, words, 400)
        canvas = pen.canvas
        for number in range(8):
            line = canvas.beginText(72, HEIGHT - y - 30 - 13 * number)
            line.setFont("Helvetica", 10)
            line.setWordSpace(2 + number / 2)
            line.textOut(" ".join(LOREM[number : number + 9]))
            canvas.drawText(line)

    assert tables(parsed(drawn(draw))) == []


def test_a_list_is_no_table() -> None:
    def draw(pen: Pen) -> None:
        for number in range(5):
            pen.text(72, 120 + 30 * number, f"({number + 1})")
            pen.text(110, 120 + 30 * number, "Represents what the board has decided in its meeting")

    document = parsed(drawn(draw))
    assert tables(document) == []
    assert len(texts(document, BlockKind.LIST_ITEM)) == 5


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9)
ROWS = st.lists(st.tuples(WORDS, st.integers(0, 10**7), st.integers(0, 10**4)), min_size=2)


@settings(max_examples=40, deadline=None)
@given(ROWS.filter(lambda rows: len(rows) < 40), st.sampled_from((300, 420)), st.booleans())
def test_no_word_is_lost_or_doubled_and_every_row_lies_on_its_page(
    rows: list[tuple[str, int, int]], x: float, prose: bool
) -> None:
    def draw(pen: Pen) -> None:
        y = pen.paragraph(72, 80, LOREM if prose else ["above"], 440) + 20
        for number, (label, *values) in enumerate(rows):
            pen.text(72, y + 13 * number, label)
            pen.right(x, y + 13 * number, f"{values[0]:,}")
            pen.right(x + 90, y + 13 * number, f"{values[1]:,}")

    (document,) = parse_pdf(drawn(draw), "x")
    written = [f"{cell:,}" if isinstance(cell, int) else cell for row in rows for cell in row]
    read = document.text.replace("|", " ").split()
    assert sorted(read) == sorted([*written, *(LOREM if prose else ["above"])])
    for block in document.blocks:
        assert block.box is not None
        assert 0 <= block.box.x0 < block.box.x1 <= WIDTH
        assert 0 <= block.box.y0 < block.box.y1 <= HEIGHT
