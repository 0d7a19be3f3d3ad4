"""From a feed to its connector; what a kind needs is imported when that kind is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ingest.sources.folder import FolderConnector
from ingest.sources.globs import chooser, patterns
from ingest.sources.kinds import filled_in, folder_path
from knowledge.models import Feed
from knowledge.ports import Connector


@dataclass(frozen=True, slots=True)
class Allowed:
    """What this installation lets its sources do."""

    max_bytes: int
    """Of one item."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    private: str = ""
    """Hosts and networks on private addresses that may be crawled, with commas."""
    readers: str = ""
    """LlamaIndex readers that may be used, with commas."""
    reader_seconds: float = 600


def open_source(feed: Feed, allowed: Allowed) -> Connector:
    """Open what a feed names; raises `ConfigurationError` for what cannot work.

    Nothing is connected to before it is listed.
    """
    if feed.kind == "folder":
        return open_folder(feed, max_bytes=allowed.max_bytes)
    if feed.kind == "web":
        return _open_web(feed, allowed)
    if feed.kind == "reader":
        return _open_reader(feed, allowed)
    return _open_remote(feed, allowed)


def open_folder(feed: Feed, *, max_bytes: int) -> FolderConnector:
    """Open a folder of this machine; that it exists is found out when it is listed."""
    return FolderConnector([folder_path(feed.uri)], max_bytes=max_bytes, wanted=_wanted(feed))


def _open_web(feed: Feed, allowed: Allowed) -> Connector:
    from ingest.sources.addresses import AddressBook
    from ingest.sources.web import Crawl, WebConnector

    book = AddressBook(allowed.private)
    crawl = Crawl.of(feed.uri, feed.settings)
    return WebConnector(crawl, book=book, max_bytes=allowed.max_bytes)


def _open_remote(feed: Feed, allowed: Allowed) -> Connector:
    from ingest.sources.bucket import open_bucket
    from ingest.sources.remote import open_smb, open_webdav

    openers: dict[str, Callable[..., Connector]] = {
        "s3": open_bucket,
        "webdav": open_webdav,
        "smb": open_smb,
    }
    return openers[feed.kind](
        feed.uri,
        filled_in(feed.settings, allowed.secrets),
        wanted=_wanted(feed),
        max_bytes=allowed.max_bytes,
    )


def _open_reader(feed: Feed, allowed: Allowed) -> Connector:
    from ingest.sources.reader import open_reader

    settings = filled_in(feed.settings, allowed.secrets)
    return open_reader(
        feed.uri,
        settings,
        secrets=[each for name, each in settings.items() if each != feed.settings[name]],
        allowed=allowed.readers,
        max_bytes=allowed.max_bytes,
        seconds=allowed.reader_seconds,
    )


def _wanted(feed: Feed) -> Callable[[str], bool]:
    return chooser(
        include=patterns(feed.settings.get("include", "")),
        exclude=patterns(feed.settings.get("exclude", "")),
    )
