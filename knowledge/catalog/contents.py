"""What live revisions consist of: all that the index can be made of again."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from knowledge.catalog.database import Database
from knowledge.catalog.rights import labels_of
from knowledge.catalog.rows import DOCUMENT_COLUMNS, to_document
from knowledge.catalog.schema import chunks, documents
from knowledge.models import Chunk, Document, Span

_OF_LIVE = documents.c.live_revision == chunks.c.revision_id
_COUNTS = (
    select(chunks.c.revision_id, func.count())
    .join_from(chunks, documents, _OF_LIVE)
    .group_by(chunks.c.revision_id)
    .order_by(chunks.c.revision_id)
)
_DOCUMENT = select(*DOCUMENT_COLUMNS).where(documents.c.live_revision == bindparam("revision_id"))
_CHUNKS = (
    select(
        chunks.c.id,
        chunks.c.revision_id,
        chunks.c.ordinal,
        chunks.c.start,
        chunks.c.end,
        chunks.c.heading,
        chunks.c.page,
        chunks.c.header,
        chunks.c.text,
    )
    .join_from(chunks, documents, _OF_LIVE)
    .where(chunks.c.revision_id == bindparam("revision_id"))
    .order_by(chunks.c.ordinal)
)


class SqlContents:
    """Live revisions and their chunks, whoever may read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def live_chunks(self) -> dict[str, int]:
        """Map each live revision that has chunks to how many it has."""
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(_COUNTS)}

    def live_document(self, revision_id: str) -> Document | None:
        """Return the document whose live revision this is; None when it is nobody's."""
        with self._database.reading() as connection:
            row = connection.execute(_DOCUMENT, {"revision_id": revision_id}).one_or_none()
            return None if row is None else to_document(row, *labels_of(connection, row.id))

    def chunk_texts(self, revision_id: str) -> list[tuple[Chunk, str]]:
        """Return the chunks of a live revision in order, each with its text; else none."""
        with self._database.reading() as connection:
            rows = connection.execute(_CHUNKS, {"revision_id": revision_id}).all()
        return [
            (Chunk(key, revision, ordinal, Span(start, end), heading, page, header), text)
            for key, revision, ordinal, start, end, heading, page, header, text in rows
        ]
