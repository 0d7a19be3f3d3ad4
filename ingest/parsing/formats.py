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

PARSER_VERSION = "parsers-4"
"""Raise it whenever the same bytes may give another text or other blocks."""


class Format(StrEnum):
    """The formats that are read; the values are their usual suffixes."""

    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    ODT = "odt"
    ODS = "ods"
    ODP = "odp"
    EPUB = "epub"
    RTF = "rtf"
    HTML = "html"
    XML = "xml"
    MARKDOWN = "md"
    TEXT = "txt"
    CSV = "csv"
    EMAIL = "eml"
    OUTLOOK = "msg"
    JSON = "json"
    JSON_LINES = "jsonl"
    PNG = "png"
    JPEG = "jpg"
    TIFF = "tiff"


SUFFIXES = {
    ".pdf": Format.PDF,
    ".docx": Format.DOCX,
    ".docm": Format.DOCX,
    ".dotx": Format.DOCX,
    ".pptx": Format.PPTX,
    ".pptm": Format.PPTX,
    ".ppsx": Format.PPTX,
    ".xlsx": Format.XLSX,
    ".xlsm": Format.XLSX,
    ".odt": Format.ODT,
    ".ods": Format.ODS,
    ".odp": Format.ODP,
    ".epub": Format.EPUB,
    ".rtf": Format.RTF,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".xml": Format.XML,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".rst": Format.TEXT,
    ".org": Format.TEXT,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".eml": Format.EMAIL,
    ".msg": Format.OUTLOOK,
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
    ".jsonl.gz": Format.JSON_LINES,
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
}

_PARSERS = {
    Format.PDF: ("ingest.parsing.pdf", "parse_pdf"),
    Format.DOCX: ("ingest.parsing.word", "parse_docx"),
    Format.PPTX: ("ingest.parsing.slides", "parse_pptx"),
    Format.XLSX: ("ingest.parsing.sheet", "parse_xlsx"),
    **dict.fromkeys((Format.ODT, Format.ODS, Format.ODP), ("ingest.parsing.odf", "parse_odf")),
    Format.EPUB: ("ingest.parsing.epub", "parse_epub"),
    Format.RTF: ("ingest.parsing.rtf", "parse_rtf"),
    Format.HTML: ("ingest.parsing.webpage", "parse_html_page"),
    Format.XML: ("ingest.parsing.elements", "parse_xml_document"),
    Format.MARKDOWN: ("ingest.parsing.markdown", "parse_markdown"),
    Format.TEXT: ("ingest.parsing.text", "parse_text"),
    Format.CSV: ("ingest.parsing.table", "parse_csv"),
    Format.EMAIL: ("ingest.parsing.mail", "parse_email"),
    Format.OUTLOOK: ("ingest.parsing.mail", "parse_msg"),
    Format.JSON: ("ingest.parsing.records", "parse_json"),
    Format.JSON_LINES: ("ingest.parsing.jsonl", "parse_jsonl"),
    **dict.fromkeys(
        (Format.PNG, Format.JPEG, Format.TIFF), ("ingest.parsing.image", "parse_image")
    ),
}

_CONVERT = {
    **dict.fromkeys((".doc", ".dot", ".pages", ".wpd", ".wps"), "docx"),
    **dict.fromkeys((".xls", ".xlsb", ".numbers"), "xlsx"),
    **dict.fromkeys((".ppt", ".pps", ".key"), "pptx"),
    **dict.fromkeys((".mobi", ".azw3"), "epub"),
    **dict.fromkeys((".xps", ".ps", ".djvu"), "pdf"),
    **dict.fromkeys((".gif", ".bmp", ".heic", ".webp"), "png"),
    **dict.fromkeys((".mbox", ".pst"), "eml"),
    **dict.fromkeys((".adoc", ".tex"), "md"),
    **dict.fromkeys((".mht", ".mhtml"), "html"),
}
_LEGACY = frozenset({".doc", ".dot", ".xls", ".ppt", ".pps"})
"""LibreOffice converts these, too: `soffice --headless --convert-to docx FILE`."""
_CONTAINERS = {
    b"wordprocessingml.document.main+xml": Format.DOCX,
    b"ms-word.document.macroEnabled.main+xml": Format.DOCX,
    b"wordprocessingml.template.main+xml": Format.DOCX,
    b"presentationml.presentation.main+xml": Format.PPTX,
    b"ms-powerpoint.presentation.macroEnabled.main+xml": Format.PPTX,
    b"presentationml.slideshow.main+xml": Format.PPTX,
    b"spreadsheetml.sheet.main+xml": Format.XLSX,
    b"ms-excel.sheet.macroEnabled.main+xml": Format.XLSX,
}
_MIMETYPES = {
    b"application/vnd.oasis.opendocument.text": Format.ODT,
    b"application/vnd.oasis.opendocument.spreadsheet": Format.ODS,
    b"application/vnd.oasis.opendocument.presentation": Format.ODP,
    b"application/epub+zip": Format.EPUB,
}
_OFFICE = (Format.DOCX, Format.PPTX, Format.XLSX)
_ZIPPED = (*_OFFICE, Format.ODT, Format.ODS, Format.ODP, Format.EPUB)
_IMAGES = (Format.PNG, Format.JPEG, Format.TIFF)
_BINARY = (Format.PDF, *_ZIPPED, *_IMAGES, Format.OUTLOOK)
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": Format.PNG,
    b"\xff\xd8\xff": Format.JPEG,
    b"II*\x00": Format.TIFF,
    b"MM\x00*": Format.TIFF,
    b"{\\rtf": Format.RTF,
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MESSAGE = "__properties_version1.0".encode("utf-16-le")
_UTF_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

_Parse = Callable[[bytes, str], Iterator[Parsed]]


def parse(data: bytes, name: str) -> Iterator[Parsed]:
    """Yield the documents in `data`; `name` is a file name or a path. Raises `IngestError`s."""
    declared = declared_format(name)
    found = _format(data, declared)
    if found in _ZIPPED:
        check_container(data, doctypes=found is Format.EPUB)
    if found in _OFFICE:
        data = transitional(data)
    try:
        for parsed in _parser(found)(data, _stem(name)):
            yield parsed if found is declared else _warned(parsed, found, name)
    except RecursionError as error:
        raise Unreadable("its parts nest too deeply", code="hostile") from error


def declared_format(name: str) -> Format:
    """Return the format that the name promises. Raises `Unsupported` with advice."""
    lowered = name.lower()
    for suffix, found in SUFFIXES.items():
        if lowered.endswith(suffix):
            return found
    suffix = PurePosixPath(lowered).suffix
    if suffix in _CONVERT:
        wanted = _CONVERT[suffix]
        how = f" (soffice --headless --convert-to {wanted} does it)" if suffix in _LEGACY else ""
        raise Unsupported(f"{suffix} files are not read; convert it to .{wanted}{how}")
    known = ", ".join(Format)
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
        if _MESSAGE in data:
            return Format.OUTLOOK
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
    for magic, found in _MAGIC.items():
        if data.startswith(magic):
            return found
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return Format.HTML
    return None


def _container(data: bytes) -> Format | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as container:
            part = "[Content_Types].xml" if _is_office(container) else "mimetype"
            with container.open(part) as stream:
                head = stream.read(1_000_000)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, RuntimeError):
        return None
    if part == "mimetype":
        return _MIMETYPES.get(head.strip().removesuffix(b"-template"))
    return next((found for mark, found in _CONTAINERS.items() if mark in head), None)


def _is_office(container: zipfile.ZipFile) -> bool:
    return "[Content_Types].xml" in container.namelist()


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
