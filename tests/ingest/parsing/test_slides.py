from __future__ import annotations

import io

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from ingest.parsing.formats import parse
from tests.ingest.samples import shape, slides

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of python-pptx


def test_a_slide_is_a_page_under_its_title_with_its_notes() -> None:
    (parsed,) = parse(slides(), "deck.pptx")
    assert parsed.title == "Plan"
    assert shape(parsed) == [
        ("heading", ("Plan",), "Plan"),
        ("paragraph", ("Plan",), "Open in May"),
        ("paragraph", ("Plan",), "Say why: Plan"),
        ("heading", ("Budget",), "Budget"),
        ("paragraph", ("Budget",), "Two million crowns"),
        ("paragraph", ("Budget",), "Say why: Budget"),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 2, 2, 2]
    assert (parsed.coverage.pages, parsed.coverage.share) == (2, 1.0)


def test_tables_with_merged_cells_charts_groups_and_pictures_are_read_from_top_to_bottom() -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    box = Inches(1), Inches(5), Inches(3), Inches(1)
    slide.shapes.add_textbox(*box).text_frame.text = "Below"
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a group"
    table = slide.shapes.add_table(2, 3, 0, Inches(1), Inches(4), Inches(1)).table
    for place, text in {(0, 0): "Site", (0, 1): "Hours", (1, 1): "8", (1, 2): "9"}.items():
        table.cell(*place).text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(0, 0).merge(table.cell(1, 0))
    data = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["May"]
    data.add_series("Visits", (3,))  # type: ignore[no-untyped-call]
    slide.shapes.add_chart(
        XL_CHART_TYPE.COLUMN_CLUSTERED, 0, Inches(3), Inches(4), Inches(1), data
    ).name = "c"
    out = io.BytesIO()
    deck.save(out)
    (parsed,) = parse(out.getvalue(), "a.pptx")
    assert parsed.text == (
        "In a group\n\nSite | Hours | Hours\nSite | 8 | 9\n\n| Visits\nMay | 3\n\nBelow"
    )


def test_a_slide_without_text_is_an_empty_page() -> None:
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    out = io.BytesIO()
    deck.save(out)
    (parsed,) = parse(out.getvalue(), "a.pptx")
    assert (parsed.coverage.empty_pages, parsed.coverage.share) == ((1,), 0.0)
