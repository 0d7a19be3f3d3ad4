"""Find the files below the folders somebody named, and say why a file is left out."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest.parsing.formats import Format, declared_format
from knowledge.errors import NotFound, Unsupported
from knowledge.formats import MEDIA_TYPES

_LITTER = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_LOCKS = ("~$", ".~lock.")

SETTLED_SECONDS = 2.0
"""File systems stamp a change to within so much (FAT: 2 s): a later one may look the same."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file (or a folder that cannot be listed) below one of the named paths."""

    path: Path
    """Absolute, with symbolic links resolved up to the named path."""
    uri: str
    media_type: str = ""
    """Empty when the file is left out; then `code` and `reason` say why."""
    size: int = 0
    fingerprint: str = ""
    """Changes with the file; empty for one that has changed only just now."""
    modified_at: datetime | None = None
    """When it was written or put there."""
    code: str = ""
    reason: str = ""


def everything(_: str) -> bool:
    """Leave nothing out."""
    return True


def discover(
    root: Path, *, max_bytes: int, wanted: Callable[[str], bool] = everything
) -> Iterator[Found]:
    """Yield the files of one folder, or the one file, in a fixed order.

    `wanted` is asked about paths relative to the folder, with `/` between the parts and, for a
    folder, at the end; what is below an unwanted folder is not looked at. Hidden files, lock files
    of office programs, links that leave the folder and things that are no files are passed over in
    silence. What cannot be read is yielded with a `code`: `unsupported`, `too_large`, `unreadable`,
    `bad_name`; a folder that cannot be listed has `unlisted`. Raises `NotFound` when there is
    nothing at `root`.
    """
    top = root.expanduser().resolve()
    if top.is_dir():
        yield from _walk(top, max_bytes, wanted)
    elif top.is_file():
        yield _look(top, max_bytes)
    else:
        raise NotFound(f"no file or folder at {root}")


def media_type(name: str) -> str:
    """Return the media type that a file's name promises; raises `Unsupported` with advice.

    >>> media_type("Corpus.JSONL.GZ")
    'application/jsonl'
    """
    return MEDIA_TYPES[declared_format(name)]


def holds_lines(name: str) -> bool:
    """Say whether a file of this name holds a document a line."""
    return declared_format(name) is Format.JSON_LINES


def is_litter(name: str) -> bool:
    """Say whether a name is of a hidden file, of a lock, or of what systems leave behind."""
    return name.startswith((".", *_LOCKS)) or name.lower() in _LITTER


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
    return Path(unquote(uri.partition("#")[0]))


def unquote(name: str) -> str:
    """Return what `quote` was given."""
    return name.replace("%23", "#").replace("%25", "%")


def _walk(top: Path, max_bytes: int, wanted: Callable[[str], bool]) -> Iterator[Found]:
    unlisted: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=unlisted.append):
        above = _relative(folder, top)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and wanted(f"{above}{name}/")
        )
        for name in sorted(names):
            path = Path(folder, name)
            if not is_litter(name) and wanted(above + name) and _stays_inside(path, top):
                yield _look(path, max_bytes)
    for error in unlisted:
        path = Path(error.filename or top)
        reason = f"the folder cannot be listed ({error.strerror}); nothing below it was removed"
        yield Found(path, _shown(path), code="unlisted", reason=reason)


def _relative(folder: str, top: Path) -> str:
    """Return the path from `top` to a folder in it, as the beginning of what is below it."""
    below = folder[len(str(top)) :].strip(os.sep).replace(os.sep, "/")
    return f"{below}/" if below else ""


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
        status = path.stat()
    except Unsupported as refusal:
        return Found(path, uri, code=refusal.code, reason=str(refusal))
    except OSError as error:
        return Found(path, uri, code="unreadable", reason=f"it cannot be read: {error.strerror}")
    if status.st_size > max_bytes:
        reason = f"{status.st_size / 1e6:.0f} MB is over the limit of {max_bytes / 1e6:.0f} MB"
        return Found(path, uri, size=status.st_size, code="too_large", reason=reason)
    changed_at = max(status.st_mtime, status.st_ctime)
    return Found(
        path,
        uri,
        media_type=kind,
        size=status.st_size,
        fingerprint=_fingerprint(status) if time.time() - changed_at > SETTLED_SECONDS else "",
        modified_at=datetime.fromtimestamp(changed_at, UTC),
    )


def _fingerprint(status: os.stat_result) -> str:
    """Name everything about a file that no change of its content leaves as it was."""
    parts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return "-".join(map(str, parts))


def _shown(path: Path) -> str:
    """Return the uri with what is no valid text (bytes of another encoding) made visible."""
    return quote(str(path)).encode(errors="backslashreplace").decode()
