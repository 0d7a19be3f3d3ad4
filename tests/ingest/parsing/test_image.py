from __future__ import annotations

import shutil

import pytest

from ingest.parsing import image, ocr
from ingest.parsing.formats import parse
from knowledge.errors import IngestError, TooLarge
from tests.ingest.samples import PROSE, picture
from tests.requirements import require


@pytest.fixture(autouse=True)
def tesseract() -> None:
    require(shutil.which("tesseract"), "tesseract", "sudo apt-get install tesseract-ocr")


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF")])
def test_a_picture_of_text_is_read_with_boxes_in_points(name: str, kind: str) -> None:
    (parsed,) = parse(
        picture("Staff travel must be approved\nby the line manager.", kind=kind), name
    )
    assert parsed.text == "Staff travel must be approved\nby the line manager."
    (block,) = parsed.blocks
    assert block.box is not None
    assert (block.page, round(block.box.x0)) == (1, 22)  # 60 pixels at 200 to the inch
    assert parsed.coverage.ocr_pages == (1,)
    assert (parsed.coverage.ocr_confidence or 0) > 0.8


def test_the_pages_of_a_tiff_are_pages() -> None:
    (parsed,) = parse(picture(PROSE[0], " ", PROSE[1], kind="TIFF"), "a.tiff")
    assert [block.page for block in parsed.blocks] == [1, 3]
    assert (parsed.coverage.pages, parsed.coverage.empty_pages) == (3, (2,))


def test_too_many_pixels_are_refused_before_they_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ocr, "MOST_PIXELS", 1000)
    with pytest.raises(TooLarge) as caught:
        list(parse(picture("x"), "a.png"))
    assert caught.value.code == "too_many_pixels"


@pytest.mark.parametrize("cut", [20, 200])
def test_a_torn_picture_is_damaged(cut: int) -> None:
    with pytest.raises(IngestError) as caught:
        list(image.parse_image(picture(PROSE[0])[:cut], "a"))
    assert caught.value.code == "damaged"


def test_without_recognition_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "why_not", lambda: "OCR is not switched on")
    with pytest.raises(IngestError, match="OCR is not switched on"):
        list(parse(picture("x"), "a.png"))
