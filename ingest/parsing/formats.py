"""Which parser reads a file: told by its content and its name together."""

from __future__ import annotations

import importlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import cast

from ingest.parsing.archive import check_container, transitional
from knowledge.errors import Unreadable, Unsupported
from knowledge.models import Parsed

PARSER_VERSION = "parsers-2"
"""Raise it whenever the same bytes may give another text or other blocks."""


class Format(StrEnum):
    """The formats that are read; the values are their usual suffixes."""

    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    HTML = "html"
    MARKDOWN = "md"
    TEXT = "txt"
    CSV = "csv"
    EMAIL = "eml"
    JSON_LINES = "jsonl"


SUFFIXES = {
    ".pdf": Format.PDF,
    ".docx": Format.DOCX,
    ".pptx": Format.PPTX,
    ".xlsx": Format.XLSX,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".eml": Format.EMAIL,
    ".jsonl": Format.JSON_LINES,
    ".jsonl.gz": Format.JSON_LINES,
}

_PARSERS = {
    Format.PDF: ("ingest.parsing.pdf", "parse_pdf"),
    Format.DOCX: ("ingest.parsing.word", "parse_docx"),
    Format.PPTX: ("ingest.parsing.slides", "parse_pptx"),
    Format.XLSX: ("ingest.parsing.sheet", "parse_xlsx"),
    Format.HTML: ("ingest.parsing.webpage", "parse_html_page"),
    Format.MARKDOWN: ("ingest.parsing.markdown", "parse_markdown"),
    Format.TEXT: ("ingest.parsing.text", "parse_text"),
    Format.CSV: ("ingest.parsing.table", "parse_csv"),
    Format.EMAIL: ("ingest.parsing.office", "parse_email"),
    Format.JSON_LINES: ("ingest.parsing.jsonl", "parse_jsonl"),
}

_CONVERT = {
    **dict.fromkeys((".doc", ".docm", ".dot", ".dotx", ".odt", ".rtf", ".pages", ".wpd"), "docx"),
    **dict.fromkeys((".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "xlsx"),
    **dict.fromkeys((".ppt", ".pptm", ".pps", ".ppsx", ".odp", ".key"), "pptx"),
    **dict.fromkeys((".epub", ".mobi", ".xps", ".ps", ".tif", ".tiff", ".djvu"), "pdf"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".heic", ".webp"), "pdf"),
    **dict.fromkeys((".msg", ".mbox", ".pst"), "eml"),
    **dict.fromkeys((".rst", ".org", ".adoc", ".tex"), "md"),
    **dict.fromkeys((".xml", ".mht", ".mhtml"), "html"),
    ".json": "jsonl",
}
_CONTAINERS = {
    b"wordprocessingml.document.main+xml": Format.DOCX,
    b"presentationml.presentation.main+xml": Format.PPTX,
    b"spreadsheetml.sheet.main+xml": Format.XLSX,
}
_BINARY = (Format.PDF, Format.DOCX, Format.PPTX, Format.XLSX)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UTF_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

_Parse = Callable[[bytes, str], Iterator[Parsed]]


def parse(data: bytes, name: str) -> Iterator[Parsed]:
    """Yield the documents in `data`; `name` is a file name or a path. Raises `IngestError`s."""
    declared = declared_format(name)
    found = _format(data, declared)
    if found in (Format.DOCX, Format.PPTX, Format.XLSX):
        check_container(data)
        data = transitional(data)
    for parsed in _parser(found)(data, _stem(name)):
        yield parsed if found is declared else _warned(parsed, found, name)


def declared_format(name: str) -> Format:
    """Return the format that the name promises. Raises `Unsupported` with advice."""
    lowered = name.lower()
    for suffix, found in SUFFIXES.items():
        if lowered.endswith(suffix):
            return found
    suffix = PurePosixPath(lowered).suffix
    if suffix in _CONVERT:
        raise Unsupported(
            f"{suffix} files are not read by this version; convert it to .{_CONVERT[suffix]}"
        )
    known = ", ".join(SUFFIXES)
    raise Unsupported(f"{suffix or 'files without a suffix'}: not a format that is read ({known})")


def preload(name: str) -> None:
    """Import what parsing `name` needs, so that a process forked from this one need not."""
    _parser(declared_format(name))


def _parser(found: Format) -> _Parse:
    module, function = _PARSERS[found]
    return cast(_Parse, getattr(importlib.import_module(module), function))


def _format(data: bytes, declared: Format) -> Format:
    """Return the format to read `data` as. Raises `Unreadable` where name and content disagree."""
    if not data:
        raise Unreadable("it is empty (0 bytes)", code="empty")
    if data.startswith(_OLE):
        raise _old_or_encrypted(data)
    found = _sniff(data, declared)
    if found is not None and (found in _BINARY or declared in _BINARY):
        return found
    if declared in _BINARY:
        kind = "damaged" if data.startswith(b"PK") else "wrong_type"
        raise Unreadable(f"it is damaged, or not a .{declared} file at all", code=kind)
    if declared is not Format.JSON_LINES and _is_binary(data):
        raise Unreadable(f"it holds binary data, not .{declared} text", code="wrong_type")
    return declared


def _sniff(data: bytes, declared: Format) -> Format | None:
    """Return the format by content; None for text without marks and for everything unknown."""
    mark = data[:1024].find(b"%PDF-")
    if mark == 0 or (mark > 0 and declared in _BINARY):
        return Format.PDF
    if data.startswith(b"PK\x03\x04"):
        return _container(data)
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return Format.HTML
    return None


def _container(data: bytes) -> Format | None:
    try:
        with (
            zipfile.ZipFile(io.BytesIO(data)) as container,
            container.open("[Content_Types].xml") as stream,
        ):
            types = stream.read(1_000_000)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, RuntimeError):
        return None
    return next((found for mark, found in _CONTAINERS.items() if mark in types), None)


def _old_or_encrypted(data: bytes) -> Unreadable | Unsupported:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return Unreadable(
            "it is protected by a password; save it without one and add it again", code="encrypted"
        )
    return Unsupported(
        "it is in an Office format from before 2007; save it as .docx, .xlsx or .pptx"
    )


def _is_binary(data: bytes) -> bool:
    """Say whether the first bytes cannot be text in any encoding that `decode` knows."""
    sample = data[:4096]
    if sample.startswith(_UTF_MARKS):
        return False
    zeros = sample.count(0)
    if zeros > len(sample) // 3:  # UTF-16 without a mark: zeros at even or at odd places only
        return 0 in sample[0::2] and 0 in sample[1::2]
    return len(_CONTROL.findall(sample)) > len(sample) // 100


def _stem(name: str) -> str:
    plain = PurePosixPath(name.replace("\\", "/")).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if plain.lower().endswith(suffix):
            return plain[: -len(suffix)] or plain
    return plain


def _warned(parsed: Parsed, found: Format, name: str) -> Parsed:
    warning = f"it is a .{found} file, not what its name {PurePosixPath(name).suffix} says"
    return replace(parsed, warnings=(*parsed.warnings, warning))
