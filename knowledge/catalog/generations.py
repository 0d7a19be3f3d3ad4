"""Generations of the index: one is live, one may be building, one may be kept to go back to.

A document points to one live revision. While a generation is building, each document gets a second
revision that stands by; the switch moves all pointers in one transaction, and what was live stands
by in its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select, update

from knowledge.catalog.cleaning import FINISHED, bury
from knowledge.catalog.database import Database, now
from knowledge.catalog.rights import labels_of
from knowledge.catalog.rows import (
    BLOCK_COLUMNS,
    DOCUMENT_COLUMNS,
    AnyRow,
    to_block,
    to_document,
    to_revision,
)
from knowledge.catalog.schema import blocks, chunks, documents, generations, revisions
from knowledge.errors import IndexUnavailable, IngestError
from knowledge.models import Document, Generation, GenerationState, Revision, RevisionState

_live = revisions.alias("live")
_LIVE = documents.c.live_revision.is_not(None)


class SqlGenerations:
    """The generations, and the revisions that stand by in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def generations(self) -> list[Generation]:
        """Return all that are kept, the newest first."""
        statement = select(generations).order_by(generations.c.number.desc())
        with self._database.reading() as connection:
            return [_to_generation(row) for row in connection.execute(statement)]

    def generation(self, state: GenerationState) -> Generation | None:
        """Return the one of this state."""
        return next((each for each in self.generations() if each.state is state), None)

    def begin_generation(
        self,
        *,
        versions: str,
        model: str,
        dimension: int,
        chunk_tokens: int,
        state: GenerationState,
    ) -> Generation:
        """Note down a new generation and return it; one that is building already is discarded."""
        with self._database.writing() as connection:
            last = connection.scalar(select(func.max(generations.c.number))) or 0
            made = Generation(
                last + 1, versions, model, dimension, chunk_tokens, state, started_at=now()
            )
            _discard(connection, generations.c.state == state.value)
            connection.execute(insert(generations), _row(made))
        return made

    def measured(self, number: int, *, before: float, after: float) -> None:
        """Note the recall of the golden set in the live generation and in this one."""
        with self._database.writing() as connection:
            connection.execute(
                update(generations)
                .where(generations.c.number == number)
                .values(recall_before=before, recall_after=after)
            )

    def behind(self, number: int, *, limit: int = 100) -> list[str]:
        """Return ids of live documents whose present content this generation lacks."""
        statement = select(documents.c.id).where(_LIVE, ~_stands_by(number))
        with self._database.reading() as connection:
            return list(connection.scalars(statement.order_by(documents.c.id).limit(limit)))

    def progress(self, number: int) -> tuple[int, int]:
        """Return how many live documents the generation has, and how many there are."""
        counting = select(func.count()).select_from(documents).where(_LIVE)
        with self._database.reading() as connection:
            total = connection.scalar(counting) or 0
            return total - (connection.scalar(counting.where(~_stands_by(number))) or 0), total

    def stored(self, document_id: str) -> tuple[Document, Revision] | None:
        """Return a document with its live revision, whoever may read it; None when it has none."""
        statement = select(*DOCUMENT_COLUMNS).where(documents.c.id == document_id, _LIVE)
        with self._database.reading() as connection:
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            document = to_document(row, *labels_of(connection, row.id))
            return document, _revision(connection, row.live_revision)

    def paths(self, document_id: str, chunk_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the heading paths of those chunks that are a document's, live or standing by."""
        statement = (
            select(chunks.c.heading)
            .join(revisions)
            .where(revisions.c.document_id == document_id, chunks.c.id.in_(chunk_ids))
        )
        with self._database.reading() as connection:
            return [row.heading for row in connection.execute(statement)]

    def stand_by(self, revision_id: str, number: int) -> None:
        """Let a complete revision wait for its generation; a former one of it there is dead.

        Raises `IngestError` with the code `superseded` unless it is upserted, and its document
        still has the content that it was made from.
        """
        with self._database.writing() as connection:
            coming = connection.execute(
                select(revisions.c.document_id, revisions.c.digest, revisions.c.state).where(
                    revisions.c.id == revision_id
                )
            ).one_or_none()
            if coming is None or coming.state in FINISHED or not _is_current(connection, coming):
                raise IngestError("the document changed meanwhile", code="superseded")
            same = revisions.c.document_id == coming.document_id
            bury(connection, same & (revisions.c.stands_by == number))
            _set_state(connection, revisions.c.id == revision_id, RevisionState.STANDBY, number)

    def switch_generation(self, number: int) -> int:
        """Make a generation the live one unless documents are behind; return how many are.

        All documents change in one transaction. What was live stands by as the former generation;
        the one before that is discarded.
        """
        with self._database.writing() as connection:
            connection.execute(select(generations.c.number).with_for_update())  # nobody switches
            late = select(func.count()).select_from(documents).where(_LIVE, ~_stands_by(number))
            if behind := connection.scalar(late) or 0:
                return behind
            former = connection.scalar(
                select(generations.c.number).where(_is(GenerationState.LIVE))
            )
            _discard(connection, _is(GenerationState.FORMER) & (generations.c.number != number))
            _exchange(connection, number, former)
            _rename(connection, former, GenerationState.FORMER)
            _rename(connection, number, GenerationState.LIVE, switched_at=now())
        return 0

    def discard_generation(self, number: int) -> None:
        """Give a generation up that is not live; its revisions are dead from now on."""
        with self._database.writing() as connection:
            _discard(connection, (generations.c.number == number) & ~_is(GenerationState.LIVE))


def hold_generation(connection: Connection, number: int) -> None:
    """Keep the live generation what it is until the end of the transaction.

    Raises `IndexUnavailable` when it is another one already.
    """
    held = select(generations.c.number).where(_is(GenerationState.LIVE)).with_for_update(read=True)
    live = connection.scalar(held)
    if live is not None and live != number:
        raise IndexUnavailable("another generation of the index has become live; try again")


def _stands_by(number: int) -> ColumnElement[bool]:
    """Return the condition that a document has a revision of its present content there."""
    return exists().where(
        revisions.c.document_id == documents.c.id,
        revisions.c.stands_by == number,
        _live.c.id == documents.c.live_revision,
        _live.c.digest == revisions.c.digest,
    )


def _is(state: GenerationState) -> ColumnElement[bool]:
    return generations.c.state == state.value


def _is_current(connection: Connection, coming: AnyRow) -> bool:
    """Lock the document and say whether its live revision has the same bytes."""
    locked = (
        select(documents.c.live_revision)
        .where(documents.c.id == coming.document_id)
        .with_for_update()
    )
    live = connection.scalar(locked)
    digest = connection.scalar(select(revisions.c.digest).where(revisions.c.id == live))
    return live is not None and bool(digest == coming.digest)


def _exchange(connection: Connection, number: int, former: int | None) -> None:
    """Let live revisions and those that stand by in `number` change places."""
    waiting = select(revisions.c.id).where(
        revisions.c.document_id == documents.c.id, revisions.c.stands_by == number
    )
    pointed = select(documents.c.live_revision).where(_LIVE)
    _set_state(connection, revisions.c.id.in_(pointed), RevisionState.STANDBY, former)
    moment = now()
    connection.execute(
        update(documents)
        .where(_LIVE)
        .values(live_revision=waiting.scalar_subquery(), changed_at=moment)
    )
    _set_state(connection, revisions.c.stands_by == number, RevisionState.LIVE, None)


def _set_state(
    connection: Connection, which: ColumnElement[bool], state: RevisionState, number: int | None
) -> None:
    values = {"state": state.value, "stands_by": number, "touched_at": now()}
    connection.execute(update(revisions).where(which).values(values))


def _rename(
    connection: Connection,
    number: int | None,
    state: GenerationState,
    **values: Any,  # noqa: ANN401 - column values
) -> None:
    connection.execute(
        update(generations)
        .where(generations.c.number == number)
        .values(state=state.value, **values)
    )


def _discard(connection: Connection, which: ColumnElement[bool]) -> None:
    """Drop generations; revisions that stand by in them are dead."""
    gone = connection.scalars(select(generations.c.number).where(which)).all()
    bury(connection, revisions.c.stands_by.in_(gone))
    connection.execute(delete(generations).where(generations.c.number.in_(gone)))


def _revision(connection: Connection, revision_id: str) -> Revision:
    row = connection.execute(select(revisions).where(revisions.c.id == revision_id)).one()
    found = connection.execute(
        select(*BLOCK_COLUMNS).where(blocks.c.revision_id == revision_id).order_by(blocks.c.ordinal)
    )
    return to_revision(row, map(to_block, found))


def _row(generation: Generation) -> dict[str, Any]:
    return {
        "number": generation.number,
        "versions": generation.versions,
        "model": generation.model,
        "dimension": generation.dimension,
        "chunk_tokens": generation.chunk_tokens,
        "state": generation.state.value,
        "started_at": generation.started_at,
        "switched_at": generation.switched_at,
        "recall_before": generation.recall_before,
        "recall_after": generation.recall_after,
    }


def _to_generation(row: AnyRow) -> Generation:
    given = Generation(**row._mapping)
    return replace(given, state=GenerationState(row.state))
