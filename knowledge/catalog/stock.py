"""What a source has in the catalog: what ingestion asks before it does anything."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from knowledge.catalog.database import Database
from knowledge.catalog.schema import documents, revisions


class SqlStock:
    """The live documents of a source, whoever may read them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, source_id: str) -> dict[str, tuple[str, str]]:
        """Map each live document id of a source to (digest, version string it was made with)."""
        statement = _of_live(documents.c.id, revisions.c.digest, revisions.c.versions).where(
            documents.c.source_id == source_id
        )
        with self._database.reading() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(statement)}

    def by_uri(self, source_id: str) -> dict[str, str]:
        """Map the uri of each live document of a source to its id."""
        statement = select(documents.c.uri, documents.c.id).where(
            documents.c.source_id == source_id, documents.c.live_revision.is_not(None)
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


def _of_live(*columns: Any) -> Select[*tuple[Any, ...]]:  # noqa: ANN401 - columns
    return select(*columns).join_from(
        documents, revisions, revisions.c.id == documents.c.live_revision
    )
