"""The short names of formats, and the media types that documents of them have."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_OPEN_XML = "application/vnd.openxmlformats-officedocument"
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "pdf": "application/pdf",
        "docx": f"{_OPEN_XML}.wordprocessingml.document",
        "pptx": f"{_OPEN_XML}.presentationml.presentation",
        "xlsx": f"{_OPEN_XML}.spreadsheetml.sheet",
        "odt": f"{_OPEN_DOCUMENT}.text",
        "ods": f"{_OPEN_DOCUMENT}.spreadsheet",
        "odp": f"{_OPEN_DOCUMENT}.presentation",
        "epub": "application/epub+zip",
        "rtf": "application/rtf",
        "html": "text/html",
        "xml": "application/xml",
        "md": "text/markdown",
        "txt": "text/plain",
        "csv": "text/csv",
        "eml": "message/rfc822",
        "msg": "application/vnd.ms-outlook",
        "json": "application/json",
        "jsonl": "application/jsonl",
        "png": "image/png",
        "jpg": "image/jpeg",
        "tiff": "image/tiff",
    }
)
SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {full: name for name, full in MEDIA_TYPES.items()}
)
