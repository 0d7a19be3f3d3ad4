"""Rows of the database and the nouns they stand for: pure mapping, both ways."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from sqlalchemy import Row

from knowledge.catalog.schema import blocks, documents, jobs, submissions
from knowledge.models import (
    Block,
    BlockKind,
    Box,
    Chunk,
    Document,
    JobState,
    Revision,
    Span,
    Submission,
    SubmissionState,
)

DOCUMENT_COLUMNS = (
    documents.c.id,
    documents.c.source_id,
    documents.c.uri,
    documents.c.title,
    documents.c.collection,
    documents.c.external_id,
    documents.c.classification,
    documents.c.media_type,
    documents.c.metadata,
    documents.c.live_revision,
    documents.c.size,
    documents.c.updated_at,
    documents.c.family,
    documents.c.language,
    documents.c.dated_at,
)
BLOCK_COLUMNS = (
    blocks.c.kind,
    blocks.c.start,
    blocks.c.end,
    blocks.c.page,
    blocks.c.x0,
    blocks.c.y0,
    blocks.c.x1,
    blocks.c.y1,
    blocks.c.heading,
    blocks.c.table_number,
    blocks.c.header_start,
    blocks.c.header_end,
    blocks.c.place,
)
SUBMISSION_COLUMNS = (
    submissions.c.id,
    submissions.c.name,
    submissions.c.digest,
    submissions.c.size,
    submissions.c.collection,
    submissions.c.access,
    submissions.c.submitted_by,
    submissions.c.received_at,
    submissions.c.tags,
    jobs.c.state,
    jobs.c.reason,
    jobs.c.attempts,
)
_SUBMISSION_STATES = {
    JobState.WAITING: SubmissionState.RECEIVED,
    JobState.RETRYING: SubmissionState.RECEIVED,
    JobState.PAUSED: SubmissionState.RECEIVED,
    JobState.RUNNING: SubmissionState.WORKING,
    JobState.DONE: SubmissionState.DONE,
    JobState.FAILED: SubmissionState.FAILED,
    JobState.DEAD: SubmissionState.FAILED,
    JobState.CANCELLED: SubmissionState.CANCELLED,
}
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
_KINDS = {kind.value: kind for kind in BlockKind}


def to_document(columns: Sequence[Any], access: Iterable[str], tags: Iterable[str]) -> Document:
    """Make a document of `DOCUMENT_COLUMNS`, its access tokens and its tags."""
    return Document(
        id=columns[0],
        source_id=columns[1],
        uri=columns[2],
        title=columns[3],
        collection=columns[4],
        access=frozenset(access),
        external_id=columns[5],
        classification=columns[6],
        media_type=columns[7],
        metadata=columns[8],
        live_revision=columns[9],
        size=columns[10],
        updated_at=columns[11],
        family=columns[12] or "",
        language=columns[13],
        dated_at=columns[14],
        tags=frozenset(tags),
    )


def to_block(columns: Sequence[Any]) -> Block:
    """Make a block of `BLOCK_COLUMNS`."""
    kind, start, end, page, x0, y0, x1, y1, heading, table, first, last, place = columns
    box = None if x0 is None else Box(x0, y0, x1, y1)
    header = None if first is None else Span(first, last)
    return Block(_KINDS[kind], Span(start, end), page, box, heading, table, header, place)


def to_revision(row: AnyRow, found: Iterable[Block]) -> Revision:
    """Make a revision of a whole row of its table and its blocks."""
    return Revision(
        id=row.id,
        document_id=row.document_id,
        digest=row.digest,
        text=row.text,
        blocks=tuple(found),
        parser=row.parser,
        chunker=row.chunker,
        seen_at=row.seen_at,
        coverage=row.coverage,
        reading=row.reading,
    )


def to_submission(row: AnyRow, document_ids: Sequence[str]) -> Submission:
    """Make a submission of `SUBMISSION_COLUMNS` and the documents it became."""
    return Submission(
        id=row.id,
        name=row.name,
        digest=row.digest,
        size=row.size,
        collection=row.collection,
        access=frozenset(row.access),
        submitted_by=row.submitted_by,
        state=_SUBMISSION_STATES[JobState(row.state)],
        reason=row.reason,
        document_ids=tuple(document_ids),
        attempts=row.attempts,
        received_at=row.received_at,
        tags=frozenset(row.tags),
    )


def document_row(document: Document) -> dict[str, Any]:
    """Return what a document's source says of it; never its access, nor what is live."""
    return {
        "source_id": document.source_id,
        "uri": document.uri,
        "title": document.title,
        "collection": document.collection,
        "external_id": document.external_id,
        "classification": document.classification,
        "media_type": document.media_type,
        "metadata": document.metadata,
        "size": document.size,
        "language": document.language,
        "dated_at": document.dated_at,
    }


def block_rows(revision: Revision) -> list[dict[str, Any]]:
    """Return one row per block, numbered in order."""
    return [
        {
            "revision_id": revision.id,
            "ordinal": ordinal,
            "kind": block.kind.value,
            "start": block.span.start,
            "end": block.span.end,
            "page": block.page,
            "x0": block.box.x0 if block.box else None,
            "y0": block.box.y0 if block.box else None,
            "x1": block.box.x1 if block.box else None,
            "y1": block.box.y1 if block.box else None,
            "heading": block.heading,
            "table_number": block.table,
            "header_start": block.header.start if block.header else None,
            "header_end": block.header.end if block.header else None,
            "place": block.place,
        }
        for ordinal, block in enumerate(revision.blocks)
    ]


def chunk_rows(
    revision: Revision, chunks: Sequence[Chunk], terms: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    """Return one row per chunk, with its text and the numbers of the blocks it can overlap."""
    ranges = _BlockRanges(revision.blocks)
    return [
        {
            "id": chunk.id,
            "revision_id": revision.id,
            "ordinal": chunk.ordinal,
            "start": chunk.span.start,
            "end": chunk.span.end,
            "page": chunk.page,
            "heading": chunk.heading,
            "text": chunk.span.cut(revision.text),
            "first_block": first,
            "last_block": last,
            "terms": sorted(set(numbers)),
            "header": chunk.header,
            "imprint": chunk.imprint,
        }
        for chunk, numbers in zip(chunks, terms, strict=True)
        for first, last in [ranges.around(chunk.span)]
    ]


class _BlockRanges:
    """Finds the blocks around a span by bisection, even where blocks nest or overlap."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._ends = list(accumulate((block.span.end for block in blocks), max))
        starts = [block.span.start for block in blocks]
        self._starts = list(accumulate(reversed(starts), min))[::-1]

    def around(self, span: Span) -> tuple[int, int]:
        """Return the numbers of the first and last block that can overlap; (0, -1): none."""
        first = bisect_right(self._ends, span.start)
        last = bisect_left(self._starts, span.end) - 1
        return (first, last) if first <= last else (0, -1)
