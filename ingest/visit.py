"""One look at a place: what is there, what was there before, and so what has to be done.

Nothing here reads or writes anything: `ingest/sync.py` does what this decides.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import PurePosixPath

from ingest.pipeline import Known
from knowledge.models import (
    EVERYONE,
    IngestEvent,
    Item,
    KeptItem,
    Listing,
    Outcome,
    Source,
)
from knowledge.ports import Connector, Ledger

_MAY_PASS = frozenset({"crashed", "out_of_memory", "parser_failed", "superseded", "timeout"})
"""Refusals that another attempt at the same bytes may not meet."""
FEWEST_LOST = 10
"""Where so many items, and more than half of all, are gone at once, removal waits for a word."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sync looks, and on whose behalf."""

    source: Source
    connector: Connector
    uri: str = "/"
    """What is looked at, for people."""
    access: frozenset[str] = frozenset({EVERYONE})
    """Who may read documents that are new."""
    tags: frozenset[str] = frozenset()
    """Given to all its documents, beside those that they have."""
    feed_id: str | None = None
    cursor: str = ""
    since: datetime | None = None
    """When the source was first to be kept in sync; what lay there before was not late."""
    allow_removals: bool = True
    """Also of most items at once."""


@dataclass(slots=True)
class Reading:
    """An item whose bytes were handed on, and what has become of it so far."""

    item: Item
    digest: str
    indexed_at: datetime | None = None
    documents: int = 0
    codes: set[str] = field(default_factory=set)

    def add(self, event: IngestEvent) -> None:
        """Note one event about the item."""
        if event.outcome is Outcome.REJECTED:
            self.codes.add(event.code)
        elif event.outcome is not Outcome.REMOVED:
            self.documents += 1
            if event.outcome is not Outcome.UNCHANGED:
                self.indexed_at = datetime.now(UTC)


@dataclass(slots=True)
class Visit:
    """One look at a place: what was found there, and what was there before."""

    place: Place
    listing: Listing
    found: dict[str, Item]
    held: dict[str, dict[str, Known]]
    """Live documents of the source by item."""
    kept: dict[str, KeptItem]
    notes: dict[str, dict[str, tuple[str, str]]]
    """What was refused by earlier visits, by item and uri: (code, reason)."""
    versions: str
    left_out: list[Item] = field(default_factory=list)
    unchanged: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    vanished: dict[str, dict[str, Known]] = field(default_factory=dict)
    """Items that are there no more, with their documents."""
    moved: dict[str, str] = field(default_factory=dict)
    """New uri to former one."""
    refused: set[str] = field(default_factory=set)
    reading: dict[str, Reading] = field(default_factory=dict)
    aside: deque[IngestEvent] = field(default_factory=deque)
    """Events of items that never reached the pipeline."""
    to_remember: dict[str, KeptItem] = field(default_factory=dict)
    had: int = 0
    """Items this place had before."""
    held_back: int = 0
    done: int = 0
    total: int = 0
    _by_digest: dict[str, list[str]] = field(default_factory=dict)
    _seeds: dict[str, str] = field(default_factory=dict)
    """Seeds of items that have moved away from the uri they were first seen at, to their uri."""

    def compare(self) -> None:
        """Sort what is there into left out, unchanged and changed, and note what has vanished."""
        for item in self.found.values():
            if item.code:
                self.left_out.append(item)
            elif self._is_unchanged(item):
                self.unchanged.append(item)
            else:
                self.changed.append(item)
        known = self.held | {uri: self.held.get(uri, {}) for uri in self.kept}
        ours = {uri: held for uri, held in known.items() if self._is_ours(uri)}
        self.had = len(ours)
        self.vanished = {uri: held for uri, held in ours.items() if self._misses(uri)}
        for uri in sorted(self.vanished):
            self._by_digest.setdefault(self._digest(uri), []).append(uri)
        self._seeds = {each.seed: uri for uri, each in self.kept.items() if each.seed != uri}

    def as_before(self, item: Item) -> Iterator[IngestEvent]:
        """Yield again what is known of an item that has not changed.

        It belongs to the feed that last listed it, whoever brought it.
        """
        kept, feed_id = self.kept[item.uri], self.place.feed_id
        if feed_id not in {None, kept.feed_id}:
            self.to_remember[item.uri] = replace(kept, feed_id=feed_id)
        notes = self.notes.get(item.uri, {})
        self.refused.update(notes)
        documents = {} if item.uri in notes else self.held.get(item.uri, {})
        self.total += max(len(notes) + len(documents) - 1, 0)
        for key, known in documents.items():
            yield IngestEvent(known.uri, Outcome.UNCHANGED, key)
        for uri, (code, reason) in notes.items():
            yield IngestEvent(uri, Outcome.REJECTED, reason=reason, code=code)

    def drain(self) -> Iterator[IngestEvent]:
        """Yield what never reached the pipeline."""
        while self.aside:
            yield self.aside.popleft()

    def former(self, item: Item, digest: str) -> str | None:
        """Return the vanished item that this new one was, preferring one of the same name."""
        if item.uri in self.held or item.uri in self.kept:
            return None
        twins = [uri for uri in self._by_digest.get(digest, ()) if self.vanished.get(uri)]
        alike = [uri for uri in twins if _name(uri) == _name(item.uri)]
        return next(iter(alike + twins), None)

    def keep_moved(self, former: str, item: Item, digest: str) -> KeptItem:
        """Return what to remember of an item at its new place."""
        kept = self.kept.get(former) or KeptItem(former, former, "", digest, "", 0)
        return replace(
            kept,
            uri=item.uri,
            fingerprint=item.fingerprint,
            digest=digest,
            feed_id=self.place.feed_id or kept.feed_id,
            modified_at=item.modified_at,
        )

    def take_over(self, former: str, kept: KeptItem, moved: dict[str, Known]) -> None:
        """Know of a move that has been written down."""
        self.moved[kept.uri] = former
        self.held[kept.uri] = moved
        self.kept.pop(former, None)
        self.kept[kept.uri] = kept
        self._seeds[kept.seed] = kept.uri

    def seed(self, uri: str) -> str:
        """Return what the ids of an item's documents derive from: free where another has moved."""
        if uri in self.kept:
            return self.kept[uri].seed
        seeds = (uri if number == 0 else f"{uri}#{number}" for number in count())
        return next(seed for seed in seeds if self._seeds.get(seed, uri) == uri)

    def keep(self, reading: Reading) -> KeptItem:
        """Return what to remember of an item that was read."""
        item = reading.item
        kept = self.kept.get(item.uri)
        indexed_at, lag = (kept.indexed_at, kept.lag) if kept else (None, None)
        if reading.indexed_at:
            indexed_at, lag = reading.indexed_at, self._lag(item, reading.indexed_at)
        refused_whole = reading.codes and not reading.documents
        return KeptItem(
            uri=item.uri,
            seed=self.seed(item.uri),
            fingerprint="" if reading.codes & _MAY_PASS else item.fingerprint,
            digest=reading.digest,
            versions=self.versions,
            documents=len(self.held.get(item.uri, {})) if refused_whole else reading.documents,
            feed_id=self.place.feed_id or (kept.feed_id if kept else None),
            modified_at=item.modified_at,
            indexed_at=indexed_at,
            lag=lag,
        )

    def settled_notes(self) -> list[str]:
        """Return the uris of notes whose item was looked at again, and found good or gone."""
        return [
            uri
            for item, notes in self.notes.items()
            if item in self.found or (self._is_ours(item) and self._misses(item))
            for uri in notes
            if uri not in self.refused
        ]

    def is_suspicious(self) -> bool:
        """Say whether so much is gone that it may be a fault of the source."""
        lost = len(self.vanished)
        return not self.place.allow_removals and lost >= FEWEST_LOST and 2 * lost > self.had

    def held_back_reason(self) -> str:
        """Say what is gone, and what to do."""
        return (
            f"{len(self.vanished):,} of {self.had:,} items are gone at once; nothing was removed. "
            "If that is right: footnote source sync NAME --allow-removals"
        )

    def held_back_event(self) -> IngestEvent:
        """Return the event that says so."""
        reason = self.held_back_reason()
        return IngestEvent(self.place.uri, Outcome.REJECTED, reason=reason, code="held_back")

    def _is_unchanged(self, item: Item) -> bool:
        kept = self.kept.get(item.uri)
        if kept is None or not item.fingerprint or kept.fingerprint != item.fingerprint:
            return False
        held = self.held.get(item.uri, {})
        known = bool(held) or item.uri in self.notes
        return known and kept.versions == self.versions and kept.documents == len(held)

    def _is_ours(self, uri: str) -> bool:
        kept = self.kept.get(uri)
        mine = kept is not None and kept.feed_id is not None and kept.feed_id == self.place.feed_id
        return mine or self.place.connector.covers(uri)

    def _misses(self, uri: str) -> bool:
        """Say whether an item of this place is there no more, as far as it could be seen."""
        return uri not in self.found and not any(_is_below(uri, gap) for gap in self.listing.gaps)

    def _digest(self, uri: str) -> str:
        kept = self.kept.get(uri)
        whole = self.held.get(uri, {}).values()
        return kept.digest if kept else next((each.digest for each in whole), "")

    def _lag(self, item: Item, indexed_at: datetime) -> float | None:
        if item.modified_at is None or self.place.since is None:
            return None
        return max((indexed_at - max(item.modified_at, self.place.since)).total_seconds(), 0.0)


def held_documents(ledger: Ledger, source: Source) -> dict[str, dict[str, Known]]:
    """Return the live documents of a source, grouped by the uri of the item they came from."""
    known = ledger.known(source.id)
    held: defaultdict[str, dict[str, Known]] = defaultdict(dict)
    for uri, document_id in ledger.by_uri(source.id).items():
        if document_id in known:
            held[item_uri(uri)][document_id] = Known(uri, known[document_id])
    return dict(held)


def item_uri(uri: str) -> str:
    """Return the uri of the item that a document is, or is a part of.

    >>> item_uri("/a/b%231.jsonl#7")
    '/a/b%231.jsonl'
    """
    return uri.partition("#")[0]


def by_item(notes: dict[str, tuple[str, str]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Group notes of refusals by the uri of the item they are about."""
    grouped: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for uri, note in notes.items():
        grouped[item_uri(uri)][uri] = note
    return dict(grouped)


def _is_below(uri: str, gap: str) -> bool:
    return not gap or uri == gap or uri.startswith(gap.rstrip("/") + "/")


def reads_anew(former: str, item: Item) -> bool:
    """Say whether a moved item is ingested again: a title may come from the file's name."""
    return _name(former) != _name(item.uri)


def _name(uri: str) -> str:
    return PurePosixPath(uri).name
