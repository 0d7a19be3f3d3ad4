"""Tells headings from text by size and weight relative to the body text of the whole document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from ingest.parsing.pdf.page import Line, Paragraph

_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LARGE, _SHORT = 1.4, 60
"""Times the body's size, and characters: the name of a company may end with a full stop."""
_SAME = 0.75  # points: sizes closer than that are one


def heading_levels(paragraphs: Sequence[Paragraph]) -> Mapping[int, int]:
    """Return the level, 1 for the largest, of each paragraph (by its place) that is a heading."""
    body, body_bold = _body(line for paragraph in paragraphs for line in paragraph.lines)
    found = {
        place: paragraph.lines[0]
        for place, paragraph in enumerate(paragraphs)
        if _is_heading(paragraph.lines, body, body_bold)
    }
    sizes = _alike(line.size for line in found.values())
    styles = {place: (sizes[line.size], line.bold) for place, line in found.items()}
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
    if _reads_on(text) and not (len(text) <= _SHORT and lines[0].size >= _LARGE * body):
        return False
    if lines[0].size >= 1.15 * body:
        return True
    stands_out = lines[0].bold and not body_bold and lines[0].size >= 0.95 * body
    return stands_out and len(lines) <= 2 and len(text) <= 120


def _reads_on(text: str) -> bool:
    """Say whether a text ends as sentences and their parts do."""
    return text.endswith((".", ",", ";", ":")) and not _NUMBERED.match(text)


def _alike(sizes: Iterable[float]) -> Mapping[float, float]:
    """Return for each size the largest that it can hardly be told from."""
    largest: dict[float, float] = {}
    top = inf
    for size in sorted(set(sizes), reverse=True):
        if not largest or size < top - _SAME:
            top = size
        largest[size] = top
    return largest
