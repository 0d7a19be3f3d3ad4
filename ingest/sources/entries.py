"""An entry of a remote listing as an item: what its name and size promise, as for a local file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from ingest.discover import is_litter, media_type, quote
from knowledge.errors import ConfigurationError, Unsupported
from knowledge.models import Item

INSTALL = ".venv/bin/pip install -c constraints.txt -e '.[connectors]'"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file at a remote place; `path` is relative to the source, with `/` between its parts."""

    path: str
    key: str
    size: int
    fingerprint: str
    modified_at: datetime | None


def is_taken(path: str, wanted: Callable[[str], bool]) -> bool:
    """Say whether a path is neither hidden nor litter, and wanted with all folders above it.

    >>> is_taken("a/b.txt", lambda _: True), is_taken(".git/b.txt", lambda _: True)
    (True, False)
    """
    parts = path.split("/")
    folders = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
    hidden = any(part.startswith(".") for part in parts) or is_litter(parts[-1])
    return not hidden and all(map(wanted, folders)) and wanted(path)


def item_of(entry: Entry, base: str, *, max_bytes: int) -> Item:
    """Return an entry as an item below the address `base`, left out with a reason if need be."""
    name = PurePosixPath(entry.path).name
    uri = f"{base.rstrip('/')}/{quote(entry.path)}"
    try:
        kind = media_type(name)
    except Unsupported as refusal:
        return Item(uri, name, code=refusal.code, reason=str(refusal))
    if entry.size > max_bytes:
        reason = f"{entry.size / 1e6:.0f} MB is over the limit of {max_bytes / 1e6:.0f} MB"
        return Item(uri, name, size=entry.size, code="too_large", reason=reason)
    return Item(
        uri=uri,
        name=name,
        media_type=kind,
        size=entry.size,
        fingerprint=entry.fingerprint,
        modified_at=entry.modified_at,
        key=entry.key,
    )


def not_installed(kind: str) -> ConfigurationError:
    """Return the error for a kind of source whose driver is absent."""
    return ConfigurationError(f"{kind} sources need drivers that are not installed: {INSTALL}")
