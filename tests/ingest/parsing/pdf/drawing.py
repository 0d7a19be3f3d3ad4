"""Draws small PDF files, from the top left corner of each page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

import pypdfium2 as pdfium
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ingest.parsing.pdf import parse_pdf
from knowledge.models import Block, BlockKind, Parsed

WIDTH, HEIGHT = A4
_PROSE = (
    "The committee met in the large hall and heard the report of the board about the past year. "
    "It thanked all members of staff for their work and asked them to hand in their receipts. "
    "Whoever wants to travel next spring should say so before the end of the month of October."
)
LOREM = _PROSE.split()


class Pen:
    """Writes on the pages of one file."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self.canvas = Canvas(self._out, pagesize=A4)

    def text(self, x: float, y: float, text: str, *, size: float = 10, bold: bool = False) -> None:
        """Write with the baseline `y` points below the top."""
        self.canvas.setFont("Helvetica-Bold" if bold else "Helvetica", size)
        self.canvas.drawString(x, HEIGHT - y, text)

    def right(self, x: float, y: float, text: str, *, size: float = 10) -> None:
        """Write so that the text ends at `x`."""
        self.canvas.setFont("Helvetica", size)
        self.canvas.drawRightString(x, HEIGHT - y, text)

    def centred(self, x: float, y: float, text: str, *, size: float = 10) -> None:
        self.canvas.setFont("Helvetica", size)
        self.canvas.drawCentredString(x, HEIGHT - y, text)

    def rule(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.canvas.setLineWidth(0.7)
        self.canvas.line(x0, HEIGHT - y0, x1, HEIGHT - y1)

    def shade(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.canvas.setFillGray(0.85)
        self.canvas.rect(x0, HEIGHT - y1, x1 - x0, y1 - y0, stroke=0, fill=1)
        self.canvas.setFillGray(0)

    def paragraph(self, x: float, y: float, words: Sequence[str], width: float) -> float:
        """Write words on lines of at most `width`; returns the next baseline."""
        line = ""
        for word in [*words, None]:
            longer = f"{line} {word}".strip()
            if word is None or self.canvas.stringWidth(longer, "Helvetica", 10) > width:
                self.text(x, y, line)
                y, line = y + 13, word or ""
            else:
                line = longer
        return y

    def page(self) -> None:
        """Begin a new page."""
        self.canvas.showPage()

    def save(self) -> bytes:
        self.canvas.save()
        return self._out.getvalue()


def drawn(*pages: Callable[[Pen], object]) -> bytes:
    """A file whose pages the functions draw."""
    pen = Pen()
    for draw in pages:
        draw(pen)
        pen.page()
    return pen.save()


def scanned(data: bytes, *, dpi: int = 200) -> bytes:
    """The same pages as pictures without any text."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    with pdfium.PdfDocument(data) as document:
        for page in document:
            picture = page.render(scale=dpi / 72, grayscale=True).to_pil()
            canvas.drawImage(ImageReader(picture), 0, 0, WIDTH, HEIGHT)
            canvas.showPage()
    canvas.save()
    return out.getvalue()


def parsed(data: bytes) -> Parsed:
    (document,) = parse_pdf(data, "file-name")
    return document


def texts(document: Parsed, *kinds: BlockKind) -> list[str]:
    """The text of each block, or of each block of some kinds."""
    return [_text(document, block) for block in document.blocks if not kinds or block.kind in kinds]


def tables(document: Parsed) -> list[list[str]]:
    """The rows of each table."""
    found: dict[int, list[str]] = {}
    for block in document.blocks:
        if block.table is not None:
            found.setdefault(block.table, []).append(_text(document, block))
    return list(found.values())


def headers(document: Parsed) -> Iterable[str]:
    """The header that each row of a table refers to, once each."""
    spans = {b.header: None for b in document.blocks if b.table is not None and b.header}
    return [span.cut(document.text) for span in spans]


def _text(document: Parsed, block: Block) -> str:
    return block.span.cut(document.text)
