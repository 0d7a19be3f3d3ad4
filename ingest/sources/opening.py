"""From a feed to its connector; what a kind needs is imported when that kind is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.sources.folder import FolderConnector
from ingest.sources.globs import chooser, patterns
from ingest.sources.kinds import folder_path
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
    """Open what a feed names; raises `ConfigurationError` for what cannot work."""
    return open_folder(feed, max_bytes=allowed.max_bytes)


def open_folder(feed: Feed, *, max_bytes: int) -> FolderConnector:
    """Open a folder of this machine; that it exists is found out when it is listed."""
    wanted = chooser(
        include=patterns(feed.settings.get("include", "")),
        exclude=patterns(feed.settings.get("exclude", "")),
    )
    return FolderConnector([folder_path(feed.uri)], max_bytes=max_bytes, wanted=wanted)
