"""Reads the text of one page: words by their first and last characters, words joined to pieces.

PDFium is asked for two boxes a word and one font a piece, never for every character: calls are
what reading costs. Its functions are used through pointers without type conversion, which halves
that cost again.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.builder import visible
from ingest.parsing.pdf.calls import INT, POINTER, address, direct
from ingest.parsing.pdf.page import Drawn, Page, Piece
from ingest.parsing.pdf.rules import drawn_on

_WORD = re.compile("[.·…_]{4,}|(?:(?![.·…_]{4})[^\\s\x02\ufffe])+[\x02\ufffe]?|[\x02\ufffe]")
_ALEF_LAM = re.compile("[\u0622\u0623\u0625\u0627]\u0644")
_HALVES = re.compile("[\ud800-\udfff]")
_HYPHENS = "\x02\ufffe"  # what PDFium makes of a hyphen at the end of a line
_BOLD = re.compile(rb"bold|black|heavy|semibold|demi", re.IGNORECASE)
_CELL_GAP = 0.6  # of a line's height: wider ones part pieces
_FIGURE_GAP = 0.4  # the same between two figures
_DOTS = frozenset(".·…_")
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


@dataclass(slots=True)
class _Words:
    """The words of a page, in PDFium's order."""

    spans: list[tuple[int, int]]
    """Of each in the page's text."""
    texts: list[str]
    boxes: Matrix
    """(n, 4) left, top, right, bottom as displayed."""
    upright: Matrix
    """(n,) whether it runs from left to right."""
    rows: Matrix
    """(n,) number of the line that PDFium makes of it."""
    spaced: Matrix
    """(n,) whether white space stands before it."""


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
        text = self._with_ligatures(_characters(self._raw))
        spans = [match.span() for match in _WORD.finditer(text)]
        if not spans:
            return
        words = self._words(text, spans)
        begins, joins = _bounds(words)
        starts = np.flatnonzero(begins)
        lows = np.minimum.reduceat(words.boxes, starts).tolist()
        highs = np.maximum.reduceat(words.boxes, starts).tolist()
        joins_before = joins.tolist()
        stops = [*starts[1:].tolist(), len(words.texts)]
        for start, stop, low, high in zip(starts.tolist(), stops, lows, highs, strict=True):
            if shown := _shown(words.texts[start:stop], joins_before[start:stop]):
                first, last = words.spans[start][0], words.spans[stop - 1][0]
                bold = self._bold(first) and (first == last or self._bold(last))
                size = self._size(words.spans[(start + stop) // 2][0])
                box = (low[0], low[1], high[2], high[3])
                upright, row = bool(words.upright[start]), int(words.rows[start])
                yield Piece(shown, *box, size, bold, upright, row)

    def _with_ligatures(self, text: str) -> str:
        """Put the letters of the Arabic lam-alef in order: PDFium reverses those of one glyph."""
        places = [match.start() for match in _ALEF_LAM.finditer(text)]
        if not places:
            return text
        boxes, _ = self._boxes(text, [(n, n + 1) for place in places for n in (place, place + 1)])
        letters = list(text)
        for place, same in zip(places, (boxes[::2] == boxes[1::2]).all(1).tolist(), strict=True):
            if same:
                letters[place : place + 2] = text[place + 1], text[place]
        return "".join(letters)

    def _words(self, text: str, spans: list[tuple[int, int]]) -> _Words:
        """Measure the words; one that is too wide to be one falls into its characters."""
        boxes, upright = self._boxes(text, spans)
        lengths = np.array([stop - start for start, stop in spans])
        wide = boxes[:, 2] - boxes[:, 0] > 1.5 * lengths * (boxes[:, 3] - boxes[:, 1]) + 4
        if (wide & upright & (lengths > 1)).any():
            spans = [
                part
                for (start, stop), apart in zip(spans, (wide & upright).tolist(), strict=True)
                for part in (
                    [(place, place + 1) for place in range(start, stop)]
                    if apart
                    else [(start, stop)]
                )
            ]
            boxes, upright = self._boxes(text, spans)
        ends = [0, *(stop for _, stop in spans[:-1])]
        blanks = [text[end:start] for end, (start, _) in zip(ends, spans, strict=True)]
        return _Words(
            spans,
            [text[start:stop] for start, stop in spans],
            boxes,
            upright,
            np.cumsum(["\n" in blank for blank in blanks]),
            np.array([bool(blank) for blank in blanks]),
        )

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


def _bounds(words: _Words) -> tuple[Matrix, Matrix]:
    """Return which words begin a piece, and which are joined to the one before without a space.

    A piece ends where PDFium ends a line, at a gap, in either direction of writing, that is wider
    than those between words, and between the figures of two columns.
    """
    boxes, upright, rows = words.boxes, words.upright, words.rows
    last, here = boxes[:-1], boxes[1:]
    heights = boxes[:, 3] - boxes[:, 1]
    low, high = np.minimum(heights[:-1], heights[1:]), np.maximum(heights[:-1], heights[1:])
    shared = np.minimum(last[:, 2:], here[:, 2:]) - np.maximum(last[:, :2], here[:, :2])
    gaps = -shared[:, 0]
    apart = (rows[1:] != rows[:-1]) | (upright[1:] != upright[:-1])
    apart |= np.where(
        upright[1:], (shared[:, 1] < 0.4 * low) | (gaps > _CELL_GAP * high), shared[:, 0] <= 0
    )
    spaced = words.spaced[1:]
    for place in np.flatnonzero(~apart & spaced & (gaps > 0)).tolist():
        text, before = words.texts[place + 1], words.texts[place]
        if text in _CURRENCY or gaps[place] > _FIGURE_GAP * low[place]:
            figures = _FIGURE.fullmatch(before) and (text in _CURRENCY or _FIGURE.fullmatch(text))
            apart[place] = bool(figures)
    for start, stop in _leaders(words.texts):
        apart[start - 1 : start] = apart[stop - 1 : stop] = True
    offset = here[:, 0] - last[:, 2]
    raised = (heights[1:] < 0.8 * heights[:-1]) & (offset > -1) & (offset < 0.12 * heights[:-1])
    return np.concatenate([[True], apart]), np.concatenate([[True], raised | ~spaced])


def _leaders(texts: list[str]) -> Iterator[tuple[int, int]]:
    """Yield where dots or strokes lead from one column to the next: four and more in a row."""
    dots = [
        place for place, text in enumerate(texts) if text[0] in _DOTS and _DOTS.issuperset(text)
    ]
    for _, run in groupby(enumerate(dots), key=lambda pair: pair[1] - pair[0]):
        places = [place for _, place in run]
        if sum(len(texts[place]) for place in places) >= 4:
            yield places[0], places[-1] + 1


def _shown(texts: list[str], joins: list[bool]) -> str:
    """Return what a reader sees of words that stand side by side; leaders tell him nothing."""
    joined = texts[0]
    for text, joins_before in zip(texts[1:], joins[1:], strict=True):
        joined += text if joins_before else f" {text}"
    if joined[0] in _DOTS and len(joined) > 1 and _DOTS.issuperset(joined.replace(" ", "")):
        return ""
    if joined.isascii() and joined.isprintable():
        return joined
    return " ".join(visible(_mended(joined)).split())


def _mended(text: str) -> str:
    """Return `text` with plain hyphens, and with halves of characters put together."""
    for hyphen in _HYPHENS:
        text = text.replace(hyphen, "-")
    if _HALVES.search(text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
