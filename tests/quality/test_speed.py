"""How fast the service answers over the SciFact corpus, through HTTP; no answer cache exists.

`make bench-search` and `make bench-ask` print the figures.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.quality import beir, corpora
from tests.service import ROOT, footnote, serving

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

CLIENTS = 16
SECONDS = 20.0


def test_search_keeps_up_with_sixteen_clients(capsys: pytest.CaptureFixture[str]) -> None:
    judged = beir.load(corpora.folder("scifact"), qrels="train")
    queries = list(judged.queries.values())
    with serving(_ingested(judged)) as url:
        search_from_many_clients(url, queries[:20], seconds=5)
        began = time.monotonic()
        taken = search_from_many_clients(url, queries[20:], seconds=SECONDS)
        rate = len(taken) / (time.monotonic() - began)
    with capsys.disabled():
        print(f"\n/v1/search, {CLIENTS} clients: {rate:.1f}/s, p50 {_ms(taken, 50):.0f} ms", end="")
        print(f", p99 {_ms(taken, 99):.0f} ms, {len(taken)} distinct queries")
    assert rate >= 40


def test_an_extractive_answer_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    judged = beir.load(corpora.folder("scifact"))
    with serving(_ingested(judged)) as url, httpx2.Client(base_url=url, timeout=60) as client:
        taken = []
        for query in itertools.islice(judged.queries.values(), 120):
            began = time.perf_counter()
            reply = client.post("/v1/ask", json={"question": query, "collection": judged.name})
            assert reply.status_code == 200, reply.text
            taken.append(time.perf_counter() - began)
    warm = taken[20:]
    with capsys.disabled():
        print(f"\n/v1/ask extractive, warm: p50 {_ms(warm, 50):.0f} ms, p95 {_ms(warm, 95):.0f} ms")
    assert _ms(warm, 50) <= 150


def _ingested(judged: beir.Set) -> Path:
    data = ROOT / "build" / "quality" / judged.name
    done = footnote(data, "ingest", str(judged.corpus), "--collection", judged.name, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    return data


def search_from_many_clients(url: str, queries: list[str], *, seconds: float) -> list[float]:
    """Ask each query once, from `CLIENTS` threads, for at most `seconds`; return the times."""
    waiting = iter(queries)
    lock = threading.Lock()
    taken: list[float] = []
    end = time.monotonic() + seconds

    def client() -> None:
        with httpx2.Client(base_url=url, timeout=60) as connection:
            while time.monotonic() < end:
                with lock:
                    query = next(waiting, None)
                if query is None:
                    return
                began = time.perf_counter()
                reply = connection.post("/v1/search", json={"query": query, "limit": 10})
                assert reply.status_code == 200, reply.text
                taken.append(time.perf_counter() - began)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def _ms(seconds: list[float], percentile: int) -> float:
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1]
