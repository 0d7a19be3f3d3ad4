"""Reads CSV and TSV, and writes any table as lines of cells."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from ingest.parsing.builder import Builder
from ingest.parsing.text import decode
from knowledge.models import BlockKind, Parsed

_DELIMITERS = ",;\t|"
_SAMPLE = 20_000
_MAX_CELL = 1_000_000


def parse_csv(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document with one table block; the delimiter is found out."""
    builder = Builder()
    builder.add(BlockKind.TABLE, rows_as_text(_read(decode(data))))
    yield builder.build(stem)


def rows_as_text(rows: Iterable[Sequence[str]]) -> str:
    """Return one line per row that is not empty, `cell | cell`, so that a row can be quoted."""
    shown = ([" ".join(cell.split()) for cell in row] for row in rows)
    return "\n".join(" | ".join(row).rstrip(" |") for row in shown if any(row))


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
