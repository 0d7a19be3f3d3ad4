"""A fake source in memory, which can be unreachable, half listed, or empty."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from knowledge.errors import SourceUnavailable, Unreadable
from knowledge.models import Item, Listing


class Shelf:
    """The `Connector` door over a dict of uri to text."""

    def __init__(self, **texts: str) -> None:
        self.texts = {f"shelf://{name}.txt": text for name, text in texts.items()}
        self.changed_at: dict[str, datetime] = {}
        self.gaps: tuple[str, ...] = ()
        self.reads: list[str] = []
        self.cursors: list[str] = []
        self.broken: set[str] = set()
        self.down = False
        self.blocks = False
        self.listing = threading.Event()
        self._closed = threading.Event()

    def put(self, name: str, text: str) -> None:
        self.texts[f"shelf://{name}.txt"] = text
        self.changed_at[f"shelf://{name}.txt"] = datetime.now(UTC)

    def take(self, name: str) -> str:
        return self.texts.pop(f"shelf://{name}.txt")

    def list(self, cursor: str) -> Listing:
        self.cursors.append(cursor)
        if self.blocks:
            self._closed.clear()  # whoever adds a source closes it, too
            self.listing.set()
            self._closed.wait(60)
            raise SourceUnavailable("it was stopped")
        if self.down:
            raise SourceUnavailable("the shelf cannot be reached")
        return Listing(
            [self._item(uri) for uri in sorted(self.texts)],
            gaps=self.gaps,
            cursor=str(len(self.cursors)),
        )

    def read(self, item: Item, *, limit: int) -> bytes:
        if item.uri in self.broken:
            raise Unreadable("it cannot be read")
        self.reads.append(item.name)
        return self.texts[item.uri].encode()

    def covers(self, uri: str) -> bool:
        return uri.startswith("shelf://")

    def close(self) -> None:
        self._closed.set()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        self.down = True
        yield
        self.down = False

    def _item(self, uri: str) -> Item:
        return Item(
            uri=uri,
            name=uri.rpartition("/")[2],
            media_type="text/plain",
            fingerprint=hashlib.sha1(self.texts[uri].encode()).hexdigest(),  # noqa: S324
            modified_at=self.changed_at.get(uri),
        )
