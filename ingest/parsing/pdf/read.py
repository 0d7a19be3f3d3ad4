"""Reads the text of one page: words by their first and last characters, words joined to pieces.

PDFium is asked for two boxes a word and one font a piece, never for every character: calls are
what reading costs. Its functions are used through pointers without type conversion, which halves
that cost again.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.builder import visible
from ingest.parsing.pdf.page import Drawn, Page, Piece
from ingest.parsing.pdf.calls import INT, POINTER, address, direct
from ingest.parsing.pdf.rules import drawn_on

_WORD = re.compile("[^\\s\x02\ufffe]+[\x02\ufffe]?|[\x02\ufffe]")
_HALVES = re.compile("[\ud800-\udfff]")
_HYPHENS = "\x02\ufffe"  # what PDFium makes of a hyphen at the end of a line
_BOLD = re.compile(rb"bold|black|heavy|semibold|demi", re.IGNORECASE)
_CELL_GAP = 0.6  # of a line's height: wider ones part pieces
_FIGURE_GAP = 0.4  # the same between two figures
_LEADER = re.compile(r"[.·…_]{4,}")
_CURRENCY = frozenset(("$", "€", "£", "¥", "₹", "US$", "C$", "A$", "R$", "CHF", "EUR", "USD"))
Matrix = np.ndarray[Any, np.dtype[Any]]
_FIGURE = re.compile(r"[$€£¥(–—-]*\d[\d.,]*[\d)%]|\d|[–—-]")

_SHOWING = (raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_WIDGET)

_loose_box = direct(raw.FPDFText_GetLooseCharBox, INT, POINTER, INT, POINTER)
_font_size = direct(raw.FPDFText_GetFontSize, ctypes.c_double, POINTER, INT)
_matrix_of = direct(raw.FPDFText_GetMatrix, INT, POINTER, INT, POINTER)
_font_info = direct(
    raw.FPDFText_GetFontInfo, ctypes.c_ulong, POINTER, INT, POINTER, ctypes.c_ulong, POINTER
)
_font_weight = direct(raw.FPDFText_GetFontWeight, INT, POINTER, INT)


class _Word(NamedTuple):
    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    start: int
    """Its first character's place in the page's text."""
    spaced: bool
    """Whether white space stands before it."""
    row: int
    upright: bool


def read_page(document: pdfium.PdfDocument, number: int) -> Page:
    """Return what stands on a page; a page that cannot be opened is empty."""
    try:
        page = _open(document, number - 1)
    except pdfium.PdfiumError:
        return Page(number, 1.0, 1.0, [], Drawn())
    try:
        width, height = page.get_size()
        matrix = _display_matrix(page, width, height)
        text_page = page.get_textpage()
        try:
            pieces = list(_PageText(text_page, matrix).pieces())
        finally:
            text_page.close()
        matters = _may_hold_more(pieces)
        drawn = drawn_on(page, matrix, width, height) if matters else Drawn()
        return Page(number, width, height, pieces, drawn)
    except pdfium.PdfiumError:
        return Page(number, 1.0, 1.0, [], Drawn())
    finally:
        page.close()


def _may_hold_more(pieces: Sequence[Piece]) -> bool:
    """Say whether rules or pictures matter: several pieces side by side, or next to no text."""
    levels = {round(piece.middle / 3) for piece in pieces}
    return len(pieces) - len(levels) > 2 or sum(len(piece.text) for piece in pieces) < 200


def _open(document: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """Open a page; what its form fields and notes show becomes part of it."""
    page = document[index]
    if _shows_annotations(page):
        raw.FPDFPage_Flatten(page.raw, raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[index]
    return page


def _shows_annotations(page: pdfium.PdfPage) -> bool:
    for index in range(raw.FPDFPage_GetAnnotCount(page.raw)):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            kind = raw.FPDFAnnot_GetSubtype(annotation)
            raw.FPDFPage_CloseAnnot(annotation)
            if kind in _SHOWING:
                return True
    return False


def _display_matrix(page: pdfium.PdfPage, width: float, height: float) -> Matrix:
    """Return (3, 2): a place (x, y, 1) of the page's own space times it is the place displayed."""
    scale, reach = 64, 1000  # PDFium maps to whole device units: many per point, far apart
    across, down = ctypes.c_int(), ctypes.c_int()
    corners = []
    for x, y in ((reach, 0), (0, reach), (0, 0)):
        size = round(width * scale), round(height * scale)
        raw.FPDF_PageToDevice(page.raw, 0, 0, *size, 0, x, y, across, down)
        corners.append((across.value / scale, down.value / scale))
    right, up, origin = np.array(corners)
    return np.array([(right - origin) / reach, (up - origin) / reach, origin])


class _PageText:
    """The text of one page; its buffers are used again and again."""

    def __init__(self, text_page: pdfium.PdfTextPage, matrix: Matrix) -> None:
        self._raw = text_page.raw
        self._text_page = address(text_page.raw)
        self._matrix = matrix
        self._font = raw.FS_MATRIX()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()
        self._bold_fonts: dict[bytes, bool] = {}

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces that show something, in PDFium's order."""
        run: list[_Word] = []
        before = ""
        for word in self._words():
            leader = _LEADER.fullmatch(word.text) or (word.text == before == ".")
            before = word.text
            if run and (leader or _parts(run, word)):
                yield from self._piece(run)
                run = []
            if not leader:
                run.append(word)
        if run:
            yield from self._piece(run)

    def _piece(self, words: Sequence[_Word]) -> Iterator[Piece]:
        joined = words[0].text
        for last, word in pairwise(words):
            joined += f" {word.text}" if word.spaced and not _raised(last, word) else word.text
        plain = joined.isascii() and joined.isprintable()
        text = joined if plain else " ".join(visible(_mended(joined)).split())
        if text:
            first, last = words[0], words[-1]
            yield Piece(
                text,
                min([word.x0 for word in words]),
                min([word.y0 for word in words]),
                max([word.x1 for word in words]),
                max([word.y1 for word in words]),
                self._size(words[len(words) // 2].start),
                self._bold(first.start) and (first is last or self._bold(last.start)),
                first.upright,
                first.row,
            )

    def _words(self) -> Iterator[_Word]:
        text = _characters(self._raw)
        spans = [match.span() for match in _WORD.finditer(text)]
        if not spans:
            return
        boxes, upright = self._boxes(text, spans)
        row = end = 0
        for (start, stop), box, stands in zip(spans, boxes.tolist(), upright.tolist(), strict=True):
            blank = text[end:start]
            row += "\n" in blank
            spaced, end = bool(blank), stop
            if stands and box[2] - box[0] > 1.5 * (stop - start) * (box[3] - box[1]) + 4:
                yield from self._letters(text, start, stop, row)
            else:
                yield _Word(text[start:stop], *box, start, spaced, row, stands)

    def _letters(self, text: str, start: int, stop: int, row: int) -> Iterator[_Word]:
        """Yield the characters of a word that is too wide to be one."""
        boxes, _ = self._boxes(text, [(place, place + 1) for place in range(start, stop)])
        for place, box in enumerate(boxes.tolist(), start):
            yield _Word(text[place], *box, place, place == start, row, True)

    def _boxes(self, text: str, spans: Sequence[tuple[int, int]]) -> tuple[Matrix, Matrix]:
        """Return the displayed box of each span (n, 4), and whether it runs from left to right."""
        ends = np.zeros((2 * len(spans), 4), np.float32)
        place, text_page, box_of = ends.ctypes.data, self._text_page, _loose_box
        for start, stop in spans:
            last = stop - 2 if stop - start > 1 and text[stop - 1] in _HYPHENS else stop - 1
            box_of(text_page, start, place)
            box_of(text_page, last, place + 16)
            place += 32
        turn, shift = self._matrix[:2], self._matrix[2]
        corners = np.stack([ends[:, :2] @ turn, ends[:, 2:] @ turn], 1) + shift
        middles = corners.mean(1).reshape(-1, 2, 2)
        moved = np.abs(middles[:, 1] - middles[:, 0])
        corners = corners.reshape(-1, 4, 2)
        return np.hstack([corners.min(1), corners.max(1)]), moved[:, 0] >= moved[:, 1]

    def _size(self, index: int) -> float:
        size = _font_size(self._text_page, index)
        if _matrix_of(self._text_page, index, ctypes.addressof(self._font)):
            size *= (self._font.c**2 + self._font.d**2) ** 0.5
        return round(float(size), 1)

    def _bold(self, index: int) -> bool:
        flags, name = ctypes.addressof(self._flags), self._name
        _font_info(self._text_page, index, ctypes.addressof(name), 128, flags)
        bold = self._bold_fonts.get(name.value)
        if bold is None:
            heavy = _font_weight(self._text_page, index) >= 600
            bold = heavy or bool(_BOLD.search(name.value))
            self._bold_fonts[name.value] = bold
        return bold


def _characters(text_page: raw.FPDF_TEXTPAGE) -> str:
    """Return the page's text, one character for each that PDFium counts."""
    count = raw.FPDFText_CountChars(text_page)
    if count <= 0:
        return ""
    units = (ctypes.c_ushort * (count + 1))()
    length = raw.FPDFText_GetText(text_page, 0, count, units)
    if length == count + 1 and units[count] == 0:
        text = bytes(units)[: 2 * count].decode("utf-16-le", "surrogatepass")
        if len(text) == count:
            return text
    return "".join(chr(raw.FPDFText_GetUnicode(text_page, index)) for index in range(count))


def _parts(run: Sequence[_Word], word: _Word) -> bool:
    """Say whether `word` begins a new piece after the words of `run`."""
    last = run[-1]
    if word.row != last.row or word.upright != last.upright:
        return True
    if not word.upright:
        return min(word.x1, last.x1) <= max(word.x0, last.x0)
    height = min(word.y1 - word.y0, last.y1 - last.y0)
    if min(word.y1, last.y1) - max(word.y0, last.y0) < 0.4 * height:
        return True
    gap = max(word.x0 - last.x1, last.x0 - word.x1)  # either direction of writing
    if gap > _CELL_GAP * max(word.y1 - word.y0, last.y1 - last.y0):
        return True
    if not word.spaced:
        return False
    if word.text in _CURRENCY:
        return bool(_FIGURE.fullmatch(last.text))
    return gap > _FIGURE_GAP * height and bool(
        _FIGURE.fullmatch(word.text) and _FIGURE.fullmatch(last.text)
    )


def _raised(last: _Word, word: _Word) -> bool:
    """Say whether `word` is a mark set smaller and close to the word before it."""
    height = last.y1 - last.y0
    return word.y1 - word.y0 < 0.8 * height and -1 < word.x0 - last.x1 < 0.12 * height


def _mended(text: str) -> str:
    """Return `text` with plain hyphens, and with halves of characters put together."""
    for hyphen in _HYPHENS:
        text = text.replace(hyphen, "-")
    if _HALVES.search(text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
