"""Short ways to put documents into a catalog, for tests that read them back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import ColumnElement
from sqlalchemy import Connection as SqlConnection

from knowledge.catalog import ledger
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


def migrated(path: Path) -> Path:
    """Put an empty catalog of today's schema at `path` unless something is there.

    Copying one is quicker than bringing each up from the first schema.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())
        path.chmod(0o600)
    return path


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.sqlite"
        SqlCatalog.open(f"sqlite:///{path}").close()
        return path.read_bytes()


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


@dataclass(frozen=True, slots=True)
class Placed(Hit):
    """A hit of which a test knows where it belongs."""

    document_id: str
    revision_id: str


def prepare(
    catalog: SqlCatalog, whose: Document, text: str, terms: Sequence[int] = (1, 2)
) -> tuple[str, list[Placed]]:
    """Bring a revision to the brink of visibility; return its id and a hit for each chunk."""
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(whose, digest=digest_of(text), versions="v1")
    revision, chunks = parsed(revision_id, whose, text)
    catalog.store_parsed(revision, chunks, [terms for _ in chunks])
    catalog.mark(revision_id, RevisionState.EMBEDDED)
    catalog.mark(revision_id, RevisionState.UPSERTED)
    hits = [Placed(chunk.id, 1 / (chunk.ordinal + 1), whose.id, revision_id) for chunk in chunks]
    return revision_id, hits


def publish(
    catalog: SqlCatalog, whose: Document, text: str, terms: Sequence[int] = (1, 2)
) -> list[Placed]:
    """Make a text the live revision of a document; return a hit for each of its chunks."""
    revision_id, hits = prepare(catalog, whose, text, terms)
    catalog.switch(whose, revision_id)
    return hits


def digest_of(text: str) -> str:
    return derive_id("digest", ascii(text))


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


def switch_forever(url: str, acknowledge: Connection) -> None:
    """Replace a document again and again; tell each version after it is durable."""
    catalog = SqlCatalog.open(url)
    known = catalog.known(FOLDER.id)
    version = int(catalog.revision(document().id, ALICE).text[:6]) if known else 0
    while True:
        version += 1
        publish(catalog, document(), f"{version:06}{'x' * (3 * CHUNK - 6)}")
        acknowledge.send(version)


def switch_in_pieces_forever(url: str, acknowledge: Connection) -> None:
    """Do the same, but commit in the middle of a switch and rest: what a kill there breaks."""
    names = vars(ledger)
    whole = names["bury"]

    def bury(connection: SqlConnection, which: ColumnElement[bool]) -> int:
        buried: int = whole(connection, which)
        if buried:
            connection.exec_driver_sql("COMMIT")
            time.sleep(60)
        return buried

    names["bury"] = bury
    switch_forever(url, acknowledge)
