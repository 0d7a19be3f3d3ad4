"""WebDAV and SMB shares as sources, through fsspec; only this file knows fsspec and its drivers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from ingest.sources.entries import Entry, is_taken, item_of, not_installed
from knowledge.errors import SourceUnavailable, TooLarge, Unreadable
from knowledge.models import Item, Listing

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SECONDS = 60
SETTLED_SECONDS = 2.0
_Info: TypeAlias = dict[str, Any]
_MODIFIED = ("modified", "mtime", "last_modified", "LastModified", "created")
_TAGS = ("etag", "ETag", "e_tag")


def _open_and_read(system: AbstractFileSystem, path: str, most: int) -> bytes:
    with system.open(path, "rb") as file:
        data: bytes = file.read(most)
    return data


def _leave(_: AbstractFileSystem) -> None:
    """Do nothing: the driver closes its connections itself."""


@dataclass(frozen=True, slots=True)
class Driver:
    """How one kind of share is reached."""

    connect: Callable[[], AbstractFileSystem]
    failures: tuple[type[Exception], ...] = (OSError,)
    """What it raises when something is wrong."""
    fetch: Callable[[AbstractFileSystem, str, int], bytes] = _open_and_read
    """From a path to at most so many bytes."""
    disconnect: Callable[[AbstractFileSystem], None] = _leave


class RemoteConnector:
    """Walks the folders of a share."""

    def __init__(
        self,
        driver: Driver,
        root: str,
        uri: str,
        *,
        wanted: Callable[[str], bool],
        max_bytes: int,
    ) -> None:
        self._driver = driver
        self._root = root.rstrip("/")
        self._uri = uri.rstrip("/")
        self._wanted = wanted
        self._max_bytes = max_bytes
        self._opened: AbstractFileSystem | None = None
        self._closed = threading.Event()

    def list(self, cursor: str) -> Listing:
        """Walk all folders; one that cannot be listed is a gap, the topmost one an error."""
        gaps: dict[str, str] = {}
        items = [
            item_of(self._entry(path, info), self._uri, max_bytes=self._max_bytes)
            for path, info in self._walk("", gaps)
        ]
        if "" in gaps:
            raise SourceUnavailable(f"{self._uri} cannot be listed: {gaps['']}")
        note = next((f"{path} cannot be listed: {why}" for path, why in gaps.items()), "")
        return Listing(items, gaps=tuple(f"{self._uri}/{path}" for path in gaps), note=note)

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return a file's bytes."""
        try:
            data = self._driver.fetch(self._system(), item.key, limit + 1)
        except FileNotFoundError as error:
            raise Unreadable("it has gone since it was listed") from error
        except self._driver.failures as error:
            raise Unreadable(f"it cannot be read: {_first_line(error)}") from error
        if len(data) > limit:
            raise TooLarge(f"it is over the limit of {limit / 1e6:.0f} MB")
        return data

    def covers(self, uri: str) -> bool:
        """Say that every file of this source is listed, if it is there."""
        return True

    def close(self) -> None:
        """Stop a walk that is under way, and let go of the connection."""
        self._closed.set()
        if self._opened is not None:
            self._driver.disconnect(self._opened)

    def _walk(self, folder: str, gaps: dict[str, str]) -> Iterator[tuple[str, _Info]]:
        """Yield each file below a folder with its relative path."""
        if self._closed.is_set():
            raise SourceUnavailable("it was stopped")
        try:
            found = self._system().ls(f"{self._root}/{folder}".rstrip("/"), detail=True)
        except self._driver.failures as error:
            gaps[folder] = _first_line(error)
            return
        for info in sorted(found, key=lambda each: str(each["name"])):
            name = PurePosixPath(str(info["name"]).rstrip("/")).name
            path = f"{folder}/{name}" if folder else name
            if info["type"] == "directory":
                if self._wanted(f"{path}/") and not name.startswith("."):
                    yield from self._walk(path, gaps)
            elif info["type"] == "file" and is_taken(path, self._wanted):
                yield path, info

    def _entry(self, path: str, info: _Info) -> Entry:
        modified_at = _moment(next((info[name] for name in _MODIFIED if info.get(name)), None))
        size = int(info.get("size") or 0)
        tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
        tag = tag or (modified_at.isoformat() if modified_at else "")
        if modified_at and not _has_settled(modified_at):
            tag = ""  # servers make tags of times in whole seconds
        return Entry(
            path=path,
            key=f"{self._root}/{path}",
            size=size,
            fingerprint=f"{tag}-{size}" if tag else "",
            modified_at=modified_at,
        )

    def _system(self) -> AbstractFileSystem:
        if self._opened is None:
            self._opened = self._driver.connect()
        return self._opened


def open_webdav(
    uri: str, settings: Mapping[str, str], *, wanted: Callable[[str], bool], max_bytes: int
) -> RemoteConnector:
    """Open `webdav://host/path` or `webdavs://…`; connects when it is listed."""
    try:
        import httpx
        from webdav4.client import ClientError
        from webdav4.fsspec import WebdavFileSystem
    except ImportError:
        raise not_installed("webdav") from None
    parts = urlsplit(uri)
    base = f"{'https' if parts.scheme == 'webdavs' else 'http'}://{parts.netloc}{parts.path}"
    user = settings.get("user", "")

    def connect() -> AbstractFileSystem:
        return WebdavFileSystem(
            base,
            auth=(user, settings.get("password", "")) if user else None,
            timeout=SECONDS,
            trust_env=False,
            skip_instance_cache=True,
        )

    def fetch(system: AbstractFileSystem, path: str, most: int) -> bytes:
        with system.client.http.stream("GET", base.rstrip("/") + quote(path)) as reply:
            if reply.status_code == httpx.codes.NOT_FOUND:
                raise FileNotFoundError(path)
            reply.raise_for_status()
            return _first(reply.iter_bytes(), most)

    driver = Driver(
        connect,
        # It neither encodes nor finds again what has a # or % in its name.
        failures=(OSError, ClientError, httpx.HTTPError, httpx.InvalidURL, KeyError),
        fetch=fetch,
        disconnect=lambda system: system.client.http.close(),
    )
    return RemoteConnector(driver, "", uri, wanted=wanted, max_bytes=max_bytes)


def open_smb(
    uri: str, settings: Mapping[str, str], *, wanted: Callable[[str], bool], max_bytes: int
) -> RemoteConnector:
    """Open `smb://host/share/path`; connects when it is listed."""
    try:
        from fsspec.implementations.smb import SMBFileSystem
        from smbprotocol.exceptions import SMBException
    except ImportError:
        raise not_installed("smb") from None
    parts = urlsplit(uri)

    def connect() -> AbstractFileSystem:
        return SMBFileSystem(
            parts.hostname or "",
            port=int(settings["port"]) if "port" in settings else parts.port,
            username=settings.get("user") or None,
            password=settings.get("password") or None,
            timeout=SECONDS,
            encrypt=True,
            skip_instance_cache=True,
        )

    driver = Driver(connect, failures=(OSError, SMBException, ValueError))
    root = unquote(parts.path)
    return RemoteConnector(driver, root, uri, wanted=wanted, max_bytes=max_bytes)


def _first(pieces: Iterator[bytes], most: int) -> bytes:
    """Join pieces until there are `most` bytes."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) >= most:
            break
    return bytes(data[:most])


def _moment(told: object) -> datetime | None:
    """Read a time as the drivers write it: a datetime, or seconds."""
    if isinstance(told, datetime):
        return told if told.tzinfo else told.replace(tzinfo=UTC)
    return datetime.fromtimestamp(told, UTC) if isinstance(told, (int, float)) else None


def _has_settled(modified_at: datetime) -> bool:
    """Say whether a further change would get another time."""
    return (datetime.now(UTC) - modified_at).total_seconds() > SETTLED_SECONDS


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
