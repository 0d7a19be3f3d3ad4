"""Files kept by what they say: the name of a file is the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from knowledge.disk import TO_ADD_MB, require_room
from knowledge.errors import NotFound, TooLarge

_PIECE = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEFT_BEHIND_SECONDS = 24 * 3600


class FolderBlobs:
    """Blobs in a folder, two levels deep, readable by their owner alone.

    Several processes may share the folder: a file appears under its name only when it is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        folder.parent.mkdir(parents=True, exist_ok=True)
        _make_private(folder, self._incoming)
        self._clean_up()

    def put(self, stream: BinaryIO, *, limit: int, even_if_full: bool = False) -> tuple[str, int]:
        """Store the stream, fsynced on return; return (digest, size in bytes).

        Raises `TooLarge` as soon as more than `limit` bytes have come, and `OSError` when the disk
        is full, or nearly so unless `even_if_full`; nothing is kept then.
        """
        room = partial(require_room, self._incoming, 0 if even_if_full else TO_ADD_MB)
        handle, name = tempfile.mkstemp(dir=self._incoming)  # mkstemp makes it mode 0600
        incoming = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                digest, size = _copy(stream, file, limit, room)
                file.flush()
                os.fsync(file.fileno())
            self._keep(incoming, digest)
        finally:
            incoming.unlink(missing_ok=True)
        return digest, size

    def has(self, digest: str) -> bool:
        """Say whether the bytes are there."""
        return bool(_DIGEST.fullmatch(digest)) and self._path(digest).is_file()

    def read(self, digest: str) -> bytes:
        """Return the bytes; raises `NotFound`."""
        if not _DIGEST.fullmatch(digest):
            raise NotFound("there is no such file")
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("there is no such file") from error

    def delete(self, digest: str) -> None:
        """Delete; absent is no error."""
        if _DIGEST.fullmatch(digest):
            self._path(digest).unlink(missing_ok=True)

    def untouched(self, *, seconds: float) -> Iterator[str]:
        """Yield the digests of what was last stored at least so long ago."""
        for path in self._folder.glob("??/??/*"):
            if _DIGEST.fullmatch(path.name) and _is_older(path, seconds):
                yield path.name

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest[2:4] / digest

    def _keep(self, incoming: Path, digest: str) -> None:
        """Give the file its name; durable on return, folders included."""
        path = self._path(digest)
        _make_private(path.parent.parent, path.parent)
        incoming.replace(path)
        for folder in (path.parent, path.parent.parent, self._folder):
            _sync_folder(folder)

    def _clean_up(self) -> None:
        """Drop what a process that died has left half-written."""
        for path in self._incoming.iterdir():
            if _is_older(path, _LEFT_BEHIND_SECONDS):
                path.unlink(missing_ok=True)


def _copy(
    stream: BinaryIO, file: BinaryIO, limit: int, room: Callable[[], None]
) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    while piece := stream.read(_PIECE):
        room()
        size += len(piece)
        if size > limit:
            raise TooLarge(f"the file is larger than {_readable(limit)}, the most that is taken")
        digest.update(piece)
        file.write(piece)
    return digest.hexdigest(), size


def _readable(size: int) -> str:
    """Say a number of bytes as people do.

    >>> _readable(200 * 1024 * 1024), _readable(1500)
    ('200 MB', '1500 bytes')
    """
    megabytes, rest = divmod(size, 1024 * 1024)
    return f"{size} bytes" if rest else f"{megabytes} MB"


def _make_private(*folders: Path) -> None:
    """Make folders, outermost first, for their owner alone."""
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)


def _is_older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= seconds
    except FileNotFoundError:  # another process was quicker
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
