"""Find the files below the folders somebody named, and say why a file is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.parsing.formats import Format, declared_format
from knowledge.errors import NotFound, Unsupported

_OPEN_XML = "application/vnd.openxmlformats-officedocument"
_MEDIA_TYPES = {
    Format.PDF: "application/pdf",
    Format.DOCX: f"{_OPEN_XML}.wordprocessingml.document",
    Format.PPTX: f"{_OPEN_XML}.presentationml.presentation",
    Format.XLSX: f"{_OPEN_XML}.spreadsheetml.sheet",
    Format.HTML: "text/html",
    Format.MARKDOWN: "text/markdown",
    Format.TEXT: "text/plain",
    Format.CSV: "text/csv",
    Format.EMAIL: "message/rfc822",
    Format.JSON_LINES: "application/jsonl",
}

_LITTER = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_LOCKS = ("~$", ".~lock.")


@dataclass(frozen=True, slots=True)
class Found:
    """A file (or a folder that cannot be listed) below one of the named paths."""

    path: Path
    """Absolute, with symbolic links resolved up to the named path."""
    uri: str
    media_type: str = ""
    """Empty when the file is left out; then `code` and `reason` say why."""
    size: int = 0
    code: str = ""
    reason: str = ""


def discover(root: Path, *, max_bytes: int) -> Iterator[Found]:
    """Yield the files of one folder, or the one file, in a fixed order.

    Hidden files, lock files of office programs, links that leave the folder and things that are no
    files are passed over in silence. What cannot be read is yielded with a `code`: `unsupported`,
    `too_large`, `unreadable`, `bad_name`; a folder that cannot be listed has `unlisted`. Raises
    `NotFound` when there is nothing at `root`.
    """
    top = root.expanduser().resolve()
    if top.is_dir():
        yield from _walk(top, max_bytes)
    elif top.is_file():
        yield _look(top, max_bytes)
    else:
        raise NotFound(f"no file or folder at {root}")


def media_type(name: str) -> str:
    """Return the media type that a file's name promises; raises `Unsupported` with advice.

    >>> media_type("Corpus.JSONL.GZ")
    'application/jsonl'
    """
    return _MEDIA_TYPES[declared_format(name)]


def holds_lines(name: str) -> bool:
    """Say whether a file of this name holds a document a line."""
    return declared_format(name) is Format.JSON_LINES


def quote(name: str) -> str:
    """Quote `%` and `#` in a path or name, so that a `#` marks a part within the file.

    >>> quote("/a/b#1.txt")
    '/a/b%231.txt'
    """
    return name.replace("%", "%25").replace("#", "%23")


def file_path(uri: str) -> Path:
    """Return the path of the file whose quoted name, with or without a `#` part, is `uri`.

    >>> str(file_path("/a/b%231.jsonl#7"))
    '/a/b#1.jsonl'
    """
    return Path(uri.partition("#")[0].replace("%23", "#").replace("%25", "%"))


def _walk(top: Path, max_bytes: int) -> Iterator[Found]:
    unlisted: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=unlisted.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not _is_litter(name) and _stays_inside(path, top):
                yield _look(path, max_bytes)
    for error in unlisted:
        path = Path(error.filename or top)
        reason = f"the folder cannot be listed ({error.strerror}); nothing below it was removed"
        yield Found(path, _shown(path), code="unlisted", reason=reason)


def _is_litter(name: str) -> bool:
    return name.startswith((".", *_LOCKS)) or name.lower() in _LITTER


def _stays_inside(path: Path, top: Path) -> bool:
    """Say whether it is a regular file, or a link to one, below `top`."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return path.resolve(strict=True).is_relative_to(top) and path.is_file()
    except OSError:  # gone since it was listed, or a link to nowhere
        return False
    return stat.S_ISREG(mode)


def _look(path: Path, max_bytes: int) -> Found:
    uri = _shown(path)
    if uri != quote(str(path)):
        return Found(path, uri, code="bad_name", reason="its name is not valid text; rename it")
    try:
        kind = media_type(path.name)
        size = path.stat().st_size
    except Unsupported as refusal:
        return Found(path, uri, code=refusal.code, reason=str(refusal))
    except OSError as error:
        return Found(path, uri, code="unreadable", reason=f"it cannot be read: {error.strerror}")
    if size > max_bytes:
        reason = f"{size / 1e6:.0f} MB is over the limit of {max_bytes / 1e6:.0f} MB"
        return Found(path, uri, size=size, code="too_large", reason=reason)
    return Found(path, uri, media_type=kind, size=size)


def _shown(path: Path) -> str:
    """Return the uri with what is no valid text (bytes of another encoding) made visible."""
    return quote(str(path)).encode(errors="backslashreplace").decode()
