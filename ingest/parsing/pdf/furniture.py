"""Removes running heads, footers and page numbers: outer lines that return on page after page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.parsing.pdf.cells import into_rows
from ingest.parsing.pdf.page import Page, Piece

_LEAST_PAGES = 3
_LINES = 3  # at the top and at the bottom of a page
_MARGIN = 0.13  # of the page's height
_NUMBER = re.compile(r"\d{1,4}")
_ROMAN = re.compile(r"[ivxl]{1,7}", re.IGNORECASE)
_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50}

_Key = tuple[str, str]


def without_furniture(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without the lines that only furnish them; no page is emptied by that."""
    outer = [list(_outer(page)) for page in pages]
    counts = Counter(key for lines in outer for key in {key for _, keys in lines for key in keys})
    return [_stripped(page, lines, counts) for page, lines in zip(pages, outer, strict=True)]


def _outer(page: Page) -> Iterator[tuple[list[Piece], list[_Key]]]:
    """Yield the outermost lines at the top, then at the bottom, with what they may be known by."""
    margin = _MARGIN * page.height
    near = [p for p in page.pieces if p.y1 < margin or p.y0 > page.height - margin]
    rows = into_rows(near)
    top = [row for row in rows if row[0].y1 < margin][:_LINES]
    bottom = [row for row in rows if row[0].y0 > page.height - margin][-_LINES:]
    for edge, lines in (("top", top), ("bottom", bottom[::-1])):
        for line in lines:
            text = " ".join(piece.text for piece in line)
            yield line, [(edge, key) for key in _keys(text, page.number)]


def _keys(text: str, page: int) -> Iterator[str]:
    """Yield the text as it is, and with one number as its distance from the page's."""
    yield text
    if _ROMAN.fullmatch(text):
        yield f"roman {_roman(text.lower()) - page}"
    numbers = list(_NUMBER.finditer(text))
    for number in {0: numbers[:1], 1: numbers}.get(len(numbers), [*numbers[:1], *numbers[-1:]]):
        yield f"{text[: number.start()]}<{int(number.group()) - page}>{text[number.end() :]}"


def _roman(text: str) -> int:
    values = [_VALUES[letter] for letter in text]
    return sum(
        -value if value < max(values[place:]) else value for place, value in enumerate(values)
    )


def _stripped(
    page: Page, lines: list[tuple[list[Piece], list[_Key]]], counts: Counter[_Key]
) -> Page:
    gone: list[Piece] = []
    edge_open = {"top": True, "bottom": True}
    for line, keys in lines:
        edge = keys[0][0]
        returns = max(counts[key] for key in keys) >= _LEAST_PAGES
        edge_open[edge] = edge_open[edge] and returns
        if edge_open[edge]:
            gone += line
    kept = [piece for piece in page.pieces if piece not in gone] if gone else page.pieces
    return replace(page, pieces=kept) if kept else page
