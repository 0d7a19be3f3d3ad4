"""The reading side: whatever leaves here is live and readable by the one who asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
    func,
    literal,
    select,
    union_all,
)

from knowledge.catalog.database import Database
from knowledge.catalog.rows import (
    BLOCK_COLUMNS,
    DOCUMENT_COLUMNS,
    AnyRow,
    to_block,
    to_document,
    to_revision,
)
from knowledge.catalog.schema import (
    blocks,
    chunks,
    document_access,
    document_tags,
    documents,
    revisions,
)
from knowledge.catalog.types import Moment
from knowledge.errors import NotFound
from knowledge.models import (
    UNFILTERED,
    Block,
    Document,
    Filters,
    Hit,
    Passage,
    Principal,
    Revision,
    Span,
)

# Statements are built once: building one costs more than running it.
READABLE = exists().where(
    document_access.c.document_id == documents.c.id,
    document_access.c.token.in_(bindparam("tokens", expanding=True)),
)
OF_COLLECTION = documents.c.collection == bindparam("collection")
_PASSAGES = (
    select(
        *DOCUMENT_COLUMNS,
        chunks.c.id,
        chunks.c.revision_id,
        chunks.c.start,
        chunks.c.end,
        chunks.c.text,
        chunks.c.heading,
        chunks.c.page,
        chunks.c.header,
    )
    .join_from(chunks, documents, documents.c.live_revision == chunks.c.revision_id)
    .where(chunks.c.id.in_(bindparam("chunk_ids", expanding=True)), READABLE)
)
# Not the bare column: SQLite would then begin with all documents of the collection, not the chunks.
_PASSAGES_OF_COLLECTION = _PASSAGES.where(
    documents.c.collection.concat("") == bindparam("collection")
)
_BLOCKS_OF_CHUNKS = (
    select(chunks.c.id, *BLOCK_COLUMNS)
    .join_from(
        chunks,
        blocks,
        (blocks.c.revision_id == chunks.c.revision_id)
        & blocks.c.ordinal.between(chunks.c.first_block, chunks.c.last_block)
        & (blocks.c.start < chunks.c.end)
        & (blocks.c.end > chunks.c.start),
    )
    .where(chunks.c.id.in_(bindparam("chunk_ids", expanding=True)))
    .order_by(chunks.c.id, blocks.c.ordinal)
)
_LABELS = union_all(
    select(document_access.c.document_id, document_access.c.token, literal(0)).where(
        document_access.c.document_id.in_(bindparam("document_ids", expanding=True))
    ),
    select(document_tags.c.document_id, document_tags.c.tag, literal(1)).where(
        document_tags.c.document_id.in_(bindparam("document_ids", expanding=True))
    ),
)
"""Access tokens (0) and tags (1) in one question: it is asked with every search."""
_NARROWED: dict[str, ColumnElement[bool]] = {
    "collection": OF_COLLECTION,
    "sources": documents.c.source_id.in_(bindparam("sources", expanding=True)),
    "types": documents.c.media_type.in_(bindparam("types", expanding=True)),
    "languages": documents.c.language.in_(bindparam("languages", expanding=True)),
    "tags": exists().where(
        document_tags.c.document_id == documents.c.id,
        document_tags.c.tag.in_(bindparam("tags", expanding=True)),
    ),
    "since": documents.c.dated_at >= bindparam("since", type_=Moment),
    "until": documents.c.dated_at < bindparam("until", type_=Moment),
}
"""`Filters.admit` in SQL, for lists; nothing narrows by what is absent here."""
LIVE = documents.c.live_revision.is_not(None)
_DOCUMENT = select(*DOCUMENT_COLUMNS).where(
    documents.c.id == bindparam("document_id"), LIVE, READABLE
)
_READABLE_ONES = select(documents.c.id, documents.c.live_revision).where(
    documents.c.id.in_(bindparam("document_ids", expanding=True)), LIVE, READABLE
)
_DOCUMENTS = (
    select(*DOCUMENT_COLUMNS)
    .where(documents.c.id > bindparam("after"), LIVE, READABLE)
    .order_by(documents.c.id)
    .limit(bindparam("most"))
)
_REVISION = (
    select(revisions)
    .join_from(documents, revisions, revisions.c.id == documents.c.live_revision)
    .where(documents.c.id == bindparam("document_id"), READABLE)
)
_BLOCKS = (
    select(*BLOCK_COLUMNS)
    .where(blocks.c.revision_id == bindparam("revision_id"))
    .order_by(blocks.c.ordinal)
)
_READABLE_BLOCKS = (
    select(*BLOCK_COLUMNS)
    .join_from(blocks, documents, documents.c.live_revision == blocks.c.revision_id)
    .where(
        blocks.c.revision_id == bindparam("revision_id"),
        blocks.c.start < bindparam("end"),
        blocks.c.end > bindparam("start"),
        READABLE,
    )
    .order_by(blocks.c.ordinal)
)
# Counted by substr, since LIKE would take `%` and `_` in names for wildcards.
_HIDDEN_PART = select(
    exists().where(
        documents.c.source_id == bindparam("source_id"),
        func.substr(documents.c.uri.concat("#"), 1, bindparam("length")) == bindparam("file"),
        LIVE,
        ~READABLE,
    )
)
_COLLECTIONS = (
    select(documents.c.collection, func.count())
    .where(LIVE, READABLE)
    .group_by(documents.c.collection)
    .order_by(documents.c.collection)
)
_BATCH = 500
_DOCUMENT_WIDTH = len(DOCUMENT_COLUMNS)


class SqlLibrary:
    """What a principal may read, found by SQL that always joins the rights."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def passages(
        self,
        hits: Sequence[Hit],
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
    ) -> list[Passage]:
        """Return the hits that are live, readable and fit now, in their order, ranked from 1."""
        tokens = sorted(principal.tokens())
        if not tokens or not hits:
            return []
        chunk_ids = list(dict.fromkeys(hit.chunk_id for hit in hits))
        statement = _PASSAGES if collection is None else _PASSAGES_OF_COLLECTION
        given: dict[str, Any] = {"chunk_ids": chunk_ids, "tokens": tokens}
        if collection is not None:
            given["collection"] = collection
        with self._database.reading() as connection:
            found = [
                row
                for row in connection.execute(statement, given)
                if document_ids is None or row[0] in document_ids
            ]
            whose = _documents_of(connection, found)
            seen = {row[_DOCUMENT_WIDTH]: row for row in found if filters.admit(whose[row[0]])}
            around = _blocks_of(connection, list(seen))
        ordered = [hit for hit in _first_of_each(hits) if hit.chunk_id in seen]
        return [
            _to_passage(hit, rank, seen[hit.chunk_id], whose, around[hit.chunk_id])
            for rank, hit in enumerate(ordered, start=1)
        ]

    def blocks(self, revision_id: str, span: Span, principal: Principal) -> tuple[Block, ...]:
        """Return the blocks of a live readable revision that overlap `span`; else none."""
        given = {"revision_id": revision_id, "start": span.start, "end": span.end}
        with self._database.reading() as connection:
            rows = connection.execute(_READABLE_BLOCKS, given | tokens_of(principal)).all()
        return tuple(map(to_block, rows))

    def document(self, document_id: str, principal: Principal) -> Document:
        """Return a readable document with a live revision; raises `NotFound` else."""
        given = {"document_id": document_id}
        with self._database.reading() as connection:
            row = connection.execute(_DOCUMENT, given | tokens_of(principal)).one_or_none()
            if row is None:
                raise NotFound("there is no such document")
            return _documents_of(connection, [row])[document_id]

    def documents(
        self,
        principal: Principal,
        *,
        collection: str | None,
        after: str | None,
        limit: int,
        filters: Filters = UNFILTERED,
    ) -> list[Document]:
        """List readable live documents that fit by id, beginning after the id `after`."""
        narrowed = dict(_narrowing(collection, filters))
        given = {"after": after or "", "most": limit, **narrowed, **tokens_of(principal)}
        with self._database.reading() as connection:
            rows = connection.execute(_documents_that_fit(frozenset(narrowed)), given).all()
            return list(_documents_of(connection, rows).values())

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        """Map those documents that are live and readable now to their live revisions."""
        wanted = sorted(set(document_ids))
        found: dict[str, str] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _BATCH):
                given = {"document_ids": wanted[start : start + _BATCH]}
                rows = connection.execute(_READABLE_ONES, given | tokens_of(principal))
                found.update((row[0], row[1]) for row in rows)
        return found

    def revision(self, document_id: str, principal: Principal) -> Revision:
        """Return the live revision of a readable document; raises `NotFound` else."""
        given = {"document_id": document_id}
        with self._database.reading() as connection:
            row = connection.execute(_REVISION, given | tokens_of(principal)).one_or_none()
            if row is None:
                raise NotFound("there is no such document")
            found = connection.execute(_BLOCKS, {"revision_id": row.id}).all()
        return to_revision(row, map(to_block, found))

    def reads_file(self, document: Document, principal: Principal) -> bool:
        """Say whether the principal may read all that is live of the file it came from."""
        file = document.uri.partition("#")[0] + "#"
        given = {"source_id": document.source_id, "file": file, "length": len(file)}
        with self._database.reading() as connection:
            return not connection.scalar(_HIDDEN_PART, given | tokens_of(principal))

    def collections(self, principal: Principal) -> dict[str, int]:
        """Return the collections with at least one readable document, and how many it has."""
        with self._database.reading() as connection:
            rows = connection.execute(_COLLECTIONS, tokens_of(principal)).all()
        return {row[0]: row[1] for row in rows}


def _narrowing(collection: str | None, filters: Filters) -> Iterator[tuple[str, Any]]:
    """Yield what narrows a list, each under its name in `_NARROWED`."""
    given = {name: getattr(filters, name) for name in Filters.__dataclass_fields__}
    for name, value in {"collection": collection, **given}.items():
        if value is not None:
            yield name, sorted(value) if isinstance(value, frozenset) else value


@lru_cache(maxsize=128)
def _documents_that_fit(fields: frozenset[str]) -> Select[*tuple[Any, ...]]:
    return _DOCUMENTS.where(*(_NARROWED[name] for name in sorted(fields)))


def tokens_of(principal: Principal) -> dict[str, list[str]]:
    """Return the parameter of `READABLE`; an empty list matches no document."""
    return {"tokens": sorted(principal.tokens())}


def _first_of_each(hits: Iterable[Hit]) -> list[Hit]:
    """Keep the best-ranked hit of each chunk."""
    best: dict[str, Hit] = {}
    for hit in hits:
        best.setdefault(hit.chunk_id, hit)
    return list(best.values())


def _blocks_of(connection: Connection, chunk_ids: list[str]) -> dict[str, tuple[Block, ...]]:
    """Return for each chunk the blocks that overlap it, in order."""
    if not chunk_ids:
        return {}
    found: dict[str, list[Block]] = {chunk_id: [] for chunk_id in chunk_ids}
    for row in connection.execute(_BLOCKS_OF_CHUNKS, {"chunk_ids": chunk_ids}).all():
        found[row[0]].append(to_block(row[1:]))
    return {chunk_id: tuple(around) for chunk_id, around in found.items()}


def _documents_of(connection: Connection, rows: Sequence[AnyRow]) -> dict[str, Document]:
    """Make the documents of rows that begin with `DOCUMENT_COLUMNS`, each once, in order."""
    distinct = {row[0]: row for row in rows}
    if not distinct:
        return {}
    labels: dict[str, tuple[list[str], list[str]]] = {key: ([], []) for key in distinct}
    for key, word, which in connection.execute(_LABELS, {"document_ids": list(distinct)}).all():
        labels[key][which].append(word)
    return {key: to_document(row, *labels[key]) for key, row in distinct.items()}


def _to_passage(
    hit: Hit, rank: int, row: AnyRow, whose: dict[str, Document], around: tuple[Block, ...]
) -> Passage:
    chunk_id, revision_id, start, end, text, heading, page, header = row[_DOCUMENT_WIDTH:]
    return Passage(
        chunk_id=chunk_id,
        document=whose[row[0]],
        revision_id=revision_id,
        span=Span(start, end),
        text=text,
        rank=rank,
        score=hit.score,
        heading=heading,
        page=page,
        blocks=around,
        header=header,
    )
