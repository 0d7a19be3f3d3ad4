"""Assembles the text and the blocks of one document so that every span cuts its own block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.errors import TooLarge
from knowledge.models import Block, BlockKind, Box, Coverage, Parsed, Span
from knowledge.text import clean

MAX_CHARACTERS = 5_000_000
"""Most characters of one document: about 1,700 dense pages, 5,000 chunks of 256 tokens."""
MAX_BLOCKS = 200_000

_SEPARATOR = "\n\n"
_ROW_SEPARATOR = "\n"
_TITLE_LENGTH = 200

# Bullets of the symbol fonts that Word and PDF printers use lie in the private use area.
_BULLETS = "\uf0b7\uf0a7\uf0d8\uf076\uf02d\uf06c\uf06e\uf0fc"
_LINE_BREAKS = "\x0b\x0c"  # as PowerPoint and Word write them
_MAPPED = dict.fromkeys(map(ord, _BULLETS), "•") | dict.fromkeys(map(ord, _LINE_BREAKS), "\n")
# Characters that carry no reading but can hide or reorder text: soft hyphen, zero-width space,
# directional marks and overrides, invisible operators, tags, the rest of the private use area.
# The two joiners stay: Persian, Indic scripts and emoji are written with them.
_HIDDEN = re.compile(
    "[\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ue000-\uf8ff\U000e0000-\U000e007f\U000f0000-\U0010ffff]"
)
_BLANKS = re.compile("[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")


_NOWHERE = Span(0, 0)


def visible(text: str) -> str:
    r"""Return what a reader sees of `text`: nothing hidden, nothing that reorders.

    >>> visible("pay\u200b \u202e100\x00\r\n")
    'pay 100\n'
    """
    if text.isascii() and text.isprintable():  # most text: nothing to look for
        return text
    return _HIDDEN.sub("", clean(text.translate(_MAPPED)))


def one_line(text: str) -> str:
    """Return `text` on one line of at most 200 characters, fit for a title or a heading path."""
    return " ".join(visible(text).split())[:_TITLE_LENGTH].strip()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, as a parser hands it to `Builder.table`."""

    cells: Sequence[str]
    """Left to right; an empty cell keeps its place, a merged one stands in its first."""
    page: int | None = None
    box: Box | None = None
    place: str = ""
    """Its cells in a spreadsheet, such as `Costs!A7:F7`."""


class Builder:
    """Takes blocks in reading order; `build` returns the document.

    Blocks are separated by one empty line (the rows of a table follow line by line), do not
    overlap, hold no empty line (code may), and `block.span.cut(text)` is the block's text. Blocks
    without visible text are left out. `coverage` may be set to what the parser knows; characters
    and tables are counted here.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = self._characters = 0
        self._path: list[tuple[int, str]] = []
        self._tables = 0
        self.coverage = Coverage()
        self.warnings: list[str] = []

    def add(
        self, kind: BlockKind, text: str, *, page: int | None = None, box: Box | None = None
    ) -> None:
        """Append a block below the current headings. Raises `TooLarge`."""
        shown = _tidy(text, keep_layout=kind is BlockKind.CODE)
        if shown:
            self._append(Block(kind, _NOWHERE, page, box), shown)

    def heading(
        self, text: str, level: int, *, page: int | None = None, box: Box | None = None
    ) -> None:
        """Append a heading; it closes all headings of the same or a deeper `level` (1 is top)."""
        shown = _tidy(text)
        if shown:
            while self._path and self._path[-1][0] >= level:
                self._path.pop()
            self._path.append((level, one_line(shown)))
            self._append(Block(BlockKind.HEADING, _NOWHERE, page, box), shown)

    def table(self, rows: Iterable[Row], *, header_rows: int = 1) -> None:
        """Append a table, a block a row with its cells as `cell | cell`. Raises `TooLarge`.

        The first `header_rows` rows are the header that all others refer to; 0 says that there is
        none. Rows without visible text are left out.
        """
        number, header = self._tables + 1, None
        for position, row in enumerate(rows):
            text = row_text(row.cells)
            if not text:
                continue
            block = Block(BlockKind.TABLE, _NOWHERE, row.page, row.box, place=row.place)
            heads = position < header_rows
            block = replace(block, table=number, header=None if heads else header)
            follows = self._tables == number
            self._tables = number
            span = self._append(block, text, _ROW_SEPARATOR if follows else _SEPARATOR)
            if heads:
                header = Span(header.start if header else span.start, span.end)

    def leave_headings(self) -> None:
        """Close all headings, as at a new slide."""
        self._path.clear()

    def build(
        self,
        title: str,
        *,
        external_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Parsed:
        """Return the document."""
        return Parsed(
            title=one_line(title),
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            external_id=external_id,
            metadata=metadata or {},
            warnings=tuple(self.warnings),
            coverage=replace(self.coverage, characters=self._characters, tables=self._tables),
        )

    def _append(self, block: Block, text: str, separator: str = _SEPARATOR) -> Span:
        """Append a block whose span is still to be found; return that."""
        start = self._length + (len(separator) if self._parts else 0)
        end = start + len(text)
        if end > MAX_CHARACTERS or len(self._blocks) >= MAX_BLOCKS:
            raise TooLarge(
                f"it holds more than {MAX_CHARACTERS:,} characters or {MAX_BLOCKS:,} blocks of "
                "text; split it into several files",
                code="too_much_text",
            )
        span, path = Span(start, end), tuple(heading for _, heading in self._path)
        self._parts.append(separator + text if self._parts else text)
        self._blocks.append(replace(block, span=span, heading=path))
        self._length = end
        self._characters += len(text) - sum(map(str.isspace, text))
        return span


def row_text(cells: Iterable[str]) -> str:
    r"""Return the visible text of a row on one line; empty when no cell shows anything.

    >>> row_text(["Rent", "", " 1,200\n"])
    'Rent | | 1,200'
    """
    shown = [" ".join(visible(cell).split()) for cell in cells]
    return _BLANKS.sub(" ", " | ".join(shown).rstrip(" |").lstrip()) if any(shown) else ""


def _tidy(text: str, *, keep_layout: bool = False) -> str:
    """Return the visible text without blank margins; runs of blanks become one space."""
    shown = visible(text)
    if keep_layout:
        return "\n".join(line.rstrip() for line in shown.split("\n")).strip("\n")
    lines = (_BLANKS.sub(" ", line).strip() for line in shown.split("\n"))
    return "\n".join(line for line in lines if line)
