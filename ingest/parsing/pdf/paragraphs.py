"""Groups the lines of a region to headings, paragraphs and list items, and joins their text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from itertools import pairwise

from ingest.parsing.pdf.cells import Rows, in_reading_order
from ingest.parsing.pdf.page import Line, Paragraph, around

ITEM = re.compile(r"(?:[•‣◦▪●○■□►–—*-]|\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,4})[.)])\s+\S")
_SENTENCE_END = re.compile(r"[.!?:;]['\"”’)\]]*$")
_NO_DIGITS = re.compile(r"\D+")
_NO_WORDS = re.compile(r"[\W_]+")
_LONGEST = 60  # letters of a word
_CUT_WORD = re.compile(r"(\w*[^\W\d_])-$")
_WORD_REST = re.compile(r"([^\W\d_]\w*)")


def into_lines(rows: Rows, page: int) -> Iterator[Line]:
    """Yield each row of pieces as one line of text."""
    for row in rows:
        ordered = in_reading_order(row)
        yield Line(
            " ".join(piece.text for piece in ordered),
            page,
            around(row),
            max(piece.size for piece in row),
            all(piece.bold for piece in row),
            row[0].upright,
        )


def into_paragraphs(lines: Sequence[Line]) -> Iterator[Paragraph]:
    """Group the lines of one region to headings, paragraphs and list items."""
    block: list[Line] = []
    for line in lines:
        if block and _begins(block, line):
            yield Paragraph(block)
            block = []
        block.append(line)
    if block:
        yield Paragraph(block)


def _begins(block: list[Line], line: Line) -> bool:
    """Say whether `line` begins a new block after `block`."""
    last = block[-1]
    if abs(line.size - last.size) > 0.08 * last.size + 0.2 or line.bold != last.bold:
        return True
    gap = line.box.y0 - last.box.y1
    if gap > 0.6 * line.size or line.box.y1 < last.box.y0:  # far below, or a new column
        return True
    if ITEM.match(line.text) or not (line.upright and last.upright):
        return True
    indent = line.box.x0 - min(row.box.x0 for row in block)
    ends_early = last.box.x1 < max(row.box.x1 for row in block) - 3 * last.size
    ended = bool(_SENTENCE_END.search(last.text))
    return ended and (ends_early or (line.size < indent < 4 * line.size))


def joined(lines: Sequence[Line], words: Set[str]) -> str:
    """Join full lines to running text; keep the breaks after short ones, as in tables.

    A word cut at a line's end is put together, unless `words` (those of the whole document, in
    lower case) know it only with its hyphen.
    """
    right = max(line.box.x1 for line in lines)
    left = min(line.box.x0 for line in lines)
    parts = [lines[0].text]
    for last, line in pairwise(lines):
        full = last.box.x1 > right - 0.15 * (right - left)
        if mended := _mended(parts[-1], line.text, words):
            parts[-1:] = [mended]
        elif full and not _is_numeric(last.text):
            parts.append(f" {line.text}")
        else:
            parts.append(f"\n{line.text}")
    return "".join(parts)


def _mended(above: str, below: str, words: Set[str]) -> str:
    """Return both lines as one where a hyphen parts a word; empty where none does."""
    if not above.endswith("-") or not below[0].islower():
        return ""
    cut, rest = _CUT_WORD.search(above[-_LONGEST:]), _WORD_REST.match(below)
    if not cut or not rest:
        return ""
    whole = (cut[1] + rest[1]).lower()
    hyphened = f"{cut[1]}-{rest[1]}".lower()
    keeps = hyphened in words and whole not in words
    return above + below if keeps else above[:-1] + below


def _is_numeric(text: str) -> bool:
    """Say whether most of the text are figures, as in a row of a table."""
    return 2 * len(_NO_DIGITS.sub("", text)) > len(_NO_WORDS.sub("", text))
