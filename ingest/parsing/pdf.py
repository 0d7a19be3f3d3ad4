"""Reads PDF with pypdfium2: pages, boxes, headings by font, paragraphs by line spacing.

PDFium gives characters in the order in which the page paints them, with line breaks of its own.
Lines are cut there, joined to blocks by geometry, and headings are told by size and weight
relative to the body text of the whole document.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.builder import Builder, one_line, visible
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import BlockKind, Box, Parsed

MAX_PAGES = 5_000

_SCALE = 64  # device units per point, since PDFium maps to whole device units
_ITEM = re.compile(r"(?:[•‣◦▪●○■□►–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)])\s+\S")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")
_SENTENCE_END = re.compile(r"[.!?:;]['\"”’)\]]*$")
_BOLD = re.compile(r"bold|black|heavy|semibold|demi", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]{2}")
_JUNK_TITLE = re.compile(
    r"^(untitled|microsoft (word|powerpoint|excel)|slide 1|.*\.\w{2,4}$)", re.I
)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    page: int
    box: Box
    size: float
    """Font size in points as it appears on the page."""
    bold: bool


def parse_pdf(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document. Raises `Unreadable` (encrypted, damaged) or `TooLarge`."""
    document = _open(data)
    try:
        builder = Builder()
        pages = [_read_page(document, number) for number in range(1, len(document) + 1)]
        _warn_about_images(builder, pages)
        _write(builder, [block for lines in pages for block in _blocks(lines)])
        yield builder.build(_title(document, stem))
    finally:
        document.close()


def _open(data: bytes) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise Unreadable(
                "it is protected by a password; save it without one and add it again",
                code="encrypted",
            ) from error
        raise Unreadable(
            "it is damaged or not a PDF; open it and save it again", code="damaged"
        ) from error
    if len(document) > MAX_PAGES:
        document.close()
        raise TooLarge(f"it has more than {MAX_PAGES:,} pages; split it", code="too_many_pages")
    return document


# --- lines of a page ----------------------------------------------------------------------------


def _read_page(document: pdfium.PdfDocument, number: int) -> list[_Line]:
    """Return the lines of a page; a page that cannot be opened has none."""
    try:
        page = document[number - 1]
    except pdfium.PdfiumError:
        return []
    try:
        text_page = page.get_textpage()
        try:
            return _join_rows(_PageReader(page, text_page, number).lines())
        finally:
            text_page.close()
    except pdfium.PdfiumError:
        return []
    finally:
        page.close()


class _PageReader:
    """Reads one page through PDFium's plain C functions; its buffers are used again and again."""

    def __init__(self, page: pdfium.PdfPage, text_page: pdfium.PdfTextPage, number: int) -> None:
        self._page = page.raw
        self._text = text_page.raw
        self._number = number
        self._width, self._height = page.get_size()
        self._edges = [ctypes.c_double() for _ in range(4)]
        self._point = [ctypes.c_int(), ctypes.c_int()]
        self._matrix = raw.FS_MATRIX()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()

    def lines(self) -> Iterator[_Line]:
        """Yield the lines that show something, in PDFium's order."""
        codes = [
            raw.FPDFText_GetUnicode(self._text, index)
            for index in range(raw.FPDFText_CountChars(self._text))
        ]
        start = 0
        for end, code in enumerate([*codes, 10]):
            if code in (10, 13):
                if end > start and (line := self._line(codes[start:end], start)):
                    yield line
                start = end + 1

    def _line(self, codes: list[int], start: int) -> _Line | None:
        text = " ".join(visible(_string(codes)).split())
        box = self._box(start, len(codes)) if text else None
        if box is None:
            return None
        shown = [start + offset for offset, code in enumerate(codes) if code > 32] or [start]
        first, last = shown[0], shown[-1]
        size = self._size(shown[len(shown) // 2])
        bold = self._bold(first) and self._bold(last)
        return _Line(text, self._number, box, size, bold)

    def _box(self, start: int, count: int) -> Box | None:
        """Return the box around the glyphs, as displayed: rotated and cropped like the page."""
        left, top, right, bottom = self._edges
        corners: list[tuple[float, float]] = []
        for index in range(raw.FPDFText_CountRects(self._text, start, count)):
            raw.FPDFText_GetRect(self._text, index, left, top, right, bottom)
            corners += [(left.value, top.value), (right.value, bottom.value)]
        if not corners:
            return None
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        ax, ay = self._displayed(min(xs), max(ys))
        bx, by = self._displayed(max(xs), min(ys))
        return Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))

    def _displayed(self, x: float, y: float) -> tuple[float, float]:
        width, height = round(self._width * _SCALE), round(self._height * _SCALE)
        raw.FPDF_PageToDevice(self._page, 0, 0, width, height, 0, x, y, *self._point)
        return self._point[0].value / _SCALE, self._point[1].value / _SCALE

    def _size(self, index: int) -> float:
        size = raw.FPDFText_GetFontSize(self._text, index)
        if raw.FPDFText_GetMatrix(self._text, index, self._matrix):
            size *= (self._matrix.c**2 + self._matrix.d**2) ** 0.5
        return round(float(size), 1)

    def _bold(self, index: int) -> bool:
        length = raw.FPDFText_GetFontInfo(self._text, index, self._name, 128, self._flags)
        if length and _BOLD.search(self._name.value.decode("latin-1")):
            return True
        return bool(raw.FPDFText_GetFontWeight(self._text, index) >= 600)


def _string(codes: list[int]) -> str:
    """Return the characters; a hyphen that PDFium marks at a line's end goes between letters."""
    text = "".join(map(chr, codes))
    if any(0xD800 <= code < 0xE000 for code in codes):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return re.sub(r"(?<=[a-zß-ÿ])[\x02\ufffe]\s*(?=[a-zß-ÿ])", "", text).replace("\x02", "-")


def _join_rows(lines: Iterator[_Line]) -> list[_Line]:
    """Join pieces that stand side by side on one line, as the cells of a table do."""
    joined: list[_Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last and _same_row(last, line):
            joined[-1] = _Line(
                f"{last.text} {line.text}",
                last.page,
                _around([last.box, line.box]),
                max(last.size, line.size),
                last.bold and line.bold,
            )
        else:
            joined.append(line)
    return joined


def _same_row(left: _Line, right: _Line) -> bool:
    shared = min(left.box.y1, right.box.y1) - max(left.box.y0, right.box.y0)
    height = min(left.box.y1 - left.box.y0, right.box.y1 - right.box.y0)
    return shared > 0.6 * height and right.box.x0 >= left.box.x1 - 1


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )


# --- blocks -------------------------------------------------------------------------------------


def _blocks(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Group the lines of one page to headings, paragraphs and list items."""
    block: list[_Line] = []
    for line in lines:
        if block and _begins(block, line):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _begins(block: list[_Line], line: _Line) -> bool:
    """Say whether `line` begins a new block after `block`."""
    last = block[-1]
    if abs(line.size - last.size) > 0.08 * last.size + 0.2 or line.bold != last.bold:
        return True
    gap = line.box.y0 - last.box.y1
    if gap > 0.75 * line.size or line.box.y1 < last.box.y0:  # far below, or a new column
        return True
    if _ITEM.match(line.text):
        return True
    indent = line.box.x0 - min(row.box.x0 for row in block)
    ends_early = last.box.x1 < max(row.box.x1 for row in block) - 3 * last.size
    ended = bool(_SENTENCE_END.search(last.text))
    return ended and (ends_early or (line.size < indent < 4 * line.size))


def _write(builder: Builder, blocks: list[list[_Line]]) -> None:
    """Tell headings from text and append everything to `builder`."""
    body, body_bold = _body(blocks)
    headings = {
        index: _style(block)
        for index, block in enumerate(blocks)
        if _is_heading(block, body, body_bold)
    }
    levels = {style: n for n, style in enumerate(sorted(set(headings.values()), reverse=True), 1)}
    for index, block in enumerate(blocks):
        page, box = block[0].page, _around([line.box for line in block])
        if index in headings:
            text = " ".join(line.text for line in block)
            builder.heading(text, levels[headings[index]], page=page, box=box)
        else:
            kind = BlockKind.LIST_ITEM if _ITEM.match(block[0].text) else BlockKind.PARAGRAPH
            builder.add(kind, _joined(block), page=page, box=box)


def _body(blocks: list[list[_Line]]) -> tuple[float, bool]:
    """Return the size that most characters have, and whether most of those are bold."""
    sizes: Counter[float] = Counter()
    bold: Counter[float] = Counter()
    for line in (line for block in blocks for line in block):
        sizes[line.size] += len(line.text)
        bold[line.size] += len(line.text) * line.bold
    size = sizes.most_common(1)[0][0] if sizes else 0.0
    return size, 2 * bold[size] > sizes[size]


def _is_heading(block: list[_Line], body: float, body_bold: bool) -> bool:
    text = " ".join(line.text for line in block)
    box = block[0].box
    upright = box.y1 - box.y0 <= 3 * block[0].size
    if len(block) > 3 or len(text) > 160 or not upright or not _LETTERS.search(text):
        return False
    if text.endswith((".", ",", ";", ":")) and not _NUMBERED.match(text):
        return False
    if block[0].size >= 1.15 * body:
        return True
    stands_out = block[0].bold and not body_bold and block[0].size >= 0.95 * body
    return stands_out and len(block) <= 2 and len(text) <= 120


def _style(block: list[_Line]) -> tuple[float, bool]:
    return round(block[0].size), block[0].bold


def _joined(block: list[_Line]) -> str:
    """Join full lines to running text; keep the breaks after short ones, as in tables."""
    right = max(line.box.x1 for line in block)
    left = min(line.box.x0 for line in block)
    parts = [block[0].text]
    for last, line in pairwise(block):
        full = last.box.x1 > right - 0.15 * (right - left)
        parts += [" " if full and not _is_numeric(last.text) else "\n", line.text]
    return "".join(parts)


def _is_numeric(text: str) -> bool:
    """Say whether most of the text are figures, as in a row of a table."""
    return 2 * sum(char.isdigit() for char in text) > sum(char.isalnum() for char in text)


# --- the document -------------------------------------------------------------------------------


def _warn_about_images(builder: Builder, pages: list[list[_Line]]) -> None:
    bare = [number for number, lines in enumerate(pages, 1) if not lines]
    if len(bare) == len(pages):
        builder.warnings.append("no text layer; OCR is not switched on")
    elif bare:
        shown = ", ".join(map(str, bare[:20])) + (" …" if len(bare) > 20 else "")
        builder.warnings.append(f"no text on {len(bare)} of {len(pages)} pages: {shown}")


def _title(document: pdfium.PdfDocument, stem: str) -> str:
    """Return the title in the file's properties unless it is plainly a file name."""
    title = one_line(document.get_metadata_value("Title"))
    is_name = len(title) < 4 or not _LETTERS.search(title) or _JUNK_TITLE.match(title)
    return stem if is_name else title
