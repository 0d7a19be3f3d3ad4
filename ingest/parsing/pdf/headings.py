"""Tells headings from text by size and weight relative to the body text of the whole document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ingest.parsing.pdf.page import Line, Paragraph

_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")
_LETTERS = re.compile(r"[^\W\d_]{2}")


def heading_levels(paragraphs: Sequence[Paragraph]) -> Mapping[int, int]:
    """Return the level, 1 for the largest, of each paragraph (by its place) that is a heading."""
    body, body_bold = _body(line for paragraph in paragraphs for line in paragraph.lines)
    styles = {
        place: _style(paragraph.lines)
        for place, paragraph in enumerate(paragraphs)
        if _is_heading(paragraph.lines, body, body_bold)
    }
    levels = {style: n for n, style in enumerate(sorted(set(styles.values()), reverse=True), 1)}
    return {place: levels[style] for place, style in styles.items()}


def _body(lines: Iterable[Line]) -> tuple[float, bool]:
    """Return the size that most characters have, and whether most of those are bold."""
    sizes: Counter[float] = Counter()
    bold: Counter[float] = Counter()
    for line in lines:
        sizes[line.size] += len(line.text)
        bold[line.size] += len(line.text) * line.bold
    size = sizes.most_common(1)[0][0] if sizes else 0.0
    return size, 2 * bold[size] > sizes[size]


def _is_heading(lines: list[Line], body: float, body_bold: bool) -> bool:
    text = " ".join(line.text for line in lines)
    if len(lines) > 3 or len(text) > 160 or not lines[0].upright or not _LETTERS.search(text):
        return False
    if text.endswith((".", ",", ";", ":")) and not _NUMBERED.match(text):
        return False
    if lines[0].size >= 1.15 * body:
        return True
    stands_out = lines[0].bold and not body_bold and lines[0].size >= 0.95 * body
    return stands_out and len(lines) <= 2 and len(text) <= 120


def _style(lines: list[Line]) -> tuple[float, bool]:
    return round(lines[0].size), lines[0].bold
