from __future__ import annotations

import shutil
from collections.abc import Iterator

import pypdfium2 as pdfium
import pytest

from ingest.parsing import ocr
from tests.ingest.parsing.pdf.drawing import Pen, drawn
from tests.requirements import require


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    require(shutil.which("tesseract"), "Tesseract", "apt-get install tesseract-ocr")
    yield
    ocr.use_languages("eng")


def picture(*, channels: int = 1, scale: float = 3) -> ocr.Image:
    def draw(pen: Pen) -> None:
        pen.text(72, 100, "Receipts are handed in", size=14)
        pen.text(72, 140, "within thirty days", size=14)

    with pdfium.PdfDocument(drawn(draw)) as document:
        bitmap = document[0].render(scale=scale, grayscale=channels == 1)
        size = (bitmap.width, bitmap.height, bitmap.stride)
        return ocr.Image(bytes(bitmap.buffer), *size, channels, round(72 * scale))


@pytest.mark.parametrize("channels", [1, 3])
def test_words_come_in_reading_order_with_their_boxes_and_certainty(channels: int) -> None:
    words = ocr.recognise(picture(channels=channels))
    assert " ".join(word.text for word in words) == "Receipts are handed in within thirty days"
    assert (words[0].x0 / 3, words[0].y1 / 3) == pytest.approx((72, 100), abs=6)
    assert len({word.line for word in words}) == 2
    assert all(0.3 <= word.confidence <= 1 for word in words)


def test_an_empty_picture_has_no_words() -> None:
    assert ocr.recognise(ocr.Image(b"\xff" * 10_000, 100, 100, 100)) == []


def test_a_picture_beyond_the_cap_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "MOST_PIXELS", 1_000)
    assert ocr.recognise(picture()) == []


@pytest.mark.parametrize("languages", ["eng", "eng+eng", "eng, eng"])
def test_languages_may_be_joined(languages: str) -> None:
    ocr.use_languages(languages)
    assert ocr.why_not() == ""


@pytest.mark.parametrize("languages", ["", "/etc/passwd", "e", "eng+", "no_such_one"])
def test_what_is_no_installed_language_is_told(languages: str) -> None:
    ocr.use_languages(languages)
    assert ocr.why_not()
    assert ocr.recognise(picture()) == []
