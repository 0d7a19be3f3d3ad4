"""Ingests files with a peer and searches them, in the environment that has it: for a bench.

`python scripts/ingest_peers.py PEER WEIGHTS STORE` loads the embedding model of the folder WEIGHTS,
opens a Qdrant of its own (local mode) in the folder STORE, and says `{"ready": true}`. It then
answers each line of its standard input with one line:

`{"ingest": [FILE, ...]}` with `{"pieces": {FILE: how many pieces with text it gave}}`;
`{"search": TEXT, "limit": N}` with `{"pages": [[name of the file without suffix, page], ...]}`, of
the N pieces nearest by meaning, best first, pages from 1.

Pieces are as long as the model reads: 256 tokens, or what holds as much in characters.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

TOKENS = 254
"""With the two special ones, as many as MiniLM reads."""
CHARACTERS = 1000
"""Of English prose, about as much."""
COLLECTION = "bench"

Page = tuple[str, int]


class Peer(Protocol):
    """One way to ingest and search."""

    def ingest(self, files: Sequence[str]) -> dict[str, int]:
        """Make files findable; return how many pieces with text each one gave."""

    def search(self, text: str, limit: int) -> list[Page]:
        """Return the pages of the nearest pieces."""


def main(name: str, weights: str, store: str) -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    peer = PEERS[name](weights, store)
    say({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if "ingest" in request:
            say({"pieces": peer.ingest(request["ingest"])})
        else:
            say({"pages": peer.search(request["search"], request["limit"])})


def _tried(call: Callable[[], Any]) -> Any:  # noqa: ANN401 (whatever the call returns)
    """Return what the call returns, or None when it fails, in whatever way a library may."""
    with ThreadPoolExecutor(1) as alone:
        made = alone.submit(call)
        if fault := made.exception():
            print(f"{type(fault).__name__}: {fault}"[:300], file=sys.stderr)
            return None
        return made.result()


# --- LlamaIndex ---------------------------------------------------------------------------------


class LlamaIndex:
    """SimpleDirectoryReader, SentenceSplitter, HuggingFaceEmbedding and QdrantVectorStore."""

    def __init__(self, weights: str, store: str) -> None:
        from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
        from llama_index.core.ingestion import IngestionPipeline
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from llama_index.vector_stores.qdrant import QdrantVectorStore
        from qdrant_client import QdrantClient

        embedding = HuggingFaceEmbedding(model_name=weights, device="cpu")
        splitter = SentenceSplitter(
            chunk_size=TOKENS, chunk_overlap=0, tokenizer=_tokenizer(weights)
        )
        vectors = QdrantVectorStore(COLLECTION, client=QdrantClient(path=store))
        self._read = SimpleDirectoryReader
        self._index = VectorStoreIndex.from_vector_store(vectors, embed_model=embedding)
        self._pipeline = IngestionPipeline(
            transformations=[splitter, embedding], vector_store=vectors, disable_cache=True
        )
        self._pages: dict[str, Page] = {}

    def ingest(self, files: Sequence[str]) -> dict[str, int]:
        """Read, split, embed and store; a file that cannot be read is passed over by the reader."""
        read = _tried(lambda: self._read(input_files=list(files)).load_data()) or []
        self._number(read)
        nodes = self._pipeline.run(documents=[each for each in read if each.text.strip()])
        found = Counter(node.metadata["file_path"] for node in nodes if node.get_content().strip())
        return {file: found[file] for file in files}

    def _number(self, documents: Sequence[Any]) -> None:
        """Note the page of each: of a PDF there is one document a page, in order."""
        counted: Counter[str] = Counter()
        for document in documents:
            path = document.metadata["file_path"]
            counted[path] += 1
            self._pages[document.doc_id] = (Path(path).stem, counted[path])

    def search(self, text: str, limit: int) -> list[Page]:
        """Search by meaning, as its retriever does."""
        found = self._index.as_retriever(similarity_top_k=limit).retrieve(text)
        return [self._pages[each.node.ref_doc_id] for each in found]


def _tokenizer(weights: str) -> Callable[[str], list[int]]:
    """Return the model's own tokenizer, which is faster here than the splitter's default."""
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(Path(weights) / "tokenizer.json"))
    model.no_truncation()
    model.no_padding()
    return lambda text: list(model.encode(text, add_special_tokens=False).ids)


# --- unstructured -------------------------------------------------------------------------------


class Unstructured:
    """`partition` with the strategy `fast`, `chunk_by_title`, sentence-transformers and Qdrant."""

    def __init__(self, weights: str, store: str) -> None:
        from qdrant_client import QdrantClient, models
        from sentence_transformers import SentenceTransformer

        _without_download()
        from unstructured.chunking.title import chunk_by_title
        from unstructured.partition.auto import partition

        self._partition, self._chunk = partition, chunk_by_title
        self._model = SentenceTransformer(weights, device="cpu")
        self._client, self._models = QdrantClient(path=store), models
        size = self._model.get_embedding_dimension()
        self._client.create_collection(
            COLLECTION, models.VectorParams(size=size, distance=models.Distance.COSINE)
        )
        self._stored = 0

    def ingest(self, files: Sequence[str]) -> dict[str, int]:
        """Partition and chunk file by file, then embed and store all pieces together."""
        pieces = {file: _tried(lambda file=file: self._pieces(file)) or [] for file in files}
        every = [piece for made in pieces.values() for piece in made]
        if every:
            vectors = self._model.encode([piece["text"] for piece in every])
            ids = range(self._stored, self._stored + len(every))
            self._stored += len(every)
            self._client.upload_collection(COLLECTION, vectors, payload=every, ids=ids, wait=True)
        return {file: len(made) for file, made in pieces.items()}

    def _pieces(self, file: str) -> list[dict[str, Any]]:
        elements = self._partition(file, strategy="fast", languages=["eng"])
        chunks = self._chunk(elements, max_characters=CHARACTERS)
        name = Path(file).stem
        return [
            {"text": chunk.text, "name": name, "pages": _pages(chunk)}
            for chunk in chunks
            if chunk.text.strip()
        ]

    def search(self, text: str, limit: int) -> list[Page]:
        """Search by meaning."""
        vector = self._model.encode(text)
        found = self._client.query_points(COLLECTION, vector, limit=limit).points
        return [(each.payload["name"], page) for each in found for page in each.payload["pages"]]


def _pages(chunk: Any) -> list[int]:  # noqa: ANN401 (an element of the library's)
    """Return the pages that the parts of a chunk lie on."""
    parts = chunk.metadata.orig_elements or [chunk]
    found = dict.fromkeys(part.metadata.page_number for part in parts)
    return [number for number in found if number is not None]


_VERBS = """
am are be been being is was were do does did done doing have has had having can could may might
must shall should will would say says said make makes made get gets got give gives gave given
take takes took taken see sees saw seen show shows shown use uses find finds found know knows
knew known include includes provide provides require requires need needs want wants go goes
went gone come comes came keep keeps kept let lets mean means meant become becomes became begin
begins began hold holds held
"""
_LONG = 4


def _without_download() -> None:
    """Put rules in place of the language model that unstructured would download.

    It tells prose from titles by verbs; sentences end at punctuation. Lighter than the real one.
    """
    import spacy
    from spacy.language import Language
    from unstructured.nlp import tokenize

    known = frozenset(_VERBS.split())

    @Language.component("verbs")
    def verbs(doc: Any) -> Any:  # noqa: ANN401 (spaCy's)
        for token in doc:
            word = token.lower_
            acts = word in known or (len(word) > _LONG and word.endswith(("ed", "ing")))
            token.tag_ = "VBZ" if acts else "NN"
        return doc

    def load() -> Language:
        pipeline = spacy.blank("en")
        pipeline.add_pipe("sentencizer")
        pipeline.add_pipe("verbs")
        return pipeline

    tokenize._load_spacy_model = load
    tokenize._get_nlp.cache_clear()


PEERS: dict[str, Callable[[str, str], Peer]] = {
    "llama-index": LlamaIndex,
    "unstructured": Unstructured,
}


if __name__ == "__main__":
    main(*sys.argv[1:4])
