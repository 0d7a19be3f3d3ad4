"""What the catalog holds, for the operator; it counts, whoever may read what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, FromClause, Select, func, select

from knowledge.catalog.database import Database
from knowledge.catalog.schema import chunks, documents, rejections, revisions, submissions


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is; an operator's view, never a user's."""

    documents: int
    """Live ones."""
    chunks: int
    """Of live revisions."""
    by_collection: dict[str, int]
    """Live documents of each collection."""
    revisions: dict[str, int]
    """By state."""
    submissions: dict[str, int]
    """By state."""
    failures: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A file or line that is not indexed, and why."""

    source_id: str
    uri: str
    code: str
    reason: str
    seen_at: datetime


class SqlOverview:
    """The operator's view of the catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Counts:
        """Count everything of one moment."""
        live = documents.c.live_revision.is_not(None)
        of_live = chunks.join(documents, documents.c.live_revision == chunks.c.revision_id)
        with self._database.reading() as connection:
            by_collection = _tally(connection, select(documents.c.collection).where(live))
            return Counts(
                documents=sum(by_collection.values()),
                chunks=_count(connection, of_live),
                by_collection=by_collection,
                revisions=_tally(connection, select(revisions.c.state)),
                submissions=_tally(connection, select(submissions.c.state)),
                failures=_count(connection, rejections),
            )

    def failures(self, limit: int = 100) -> list[Failure]:
        """List what is not indexed, latest first."""
        statement = (
            select(
                rejections.c.source_id,
                rejections.c.uri,
                rejections.c.code,
                rejections.c.reason,
                rejections.c.seen_at,
            )
            .order_by(rejections.c.seen_at.desc(), rejections.c.uri)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Failure(*row) for row in connection.execute(statement)]


def _count(connection: Connection, what: FromClause) -> int:
    return connection.scalar(select(func.count()).select_from(what)) or 0


def _tally(connection: Connection, names: Select[str]) -> dict[str, int]:
    """Count how often each name comes."""
    rows = connection.execute(names.add_columns(func.count()).group_by(*names.selected_columns))
    return {row[0]: row[1] for row in rows}
