"""Keeps sources in sync: says which are due, and syncs the one that it is asked to."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ingest.pipeline import remove_documents
from ingest.sources.kinds import described, kind_of
from ingest.sync import Sync, files_source
from ingest.visit import Place, held_documents
from knowledge.errors import (
    FAULTS,
    CatalogUnavailable,
    ConfigurationError,
    FootnoteError,
    IndexUnavailable,
    SourceBusy,
)
from knowledge.models import (
    Feed,
    FeedState,
    Freshness,
    IngestEvent,
    Source,
    derive_id,
)
from knowledge.ports import Connector, Feeds, Ledger

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
"""Renewed while a sync goes on; after it another process may take over."""
RETRY_SECONDS = 300
"""After a failed sync, where the schedule has no shorter time."""
_LOOK_SECONDS = 0.5
_NOTHING = Freshness(documents=0, changes=0)


class Keeper:
    """Fills the door `Sources`; several may share one catalog.

    `sync` is called when something is synced: the list needs neither index nor model. `tries` says
    that this process is the one that will sync, so a source it cannot open is refused at once.
    """

    def __init__(
        self,
        *,
        feeds: Feeds,
        ledger: Ledger,
        sync: Callable[[], Sync],
        connect: Callable[[Feed], Connector],
        tries: bool = True,
        lease: timedelta = LEASE,
    ) -> None:
        self._feeds = feeds
        self._ledger = ledger
        self._sync = sync
        self._connect = connect
        self._tries = tries
        self._lease = lease
        self._stop = threading.Event()
        self._name = f"{socket.gethostname()}-{os.getpid()}"

    # --- the list -------------------------------------------------------------------------------

    def add(self, feed: Feed) -> Feed:
        """Store a new one and return it with its id; it is due at once if it has a schedule.

        Raises `ConfigurationError` for what cannot work, such as a driver that is not installed.
        """
        feed = described(feed)
        for other in self._feeds.feeds():
            if (other.uri, other.collection) == (feed.uri, feed.collection):
                raise ConfigurationError(f"{feed.uri} is kept in sync already, as {other.name!r}")
        if self._tries:
            self._connect(feed).close()
        moment = datetime.now(UTC)
        due_at = moment if feed.every else None
        feed = replace(feed, id=derive_id("feed", feed.name), added_at=moment, due_at=due_at)
        self._feeds.add_feed(feed)
        return feed

    def kind(self, uri: str) -> str:
        """Say what kind of source an address names; raises `ConfigurationError`."""
        return kind_of(uri)

    def feeds(self) -> Sequence[tuple[Feed, Freshness]]:
        """Return all, by name."""
        freshness = self._feeds.freshness()
        return [(feed, freshness.get(feed.id, _NOTHING)) for feed in self._feeds.feeds()]

    def feed(self, feed_id: str) -> tuple[Feed, Freshness]:
        """Return one; raises `NotFound`."""
        feed = self._feeds.feed(feed_id)
        return feed, self._feeds.freshness().get(feed_id, _NOTHING)

    def change(self, feed_id: str, *, paused: bool | None, every: int | None) -> None:
        """Pause or resume, or set the seconds between syncs (0: none); raises `NotFound`."""
        if paused is not None:
            self._feeds.set_feed(feed_id, paused=paused)
        if every is not None:
            due_at = datetime.now(UTC) if every else None
            self._feeds.set_feed(feed_id, every=every or None, due_at=due_at)

    def request(self, feed_id: str) -> None:
        """Have whoever works for this catalog sync it next; raises `NotFound`."""
        self._feeds.set_feed(feed_id, due_at=datetime.now(UTC))

    def remove(self, feed_id: str, *, keep_documents: bool) -> int:
        """Forget a source, and remove what it brought; return how many. Raises `NotFound`.

        A sync of it that is under way stops at its next step.
        """
        feed = self._feeds.feed(feed_id)
        brought = {} if keep_documents else self._ledger.items_of(feed.id)
        source = feed_source(feed)
        held = held_documents(self._ledger, source)
        documents = {key: each for uri in brought for key, each in held.get(uri, {}).items()}
        with self._ledger.transaction():
            removed = remove_documents(self._ledger, documents)
            self._ledger.drop_items(source.id, list(brought))
            self._feeds.drop_feed(feed.id)
        with suppress(IndexUnavailable):  # nobody sees it any more; the worker cleans up later
            self._sync().tidy()
        return len(removed)

    # --- syncs ----------------------------------------------------------------------------------

    def due(self, now: datetime) -> list[Feed]:
        """Return the sources whose time has come and that nobody syncs, longest overdue first."""
        return self._feeds.due_feeds(now)

    def sync_source(
        self, feed_id: str, *, allow_removals: bool = False, dry_run: bool = False
    ) -> Generator[IngestEvent, None, None]:
        """Bring a source up to date, one event per document, each after its effect is durable.

        May be repeated after any interruption: what is done is not done again. Raises `NotFound`,
        `SourceBusy`, `SourceUnavailable`, and what `Pipeline.ingest` raises; the end of it is
        written down in any case.
        """
        feed = self._feeds.feed(feed_id)
        if dry_run:
            with closing(self._connect(feed)) as connector:
                place = _place(feed, connector, allow_removals=allow_removals)
                yield from self._sync().plan(self._sync().visit(place))
            return
        run = _Run(feed, holder=f"{self._name}-{uuid.uuid4().hex[:8]}")
        with self._holding(run):
            try:
                yield from self._run(run, allow_removals=allow_removals)
            except FootnoteError as error:
                run.fail(str(error))
                raise
            except FAULTS:
                run.fail("an error of this service, which its log describes")
                raise
            finally:
                self._finish(run)

    def _run(self, run: _Run, *, allow_removals: bool) -> Iterator[IngestEvent]:
        with closing(self._connect(run.feed)) as connector:
            run.connector = connector
            place = _place(run.feed, connector, run.cursor, allow_removals=allow_removals)
            sync = self._sync()
            visit = sync.visit(place)
            for event in sync.run(visit):
                run.counts[event.outcome.value] += 1
                yield event
                if run.lost.is_set():
                    run.fail("it was removed, or taken over, while it was being synced")
                    return
        if gaps := visit.listing.gaps:
            why = visit.listing.note or f"{gaps[0] or run.feed.uri} could not be listed"
            run.end(FeedState.PARTLY, f"{why}; nothing was removed there")
        elif visit.held_back:
            run.end(FeedState.PARTLY, visit.held_back_reason())
        else:
            run.end(FeedState.OK, "", cursor=visit.listing.cursor)

    def _finish(self, run: _Run) -> None:
        with suppress(CatalogUnavailable):  # the lease runs out, and it is due again
            self._feeds.finish_feed(
                run.feed.id,
                run.holder,
                run.state,
                error=run.error,
                counts=run.counts,
                cursor=run.cursor if run.state is FeedState.OK else None,
                due_at=run.next_at(),
            )

    @contextmanager
    def _holding(self, run: _Run) -> Iterator[None]:
        """Claim the source and renew the lease while the block runs; `run.lost` says it is lost."""
        cursor = self._feeds.claim_feed(run.feed.id, run.holder, lease=self._lease)
        if cursor is None:
            raise SourceBusy(
                f"{run.feed.name} is being synced already; footnote source list shows how it goes"
            )
        run.cursor = cursor
        over = threading.Event()

        def renew() -> None:
            pause = min(self._lease.total_seconds() / 4, _LOOK_SECONDS)
            renewed_at = time.monotonic()
            while not over.wait(pause) and not run.lost.is_set():
                if self._stop.is_set():
                    run.interrupt()
                elif time.monotonic() - renewed_at >= self._lease.total_seconds() / 4:
                    renewed_at = time.monotonic()
                    self._renew(run)

        beating = threading.Thread(target=renew, name="source-lease", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def stop(self) -> None:
        """End what is under way, a listing that takes long as well; nothing is synced after it."""
        self._stop.set()

    def _renew(self, run: _Run) -> None:
        with suppress(CatalogUnavailable):  # there is still time
            if not self._feeds.renew_feed(run.feed.id, run.holder, lease=self._lease):
                run.lost.set()
                run.interrupt()


@dataclass(slots=True)
class _Run:
    """One sync of a feed and how it ends; unless told otherwise, it was stopped."""

    feed: Feed
    holder: str
    cursor: str = ""
    state: FeedState = FeedState.FAILED
    error: str = "it was stopped before it was done; the next sync goes on from there"
    counts: Counter[str] = field(default_factory=Counter)
    lost: threading.Event = field(default_factory=threading.Event)
    connector: Connector | None = None

    def interrupt(self) -> None:
        """End a listing that is under way."""
        if self.connector is not None:
            self.connector.close()

    def end(self, state: FeedState, error: str, *, cursor: str = "") -> None:
        """Note that it came to its end."""
        self.state, self.error = state, error
        if state is FeedState.OK:
            self.cursor = cursor

    def fail(self, error: str) -> None:
        """Note that it did not."""
        self.state, self.error = FeedState.FAILED, error

    def next_at(self) -> datetime | None:
        """Say when it is due again; a failed one sooner than its schedule says."""
        every = self.feed.every
        if not every:
            return None
        seconds = every if self.state is not FeedState.FAILED else min(every, RETRY_SECONDS)
        return datetime.now(UTC) + timedelta(seconds=seconds)


def feed_source(feed: Feed) -> Source:
    """Return the source that the documents of a feed belong to.

    Files of this machine are one source, whoever brings them; everything else is its own.
    """
    if feed.kind == "folder":
        return files_source(feed.collection)
    identity = derive_id("feed", feed.kind, feed.uri, feed.collection)
    return Source(identity, kind=feed.kind, uri=feed.uri, collection=feed.collection)


def _place(feed: Feed, connector: Connector, cursor: str = "", *, allow_removals: bool) -> Place:
    return Place(
        feed_source(feed),
        connector,
        uri=feed.uri,
        access=feed.access,
        tags=feed.tags,
        feed_id=feed.id,
        cursor=cursor,
        since=feed.added_at,
        allow_removals=allow_removals,
    )
