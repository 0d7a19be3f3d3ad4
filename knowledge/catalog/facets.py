"""What a principal can narrow to: counted over what is live and readable, like all that he sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from typing import Any

from sqlalchemy import case, func, select

from knowledge.catalog.database import Database
from knowledge.catalog.library import LIVE, OF_COLLECTION, READABLE, tokens_of
from knowledge.catalog.rows import AnyRow
from knowledge.catalog.schema import document_tags, documents, sources
from knowledge.models import Facet, Facets, Principal

MOST = 50
"""Values of one kind."""
_NONE = ""
_SOURCE = case((sources.c.kind == "upload", _NONE), else_=documents.c.source_id)
"""An upload is a source of its own, which nobody would look for among others."""
_LABELS = (
    select(
        _SOURCE.label("source"),
        documents.c.media_type,
        documents.c.language,
        func.count().label("many"),
        func.min(documents.c.dated_at).label("first"),
        func.max(documents.c.dated_at).label("last"),
        func.min(documents.c.uri).label("one"),
        func.max(documents.c.uri).label("other"),
    )
    .join_from(documents, sources)
    .where(LIVE, READABLE)
    .group_by(_SOURCE, documents.c.media_type, documents.c.language)
)
_TAGS = (
    select(document_tags.c.tag, func.count())
    .join_from(document_tags, documents)
    .where(LIVE, READABLE)
    .group_by(document_tags.c.tag)
)


class SqlFacets:
    """The values that readable documents have."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def facets(self, principal: Principal, *, collection: str | None = None) -> Facets:
        """Return what the documents that the principal may read can be narrowed to."""
        labels, tags, given = _LABELS, _TAGS, dict[str, Any](tokens_of(principal))
        if collection is not None:
            labels, tags = labels.where(OF_COLLECTION), tags.where(OF_COLLECTION)
            given["collection"] = collection
        with self._database.reading() as connection:
            rows = connection.execute(labels, given).all()
            tagged = Counter({row[0]: row[1] for row in connection.execute(tags, given)})
        moments = [moment for row in rows for moment in (row.first, row.last) if moment]
        places = _places(rows)
        return Facets(
            sources=_commonest(_counted(rows, "source"), places),
            types=_commonest(_counted(rows, "media_type")),
            languages=_commonest(_counted(rows, "language")),
            tags=_commonest(tagged),
            first=min(moments, default=None),
            last=max(moments, default=None),
        )


def _counted(rows: Iterable[AnyRow], name: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[getattr(row, name)] += row.many
    return counts


def _commonest(counts: Counter[str], names: dict[str, str] | None = None) -> tuple[Facet, ...]:
    counts.pop(_NONE, None)
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST]
    return tuple(Facet(value, many, (names or {}).get(value, value)) for value, many in ranked)


def _places(rows: Iterable[AnyRow]) -> dict[str, str]:
    """Name each source for where its readable documents lie: no more than they tell themselves."""
    uris: dict[str, list[str]] = {}
    for row in rows:
        uris.setdefault(row.source, []).extend((row.one, row.other))
    return {source: _folder(min(found), max(found)) for source, found in uris.items()}


def _folder(first: str, last: str) -> str:
    """Return how the first and the last of some addresses begin alike, up to a slash.

    >>> _folder("/hr/pay", "/hr/plan"), _folder("s3://a/x", "s3://b/x"), _folder("x", "x")
    ('/hr/', 's3://', 'x')
    """
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    alike = "".join(letter for letter, _ in pairs)
    return alike[: alike.rfind("/") + 1] or alike
