"""Term statistics: counted once per ingest over what everyone may read, then frozen.

Statistics over hidden documents would show, by the order of results, what those contain.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, func, select

from knowledge.catalog.database import Database, upsert
from knowledge.catalog.schema import chunks, document_access, documents, term_statistics
from knowledge.models import EVERYONE, TermStatistics

TRUSTED_FOR = 1.0
"""Seconds for which a snapshot is used without asking whether another process froze a new one."""
_BATCH = 200
_PUBLIC = (documents.c.live_revision.is_not(None), document_access.c.token == EVERYONE)
_PUBLIC_REVISIONS = (
    select(documents.c.live_revision)
    .join_from(documents, document_access)
    .where(*_PUBLIC, documents.c.collection == bindparam("collection"))
)
_BASES = (
    select(documents.c.collection, func.count(), func.max(documents.c.changed_at))
    .join_from(documents, document_access)
    .where(*_PUBLIC)
    .group_by(documents.c.collection)
)
_TERMS = select(chunks.c.terms).where(
    chunks.c.revision_id.in_(bindparam("revision_ids", expanding=True))
)
_Basis: TypeAlias = tuple[int, datetime | None]
"""What a snapshot rests on: how many public documents, and when the last of them changed."""
_NOTHING: _Basis = (0, None)
_EMPTY = TermStatistics(generation=0, chunks=0, frequencies={})


class SqlStatistics:
    """Frozen snapshots, one per collection, kept in memory while they are current."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._snapshots: dict[str, TermStatistics] = {}
        self._total = _EMPTY
        self._checked_at = float("-inf")

    def freeze_statistics(self, collection: str) -> TermStatistics:
        """Count terms over live chunks that everyone may read, and store that as the snapshot."""
        with self._database.reading() as connection:  # one look: what changes later is stale
            basis = _bases(connection).get(collection, _NOTHING)
            public = connection.scalars(_PUBLIC_REVISIONS, {"collection": collection}).all()
        count, frequencies = self._count(public)
        terms = sorted(frequencies)
        row = {
            "collection": collection,
            "documents": basis[0],
            "changed_at": basis[1],
            "chunks": count,
            "terms": terms,
            "counts": [frequencies[term] for term in terms],
        }
        with self._database.writing() as connection:
            row["generation"] = _generations(connection).get(collection, 0) + 1
            upsert(connection, term_statistics, [row], update=list(row))
        with self._lock:
            self._refresh()
        return self.statistics(collection)

    def stale_statistics(self) -> list[str]:
        """Return the collections whose public live documents changed since their last freeze."""
        frozen = select(
            term_statistics.c.collection, term_statistics.c.documents, term_statistics.c.changed_at
        )
        with self._database.reading() as connection:
            current = _bases(connection)
            known = {row[0]: (row[1], row[2]) for row in connection.execute(frozen)}
        names = sorted(current.keys() | known.keys())
        return [name for name in names if current.get(name, _NOTHING) != known.get(name, _NOTHING)]

    def statistics(self, collection: str | None) -> TermStatistics:
        """Return the frozen term statistics of one collection, or of all together.

        Asked with every query, so it reads memory; another process's snapshot is seen after a
        second at most.
        """
        if self._is_old():
            with self._lock:
                if self._is_old():  # whoever had the lock before may have looked
                    self._refresh()
        if collection is None:
            return self._total
        return self._snapshots.get(collection, _EMPTY)

    def _count(self, public: Sequence[str]) -> tuple[int, Counter[int]]:
        """Count chunks per term in many short reads: a long one would keep writers waiting."""
        count = 0
        frequencies: Counter[int] = Counter()
        for start in range(0, len(public), _BATCH):
            batch = {"revision_ids": public[start : start + _BATCH]}
            with self._database.reading() as connection:
                for terms in connection.scalars(_TERMS, batch):
                    frequencies.update(terms)
                    count += 1
        return count, frequencies

    def _is_old(self) -> bool:
        return time.monotonic() - self._checked_at > TRUSTED_FOR

    def _refresh(self) -> None:
        with self._database.reading() as connection:
            current = _generations(connection)
            if current != {name: held.generation for name, held in self._snapshots.items()}:
                self._snapshots = {name: _load(connection, name) for name in current}
                self._total = _sum(self._snapshots.values())
            self._checked_at = time.monotonic()


def _bases(connection: Connection) -> dict[str, _Basis]:
    return {row[0]: (row[1], row[2]) for row in connection.execute(_BASES)}


def _generations(connection: Connection) -> dict[str, int]:
    statement = select(term_statistics.c.collection, term_statistics.c.generation)
    return {row.collection: row.generation for row in connection.execute(statement)}


def _load(connection: Connection, collection: str) -> TermStatistics:
    row = connection.execute(
        select(term_statistics).where(term_statistics.c.collection == collection)
    ).one()
    return TermStatistics(row.generation, row.chunks, dict(zip(row.terms, row.counts, strict=True)))


def _sum(snapshots: Iterable[TermStatistics]) -> TermStatistics:
    generation = count = 0
    frequencies: Counter[int] = Counter()
    for snapshot in snapshots:
        generation += snapshot.generation
        count += snapshot.chunks
        frequencies.update(snapshot.frequencies)
    return TermStatistics(generation, count, frequencies)
