"""What comes after: unfinished revisions are given up, dead ones forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from knowledge.catalog.database import Database, now
from knowledge.catalog.families import drop_childless
from knowledge.catalog.schema import (
    blocks,
    chunks,
    document_access,
    document_tags,
    documents,
    revisions,
)
from knowledge.models import RevisionState

FINISHED = tuple(
    state.value for state in (RevisionState.LIVE, RevisionState.STANDBY, RevisionState.DEAD)
)
_BATCH = 500


class SqlCleaning:
    """Revisions that nobody will see any more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def abandon(self, *, untouched_for: timedelta) -> int:
        """Declare unfinished revisions dead that nobody touched for so long; return how many."""
        with self._database.writing() as connection:
            return bury(
                connection,
                revisions.c.state.not_in(FINISHED)
                & (revisions.c.touched_at <= now() - untouched_for),
            )

    def dead(self, limit: int = 1000) -> list[str]:
        """Return ids of dead revisions whose points are still to be deleted, oldest first."""
        statement = (
            select(revisions.c.id)
            .where(is_in(RevisionState.DEAD))
            .order_by(revisions.c.touched_at, revisions.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return list(connection.scalars(statement))

    def forget(self, revision_ids: Sequence[str]) -> None:
        """Drop the rows of dead revisions, and of invisible documents that have none left."""
        with self._database.writing() as connection:
            for start in range(0, len(revision_ids), _BATCH):
                _forget(connection, revision_ids[start : start + _BATCH])


def is_in(state: RevisionState) -> ColumnElement[bool]:
    """Return the condition that a revision is in this state."""
    return revisions.c.state == state.value


def bury(connection: Connection, which: ColumnElement[bool]) -> int:
    """Declare revisions dead; return how many."""
    return connection.execute(
        update(revisions)
        .where(which)
        .values(state=RevisionState.DEAD.value, stands_by=None, touched_at=now())
    ).rowcount


def drop_parsed(connection: Connection, revision_ids: Sequence[str]) -> None:
    """Drop the chunks and blocks of revisions."""
    connection.execute(delete(chunks).where(chunks.c.revision_id.in_(revision_ids)))
    connection.execute(delete(blocks).where(blocks.c.revision_id.in_(revision_ids)))


def _forget(connection: Connection, revision_ids: Sequence[str]) -> None:
    statement = select(revisions.c.id, revisions.c.document_id, revisions.c.family).where(
        revisions.c.id.in_(revision_ids), is_in(RevisionState.DEAD)
    )
    found = connection.execute(statement).all()
    gone = [row.id for row in found]
    if not gone:
        return
    drop_parsed(connection, gone)
    connection.execute(delete(revisions).where(revisions.c.id.in_(gone)))
    drop_childless(connection, sorted({row.family for row in found if row.family}))
    _drop_empty(connection, sorted({row.document_id for row in found}))


def _drop_empty(connection: Connection, document_ids: Sequence[str]) -> None:
    """Drop documents without any revision; locked first, lest one arrives in between."""
    left = exists().where(revisions.c.document_id == documents.c.id)
    invisible = documents.c.live_revision.is_(None)
    statement = select(documents.c.id).where(documents.c.id.in_(document_ids), invisible)
    locked = connection.scalars(statement.order_by(documents.c.id).with_for_update()).all()
    empty = connection.scalars(select(documents.c.id).where(documents.c.id.in_(locked), ~left))
    gone = list(empty)
    connection.execute(delete(document_access).where(document_access.c.document_id.in_(gone)))
    connection.execute(delete(document_tags).where(document_tags.c.document_id.in_(gone)))
    connection.execute(delete(documents).where(documents.c.id.in_(gone)))
