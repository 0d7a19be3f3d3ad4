"""A large index and nothing else: `python -m tests.quality.scale_index FOLDER POINTS`.

Points as in `tests.quality.scale`, one in ten visible; then the graph over the vectors is built,
in this process, which serves nobody, and searches are timed. Prints what it took as JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from knowledge.access import access_filter
from knowledge.index.edge import EdgeIndex
from knowledge.models import Embedding, Point, Principal, SparseVector, derive_id
from knowledge.sparse import Bm25Encoder
from tests.quality.processes import resident_mb
from tests.quality.scale import NOISE, PER_DOCUMENT, READERS, SEED, VISIBLE, Passage, passages

BATCH = 2_000
SEARCHES = 300


def main(folder: Path, count: int) -> dict[str, float]:
    """Fill the index, build its graph, and search it."""
    shutil.rmtree(folder, ignore_errors=True)
    drawn = [each for pool in passages() for each in pool]
    sparse = [Bm25Encoder().encode_passage(" ".join(each.words[:220])) for each in drawn]
    matrix = np.array([each.vector for each in drawn], dtype=np.float32)
    index = EdgeIndex(folder, dimension=matrix.shape[1])
    began = time.monotonic()
    for start in range(0, count, BATCH):
        index.upsert(list(_points(matrix, sparse, start, min(BATCH, count - start))))
        if start % 50_000 == 0:
            print(
                f"{start:,} points, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True
            )
    stored = time.monotonic()
    before = _search(index, drawn)
    print(f"before the graph: p50 {before[49]:.1f} ms", file=sys.stderr, flush=True)
    building = time.monotonic()
    index._shard.optimize()
    built = time.monotonic()
    after = _search(index, drawn)
    took = {
        "points": count,
        "store_s": stored - began,
        "graph_s": built - building,
        "p50_before_ms": before[49],
        "p50_ms": after[49],
        "p99_ms": after[98],
        "resident_mb": resident_mb(),
        "disk_mb": sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file()) / 2**20,
    }
    index.close()
    return took


def _points(
    matrix: np.ndarray, sparse: list[SparseVector], start: int, count: int
) -> Iterator[Point]:
    chance = np.random.default_rng([SEED, start])
    chosen = chance.integers(0, len(matrix), count)
    width = matrix.shape[1]
    made = matrix[chosen] + chance.normal(0, NOISE / width**0.5, (count, width))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    for at in range(count):
        number = (start + at) // PER_DOCUMENT
        readers = READERS if number % VISIBLE == 0 else f"group-{number % 50}"
        yield Point(
            chunk_id=derive_id(str(start + at)),
            document_id=f"document-{number}",
            revision_id=f"revision-{number}",
            collection="main",
            access=frozenset({f"g:{readers}"}),
            embedding=Embedding(tuple(made[at].tolist()), sparse[chosen[at]]),
        )


def _search(index: EdgeIndex, drawn: list[Passage]) -> list[float]:
    """Return the percentiles of searches under a filter, in milliseconds."""
    access = access_filter(Principal("reader", frozenset({READERS})))
    chance, taken = random.Random(SEED), []
    encoder = Bm25Encoder()
    for _ in range(SEARCHES):
        one = chance.choice(drawn)
        words = encoder.encode_passage(" ".join(chance.choices(one.words or ["nothing"], k=8)))
        began = time.perf_counter()
        index.search_each(Embedding(tuple(one.vector), words), access, limit=100)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(taken[20:], n=100, method="inclusive")


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
