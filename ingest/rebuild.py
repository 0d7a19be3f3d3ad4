"""Make the index whole again from the catalog: nothing is read, parsed or cut anew.

The index is disposable. Its folder may be deleted, a power cut may take its last points, an empty
server may be attached: the catalog then says that nothing changed, and nothing is found. What the
index lacks of the live revisions is embedded again from their stored passages.

The catalog is only read. So a revision keeps the versions it was made with, even when its vectors
now come from another model: its text is still cut to the measure of the former one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from ingest.chunk import embedding_text, without_figures
from ingest.pipeline import EMBED_TEXTS, to_point
from knowledge.errors import IndexUnavailable
from knowledge.models import Chunk, Document, Embedding, Point
from knowledge.ports import Embedder, Index, Ledger, SparseEncoder

_Passage: TypeAlias = tuple[Chunk, str]
"""A chunk and its text."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What the index lacks of the live revisions; says so as a string."""

    revisions: Mapping[str, int]
    """The incomplete ones, and how many passages each has; all of these are embedded again."""
    lacking: int
    """Passages that the index lacks."""
    passages: int
    """Passages of all live revisions."""

    def __str__(self) -> str:
        return f"the index lacks {self.lacking:,} of {self.passages:,} passages"


def missing(ledger: Ledger, index: Index, *, quick: bool = False) -> Missing:
    """Compare what the catalog holds of each live revision with what the index holds.

    `quick` compares the totals first, and trusts them when they agree. Points of other revisions
    can make them agree by chance: those that an index of a later time than the catalog holds.
    """
    held = ledger.live_chunks()
    passages = sum(held.values())
    lacks: dict[str, int] = {}
    if not (quick and index.count() == passages):
        for revision_id, chunks in held.items():
            lack = chunks - index.count(revision_id)
            if lack > 0 and ledger.live_document(revision_id):  # else replaced while we counted
                lacks[revision_id] = lack
    return Missing({each: held[each] for each in lacks}, sum(lacks.values()), passages)


def rebuild(
    found: Missing, *, embedder: Embedder, sparse: SparseEncoder, index: Index, ledger: Ledger
) -> Iterator[int]:
    """Embed and store what is missing; yield how many passages are done, after every few.

    Others may ingest, remove and set rights meanwhile; a crash leaves the rest to the next run.
    Raises `IndexUnavailable` when the index still lacks something in the end.
    """
    passages = (each for revision in found.revisions for each in ledger.chunk_texts(revision))
    done = 0
    while batch := list(islice(passages, EMBED_TEXTS)):
        documents = _documents(ledger, batch)
        live = [each for each in batch if each[0].revision_id in documents]
        index.upsert(_points(live, documents, embedder, sparse))
        _follow(ledger, index, documents)
        done += len(batch)
        yield done
    left = missing(ledger, index)
    if left.revisions:
        raise IndexUnavailable(f"{left}, although they were stored just now")


def _documents(ledger: Ledger, passages: Sequence[_Passage]) -> dict[str, Document]:
    """Map the revisions that are still live to their documents as they are now."""
    revisions = dict.fromkeys(chunk.revision_id for chunk, _ in passages)
    found = ((each, ledger.live_document(each)) for each in revisions)
    return {each: document for each, document in found if document is not None}


def _points(
    passages: Sequence[_Passage],
    documents: Mapping[str, Document],
    embedder: Embedder,
    sparse: SparseEncoder,
) -> list[Point]:
    whose = [documents[chunk.revision_id] for chunk, _ in passages]
    texts = [
        embedding_text(document.title, chunk.heading, text, chunk.header)
        for document, (chunk, text) in zip(whose, passages, strict=True)
    ]
    vectors = embedder.embed(list(map(without_figures, texts)))
    return [
        to_point(document, chunk, Embedding(dense, sparse.encode_passage(text, document.title)))
        for document, (chunk, _), text, dense in zip(whose, passages, texts, vectors, strict=True)
    ]


def _follow(ledger: Ledger, index: Index, documents: Mapping[str, Document]) -> None:
    """Catch up with what happened to the documents while their points were being made.

    Who changes something tells first the catalog, then the index: what the catalog does not know
    after our points are stored reaches the index after them.
    """
    for revision_id, document in documents.items():
        known = document
        while (now := ledger.live_document(revision_id)) and now != known:
            known = now
            index.relabel(known)
        if now is None:
            index.delete([revision_id])
