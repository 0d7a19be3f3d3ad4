"""Ranks with a peer, in the environment that has it: for a bench.

`python scripts/rank_peers.py PEER FOLDER` reads `chunks.json` and `queries.json` (lists of texts,
no text twice) and their vectors, `chunks.npy` and `queries.npy`, from FOLDER, and writes one line
to its standard output: `{"found": [[place of a chunk, best first], ...], "seconds": [of each
query]}`. What a peer keeps on disk it writes to FOLDER, and loads again before it searches.

Each runs both of its searches for 100 pieces and fuses them as its documentation shows. All are
given the same vectors, so that no peer embeds anything.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 100
Search = Callable[[str], Sequence[int]]


class Given:
    """Texts and their vectors, looked up by text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chunks: list[str] = json.loads((folder / "chunks.json").read_text())
        self.queries: list[str] = json.loads((folder / "queries.json").read_text())
        self.vectors = np.load(folder / "chunks.npy")
        asked = np.load(folder / "queries.npy")
        self._of = dict(zip(self.queries, asked, strict=True))
        self._of |= dict(zip(self.chunks, self.vectors, strict=True))

    def vector(self, text: str) -> list[float]:
        """Return the vector of a chunk or query."""
        return [float(value) for value in self._of[text]]


def main(name: str, folder: str) -> None:
    """Search with each query once and say what was found and how long it took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    given = Given(Path(folder))
    search = PEERS[name](given)
    for query in given.queries[:5]:
        search(query)
    found, seconds = [], []
    for query in given.queries:
        began = time.perf_counter()
        found.append([int(place) for place in search(query)])
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"found": found, "seconds": seconds}), file=answers, flush=True)


def llama_index(given: Given) -> Search:
    """QueryFusionRetriever in the mode `relative_score`, its best; stored and loaded again."""
    from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.core.schema import TextNode
    from llama_index.retrievers.bm25 import BM25Retriever

    class Known(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return given.vector(text)

        def _get_query_embedding(self, query: str) -> list[float]:
            return given.vector(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return given.vector(query)

    nodes = [
        TextNode(id_=str(place), text=text, embedding=given.vector(text))
        for place, text in enumerate(given.chunks)
    ]
    near, words = str(given.folder / "li-near"), str(given.folder / "li-words")
    VectorStoreIndex(nodes, embed_model=Known()).storage_context.persist(near)
    BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=LIMIT).persist(words)
    stored = StorageContext.from_defaults(persist_dir=near)
    index = load_index_from_storage(stored, embed_model=Known())
    fused = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=LIMIT), BM25Retriever.from_persist_dir(words)],
        llm=MockLLM(),
        mode="relative_score",
        similarity_top_k=LIMIT,
        num_queries=1,
        use_async=False,
    )
    return lambda query: [int(hit.node.node_id) for hit in fused.retrieve(query)]


def haystack(given: Given, mode: str = "reciprocal_rank_fusion") -> Search:
    """Both retrievers of the store in memory, and the joiner."""
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Document(id=str(place), content=text, embedding=given.vector(text))
            for place, text in enumerate(given.chunks)
        ]
    )
    words = InMemoryBM25Retriever(store, top_k=LIMIT)
    near = InMemoryEmbeddingRetriever(store, top_k=LIMIT)
    joiner = DocumentJoiner(join_mode=mode, top_k=LIMIT)

    def search(query: str) -> list[int]:
        lists = [
            words.run(query=query)["documents"],
            near.run(query_embedding=given.vector(query))["documents"],
        ]
        return [int(each.id) for each in joiner.run(documents=lists)["documents"]]

    return search


def haystack_by_distribution(given: Given) -> Search:
    """The same with the joiner's other way of fusing."""
    return haystack(given, "distribution_based_rank_fusion")


def langchain(given: Given) -> Search:
    """EnsembleRetriever with `id_key`, over BM25 of words in lower case and a store in memory."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Known(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [given.vector(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return given.vector(text)

    documents = [
        Document(page_content=text, metadata={"place": place})
        for place, text in enumerate(given.chunks)
    ]
    words = BM25Retriever.from_documents(
        documents, preprocess_func=lambda text: text.lower().split(), k=LIMIT
    )
    near = InMemoryVectorStore(Known())
    near.add_documents(documents)
    fused = EnsembleRetriever(
        retrievers=[words, near.as_retriever(search_kwargs={"k": LIMIT})],
        weights=[0.5, 0.5],
        id_key="place",
    )
    return lambda query: [each.metadata["place"] for each in fused.invoke(query)]


def txtai(given: Given) -> Search:
    """Embeddings with `hybrid` and exact search; saved and loaded again."""
    from txtai import Embeddings

    def known(texts: Sequence[str]) -> Any:  # noqa: ANN401
        return np.array([given.vector(text) for text in texts], dtype=np.float32)

    def opened() -> Embeddings:
        return Embeddings(
            method="external", transform=known, backend="numpy", hybrid=True, content=False
        )

    folder = str(given.folder / "txtai")
    made = opened()
    made.index((place, text, None) for place, text in enumerate(given.chunks))
    made.save(folder)
    loaded = opened()
    loaded.load(folder, config={"transform": known})
    return lambda query: [place for place, _ in loaded.search(query, LIMIT)]


PEERS: dict[str, Callable[[Given], Search]] = {
    "rank-llama-index": llama_index,
    "rank-haystack": haystack,
    "rank-haystack-distribution": haystack_by_distribution,
    "rank-langchain": langchain,
    "rank-txtai": txtai,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
