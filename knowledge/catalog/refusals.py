"""What could not be indexed, and why: one note per file or line, until it is or is gone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from knowledge.catalog.database import Database, now, upsert
from knowledge.catalog.schema import rejections

_BATCH = 500


class SqlRefusals:
    """The notes about files and lines that were not indexed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reject(self, source_id: str, uri: str, *, code: str, reason: str) -> None:
        """Note why a file or line was not indexed; one note per uri, the latest wins."""
        row = {
            "source_id": source_id,
            "uri": uri,
            "code": code,
            "reason": reason,
            "seen_at": now(),
        }
        with self._database.writing() as connection:
            upsert(connection, rejections, [row], update=["code", "reason", "seen_at"])

    def rejections(self, source_id: str) -> dict[str, tuple[str, str]]:
        """Map each refused uri of a source to (code, reason)."""
        statement = (
            select(rejections.c.uri, rejections.c.code, rejections.c.reason)
            .where(rejections.c.source_id == source_id)
            .order_by(rejections.c.uri)
        )
        with self._database.reading() as connection:
            return {uri: (code, reason) for uri, code, reason in connection.execute(statement)}

    def accept(self, source_id: str, uris: Sequence[str]) -> None:
        """Drop the notes of `reject` for these uris; absent ones are no error."""
        with self._database.writing() as connection:
            for start in range(0, len(uris), _BATCH):
                batch = uris[start : start + _BATCH]
                connection.execute(
                    delete(rejections).where(
                        rejections.c.source_id == source_id, rejections.c.uri.in_(batch)
                    )
                )
