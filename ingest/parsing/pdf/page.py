"""What is found on a page of a PDF: pieces of text, drawn rules and shades, and what they make.

All places are in points from the top left corner of the page as it is displayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.parsing.builder import Row
from knowledge.models import Box


class Piece(NamedTuple):
    """Words that follow each other on one line without a wide gap: part of a line, or a cell."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    """Font size as it appears on the page."""
    bold: bool
    upright: bool = True
    row: int = 0
    """Number of the line that the file itself makes of it; consecutive pieces may share it."""

    @property
    def middle(self) -> float:
        """Return the height of its middle."""
        return (self.y0 + self.y1) / 2


Pieces = Sequence[Piece]


class Area(NamedTuple):
    """A place on a page: a rule, a shade, a region."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(slots=True)
class Drawn:
    """What is painted on a page besides text."""

    across: list[Area] = field(default_factory=list)
    """Thin rules from left to right."""
    down: list[Area] = field(default_factory=list)
    """Thin rules from top to bottom."""
    shades: list[Area] = field(default_factory=list)
    """Filled rectangles, as behind the rows of a table."""
    pictured: float = 0.0
    """Share of the page that pictures cover, 0..1."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it was read."""

    number: int
    width: float
    height: float
    pieces: list[Piece]
    drawn: Drawn


@dataclass(frozen=True, slots=True)
class Line:
    """A line of running text: pieces that stand side by side."""

    text: str
    page: int
    box: Box
    size: float
    bold: bool
    upright: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A table on one page."""

    rows: list[Row]
    header_rows: int
    page: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together: a paragraph, a heading or a list item."""

    lines: list[Line]


def around(boxes: Iterable[Box | Piece | Area]) -> Box:
    """Return the smallest box that holds them all."""
    x0s, y0s, x1s, y1s = zip(*((box.x0, box.y0, box.x1, box.y1) for box in boxes), strict=True)
    return Box(min(x0s), min(y0s), max(x1s), max(y1s))
