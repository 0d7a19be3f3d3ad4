"""Reads CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ingest.parsing.builder import Builder, Row
from ingest.parsing.text import decode
from knowledge.models import Parsed

_DELIMITERS = ",;\t|"
_SAMPLE = 20_000
_MAX_CELL = 1_000_000


def parse_csv(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document with one table; the delimiter is found out."""
    builder = Builder()
    builder.table(map(Row, _read(decode(data))))
    yield builder.build(stem)


def _read(text: str) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_CELL)
    rows = csv.reader(io.StringIO(text.replace("\x00", ""), newline=""), delimiter=_delimiter(text))
    try:
        yield from rows
    except csv.Error:  # a stray quote swallowed the rest: read plain lines instead
        yield from ([line] for line in text.splitlines()[max(rows.line_num - 1, 0) :])


def _delimiter(text: str) -> str:
    """Return the delimiter that splits the first rows most evenly."""
    lines = [line for line in text[:_SAMPLE].splitlines() if line.strip()][:20]

    def evenness(delimiter: str) -> tuple[int, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        common = max(set(widths), key=widths.count, default=1)
        return (widths.count(common) if common > 1 else 0, common)

    return max(_DELIMITERS, key=evenness)
