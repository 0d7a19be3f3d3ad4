"""What every connector of files does, whatever lies behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from ingest.sources.globs import chooser
from knowledge.errors import SourceUnavailable, TooLarge, Unreadable
from knowledge.models import Item
from knowledge.ports import Connector

LIMIT = 1000


class Place(ABC):
    """A real store that a test fills; `base` is the address its items begin with."""

    base = ""

    def __init__(self) -> None:
        self.opened: list[Connector] = []

    @abstractmethod
    def put(self, path: str, data: bytes) -> None: ...

    @abstractmethod
    def delete(self, path: str) -> None: ...

    @abstractmethod
    def connector(self, wanted: Callable[[str], bool], max_bytes: int) -> Connector: ...

    def missing(self) -> Connector | None:
        """Return a connector to a place that does not exist, where that is an error."""
        return None

    def open(self, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Connector:
        opened = self.connector(chooser(include=include, exclude=exclude), LIMIT)
        self.opened.append(opened)
        return opened


class ConnectorContract:
    """Mix in, with a fixture `place`."""

    @pytest.fixture(autouse=True)
    def _closing(self, place: Place) -> Iterator[None]:
        yield
        for opened in place.opened:
            opened.close()

    def test_files_are_listed_with_their_addresses_and_read(self, place: Place) -> None:
        place.put("a.txt", b"the apple text")
        place.put("sub/odd #1 %.md", b"# odd")
        listing = place.open().list("")
        assert [item.uri for item in sorted(listing.items, key=uri)] == [
            f"{place.base}/a.txt",
            f"{place.base}/sub/odd %231 %25.md",
        ]
        assert listing.gaps == ()
        apple, odd = sorted(listing.items, key=uri)
        assert (apple.name, apple.media_type, apple.size) == ("a.txt", "text/plain", 14)
        assert place.open().read(apple, limit=LIMIT) == b"the apple text"
        assert place.open().read(odd, limit=LIMIT) == b"# odd"
        assert place.open().covers(apple.uri)

    def test_what_is_left_out_has_a_reason_and_litter_is_passed_over(self, place: Place) -> None:
        for path in ("old.doc", ".hidden.txt", ".git/a.txt", "~$lock.docx", "Thumbs.db"):
            place.put(path, b"x")
        place.put("big.txt", b"x" * (LIMIT + 1))
        listed = {item.name: item.code for item in place.open().list("").items}
        assert listed == {"old.doc": "unsupported", "big.txt": "too_large"}

    def test_patterns_choose(self, place: Place) -> None:
        for path in ("a.txt", "b.md", "old/c.txt", "new/d.txt"):
            place.put(path, b"x")
        listing = place.open(include=["*.txt"], exclude=["old/"]).list("")
        assert sorted(item.name for item in listing.items) == ["a.txt", "d.txt"]

    def test_a_change_changes_the_fingerprint_or_there_is_none(self, place: Place) -> None:
        place.put("a.txt", b"the apple text")
        (before,) = place.open().list("").items
        place.put("a.txt", b"the peach text")
        (after,) = place.open().list("").items
        assert not after.fingerprint or after.fingerprint != before.fingerprint

    def test_what_is_deleted_is_listed_no_more(self, place: Place) -> None:
        place.put("a.txt", b"x")
        place.put("b.txt", b"x")
        (gone, _) = sorted(place.open().list("").items, key=uri)
        place.delete("a.txt")
        assert [item.name for item in place.open().list("").items] == ["b.txt"]
        with pytest.raises(Unreadable):
            place.open().read(gone, limit=LIMIT)

    def test_no_more_is_read_than_the_limit(self, place: Place) -> None:
        place.put("a.txt", b"x" * 100)
        (item,) = place.open().list("").items
        with pytest.raises(TooLarge):
            place.open().read(item, limit=99)
        assert len(place.open().read(item, limit=100)) == 100

    def test_what_cannot_be_reached_is_an_error_and_not_empty(self, place: Place) -> None:
        missing = place.missing()
        if missing is None:
            pytest.skip("this kind of store cannot be missing")
        with closing(missing), pytest.raises(SourceUnavailable):
            missing.list("")


def uri(item: Item) -> str:
    return item.uri
