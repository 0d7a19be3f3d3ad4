"""Short ways to put documents into a catalog, for tests that read them back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from knowledge.catalog.store import SqlCatalog
from knowledge.models import (
    DEFAULT_COLLECTION,
    EVERYONE,
    Block,
    BlockKind,
    Chunk,
    Document,
    Hit,
    Principal,
    Revision,
    RevisionState,
    Source,
    Span,
    Submission,
    derive_id,
)

FOLDER = Source(id="folder", kind="folder", uri="/srv/docs")
ALICE = Principal("alice", groups=frozenset({"legal"}))
BOB = Principal("bob")
CHUNK = 20
"""Characters of a chunk that `parsed` makes."""


def document(
    uri: str = "handbook.md",
    *,
    access: frozenset[str] = frozenset({EVERYONE}),
    collection: str = DEFAULT_COLLECTION,
    title: str = "Handbook",
    source: Source = FOLDER,
) -> Document:
    return Document(
        id=derive_id(source.id, uri),
        source_id=source.id,
        uri=uri,
        title=title,
        collection=collection,
        access=access,
        external_id=f"ext-{uri}",
        media_type="text/markdown",
        metadata={"author": "Ada"},
        size=42,
    )


def parsed(revision_id: str, whose: Document, text: str) -> tuple[Revision, list[Chunk]]:
    """A revision with a block and a chunk for every 20 characters of the text."""
    spans = [Span(at, min(at + CHUNK, len(text))) for at in range(0, len(text), CHUNK)]
    revision = Revision(
        id=revision_id,
        document_id=whose.id,
        digest=digest_of(text),
        text=text,
        blocks=tuple(
            Block(BlockKind.PARAGRAPH, span, page=1, heading=("Top", "Sub")) for span in spans
        ),
        parser="parser 1",
        chunker="chunker 1",
        seen_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
    chunks = [
        Chunk(derive_id(revision_id, str(number)), revision_id, number, span, ("Top", "Sub"), 1)
        for number, span in enumerate(spans)
    ]
    return revision, chunks


def prepare(
    catalog: SqlCatalog, whose: Document, text: str, terms: Sequence[int] = (1, 2)
) -> tuple[str, list[Hit]]:
    """Bring a revision to the brink of visibility; return its id and a hit for each chunk."""
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(whose, digest=digest_of(text), versions="v1")
    revision, chunks = parsed(revision_id, whose, text)
    catalog.store_parsed(revision, chunks, [terms for _ in chunks])
    catalog.mark(revision_id, RevisionState.EMBEDDED)
    catalog.mark(revision_id, RevisionState.UPSERTED)
    hits = [Hit(chunk.id, whose.id, revision_id, 1 / (chunk.ordinal + 1)) for chunk in chunks]
    return revision_id, hits


def publish(
    catalog: SqlCatalog, whose: Document, text: str, terms: Sequence[int] = (1, 2)
) -> list[Hit]:
    """Make a text the live revision of a document; return a hit for each of its chunks."""
    revision_id, hits = prepare(catalog, whose, text, terms)
    catalog.switch(whose, revision_id)
    return hits


def digest_of(text: str) -> str:
    return derive_id("digest", text)


def upload(
    number: int = 1, *, by: str = "alice", name: str | None = None, digest: str = "d1"
) -> Submission:
    """An upload; a higher number was received later."""
    return Submission(
        id=derive_id("upload", str(number)),
        name=name or f"report {number}.pdf",
        digest=digest,
        size=1000,
        collection=DEFAULT_COLLECTION,
        access=frozenset({"u:alice", "g:legal"}),
        submitted_by=by,
        received_at=datetime(2026, 1, 1, 0, number, tzinfo=UTC),
    )
