from __future__ import annotations

from tests.ingest.parsing.pdf.drawing import LOREM, Pen, drawn, parsed, tables, texts

LEFT, RIGHT = [f"{word}" for word in LOREM], [f"{word}er" for word in LOREM]


def side_by_side(pen: Pen, *, in_turns: bool = False) -> None:
    """Two columns of prose, written one after the other or line by line in turns."""
    if not in_turns:
        pen.paragraph(72, 130, LEFT, 200)
        pen.paragraph(320, 130, RIGHT, 200)
        return
    for number in range(8):
        pen.text(72, 130 + 13 * number, " ".join(LEFT[6 * number : 6 * number + 6]))
        pen.text(320, 130 + 13 * number, " ".join(RIGHT[6 * number : 6 * number + 6]))


def test_two_columns_are_read_one_after_the_other() -> None:
    read = " ".join(texts(parsed(drawn(side_by_side)))).split()
    assert read == [*LEFT, *RIGHT]


def test_the_order_in_which_they_were_written_does_not_matter() -> None:
    document = parsed(drawn(lambda pen: side_by_side(pen, in_turns=True)))
    assert tables(document) == []
    assert " ".join(texts(document)).split() == [*LEFT[:48], *RIGHT[:48]]


def test_what_stands_over_both_columns_parts_them() -> None:
    def draw(pen: Pen) -> None:
        pen.text(72, 100, "A title that runs over both of the two columns of this page", size=16)
        side_by_side(pen)
        pen.text(72, 500, "A last line that runs over both columns, all the way to the right side.")

    read = texts(parsed(drawn(draw)))
    assert read[0].startswith("A title")
    assert read[-1].startswith("A last line")
    assert " ".join(read[1:-1]).split() == [*LEFT, *RIGHT]


def test_three_columns_are_read_one_after_the_other() -> None:
    words = [[f"{word}{n}" for word in LOREM] for n in "xyz"]

    def draw(pen: Pen) -> None:
        for number, column in enumerate(words):
            pen.paragraph(50 + 180 * number, 100, column, 150)

    assert " ".join(texts(parsed(drawn(draw)))).split() == [w for column in words for w in column]


def test_labels_and_figures_are_not_two_columns() -> None:
    def draw(pen: Pen) -> None:
        for number in range(12):
            pen.text(72, 100 + 13 * number, f"A label of some length, number {number}")
            pen.right(500, 100 + 13 * number, f"{number},000")

    assert len(tables(parsed(drawn(draw)))[0]) == 12
