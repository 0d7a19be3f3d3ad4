"""Who may read a document: effective with the next question, copied to the index later."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, delete, insert, select, update

from knowledge.catalog.database import Database, now
from knowledge.catalog.schema import document_access, documents


class SqlRights:
    """The access tokens of documents, and which of them the index has yet to learn."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_access(self, document_id: str, access: frozenset[str]) -> bool:
        """Set who may read a live document, effective at once; False when there is none."""
        this = documents.c.id == document_id
        live = select(documents.c.live_revision).where(this).with_for_update()
        with self._database.writing() as connection:
            if connection.scalar(live) is None:
                return False
            if access_of(connection, document_id) != access:
                replace_access(connection, document_id, access)
                changed = update(documents).where(this)
                connection.execute(changed.values(access_dirty=True, changed_at=now()))
        return True

    def access_to_copy(self) -> dict[str, frozenset[str]]:
        """Return live documents whose access has not yet been copied into the index."""
        statement = (
            select(documents.c.id, document_access.c.token)
            .join_from(documents, document_access, isouter=True)
            .where(documents.c.access_dirty, documents.c.live_revision.is_not(None))
        )
        tokens: defaultdict[str, set[str]] = defaultdict(set)
        with self._database.reading() as connection:
            for document_id, token in connection.execute(statement):
                tokens[document_id] |= {token} - {None}
        return {document_id: frozenset(found) for document_id, found in tokens.items()}

    def access_copied(self, document_id: str, access: frozenset[str]) -> None:
        """Note that the index holds `access`; a no-op if it has changed again meanwhile."""
        of_document = documents.c.id == document_id
        with self._database.writing() as connection:
            connection.execute(select(documents.c.id).where(of_document).with_for_update())
            if access_of(connection, document_id) == access:
                connection.execute(update(documents).where(of_document).values(access_dirty=False))


def access_of(connection: Connection, document_id: str) -> frozenset[str]:
    """Return the tokens of those who may read the document."""
    statement = select(document_access.c.token).where(document_access.c.document_id == document_id)
    return frozenset(connection.scalars(statement))


def replace_access(connection: Connection, document_id: str, access: frozenset[str]) -> None:
    """Let exactly those who hold a token of `access` read the document."""
    connection.execute(delete(document_access).where(document_access.c.document_id == document_id))
    if access:
        rows = [{"document_id": document_id, "token": token} for token in sorted(access)]
        connection.execute(insert(document_access), rows)
