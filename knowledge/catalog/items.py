"""What was brought in of each item of a source, so that an unchanged one need not be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, delete, insert, select, update

from knowledge.catalog.database import Database, now, upsert
from knowledge.catalog.schema import documents, items
from knowledge.models import KeptItem, derive_id

_COLUMNS = (
    items.c.uri,
    items.c.seed,
    items.c.fingerprint,
    items.c.digest,
    items.c.versions,
    items.c.documents,
    items.c.feed_id,
    items.c.modified_at,
    items.c.indexed_at,
    items.c.lag,
)
_NAMES = [column.name for column in _COLUMNS]
_BATCH = 500


class SqlItems:
    """Items by source and uri."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def items(self, source_id: str) -> dict[str, KeptItem]:
        """Map the uris of a source to what is remembered of them."""
        return self._items(items.c.source_id == source_id)

    def items_of(self, feed_id: str) -> dict[str, KeptItem]:
        """Map the uris that a feed last brought to what is remembered of them."""
        return self._items(items.c.feed_id == feed_id)

    def _items(self, which: ColumnElement[bool]) -> dict[str, KeptItem]:
        statement = select(*_COLUMNS).where(which).order_by(items.c.uri)
        with self._database.reading() as connection:
            return {row.uri: KeptItem(**row._mapping) for row in connection.execute(statement)}

    def keep_items(self, source_id: str, kept: Sequence[KeptItem]) -> None:
        """Remember items, in one transaction; what was remembered of the same uris is replaced."""
        rows = [_row(source_id, each) for each in kept]
        with self._database.writing() as connection:
            upsert(connection, items, rows, update=_NAMES)

    def drop_items(self, source_id: str, uris: Sequence[str]) -> None:
        """Forget items; absent ones are no error."""
        ids = [derive_id(source_id, uri) for uri in uris]
        with self._database.writing() as connection:
            for start in range(0, len(ids), _BATCH):
                batch = ids[start : start + _BATCH]
                connection.execute(delete(items).where(items.c.id.in_(batch)))

    def move_item(
        self, source_id: str, former: str, kept: KeptItem, moved: Mapping[str, str]
    ) -> None:
        """Remember an item under its new uri, and give documents theirs (`moved`, by id).

        One transaction; ids, rights and revisions of the documents stay.
        """
        with self._database.writing() as connection:
            gone = [derive_id(source_id, uri) for uri in (former, kept.uri)]
            connection.execute(delete(items).where(items.c.id.in_(gone)))
            connection.execute(insert(items), _row(source_id, kept))
            for document_id, uri in moved.items():
                connection.execute(
                    update(documents)
                    .where(documents.c.id == document_id)
                    .values(uri=uri, changed_at=now())
                )


def _row(source_id: str, kept: KeptItem) -> dict[str, object]:
    values = {name: getattr(kept, name) for name in _NAMES}
    return {"id": derive_id(source_id, kept.uri), "source_id": source_id, **values}
