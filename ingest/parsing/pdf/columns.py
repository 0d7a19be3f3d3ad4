"""Puts a page's regions into reading order: columns of running text one after the other.

A gutter is a place where several lines of prose begin, with lines of prose that end left of it, and
that nothing crosses for a while. What crosses it (a title, a wide table) parts the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from statistics import median

from ingest.parsing.pdf.page import Piece, Pieces

_PROSE = 18  # characters: a line of prose in a narrow column has more
_LEAST = 4  # lines of prose on either side
_DEEPEST = 4  # columns within columns


def reading_order(pieces: Pieces, depth: int = 0) -> Iterator[list[Piece]]:
    """Yield the regions of a page in reading order; most pages are one region."""
    gutter = _gutter(pieces) if depth < _DEEPEST else None
    if gutter is None:
        if pieces:
            yield list(pieces)
        return
    x, top, bottom = gutter
    above, left, right, below = [], [], [], []
    for piece in pieces:
        if piece.middle < top:
            above.append(piece)
        elif piece.middle > bottom:
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
    leftmost = min(starts)
    found: list[tuple[int, tuple[float, float, float]]] = []
    for start, count in starts.items():
        if start > leftmost + 20 and count + starts[start + 1] + starts[start - 1] >= _LEAST:
            near = [piece.x0 for piece in prose if abs(piece.x0 / 3 - start) <= 1.5]
            found += _bands(pieces, prose, min(near) - 1.5)
    return max(found)[1] if found else None


def _is_prose(piece: Piece) -> bool:
    text = piece.text
    letters = sum(map(str.isalpha, text))
    return piece.upright and letters >= _PROSE and 3 * letters > 2 * len(text.replace(" ", ""))


def _bands(
    pieces: Pieces, prose: Pieces, x: float
) -> Iterator[tuple[int, tuple[float, float, float]]]:
    """Yield (lines of prose, (x, top, bottom)) of each stretch in which nothing crosses `x`."""
    crossing = sorted(
        (piece.y0, piece.y1) for piece in pieces if piece.x0 < x - 1 and piece.x1 > x + 1
    )
    edges = [(-1e9, -1e9), *crossing, (1e9, 1e9)]
    top = -1e9
    for (_, last), (next_top, _) in zip(edges, edges[1:], strict=False):
        top = max(top, last)
        if next_top <= top:
            continue
        inside = [piece for piece in prose if top <= piece.middle <= next_top]
        left = [piece for piece in inside if piece.x1 <= x + 1]
        right = [piece for piece in inside if piece.x0 >= x - 1]
        if _are_columns(left, right, x):
            yield len(left) + len(right), (x, top, next_top)


def _are_columns(left: Pieces, right: Pieces, x: float) -> bool:
    """Say whether both sides are running text: enough lines, most of them about equally full."""
    if min(len(left), len(right)) < _LEAST:
        return False
    shared = min(max(p.y1 for p in left), max(p.y1 for p in right)) - max(
        min(p.y0 for p in left), min(p.y0 for p in right)
    )
    if shared < 2 * (left[0].y1 - left[0].y0) or x - median(p.x1 for p in left) > 90:
        return False
    return all(_is_full(side) for side in (left, right))


def _is_full(side: Pieces) -> bool:
    width = max(p.x1 for p in side) - min(p.x0 for p in side)
    return median(p.x1 - p.x0 for p in side) > 0.6 * width
