from __future__ import annotations

import io
from collections.abc import Callable

import pypdfium2 as pdfium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from ingest.parsing.pdf.read import read_page
from tests.ingest.parsing.pdf.drawing import HEIGHT, LOREM, WIDTH, Pen, drawn, parsed, texts
from tests.requirements import eval_data


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text("abcdefghijklmnop0123456789$%(),.-", min_size=1, max_size=8),
            st.integers(40, 480),
            st.integers(1, 50),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_the_words_are_those_of_pdfium_read_one_by_one(
    written: list[tuple[str, int, int]],
) -> None:
    def draw(pen: Pen) -> None:
        for text, x, y in written:
            pen.text(x, 30 + 15 * y, text)

    data = drawn(draw)
    with pdfium.PdfDocument(data) as document:
        slow = document[0].get_textpage().get_text_range()
        page = read_page(document, 1)
    fast = "".join(piece.text for piece in page.pieces)
    shown = [char for char in slow if char.strip() and char not in "\x02\ufffe"]
    hyphens = sum(char in "\x02\ufffe" for char in slow)
    dots = fast.count(".") != slow.count(".")  # leaders are left out
    assert dots or sorted(fast.replace(" ", "")) == sorted([*shown, *"-" * hyphens])


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_boxes_are_where_the_page_shows_the_text_however_it_is_turned(turned: int) -> None:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.setPageRotation(turned)
    canvas.saveState()
    place: dict[int, Callable[[], object]] = {
        0: lambda: None,
        90: lambda: (canvas.translate(HEIGHT, 0), canvas.rotate(90)),
        180: lambda: (canvas.translate(WIDTH, HEIGHT), canvas.rotate(180)),
        270: lambda: (canvas.translate(0, WIDTH), canvas.rotate(270)),
    }
    place[turned]()
    canvas.drawString(72, HEIGHT - 100, "Here it stands")
    canvas.restoreState()
    canvas.showPage()
    canvas.save()
    (block,) = parsed(out.getvalue()).blocks
    assert block.box is not None
    assert (block.box.x0, block.box.y1) == pytest.approx((72, 102), abs=3)


def test_text_that_runs_upwards_is_a_block_of_its_own() -> None:
    def draw(pen: Pen) -> None:
        pen.paragraph(100, 120, LOREM, 400)
        pen.canvas.saveState()
        pen.canvas.translate(40, 400)
        pen.canvas.rotate(90)
        pen.canvas.drawString(0, 0, "arXiv paper of last May")
        pen.canvas.restoreState()

    assert "arXiv paper of last May" in texts(parsed(drawn(draw)))


def test_what_form_fields_and_notes_show_is_read() -> None:
    def draw(pen: Pen) -> None:
        pen.text(72, 100, "Name of the applicant:")
        pen.canvas.acroForm.textfield(
            name="name", value="Ada Lovelace", x=220, y=HEIGHT - 105, width=150, height=16
        )

    assert "Ada Lovelace" in parsed(drawn(draw)).text


def test_a_word_cut_at_a_line_s_end_is_put_together() -> None:
    def draw(pen: Pen) -> None:
        pen.text(72, 100, "The board has approved the extra-")
        pen.text(72, 113, "ordinary budget for a long-term plan of the organi-")
        pen.text(72, 126, "sation, which is a long-")
        pen.text(72, 139, "term plan.")

    text = parsed(drawn(draw)).text
    assert "extraordinary budget" in text
    assert "organisation" in text
    assert "a long-term plan." in text


def test_arabic_is_read_from_the_right_with_its_ligatures() -> None:
    path = eval_data("office-samples") / "docling" / "pdf" / "right_to_left_02.pdf"
    text = parsed(path.read_bytes()).text
    assert "الأمن" in text or "الأمون" in text
    assert "األمون" not in text


def test_a_page_that_cannot_be_opened_is_empty() -> None:
    with pdfium.PdfDocument(drawn(lambda pen: pen.text(72, 100, "text"))) as document:
        assert read_page(document, 7).pieces == []
