"""The writing side: revisions come, become visible in one transaction, and go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from knowledge.catalog.cleaning import FINISHED, bury, drop_parsed, is_in
from knowledge.catalog.database import Database, now, upsert
from knowledge.catalog.families import family_of
from knowledge.catalog.generations import hold_generation
from knowledge.catalog.rights import insert_tags, labels_of, replace_access, replace_tags
from knowledge.catalog.rows import AnyRow, block_rows, chunk_rows, document_row
from knowledge.catalog.schema import blocks, chunks, documents, rejections, revisions, sources
from knowledge.errors import IngestError
from knowledge.models import (
    Chunk,
    Coverage,
    Document,
    Reading,
    Revision,
    RevisionState,
    Sketch,
    Source,
    derive_id,
)


class SqlLedger:
    """Documents and their revisions, written; only `switch` makes anything visible."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[object]:
        """Make this thread's calls inside the block one durable transaction: all or none."""
        return self._database.writing()

    def ensure_source(self, source: Source) -> None:
        """Store the source unless it is there."""
        row = {
            "id": source.id,
            "kind": source.kind,
            "uri": source.uri,
            "collection": source.collection,
        }
        with self._database.writing() as connection:
            upsert(connection, sources, [row])

    def receive(self, document: Document, *, digest: str, versions: str) -> str:
        """Store the document (not yet visible) and a new revision; return the revision's id.

        The source must be there. A document that is already live stays as it is until `switch`.
        """
        with self._database.writing() as connection:
            generation = _next_generation(connection, document)
            revision_id = derive_id(document.id, str(generation))
            moment = now()
            row = {
                "id": revision_id,
                "document_id": document.id,
                "generation": generation,
                "state": RevisionState.RECEIVED.value,
                "digest": digest,
                "versions": versions,
                "parser": "",
                "chunker": "",
                "text": "",
                "seen_at": moment,
                "touched_at": moment,
                "coverage": Coverage(),
                "extracted": 1.0,
                "reading": Reading(),
            }
            connection.execute(insert(revisions), row)
        return revision_id

    def store_parsed(
        self,
        revision: Revision,
        chunks: Sequence[Chunk],
        terms: Sequence[Sequence[int]],
        sketch: Sketch | None = None,
    ) -> None:
        """Store text, blocks, chunks and the distinct term ids of each chunk.

        With a `sketch`, find the family: that of the oldest text which is as like as it says.
        """
        values = {
            "state": RevisionState.PARSED.value,
            "parser": revision.parser,
            "chunker": revision.chunker,
            "text": revision.text,
            "seen_at": revision.seen_at,
            "coverage": revision.coverage,
            "extracted": revision.coverage.share,
            "certainty": revision.coverage.ocr_confidence,
            "reading": revision.reading,
        }
        with self._database.writing() as connection:
            values["family"] = sketch and family_of(connection, revision.id, sketch)
            _touch_unfinished(connection, revision.id, values)
            drop_parsed(connection, [revision.id])
            _insert(connection, revision, chunks, terms)

    def mark(self, revision_id: str, state: RevisionState) -> None:
        """Write down how far a revision has come; `DEAD` gives it up.

        Raises `IngestError` with code `superseded` when it was removed or abandoned meanwhile.
        """
        if state is RevisionState.LIVE:
            raise ValueError("only `switch` makes a revision live")
        with self._database.writing() as connection:
            if state is RevisionState.DEAD:
                bury(connection, (revisions.c.id == revision_id) & ~is_in(RevisionState.LIVE))
            else:
                _touch_unfinished(connection, revision_id, {"state": state.value})

    def switch(
        self, document: Document, revision_id: str, *, generation: int | None = None
    ) -> None:
        """Make the revision the live one, in one transaction; the former live one becomes dead.

        The first revision brings the access and tags of `document`; later ones keep what is stored,
        which an administrator may have set, and add their tags. Raises `IngestError` with code
        `superseded` when the revision was removed or abandoned, or a later one is live;
        `IndexUnavailable` when another `generation` than the given one is live by now.
        """
        with self._database.writing() as connection:
            if generation is not None:
                hold_generation(connection, generation)
            former = _lock(connection, document.id)
            coming = _revision(connection, revision_id)
            if former is None or coming is None or coming.document_id != document.id:
                raise _superseded()
            if former.live_revision == revision_id:
                return
            _refuse_if_superseded(connection, former, coming)
            if former.live_revision is None:
                replace_access(connection, document.id, document.access)
                replace_tags(connection, document.id, document.tags)
            else:
                insert_tags(connection, document.id, document.tags)
            _raise_to_life(connection, document, coming)

    def remove(self, document_id: str) -> bool:
        """Make the document invisible at once; False when there is none.

        Unfinished revisions are given up too, so that a removed document cannot come back.
        """
        with self._database.writing() as connection:
            document = _lock(connection, document_id)
            if document is None:
                return False
            of_document = revisions.c.document_id == document_id
            buried = bury(connection, of_document & ~is_in(RevisionState.DEAD))
            connection.execute(
                update(documents).where(documents.c.id == document_id).values(live_revision=None)
            )
            replace_access(connection, document_id, frozenset())
            replace_tags(connection, document_id, frozenset())
            _accept(connection, document.source_id, document.uri)
        return buried > 0


def _next_generation(connection: Connection, document: Document) -> int:
    """Count up the document's revisions; the row is made if it is not there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    moment = now()
    statement = (
        dialect.insert(documents)
        .values(
            id=document.id,
            generation=1,
            labels_dirty=False,
            updated_at=moment,
            changed_at=moment,
            **document_row(document),
        )
        .on_conflict_do_update(
            index_elements=[documents.c.id], set_={"generation": documents.c.generation + 1}
        )
        .returning(documents.c.generation)
    )
    generation: int = connection.execute(statement).scalar_one()
    return generation


def _touch_unfinished(connection: Connection, revision_id: str, values: dict[str, Any]) -> None:
    touched = connection.execute(
        update(revisions)
        .where(revisions.c.id == revision_id, revisions.c.state.not_in(FINISHED))
        .values(touched_at=now(), **values)
    )
    if touched.rowcount == 0:
        raise _superseded()


def _superseded() -> IngestError:
    return IngestError(
        "the document was removed or replaced while this revision was being made",
        code="superseded",
    )


def _insert(
    connection: Connection,
    revision: Revision,
    pieces: Sequence[Chunk],
    terms: Sequence[Sequence[int]],
) -> None:
    if revision.blocks:
        connection.execute(insert(blocks), block_rows(revision))
    if pieces:
        connection.execute(insert(chunks), chunk_rows(revision, pieces, terms))


def _lock(connection: Connection, document_id: str) -> AnyRow | None:
    """Read the document's row and keep other writers away from it until the end."""
    statement = select(documents.c.live_revision, documents.c.source_id, documents.c.uri).where(
        documents.c.id == document_id
    )
    return connection.execute(statement.with_for_update()).one_or_none()


def _revision(connection: Connection, revision_id: str) -> AnyRow | None:
    named = ("id", "document_id", "generation", "state", "family")
    columns = [revisions.c[name] for name in named]
    return connection.execute(select(*columns).where(revisions.c.id == revision_id)).one_or_none()


def _refuse_if_superseded(connection: Connection, former: AnyRow, coming: AnyRow) -> None:
    if coming.state == RevisionState.DEAD.value:
        raise _superseded()
    live = _revision(connection, former.live_revision) if former.live_revision else None
    if live is not None and live.generation > coming.generation:
        raise _superseded()


def _raise_to_life(connection: Connection, document: Document, coming: AnyRow) -> None:
    """Move the pointer; whatever came before this revision is dead from now on.

    So is what stands by in another generation: it was made from the former content.
    """
    moment = now()
    earlier = revisions.c.generation < coming.generation
    bury(
        connection,
        (revisions.c.document_id == document.id)
        & (earlier | is_in(RevisionState.STANDBY))
        & ~is_in(RevisionState.DEAD),
    )
    connection.execute(
        update(revisions)
        .where(revisions.c.id == coming.id)
        .values(state=RevisionState.LIVE.value, touched_at=moment)
    )
    connection.execute(
        update(documents)
        .where(documents.c.id == document.id)
        .values(
            live_revision=coming.id,
            family=coming.family,
            updated_at=moment,
            changed_at=moment,
            # the points of this revision were made with the labels that its source says
            labels_dirty=labels_of(connection, document.id) != (document.access, document.tags),
            **document_row(document),
        )
    )
    _accept(connection, document.source_id, document.uri)


def _accept(connection: Connection, source_id: str, uri: str) -> None:
    connection.execute(
        delete(rejections).where(rejections.c.source_id == source_id, rejections.c.uri == uri)
    )
