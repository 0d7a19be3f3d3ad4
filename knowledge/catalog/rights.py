"""Who may read a document, and its tags: effective with the next question, copied to the index.

What the index holds of them may be late; it only narrows what the catalog then decides.
"""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy import Column, Connection, Table, delete, insert, select, update

from knowledge.catalog.database import Database, now, upsert
from knowledge.catalog.rows import DOCUMENT_COLUMNS, to_document
from knowledge.catalog.schema import document_access, document_tags, documents
from knowledge.models import Document

Labels: TypeAlias = tuple[frozenset[str], frozenset[str]]
"""Access tokens and tags."""


class SqlRights:
    """The access tokens and tags of documents, and which of them the index has yet to learn."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_access(self, document_id: str, access: frozenset[str]) -> bool:
        """Set who may read a live document, effective at once; False when there is none."""
        with self._database.writing() as connection:
            if not _lock_live(connection, document_id):
                return False
            if labels_of(connection, document_id)[0] != access:
                replace_access(connection, document_id, access)
                _soil(connection, document_id, changed_at=now())
        return True

    def set_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Set the tags of a live document, effective at once; False when there is none."""
        with self._database.writing() as connection:
            if not _lock_live(connection, document_id):
                return False
            if labels_of(connection, document_id)[1] != tags:
                replace_tags(connection, document_id, tags)
                _soil(connection, document_id)
        return True

    def add_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Give a live document these tags too; False when there is none."""
        with self._database.writing() as connection:
            if not _lock_live(connection, document_id):
                return False
            if not tags <= labels_of(connection, document_id)[1]:
                insert_tags(connection, document_id, tags)
                _soil(connection, document_id)
        return True

    def describe(self, document: Document) -> None:
        """Note language and date of a live document that has been looked at again."""
        with self._database.writing() as connection:
            if _lock_live(connection, document.id):
                told = {"language": document.language, "dated_at": document.dated_at}
                _soil(connection, document.id, **told)

    def labels_to_copy(self, *, limit: int = 100) -> list[Document]:
        """Return live documents whose rights or tags are yet to be copied into the index."""
        statement = (
            select(*DOCUMENT_COLUMNS)
            .where(documents.c.labels_dirty, documents.c.live_revision.is_not(None))
            .order_by(documents.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
            return [to_document(row, *labels_of(connection, row.id)) for row in rows]

    def labels_copied(self, document: Document) -> None:
        """Note that the index holds these; a no-op if they have changed again meanwhile."""
        this = documents.c.id == document.id
        told = select(documents.c.language, documents.c.dated_at).where(this).with_for_update()
        with self._database.writing() as connection:
            row = connection.execute(told).one_or_none()
            same = labels_of(connection, document.id) == (document.access, document.tags)
            if same and row is not None and tuple(row) == (document.language, document.dated_at):
                connection.execute(update(documents).where(this).values(labels_dirty=False))


def labels_of(connection: Connection, document_id: str) -> Labels:
    """Return the tokens of those who may read the document, and its tags."""
    access = _words(connection, document_access.c.token, document_access, document_id)
    return access, _words(connection, document_tags.c.tag, document_tags, document_id)


def replace_access(connection: Connection, document_id: str, access: frozenset[str]) -> None:
    """Let exactly those who hold a token of `access` read the document."""
    connection.execute(delete(document_access).where(document_access.c.document_id == document_id))
    if access:
        rows = [{"document_id": document_id, "token": token} for token in sorted(access)]
        connection.execute(insert(document_access), rows)


def replace_tags(connection: Connection, document_id: str, tags: frozenset[str]) -> None:
    """Let the document have exactly these tags."""
    connection.execute(delete(document_tags).where(document_tags.c.document_id == document_id))
    insert_tags(connection, document_id, tags)


def insert_tags(connection: Connection, document_id: str, tags: frozenset[str]) -> None:
    """Let the document have these tags too."""
    rows = [{"document_id": document_id, "tag": tag} for tag in sorted(tags)]
    upsert(connection, document_tags, rows)


def _lock_live(connection: Connection, document_id: str) -> bool:
    """Say whether there is a live document, and keep other writers away from it until the end."""
    live = select(documents.c.live_revision).where(documents.c.id == document_id)
    return connection.scalar(live.with_for_update()) is not None


def _soil(connection: Connection, document_id: str, **values: object) -> None:
    """Note that the index has to learn something of the document."""
    this = update(documents).where(documents.c.id == document_id)
    connection.execute(this.values(labels_dirty=True, **values))


def _words(
    connection: Connection, word: Column[str], of: Table, document_id: str
) -> frozenset[str]:
    statement = select(word).where(of.c.document_id == document_id)
    return frozenset(connection.scalars(statement))
