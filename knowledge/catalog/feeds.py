"""Sources that are kept in sync: what to list, when, and how it went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from knowledge.catalog.database import Database, now
from knowledge.catalog.rows import AnyRow
from knowledge.catalog.schema import feeds, items
from knowledge.errors import ConfigurationError, NotFound
from knowledge.models import Feed, FeedState, Freshness

_COLUMNS = [column for column in feeds.c if column.name not in {"cursor", "holder", "lease_until"}]
_UNSAID = {"state": FeedState.NEVER.value, "error": "", "cursor": "", "holder": "", "counts": {}}


class SqlFeeds:
    """Feeds by id; one holder at a time syncs each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_feed(self, feed: Feed) -> None:
        """Store a new one; raises `ConfigurationError` when its name is taken."""
        row = {
            "id": feed.id,
            "name": feed.name,
            "kind": feed.kind,
            "uri": feed.uri,
            "collection": feed.collection,
            "access": sorted(feed.access),
            "tags": sorted(feed.tags),
            "settings": feed.settings,
            "every": feed.every,
            "paused": feed.paused,
            "added_at": feed.added_at or now(),
            "due_at": feed.due_at,
            **_UNSAID,
        }
        try:
            with self._database.writing() as connection:
                connection.execute(insert(feeds), row)
        except IntegrityError as error:
            raise ConfigurationError(
                f"there is a source called {feed.name!r} already; choose another name, or remove "
                f"it first: footnote source remove {feed.name}"
            ) from error

    def feed(self, feed_id: str) -> Feed:
        """Return one; raises `NotFound`."""
        found = self._load(feeds.c.id == feed_id)
        if not found:
            raise NotFound("there is no such source")
        return found[0]

    def feeds(self) -> list[Feed]:
        """Return all, by name."""
        return self._load()

    def due_feeds(self, moment: datetime) -> list[Feed]:
        """Return those whose time has come and that nobody syncs, longest overdue first."""
        due = self._load(feeds.c.due_at <= moment, ~feeds.c.paused, _is_free(moment))
        return sorted(due, key=lambda feed: feed.due_at or moment)

    def _load(self, *which: ColumnElement[bool]) -> list[Feed]:
        statement = select(*_COLUMNS).where(*which).order_by(feeds.c.name)
        with self._database.reading() as connection:
            return [_to_feed(row) for row in connection.execute(statement)]

    def set_feed(self, feed_id: str, **values: Any) -> None:  # noqa: ANN401 - column values
        """Set `paused`, `every` or `due_at`; raises `NotFound`."""
        if unknown := values.keys() - {"paused", "every", "due_at"}:
            raise ValueError(f"not to be set: {unknown}")
        with self._database.writing() as connection:
            if not connection.execute(_of(feed_id).values(**values)).rowcount:
                raise NotFound("there is no such source")

    def claim_feed(self, feed_id: str, holder: str, *, lease: timedelta) -> str | None:
        """Begin a sync and return the cursor of the last one; None while somebody else holds it."""
        moment = now()
        begun = {
            "state": FeedState.RUNNING.value,
            "started_at": moment,
            "finished_at": None,
            "holder": holder,
            "lease_until": moment + lease,
        }
        claim = _of(feed_id).where(_is_free(moment)).values(**begun).returning(feeds.c.cursor)
        with self._database.writing() as connection:
            cursor: str | None = connection.scalar(claim)
        return cursor

    def renew_feed(self, feed_id: str, holder: str, *, lease: timedelta) -> bool:
        """Prolong the lease; False when the feed was removed or taken by somebody else."""
        mine = _of(feed_id).where(feeds.c.holder == holder).values(lease_until=now() + lease)
        with self._database.writing() as connection:
            return connection.execute(mine).rowcount == 1

    def finish_feed(
        self,
        feed_id: str,
        holder: str,
        state: FeedState,
        *,
        error: str,
        counts: Mapping[str, int],
        cursor: str | None,
        due_at: datetime | None,
    ) -> None:
        """Write how a sync ended; a `cursor` of None leaves the former one.

        What somebody else has taken over meanwhile is left alone.
        """
        moment = now()
        values: dict[str, Any] = {
            "state": state.value,
            "finished_at": moment,
            "error": error,
            "counts": {name: str(count) for name, count in counts.items()},
            "due_at": due_at,
            "holder": "",
            "lease_until": None,
        }
        if cursor is not None:
            values["cursor"] = cursor
        if state is FeedState.OK:
            values["synced_at"] = feeds.c.started_at
        with self._database.writing() as connection:
            connection.execute(_of(feed_id).where(feeds.c.holder == holder).values(**values))

    def release_feeds(self) -> int:
        """End all claims; only for a process known to be the only one. Return how many."""
        ended = (
            update(feeds)
            .where(feeds.c.holder != "")
            .values(
                state=FeedState.FAILED.value,
                error="it was stopped before it was done; the next sync goes on from there",
                holder="",
                lease_until=None,
            )
        )
        with self._database.writing() as connection:
            return connection.execute(ended).rowcount

    def drop_feed(self, feed_id: str) -> None:
        """Forget a feed; its items stay, as nobody's. Absent is no error."""
        with self._database.writing() as connection:
            connection.execute(update(items).where(items.c.feed_id == feed_id).values(feed_id=None))
            connection.execute(delete(feeds).where(feeds.c.id == feed_id))

    def freshness(self) -> dict[str, Freshness]:
        """Say for each feed with items how long its latest changes took to become searchable."""
        statement = (
            select(items.c.feed_id, items.c.documents, items.c.lag)
            .where(items.c.feed_id.is_not(None))
            .order_by(items.c.feed_id, items.c.lag)
        )
        found: dict[str, tuple[list[int], list[float]]] = {}
        with self._database.reading() as connection:
            for feed_id, count, lag in connection.execute(statement):
                counts, lags = found.setdefault(feed_id, ([], []))
                counts.append(count)
                if lag is not None:
                    lags.append(lag)
        return {
            feed_id: Freshness(sum(counts), len(lags), _rank(lags, 0.5), _rank(lags, 0.95))
            for feed_id, (counts, lags) in found.items()
        }


def _of(feed_id: str) -> Any:  # noqa: ANN401 - an UPDATE, which further clauses complete
    return update(feeds).where(feeds.c.id == feed_id)


def _is_free(moment: datetime) -> ColumnElement[bool]:
    return or_(feeds.c.holder == "", feeds.c.lease_until <= moment)


def _rank(lags: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least `share` of the sorted values do not pass.

    >>> _rank([1.0, 2.0, 3.0, 4.0], 0.5), _rank([1.0, 2.0], 0.95), _rank([], 0.5)
    (2.0, 2.0, None)
    """
    return lags[math.ceil(share * len(lags)) - 1] if lags else None


def _to_feed(row: AnyRow) -> Feed:
    values = row._asdict()
    return Feed(
        **values
        | {
            "access": frozenset(row.access),
            "tags": frozenset(row.tags),
            "state": FeedState(row.state),
            "counts": {name: int(count) for name, count in row.counts.items()},
        }
    )
