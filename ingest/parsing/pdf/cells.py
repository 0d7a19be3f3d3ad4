"""Puts pieces of text into rows, and figures together with the signs that belong to them."""

from __future__ import annotations

import re

from ingest.parsing.pdf.page import Piece, Pieces

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_SIGN_BEFORE = re.compile(r"(?:US|C|A|R|HK|NZ)?\$|[€£¥₹]|CHF|EUR|USD|GBP|\(")
_SIGN_AFTER = re.compile(r"[)%]{1,3}|\)?\s?%\)?|pts|bps|x")
_MARKER = re.compile(r"[•‣◦▪●○■□►–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)]")
_INNER = re.compile(r"(?<=[$€£¥₹(])\s+(?=[\d.(–—-])|(?<=[\d–—-])\s+(?=[)%])|(?<=\))\s+(?=%)")
_FIGURE = re.compile(
    r"[\[(+<>≤≥~–—-]*\s*(?:[A-Z]{0,3}[$€£¥₹])?\s*[(+–—-]*"
    r"(?:\d(?:[\d.,]*\d)?(?:\s?(?:%|x|pts?|bps|bp|[KMB]|million|billion|years?|months?))?|[–—-]+)"
    r"[)%\]]*(?:\s?\(\w{1,2}\)|[*†‡]+)?"
)
_NOTHING = re.compile(r"(?:N/?A|n/a|NM|nm|N/M|n/m|nil|[*†‡]+|[–—-]+\s?%?|\d{1,2}/\d{1,2}/\d{2,4})")
_PERIOD = re.compile(
    r"(?:(?:19|20)\d\d(?:\s?(?:[–—-]|to)\s?(?:19|20)?\d\d)?|FY\s?\d{2,4}|Q[1-4])[A-Z]?"
    r"(?:\s?\(\w\))?|\d{1,2}/\d{1,2}/\d{2,4}"
)
_RANGE = re.compile(r"\s*(?:[–—-]|to)\s*")

_WORD_GAP = 0.35  # of a line's height

Rows = list[list[Piece]]


def into_rows(pieces: Pieces) -> Rows:
    """Return the pieces line by line from top to bottom, each line from left to right."""
    rows: Rows = []
    tallest: Piece | None = None
    for piece in sorted(pieces, key=lambda piece: piece.middle):
        if tallest is None or not _beside(tallest, piece):
            rows.append([])
            tallest = piece
        rows[-1].append(piece)
        if piece.y1 - piece.y0 > tallest.y1 - tallest.y0:
            tallest = piece
    return [sorted(row, key=lambda piece: piece.x0) for row in rows]


def _beside(one: Piece, other: Piece) -> bool:
    if not (one.upright and other.upright):
        return False
    shared = min(one.y1, other.y1) - max(one.y0, other.y0)
    return shared > 0.5 * min(one.y1 - one.y0, other.y1 - other.y0)


def in_reading_order(row: list[Piece]) -> list[Piece]:
    """Return the pieces of a line as they are read, which Arabic and Hebrew are from the right."""
    to_left = sum(len(_RIGHT_TO_LEFT.findall(piece.text)) for piece in row)
    return row[::-1] if 2 * to_left > sum(len(piece.text) for piece in row) else row


def into_cells(row: list[Piece]) -> list[Piece]:
    """Join signs to their figures and markers to their items; what is left are the cells.

    The place of a cell is that of its figure: signs stand at the edges, where columns may touch.
    """
    cells: list[Piece] = []
    for piece in row:
        one = _one(cells[-1], piece, first=len(cells) == 1) if cells else None
        if one is None:
            cells.append(_tidied(piece))
        else:
            cells[-1] = one
    return cells


def _one(last: Piece, piece: Piece, *, first: bool) -> Piece | None:
    """Return both pieces as one; None if they are two cells. `first`: `last` begins the row."""
    height, gap = piece.y1 - piece.y0, piece.x0 - last.x1
    if _SIGN_BEFORE.fullmatch(last.text) and is_figure(piece.text) and gap < 15 * height:
        return _tidied(piece._replace(text=last.text + piece.text))
    if _SIGN_AFTER.fullmatch(piece.text) and is_figure(last.text) and gap < 2.5 * height:
        return _tidied(last._replace(text=last.text + piece.text))
    is_item = first and _MARKER.fullmatch(last.text) and not is_figure(piece.text)
    if is_item or (last.row != piece.row and _is_one(last, piece)):
        return _joined(last, piece)
    return None


def _is_one(left: Piece, right: Piece) -> bool:
    """Say whether two pieces that the file keeps apart stand no further apart than words do."""
    return -1 < right.x0 - left.x1 < _WORD_GAP * (right.y1 - right.y0) and not (
        is_figure(left.text) and is_figure(right.text)
    )


def _tidied(piece: Piece) -> Piece:
    text = _INNER.sub("", piece.text)
    return piece if text == piece.text else piece._replace(text=text)


def _joined(left: Piece, right: Piece) -> Piece:
    return left._replace(
        text=f"{left.text} {right.text}",
        x1=max(left.x1, right.x1),
        y0=min(left.y0, right.y0),
        y1=max(left.y1, right.y1),
    )


def is_figure(text: str) -> bool:
    """Say whether a cell holds an amount, a dash in place of one, or a word for none."""
    if _FIGURE.fullmatch(text) or _NOTHING.fullmatch(text):
        return True
    ends = _RANGE.split(text, maxsplit=1)
    return len(ends) == 2 and all(_FIGURE.fullmatch(end) for end in ends)


def is_amount(text: str) -> bool:
    """Say whether a cell holds a figure that is no year or date: data has some, headers none."""
    return is_figure(text) and not _PERIOD.fullmatch(text)
