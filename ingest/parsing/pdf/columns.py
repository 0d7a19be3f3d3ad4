"""Puts a page's regions into reading order: columns of running text one after the other.

A gutter is a place where several lines of prose begin, with lines of prose that end left of it, and
that nothing crosses for a while. What crosses it (a title, a wide table) parts the page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from statistics import fmean

from ingest.parsing.pdf.cells import is_figure
from ingest.parsing.pdf.page import Piece, Pieces

_NO_LETTERS = re.compile("[^A-Za-z]+")
_PROSE = 18  # letters: a line of prose in a narrow column has more
_LONG = 24  # letters of a line of prose, on average
_LEAST = 4  # lines of prose on either side
_FAR = 1e9
_DEEPEST = 4  # columns within columns


def reading_order(pieces: Pieces, depth: int = 0) -> Iterator[list[Piece]]:
    """Yield the regions of a page in reading order; most pages are one region."""
    gutter = _gutter(pieces) if depth < _DEEPEST else None
    if gutter is None:
        if pieces:
            yield list(pieces)
        return
    x, top, bottom = gutter
    above: list[Piece] = []
    left: list[Piece] = []
    right: list[Piece] = []
    below: list[Piece] = []
    for piece in pieces:
        if piece.middle <= top:
            above.append(piece)
        elif piece.middle >= bottom:
            below.append(piece)
        else:
            (left if (piece.x0 + piece.x1) / 2 < x else right).append(piece)
    for part in (above, left, right, below):
        yield from reading_order(part, depth + 1)


def _gutter(pieces: Pieces) -> tuple[float, float, float] | None:
    """Return where the best gutter lies, and between which heights; None without one."""
    prose = [piece for piece in pieces if _is_prose(piece)]
    if len(prose) < 2 * _LEAST:
        return None
    starts = Counter(round(piece.x0 / 3) for piece in prose)
    ordered = sorted(pieces, key=lambda piece: piece.middle)
    found: list[tuple[int, tuple[float, float, float]]] = []
    for start, count in starts.items():
        if count + starts[start + 1] + starts[start - 1] < 2:
            continue
        x = min(piece.x0 for piece in prose if abs(piece.x0 / 3 - start) <= 1.5) - 1.5
        if _parts(prose, x):
            found += _bands(ordered, x)
    return max(found)[1] if found else None


def _parts(prose: Pieces, x: float) -> bool:
    """Say whether there are lines of prose enough on both sides of `x`."""
    left = sum(piece.x1 <= x + 1 for piece in prose)
    return left >= _LEAST and sum(piece.x0 >= x - 1 for piece in prose) >= _LEAST


def _is_prose(piece: Piece) -> bool:
    if len(piece.text) < _PROSE // 2:
        return False
    letters = _letters(piece.text)
    return (
        piece.upright and letters >= _PROSE and 3 * letters > 2 * len(piece.text.replace(" ", ""))
    )


def _letters(text: str) -> int:
    """Return how many letters there are; those of East Asia, which say more, count twice."""
    if text.isascii():
        return len(_NO_LETTERS.sub("", text))
    return sum(1 + (letter >= "\u1100") for letter in text if letter.isalpha())


def _bands(ordered: Pieces, x: float) -> Iterator[tuple[int, tuple[float, float, float]]]:
    """Yield (lines of prose, (x, top, bottom)) of each stretch in which nothing crosses `x`."""
    top, inside = -_FAR, list[Piece]()
    for piece in [*ordered, None]:
        if piece is not None and not piece.x0 < x - 1 < x + 1 < piece.x1:
            inside.append(piece)
            continue
        left = [piece for piece in inside if piece.x1 <= x + 1]
        right = [piece for piece in inside if piece.x0 >= x - 1]
        lines = _lines_of_prose(left), _lines_of_prose(right)
        if all(lines) and _overlap(left, right):
            yield sum(lines), (x, top, piece.middle if piece else _FAR)
        top, inside = (piece.middle if piece else _FAR), []


def _lines_of_prose(side: Pieces) -> int:
    """Return how many lines of prose one side has; 0 if most of it is not running text."""
    prose = [piece for piece in side if _is_prose(piece)]
    figures = sum(is_figure(piece.text) for piece in side)
    if len(prose) < max(_LEAST, 0.4 * len(side)) or figures > 0.3 * len(side):
        return 0
    return len(prose) if fmean(_letters(piece.text) for piece in prose) > _LONG else 0


def _overlap(left: Pieces, right: Pieces) -> bool:
    """Say whether both sides stand beside each other for three lines and more."""
    bottom = min(max(p.y1 for p in left), max(p.y1 for p in right))
    top = max(min(p.y0 for p in left), min(p.y0 for p in right))
    return bottom - top > 3 * (left[0].y1 - left[0].y0)
