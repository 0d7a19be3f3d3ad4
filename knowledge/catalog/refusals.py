"""What could not be indexed, and why: one note per file or line, until it is or is gone.

A file that failed twice, with the same bytes and the same parser, is quarantined: it is not tried
again until one of the two changes, or somebody says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from knowledge.catalog.database import Database, now, upsert
from knowledge.catalog.rows import AnyRow
from knowledge.catalog.schema import items, rejections
from knowledge.errors import NotFound
from knowledge.models import Refused, derive_id

ATTEMPTS = 2
_BATCH = 500
_UPDATED = ("code", "reason", "seen_at", "first_seen_at", "attempts", "digest", "tried_with")
_COLUMNS = tuple(
    rejections.c[name]
    for name in ("id", "source_id", "uri", "code", "reason", "seen_at", *_UPDATED[3:])
)
_QUARANTINED = rejections.c.attempts >= ATTEMPTS


class SqlRefusals:
    """The notes about files and lines that were not indexed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reject(
        self,
        source_id: str,
        uri: str,
        *,
        code: str,
        reason: str,
        digest: str = "",
        tried_with: str = "",
    ) -> None:
        """Note why a file or line was not indexed; one note per uri, the latest wins.

        With a `digest` it counts as a failed attempt at these bytes with this parser; attempts at
        others before it are forgotten.
        """
        row = {"id": derive_id(source_id, uri), "source_id": source_id, "uri": uri, "code": code}
        row |= {"reason": reason, "digest": digest, "tried_with": tried_with}
        with self._database.writing() as connection:
            first, attempts = _attempts(connection, row)
            moment = now()
            counted = {"seen_at": moment, "first_seen_at": first or moment, "attempts": attempts}
            upsert(connection, rejections, [{**row, **counted}], update=_UPDATED)

    def quarantined(
        self, source_id: str, uri: str, *, digest: str, tried_with: str
    ) -> Refused | None:
        """Return the note that keeps these bytes at `uri` from being tried; None: try them."""
        which = _of(source_id, uri) & _QUARANTINED & (rejections.c.digest == digest)
        found = self._refused(which & (rejections.c.tried_with == tried_with), limit=1)
        return found[0] if found else None

    def refused(
        self, *, only_quarantined: bool = False, within: str = "", limit: int = 100
    ) -> list[Refused]:
        """List what is not indexed, of uris that begin with `within`, latest first."""
        which = rejections.c.uri.startswith(within, autoescape=True)
        return self._refused(which, *((_QUARANTINED,) if only_quarantined else ()), limit=limit)

    def refused_one(self, refused_id: str) -> Refused:
        """Return one note; raises `NotFound`."""
        found = self._refused(rejections.c.id == refused_id, limit=1)
        if not found:
            raise NotFound("nothing of this id is refused")
        return found[0]

    def free(self, refused_id: str) -> None:
        """Forget the failed attempts, so that the next ingest tries again."""
        with self._database.writing() as connection:
            note = update(rejections).where(rejections.c.id == refused_id)
            connection.execute(note.values(attempts=0))
            item = update(items).where(items.c.id == refused_id)  # it has the same id
            connection.execute(item.values(fingerprint=""))

    def quarantine_size(self) -> int:
        """Count what is quarantined."""
        with self._database.reading() as connection:
            counting = select(func.count()).select_from(rejections).where(_QUARANTINED)
            return connection.scalar(counting) or 0

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

    def _refused(self, *which: ColumnElement[bool], limit: int) -> list[Refused]:
        statement = (
            select(*_COLUMNS)
            .where(*which)
            .order_by(rejections.c.seen_at.desc(), rejections.c.uri)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_to_refused(row) for row in connection.execute(statement)]


def _attempts(connection: Connection, row: dict[str, str]) -> tuple[datetime | None, int]:
    """Return when these bytes first failed with this parser, and how often, this time included."""
    if not row["digest"]:
        return None, 0
    former = connection.execute(
        select(rejections.c.first_seen_at, rejections.c.attempts).where(
            _of(row["source_id"], row["uri"]),
            rejections.c.digest == row["digest"],
            rejections.c.tried_with == row["tried_with"],
        )
    ).one_or_none()
    return (None, 1) if former is None else (former.first_seen_at, former.attempts + 1)


def _of(source_id: str, uri: str) -> ColumnElement[bool]:
    return (rejections.c.source_id == source_id) & (rejections.c.uri == uri)


def _to_refused(row: AnyRow) -> Refused:
    return Refused(**row._asdict(), quarantined=row.attempts >= ATTEMPTS)
