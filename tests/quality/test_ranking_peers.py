"""Ranking beside others: the same chunks, the same vectors, the same questions, in one run.

`make bench-ranking` prints the table. Each peer runs in an environment and a process of its own and
is handed the vectors; none embeds anything, Footnote neither. Latency is of one search after the
other; it is compared with those that keep what they search on disk.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pytest

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.ranking import Ranking
from tests.quality import beir
from tests.quality.shelf import Shelf
from tests.quality.test_ranking import FLOORS, interval, judged_set, values
from tests.requirements import require
from tests.service import ROOT

pytestmark = [pytest.mark.bench, pytest.mark.timeout(2 * 3600)]

OURS = "footnote"
PEERS = (
    *("rank-llama-index", "rank-haystack", "rank-haystack-distribution"),
    *("rank-langchain", "rank-txtai"),
)
ON_DISK = ("rank-llama-index", "rank-txtai")
WARMING = 5
_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Result:
    """What one system made of one set."""

    ndcg: Sequence[float]
    seconds: Sequence[float]


def test_ours_is_ahead_of_each_and_significantly_behind_on_no_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for peer in PEERS:
        require(_python(peer).exists(), f"the peer {peer}", "make bench-ranking")
    embedder = SentenceTransformerEmbedder()
    results: dict[str, dict[str, Result]] = {name: {} for name in (OURS, *PEERS)}
    for name in FLOORS:
        judged = judged_set(name)
        shelf = Shelf(judged.name, judged.corpus, embedder, ROOT / "build" / "quality" / "shelf")
        folder = tmp_path / name.replace(" ", "-")
        _hand_over(shelf, judged, folder)
        results[OURS][name] = _ours(shelf, judged)
        for peer in PEERS:
            results[peer][name] = _peer(peer, shelf, judged, folder)
        shelf.index.close()
    with capsys.disabled():
        _print(results)
    for peer in PEERS:
        low, _ = ahead(results[OURS], results[peer])
        assert low > 0, f"not ahead of {peer}"
        for name in FLOORS:
            _, high = interval(results[OURS][name].ndcg, results[peer][name].ndcg)
            assert high >= 0, f"behind {peer} on {name}"
    for peer in ON_DISK:
        for name in FLOORS:
            assert _p50(results[OURS][name]) <= _p50(results[peer][name]), (peer, name)


def ahead(ours: Mapping[str, Result], theirs: Mapping[str, Result]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over sets; questions are drawn anew within each set."""
    chance = random.Random(0)
    differences = [
        [a - b for a, b in zip(ours[name].ndcg, theirs[name].ndcg, strict=True)] for name in ours
    ]
    means = sorted(
        fmean(fmean(chance.choices(each, k=len(each))) for each in differences)
        for _ in range(_RESAMPLES)
    )
    return means[_RESAMPLES // 40], means[-_RESAMPLES // 40]


def _hand_over(shelf: Shelf, judged: beir.Set, folder: Path) -> None:
    folder.mkdir()
    texts = list(dict.fromkeys(judged.queries.values()))
    (folder / "chunks.json").write_text(json.dumps(list(shelf.texts)))
    (folder / "queries.json").write_text(json.dumps(texts))
    np.save(folder / "chunks.npy", np.array(list(shelf.texts.values()), dtype=np.float32))
    np.save(folder / "queries.npy", np.array(shelf.embed(texts), dtype=np.float32))


def _ours(shelf: Shelf, judged: beir.Set) -> Result:
    asked = list(judged.queries.items())
    for _, text in asked[:WARMING]:
        shelf.search(text, Ranking())
    run, seconds = {}, []
    for query, text in asked:
        began = time.perf_counter()
        run[query] = shelf.search(text, Ranking())
        seconds.append(time.perf_counter() - began)
    return Result(values(judged, run), seconds)


def _peer(name: str, shelf: Shelf, judged: beir.Set, folder: Path) -> Result:
    script = [str(_python(name)), str(ROOT / "scripts" / "rank_peers.py"), name, str(folder)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    texts = list(shelf.texts)
    found = dict(zip(dict.fromkeys(judged.queries.values()), told["found"], strict=True))
    run = {}
    for query, text in judged.queries.items():
        documents = dict.fromkeys(
            document for place in found[text] for document in shelf.documents[texts[place]]
        )
        run[query] = {document: 1 / rank for rank, document in enumerate(documents, start=1)}
    return Result(values(judged, run), told["seconds"])


def _python(peer: str) -> Path:
    name = peer.removesuffix("-distribution")
    return ROOT / ".venv-peers" / name / "bin" / "python"


def _p50(result: Result) -> float:
    return median(result.seconds)


def _print(results: Mapping[str, Mapping[str, Result]]) -> None:
    ours = results[OURS]
    for name in FLOORS:
        print(f"\n{name}: {len(ours[name].ndcg)} queries")
        for system, found in results.items():
            low, high = interval(ours[name].ndcg, found[name].ndcg)
            times = _p50(found[name]) / _p50(ours[name])
            print(
                f"  {system:28} {fmean(found[name].ndcg):.4f}   ours less it {low:+.4f} to "
                f"{high:+.4f}   p50 {times:.1f} of ours"
            )
    print("\nmean over the sets, ours less theirs")
    for peer in PEERS:
        mean = fmean(fmean(ours[name].ndcg) - fmean(results[peer][name].ndcg) for name in FLOORS)
        low, high = ahead(ours, results[peer])
        print(f"  {peer:28} {mean:+.4f} ({low:+.4f} to {high:+.4f})")
