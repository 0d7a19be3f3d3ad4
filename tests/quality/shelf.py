"""Evaluation corpora on a shelf: cut and embedded once, then searched by the real retriever.

The index is Qdrant Edge and the ranking the service's own; only the catalog is a dictionary.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ingest.chunk import CHUNKER, chunk, embedding_text, without_figures
from ingest.parsing.formats import parse
from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.index.edge import EdgeIndex
from knowledge.models import (
    EVERYONE,
    Context,
    Document,
    Embedding,
    Hit,
    Passage,
    Point,
    Principal,
    Question,
    Span,
    Surroundings,
    TermStatistics,
    derive_id,
)
from knowledge.ports import Embedder, VectorSpace
from knowledge.ranking import Ranking
from knowledge.settings import Settings
from knowledge.sparse import Bm25Encoder
from knowledge.vocabulary import count_tokens
from retrieval.ranker import Ranker
from retrieval.retriever import Retriever, condense
from serving.prompt import source_tokens

CHUNK_TOKENS = 256
SETTINGS = Settings(_env_file=None)
ASKER = Principal("judge")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk of a corpus, as it is found and as it is embedded."""

    document: str
    title: str
    text: str
    full: str


class Shelf:
    """One corpus in an index of its own; `folder` keeps what was cut and embedded.

    As in the service, `embedder` is that of questions; documents may be in rounder numbers.
    """

    def __init__(self, name: str, corpus: Path, embedder: Embedder, folder: Path) -> None:
        self._embedder = _Remembering(embedder)
        self._encoder = Bm25Encoder()
        pieces, vectors = _prepared(name, corpus, embedder, folder)
        scratch = folder / f"{name}.index"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        self.index = EdgeIndex(scratch, dimension=embedder.dimension)
        self.pieces = len(pieces)
        self.texts: dict[str, np.ndarray] = {}
        """Each text that is embedded, once, and its vector."""
        self.documents: dict[str, list[str]] = {}
        """The documents that hold it."""
        self._passages: dict[str, Passage] = {}
        held: Counter[int] = Counter()
        points = []
        for number, (piece, vector) in enumerate(zip(pieces, vectors, strict=True)):
            found = _passage(piece, number)
            self.texts.setdefault(piece.full, vector)
            self.documents.setdefault(piece.full, []).append(piece.document)
            weights = self._encoder.encode_passage(piece.full, piece.title)
            held.update(weights.indices)
            self._passages[found.chunk_id] = found
            points.append(_point(found, Embedding(tuple(map(float, vector)), weights)))
        self.index.upsert(points)
        self._statistics = TermStatistics(1, len(pieces), held)

    def embed(self, queries: Sequence[str]) -> list[tuple[float, ...]]:
        """Return the vectors of queries."""
        return self._embedder.embed(queries)

    def search(self, query: str, ranking: Ranking, *, limit: int = 100) -> dict[str, float]:
        """Return each document's score by the rank of its best passage."""
        scores: dict[str, float] = {}
        for passage in self._retriever(ranking).search(query, ASKER, limit=limit):
            scores.setdefault(str(passage.document.external_id), 1 / passage.rank)
        return scores

    def passages_for(self, question: Question, *, limit: int) -> list[Passage]:
        """Return the best passages for a question in its conversation, ranked as it is set."""
        query = condense(question)
        return self._retriever(Ranking()).search(query, ASKER, limit=limit)

    def context(self, question: Question, ranking: Ranking) -> Context:
        """Return the context that an answer would be written from, but what stands around it."""
        return self._retriever(ranking).retrieve(question, ASKER)

    def _retriever(self, ranking: Ranking) -> Retriever:
        return Retriever(
            space=lambda: VectorSpace(self._embedder, self._encoder, self.index),
            library=self,  # type: ignore[arg-type]  # the three calls that it makes
            cost=lambda passage: source_tokens(passage, count_tokens),
            budget=lambda _: SETTINGS.context_tokens,
            context_passages=SETTINGS.context_passages,
            ranker=Ranker(ranking),
        )

    def passages(self, hits: Sequence[Hit], _: Principal, **narrowed: object) -> list[Passage]:
        """Return the passages of hits, ranked from 1: the catalog's part."""
        from dataclasses import replace

        return [
            replace(self._passages[hit.chunk_id], rank=rank, score=hit.score)
            for rank, hit in enumerate(hits, start=1)
        ]

    def surroundings(
        self, passages: Sequence[Passage], _: Principal, *, reach: int
    ) -> dict[str, Surroundings]:
        """Tell of nothing that stands around passages."""
        return {}

    def statistics(self, _: str | None) -> TermStatistics:
        """Return the term statistics of the corpus: the catalog's part."""
        return self._statistics


class _Remembering:
    """Embeds each question once, however many rankings are compared."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self.dimension = embedder.name, embedder.dimension
        self.max_tokens = embedder.max_tokens
        self.token_spans = embedder.token_spans
        self._one = lru_cache(maxsize=None)(lambda text: embedder.embed([text])[0])

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [self._one(text) for text in texts]


def _prepared(
    name: str, corpus: Path, embedder: Embedder, folder: Path
) -> tuple[list[Piece], np.ndarray]:
    """Return the chunks of a corpus and their vectors; the second time, from the folder."""
    stem = f"{name}-{CHUNKER}-{embedder.name}"
    texts, vectors = folder / f"{stem}.json.gz", folder / f"{stem}.npy"
    if not vectors.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pieces = list(_cut(corpus, embedder))
        rounded = SentenceTransformerEmbedder(documents=True)
        made = rounded.embed([without_figures(each.full) for each in pieces])
        rows = [[each.document, each.title, each.text, each.full] for each in pieces]
        texts.write_bytes(gzip.compress(json.dumps(rows).encode()))
        np.save(vectors, np.array(made, dtype=np.float32))
    rows = json.loads(gzip.decompress(texts.read_bytes()))
    return [Piece(*row) for row in rows], np.load(vectors)


def _cut(corpus: Path, embedder: Embedder) -> Iterator[Piece]:
    for parsed in parse(corpus.read_bytes(), corpus.name):
        name = str(parsed.external_id)
        for each in chunk(name, parsed, embedder.token_spans, CHUNK_TOKENS):
            text = each.span.cut(parsed.text)
            full = embedding_text(parsed.title, each.heading, text, each.header)
            yield Piece(name, parsed.title, text, full)


def _passage(piece: Piece, number: int) -> Passage:
    document = Document(
        id=derive_id(piece.document),
        source_id="corpus",
        uri=piece.document,
        title=piece.title,
        collection="main",
        access=frozenset({EVERYONE}),
        external_id=piece.document,
    )
    span = Span(0, len(piece.text))
    chunk_id = derive_id(piece.document, str(number))
    return Passage(chunk_id, document, document.id, span, piece.text, rank=1, score=0.0)


def _point(found: Passage, embedding: Embedding) -> Point:
    document = found.document
    return Point(
        found.chunk_id,
        document.id,
        found.revision_id,
        document.collection,
        document.access,
        embedding,
    )
