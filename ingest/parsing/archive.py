"""Looks into a zip container before any parser opens it: sizes, names, ratios, entities."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pyexpat import ExpatError, ParserCreate, errors

from knowledge.errors import TooLarge, Unreadable

MAX_ENTRIES = 5_000
MAX_UNPACKED = 500_000_000
MAX_RATIO = 100
RATIO_FROM = 1_000_000
"""A part smaller than this may be packed as well as it likes."""

_CHUNK = 65_536
_UNKNOWN_ENCODING = errors.codes[errors.XML_ERROR_UNKNOWN_ENCODING]
_STRICT = b"http://purl.oclc.org/ooxml/"
_STRICT_NAMES = re.compile(re.escape(_STRICT) + rb"(\w+)/")
_TRANSITIONAL = rb"http://schemas.openxmlformats.org/\1/2006/"


def check_container(data: bytes, *, doctypes: bool = False) -> None:
    """Raise `TooLarge` or `Unreadable` unless the container is safe to hand to a parser.

    Sizes are those the container declares; Python's reader gives no byte more than that, and what
    is packed must be there. Every part is looked at, whatever its name says: which parts are XML is
    up to the container. The pages of books may declare `doctypes`: HTML is read without them.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as container:
            parts = container.infolist()
            _check_sizes(parts, len(data))
            _check_names(parts)
            for part in parts:
                if not doctypes:
                    _check_xml(container, part)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise Unreadable(
            "its container is damaged; open it and save it again", code="damaged"
        ) from error


def transitional(data: bytes) -> bytes:
    """Return a container in the dialect that all readers know; Word can also save a strict one."""
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        if _STRICT not in container.read("_rels/.rels"):
            return data
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as copy:
            for part in container.infolist():
                content = container.read(part)
                if part.filename.lower().endswith((".xml", ".rels")):
                    content = _STRICT_NAMES.sub(_TRANSITIONAL, content)
                copy.writestr(part.filename, content)
        return written.getvalue()


def _check_sizes(parts: list[zipfile.ZipInfo], length: int) -> None:
    if len(parts) > MAX_ENTRIES:
        raise TooLarge(f"its container has more than {MAX_ENTRIES:,} parts", code="bomb")
    if sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise TooLarge(f"it unpacks to more than {MAX_UNPACKED:,} bytes", code="bomb")
    if sum(part.compress_size for part in parts) > length:
        raise TooLarge("its parts claim more bytes than the file has", code="bomb")
    for part in parts:
        if part.file_size > max(RATIO_FROM, MAX_RATIO * part.compress_size):
            raise TooLarge(
                f"a part of it unpacks to more than {MAX_RATIO} times its size", code="bomb"
            )


def _check_names(parts: list[zipfile.ZipInfo]) -> None:
    for part in parts:
        name = part.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or ":" in name.split("/")[0]:
            raise Unreadable("a part of it has a path that leads outside", code="hostile")
        if part.flag_bits & 0x1:
            raise Unreadable(
                "it is protected by a password; save it without one and add it again",
                code="encrypted",
            )


def _check_xml(container: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """Read up to the root element; a document type declaration could only stand before it.

    What is not XML ends at its first byte. An encoding that this reader does not know could hide a
    declaration from it, though not from the parser proper.
    """
    found: list[str] = []
    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: found.append("doctype")
    parser.StartElementHandler = lambda *_: found.append("root")
    with container.open(part) as stream:
        while not found and (chunk := stream.read(_CHUNK)):
            try:
                parser.Parse(chunk)
            except (ExpatError, ValueError, LookupError) as error:
                if isinstance(error, ExpatError) and error.code != _UNKNOWN_ENCODING:
                    break  # not well-formed: the parser proper will say so
                raise Unreadable(
                    "its XML has an encoding that no office program writes", code="hostile"
                ) from error
    if found[:1] == ["doctype"]:
        raise Unreadable("its XML declares a document type, which is refused", code="hostile")
