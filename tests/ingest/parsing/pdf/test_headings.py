from __future__ import annotations

import pytest

from ingest.parsing.pdf.headings import heading_levels
from ingest.parsing.pdf.page import Line, Paragraph
from knowledge.models import Box

BODY = "It thanked all members of staff for their work and asked them to hand in their receipts."


def paragraph(text: str, size: float = 10, *, bold: bool = False) -> Paragraph:
    return Paragraph([Line(text, 1, Box(72, 0, 200, size), size, bold)])


def levels(*paragraphs: Paragraph) -> list[int | None]:
    """The level of each paragraph, running text left out."""
    found = heading_levels([*paragraphs, *[paragraph(BODY)] * 3])
    return [found.get(place) for place in range(len(paragraphs))]


def test_larger_headings_stand_above_smaller_ones_and_bold_above_plain_ones() -> None:
    found = levels(
        paragraph("Report", 18),
        paragraph("Sales", 14, bold=True),
        paragraph("By region", 14),
        paragraph("Notes", bold=True),
    )
    assert found == [1, 2, 3, 4]


def test_sizes_that_can_hardly_be_told_apart_are_one_level() -> None:
    assert levels(paragraph("Acme", 15.48), paragraph("Form", 15.52)) == [1, 1]
    assert levels(paragraph("Acme", 15.48), paragraph("Form", 14.4)) == [1, 2]


def test_a_short_line_in_a_large_font_is_a_heading_though_it_ends_with_a_full_stop() -> None:
    assert levels(paragraph("ACME INC.", 21, bold=True)) == [1]


@pytest.mark.parametrize(
    "body_like",
    [
        pytest.param(paragraph("Acme Inc.", bold=True), id="no larger than the text"),
        pytest.param(paragraph(f"{BODY[:70]}.", 21), id="a quotation in large letters"),
    ],
)
def test_other_lines_that_end_as_sentences_do_are_text(body_like: Paragraph) -> None:
    assert levels(body_like) == [None]
