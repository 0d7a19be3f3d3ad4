from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from ingest.parsing import ocr
from ingest.parsing.pdf import scan
from tests.ingest.parsing.pdf.drawing import LOREM, Pen, drawn, parsed, scanned, tables
from tests.requirements import require


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    require(shutil.which("tesseract"), "Tesseract", "apt-get install tesseract-ocr")
    yield
    ocr.use_languages("eng")


def letter(pen: Pen) -> None:
    pen.paragraph(72, 120, LOREM, 400)


def test_a_scanned_page_is_recognised_and_the_others_are_not() -> None:
    pages = scanned(drawn(letter))
    document = parsed(pages)
    read = document.text.split()
    assert sum(word in LOREM for word in read) >= 0.95 * len(LOREM)
    assert document.coverage.ocr_pages == (1,)
    assert document.coverage.empty_pages == ()
    assert document.coverage.layer_characters == 0
    assert document.coverage.ocr_confidence is not None
    assert 0.8 < document.coverage.ocr_confidence <= 1
    assert document.warnings == ()
    block = document.blocks[0].box
    assert block is not None
    assert (block.x0, block.y0) == pytest.approx((72, 112), abs=4)
    typed = parsed(drawn(letter)).coverage
    assert (typed.ocr_pages, typed.ocr_confidence) == ((), None)


def test_a_scanned_table_becomes_rows() -> None:
    def draw(pen: Pen) -> None:
        for number, label in enumerate(("Revenue", "Cost of sales", "Other income", "Profit")):
            pen.text(72, 120 + 20 * number, label, size=12)
            pen.right(400, 120 + 20 * number, f"{number + 1},234", size=12)

    assert tables(parsed(scanned(drawn(draw)))) == [
        ["Revenue | 1,234", "Cost of sales | 2,234", "Other income | 3,234", "Profit | 4,234"]
    ]


@pytest.mark.parametrize(
    ("languages", "advice"),
    [
        ("", "OCR is not switched on"),
        ("qqq", "install tesseract-ocr-qqq"),
        ("../eng", "FOOTNOTE_OCR_LANGUAGES"),
    ],
)
def test_without_recognition_the_page_is_empty_and_a_warning_says_what_to_do(
    languages: str, advice: str
) -> None:
    ocr.use_languages(languages)
    document = parsed(scanned(drawn(letter)))
    assert document.text == ""
    assert document.coverage.empty_pages == (1,)
    (warning,) = document.warnings
    assert advice in warning


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "_library", lambda: None)
    (warning,) = parsed(scanned(drawn(letter))).warnings
    assert "tesseract-ocr" in warning


def test_what_there_is_no_time_for_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scan, "_lack_of_time", lambda: "there was no time")
    document = parsed(scanned(drawn(letter)))
    assert document.coverage.empty_pages == (1,)
    assert document.warnings == ("no text layer: there was no time",)


def test_a_page_with_a_picture_and_a_text_layer_is_not_recognised() -> None:
    document = parsed(drawn(letter, letter))
    assert document.coverage.ocr_pages == ()
