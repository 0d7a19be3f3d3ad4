"""Reads JSON lines, plain or gzipped: one document a line, one bad line never stops the rest."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import IO, cast

from ingest.parsing.builder import Builder, one_line, visible
from ingest.parsing.text import add_paragraphs
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import Parsed

MAX_BYTES = 2_000_000_000
MAX_RATIO = 200
MAX_LINE = 24_000_000
"""Most bytes of one line; a document of the largest size fits even if escaped."""
MAX_VALUE = 1000
MAX_FIELDS = 64

_GZIP = b"\x1f\x8b"
_SLACK = 10_000_000


def parse_jsonl(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one `Parsed` per line that is not blank; a bad line yields one with `error` set.

    `id` or `_id` becomes the external id, `title` and `text` what they say. Every other field
    becomes metadata: strings and numbers as they are, lists and objects as JSON; 64 fields at
    most, each cut to 1,000 characters. Raises `TooLarge` or `Unreadable` for a hostile gzip.
    """
    stream, cap = _open(data)
    for number, line in _lines(stream, cap):
        yield _document(line, number, stem)


def _open(data: bytes) -> tuple[IO[bytes], int]:
    """Return a stream of plain bytes and how many of them it may give."""
    if not data.startswith(_GZIP):
        return io.BytesIO(data), len(data)
    stream = cast(IO[bytes], gzip.GzipFile(fileobj=io.BytesIO(data)))
    return stream, min(MAX_BYTES, MAX_RATIO * len(data) + _SLACK)


def _lines(stream: IO[bytes], cap: int) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line), and None for a line that is too long; skip blank ones."""
    number = given = 0
    begun = False  # inside a line that was too long
    while piece := _next(stream):
        given += len(piece)
        if given > cap:
            raise TooLarge(f"it unpacks to more than {cap:,} bytes", code="bomb")
        number += not begun
        whole = piece.endswith(b"\n") or len(piece) <= MAX_LINE
        if not whole and not begun:
            yield number, None
        elif not begun and piece.strip():
            yield number, piece
        begun = not whole


def _next(stream: IO[bytes]) -> bytes:
    try:
        return stream.readline(MAX_LINE + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise Unreadable(f"the gzip data is damaged ({error})", code="damaged") from error


def _document(line: bytes | None, number: int, stem: str) -> Parsed:
    if line is None:
        return _bad(number, f"is longer than {MAX_LINE:,} bytes")
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return _bad(number, "is not UTF-8")
    except (ValueError, RecursionError) as error:
        return _bad(number, f"is not JSON ({one_line(str(error))})")
    if not isinstance(record, dict):
        return _bad(number, "is not a JSON object")
    text = record.get("text")
    if not isinstance(text, str):
        return _bad(number, "has no `text` that is a string")
    return _read(record, text, number, stem)


def _read(record: dict[str, object], text: str, number: int, stem: str) -> Parsed:
    builder = Builder()
    try:
        add_paragraphs(builder, text)
    except TooLarge as error:
        return _bad(number, f"is too large: {error}")
    title = record.get("title")
    return builder.build(
        title if isinstance(title, str) and title.strip() else f"{stem} line {number}",
        external_id=_identifier(record),
        metadata=_metadata(record),
    )


def _identifier(record: dict[str, object]) -> str | None:
    """Return `id` or `_id`, a string or a whole number, as a string of at most 500 characters."""
    for key in ("id", "_id"):
        value = record.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return visible(str(value)).strip()[:500] or None
    return None


def _metadata(record: dict[str, object]) -> dict[str, str]:
    rest = [key for key in record if key not in ("id", "_id", "title", "text")]
    return {
        one_line(key)[:100]: visible(_shown(record[key]))[:MAX_VALUE]
        for key in rest[:MAX_FIELDS]
        if record[key] not in (None, "", [], {})
    }


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bad(number: int, reason: str) -> Parsed:
    return Parsed(title=f"line {number}", text="", blocks=(), error=f"line {number} {reason}")
