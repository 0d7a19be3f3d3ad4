"""Reads plain text, and says how bytes of unknown encoding are decoded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from ingest.parsing.builder import Builder
from knowledge.models import BlockKind, Parsed

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_EMPTY_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_ITEM = re.compile(r"(?:[-*+•‣◦–—]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+\S")


def parse_text(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document: a paragraph per run of lines between empty lines."""
    builder = Builder()
    add_paragraphs(builder, decode(data))
    yield builder.build(stem)


def add_paragraphs(builder: Builder, text: str) -> None:
    """Append the paragraphs and list items of `text`."""
    for paragraph in _EMPTY_LINES.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        for kind, part in _items(paragraph):
            builder.add(kind, part)


def decode(data: bytes, declared: str | None = None) -> str:
    """Decode by byte order mark, `declared` charset, UTF-8, Windows-1252, Latin-1 in this order."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    for guess in (declared, "utf-8", _without_mark(data), "cp1252"):
        text = _try(data, guess)
        if text is not None:
            return text
    return data.decode("latin-1")


def _items(paragraph: str) -> Iterator[tuple[BlockKind, str]]:
    """Split a paragraph before each line that begins with a bullet or a number."""
    lines = paragraph.split("\n")
    starts = [n for n, line in enumerate(lines) if _ITEM.match(line.strip())]
    if not starts or (len(starts) == 1 and starts[0] > 0):  # one number inside prose is no list
        yield BlockKind.PARAGRAPH, paragraph
        return
    if starts[0] > 0:
        yield BlockKind.PARAGRAPH, "\n".join(lines[: starts[0]])
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield BlockKind.LIST_ITEM, "\n".join(lines[start:end])


def _without_mark(data: bytes) -> str | None:
    """Guess UTF-16 written without its mark: every other byte of Latin text is then zero."""
    sample = data[:2000]
    if len(sample) >= 4 and sample[1::2].count(0) > len(sample) // 3:
        return "utf-16-le"
    if len(sample) >= 4 and sample[0::2].count(0) > len(sample) // 3:
        return "utf-16-be"
    return None


def _try(data: bytes, encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
    return None if encoding == "utf-8" and "\x00" in text[:2000] else text
