"""What a source has in the catalog: what ingestion asks before it does anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from knowledge.catalog.database import Database
from knowledge.catalog.rows import BLOCK_COLUMNS, AnyRow, to_block
from knowledge.catalog.schema import blocks, chunks, documents, revisions
from knowledge.models import Parsed

_COPIES = (
    select(revisions.c.id, revisions.c.reading, documents.c.source_id, documents.c.uri)
    .join_from(documents, revisions, revisions.c.id == documents.c.live_revision)
    .where(
        revisions.c.digest == bindparam("digest"),
        revisions.c.versions == bindparam("versions"),
        documents.c.media_type == bindparam("media_type"),
    )
    .limit(200)
)
_REVISION = (
    select(revisions.c.text, revisions.c.coverage, revisions.c.reading, documents.c.external_id)
    .join_from(documents, revisions, revisions.c.document_id == documents.c.id)
    .where(revisions.c.id == bindparam("revision_id"))
)
_BLOCKS = (
    select(*BLOCK_COLUMNS)
    .where(blocks.c.revision_id == bindparam("revision_id"))
    .order_by(blocks.c.ordinal)
)
_IMPRINTED = (
    select(chunks.c.id)
    .join_from(chunks, documents, documents.c.live_revision == chunks.c.revision_id)
    .where(chunks.c.imprint == bindparam("it"))
    .limit(1)
)


class SqlStock:
    """The live documents of a source, whoever may read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, source_id: str) -> dict[str, str]:
        """Map each live document id of a source to its digest."""
        statement = _of_live(documents.c.id, revisions.c.digest).where(
            documents.c.source_id == source_id
        )
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def by_uri(self, source_id: str) -> dict[str, str]:
        """Map the uri of each live document of a source to its id."""
        statement = select(documents.c.uri, documents.c.id).where(
            documents.c.source_id == source_id, documents.c.live_revision.is_not(None)
        )
        with self._database.reading() as connection:
            return {row.uri: row.id for row in connection.execute(statement)}

    def brought(self, source_id: str, job_id: str) -> list[str]:
        """Return the ids of a source's documents whose live content this job has brought."""
        statement = _of_live(documents.c.id, revisions.c.reading).where(
            documents.c.source_id == source_id
        )
        with self._database.reading() as connection:
            return [row.id for row in connection.execute(statement) if row.reading.job == job_id]

    def live_by_uri(self) -> dict[str, str]:
        """Map the uri of each live document of any source to its id."""
        statement = select(documents.c.uri, documents.c.id).where(
            documents.c.live_revision.is_not(None)
        )
        with self._database.reading() as connection:
            return {row.uri: row.id for row in connection.execute(statement)}

    def digest(self, document_id: str) -> str | None:
        """Return the digest of the live revision; None when the document has none."""
        statement = _of_live(revisions.c.digest).where(documents.c.id == document_id)
        with self._database.reading() as connection:
            digest: str | None = connection.scalar(statement)
        return digest

    def uris(self, digest: str) -> list[str]:
        """Return the uris of the live documents whose revision has this digest."""
        statement = _of_live(documents.c.uri).where(revisions.c.digest == digest)
        with self._database.reading() as connection:
            return sorted(connection.scalars(statement))

    def parsed(self, digest: str, *, versions: str, media_type: str) -> list[Parsed]:
        """Return what a live file of these very bytes was parsed into, the file itself first.

        All of its documents, or none. A title that was taken from the file's name is left out.
        """
        given = {"digest": digest, "versions": versions, "media_type": media_type}
        with self._database.reading() as connection:
            found = connection.execute(_COPIES, given).all()
            return [_parsed(connection, revision_id) for revision_id in _whole_file(found)]

    def imprinted(self, imprints: Collection[str]) -> dict[str, str]:
        """Map those imprints that a chunk of a live revision has to the id of one such chunk."""
        with self._database.reading() as connection:
            found = ((each, connection.scalar(_IMPRINTED, {"it": each})) for each in imprints)
            return {each: chunk_id for each, chunk_id in found if chunk_id is not None}


def _whole_file(found: Sequence[AnyRow]) -> list[str]:
    """Return the revisions of the first file of which all documents are there, else none."""
    files: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for revision_id, reading, source_id, uri in found:
        file = files.setdefault((source_id, uri.partition("#")[0]), [])
        file.append((reading.part, revision_id))
        if len(file) == reading.parts:
            return [each for _, each in sorted(file)]
    return []


def _parsed(connection: Connection, revision_id: str) -> Parsed:
    row = connection.execute(_REVISION, {"revision_id": revision_id}).one()
    found = connection.execute(_BLOCKS, {"revision_id": revision_id}).all()
    return Parsed(
        title=row.reading.title,
        text=row.text,
        blocks=tuple(map(to_block, found)),
        external_id=row.external_id,
        metadata=row.reading.metadata,
        warnings=row.reading.notes,
        part=row.reading.part,
        coverage=row.coverage,
    )


def _of_live(*columns: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 - columns
    return select(*columns).join_from(
        documents, revisions, revisions.c.id == documents.c.live_revision
    )
