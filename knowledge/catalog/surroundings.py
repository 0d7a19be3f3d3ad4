"""What stands before and after a passage, for one who may read it now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection, bindparam, func, select

from knowledge.catalog.database import Database
from knowledge.catalog.library import READABLE, tokens_of
from knowledge.catalog.rows import BLOCK_COLUMNS, AnyRow, to_block
from knowledge.catalog.schema import blocks, chunks, documents, revisions
from knowledge.models import Block, Chunk, Passage, Principal, Span, Surroundings

_own = chunks.alias("own")
_NEAR = (
    select(_own.c.id.label("of"), chunks)
    .join_from(
        _own,
        chunks,
        (chunks.c.revision_id == _own.c.revision_id)
        & chunks.c.ordinal.between(
            _own.c.ordinal - bindparam("reach"), _own.c.ordinal + bindparam("reach")
        ),
    )
    .join(documents, documents.c.live_revision == _own.c.revision_id)
    .where(_own.c.id.in_(bindparam("chunk_ids", expanding=True)), READABLE)
    .order_by(_own.c.id, chunks.c.ordinal)
)
_TEXT = select(func.substr(revisions.c.text, bindparam("first"), bindparam("length"))).where(
    revisions.c.id == bindparam("revision_id")
)
_BLOCKS = (
    select(*BLOCK_COLUMNS)
    .where(
        blocks.c.revision_id == bindparam("revision_id"),
        blocks.c.start < bindparam("end"),
        blocks.c.end > bindparam("start"),
    )
    .order_by(blocks.c.ordinal)
)


class SqlSurroundings:
    """Reads live revisions around passages, always with the rights of a principal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def surroundings(
        self, passages: Sequence[Passage], principal: Principal, *, reach: int
    ) -> dict[str, Surroundings]:
        """Map chunk ids to `reach` chunks either way; what is no longer live or readable is absent.

        The text between chunks stands in the revision alone, of which each is read once.
        """
        if not passages:
            return {}
        given = {"chunk_ids": [each.chunk_id for each in passages], "reach": reach}
        with self._database.reading() as connection:
            rows = connection.execute(_NEAR, given | tokens_of(principal)).all()
            near = {of: list(map(_to_chunk, each)) for of, each in groupby(rows, attrgetter("of"))}
            whole = {
                revision_id: _stretch(connection, revision_id, list(spans))
                for revision_id, spans in _spans(near.values()).items()
            }
        return {of: _around(found, whole[found[0].revision_id]) for of, found in near.items()}


def _spans(near: Iterable[Sequence[Chunk]]) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for found in near:
        reached = Span(found[0].span.start, found[-1].span.end)
        spans.setdefault(found[0].revision_id, []).append(reached)
    return spans


def _stretch(
    connection: Connection, revision_id: str, spans: Sequence[Span]
) -> tuple[Span, str, tuple[Block, ...]]:
    """Read from the first to the last that is wanted of a revision, at once."""
    span = Span(min(each.start for each in spans), max(each.end for each in spans))
    which = {"revision_id": revision_id, "first": span.start + 1, "length": span.end - span.start}
    text = str(connection.scalar(_TEXT, which))
    within = {"revision_id": revision_id, "start": span.start, "end": span.end}
    return span, text, tuple(map(to_block, connection.execute(_BLOCKS, within).all()))


def _around(found: Sequence[Chunk], whole: tuple[Span, str, tuple[Block, ...]]) -> Surroundings:
    span = Span(found[0].span.start, found[-1].span.end)
    read, text, among = whole
    return Surroundings(
        span=span,
        text=text[span.start - read.start : span.end - read.start],
        blocks=tuple(block for block in among if block.span.overlaps(span)),
        chunks=tuple(found),
    )


def _to_chunk(row: AnyRow) -> Chunk:
    return Chunk(
        id=row.id,
        revision_id=row.revision_id,
        ordinal=row.ordinal,
        span=Span(row.start, row.end),
        heading=row.heading,
        page=row.page,
        header=row.header,
        imprint=row.imprint,
    )
