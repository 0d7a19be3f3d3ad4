"""Reads scanned pages: where a picture stands and next to no text, the text is recognised."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from statistics import median

import pypdfium2 as pdfium

from ingest.parsing import ocr
from ingest.parsing.pdf.page import Page, Piece, Pieces

_FEW_CHARACTERS = 50
_COVERED = 0.5  # share of the page under pictures
_NOTICED = 0.03  # the same where there is no text at all
_POINTS_PER_INCH = 72
_DPI = 300
_WIDE = 1.2  # line heights: a gap that parts pieces; recognised words are not placed exactly


@dataclass(slots=True)
class Scans:
    """What became of the scanned pages of a document."""

    pages: list[int] = field(default_factory=list)
    """Those whose text was recognised."""
    unread: list[int] = field(default_factory=list)
    """Those that were not tried, or showed no text."""
    confidences: list[float] = field(default_factory=list)
    """Of each recognised word, 0..1."""
    why: str = ""
    """Why pages were not tried, and what to do about it."""


def recognise_scans(
    document: pdfium.PdfDocument, pages: Sequence[Page]
) -> tuple[list[Page], Scans]:
    """Return the pages, the scanned ones with recognised text, and what became of those."""
    scans, result = Scans(), []
    for page in pages:
        read = page
        if _is_scanned(page):
            scans.why = scans.why or ocr.why_not() or _lack_of_time()
            read = page if scans.why else _recognised(document, page, scans)
            (scans.unread if read is page else scans.pages).append(page.number)
        result.append(read)
    return result, scans


def _is_scanned(page: Page) -> bool:
    characters = sum(len(piece.text) for piece in page.pieces)
    if not characters:
        return page.drawn.pictured > _NOTICED
    return page.drawn.pictured > _COVERED and characters < _FEW_CHARACTERS


def _lack_of_time() -> str:
    """Return a reason when three quarters of the time that this process may use are gone."""
    limit, _ = resource.getrlimit(resource.RLIMIT_CPU)
    if limit == resource.RLIM_INFINITY:
        return ""
    alarm = signal.getitimer(signal.ITIMER_REAL)[0] or limit
    if min(limit - time.process_time(), alarm) > limit / 4:
        return ""
    return "there was no time to recognise them all; FOOTNOTE_PARSE_SECONDS allows more"


def _recognised(document: pdfium.PdfDocument, page: Page, scans: Scans) -> Page:
    """Return the page with what is recognised on it; the same page if that is nothing."""
    most = (ocr.MOST_PIXELS / (page.width * page.height)) ** 0.5
    scale = min(_DPI / _POINTS_PER_INCH, 0.99 * most)
    opened = document[page.number - 1]
    try:
        bitmap = opened.render(scale=scale, grayscale=True)
    except pdfium.PdfiumError:
        return page
    finally:
        opened.close()
    words = ocr.recognise(
        ocr.Image(
            memoryview(bitmap.buffer).cast("B"),
            bitmap.width,
            bitmap.height,
            bitmap.stride,
            bitmap.n_channels,
            round(scale * _POINTS_PER_INCH),
        )
    )
    bitmap.close()
    new = [piece for piece in _pieces(words, scale) if not _covers(page.pieces, piece)]
    if not new:
        return page
    scans.confidences += [word.confidence for word in words]
    return replace(page, pieces=[*page.pieces, *new])


def _pieces(words: Sequence[ocr.Word], scale: float) -> Iterator[Piece]:
    """Yield the words of each line as pieces, parted at wide gaps; all of about one size."""
    lines = [list(line) for _, line in groupby(words, key=lambda word: word.line)]
    usual = median(_height(line) for line in lines) if lines else 0.0
    for row, line in enumerate(lines):
        height = _height(line)
        size = usual if 0.7 * usual < height < 1.4 * usual else height
        run = [line[0]]
        for word in [*line[1:], None]:
            if word is not None and word.x0 - run[-1].x1 <= _WIDE * height:
                run.append(word)
                continue
            yield _piece(run, scale, row, round(size / scale, 1))
            run = [word] if word is not None else []


def _height(line: Sequence[ocr.Word]) -> float:
    return max(word.y1 for word in line) - min(word.y0 for word in line)


def _piece(words: Sequence[ocr.Word], scale: float, row: int, size: float) -> Piece:
    return Piece(
        " ".join(word.text for word in words),
        min(word.x0 for word in words) / scale,
        min(word.y0 for word in words) / scale,
        max(word.x1 for word in words) / scale,
        max(word.y1 for word in words) / scale,
        size,
        bold=False,
        row=row,
    )


def _covers(pieces: Pieces, new: Piece) -> bool:
    """Say whether the text layer already has what was recognised."""
    return any(
        piece.x0 - 2 < (new.x0 + new.x1) / 2 < piece.x1 + 2 and piece.y0 < new.middle < piece.y1
        for piece in pieces
    )
