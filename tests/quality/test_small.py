"""The long figures in small, on 160 documents of SciFact: the same path, with wide margins."""

from __future__ import annotations

import itertools
import json
import statistics
import time
from pathlib import Path

import httpx2
import ir_measures
import pytest
from ir_measures import nDCG

from tests.quality import beir, corpora
from tests.quality.test_speed import search_from_many_clients
from tests.service import footnote, serving

DOCUMENTS = 160
QUERIES = 40


def test_a_small_corpus_is_found_quickly_and_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = _cut(beir.load(corpora.folder("scifact")), tmp_path / "corpus.jsonl")
    data = tmp_path / "data"
    done = footnote(data, "ingest", str(small.corpus), timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    with serving(data) as url, httpx2.Client(base_url=url, timeout=60) as client:
        run, taken = {}, []
        for query, text in small.queries.items():
            reply = client.post("/v1/search", json={"query": text, "limit": 20})
            run[query] = corpora.by_document(reply.json()["passages"])
        for text in itertools.islice(small.queries.values(), 20):
            began = time.perf_counter()
            assert client.post("/v1/ask", json={"question": text}).status_code == 200
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
        searched = search_from_many_clients(url, list(small.queries.values()), seconds=6)
        rate = len(searched) / (time.perf_counter() - began)
    ndcg = ir_measures.calc_aggregate([nDCG @ 10], small.qrels, run)[nDCG @ 10]
    p50 = 1000 * statistics.median(taken)
    with capsys.disabled():
        print(f" nDCG@10 {ndcg:.3f}, ask p50 {p50:.0f} ms, {rate:.0f} searches/s ", end="")
    assert ndcg >= 0.8
    assert p50 <= 2000
    assert rate >= 5


def _cut(whole: beir.Set, corpus: Path) -> beir.Set:
    """Keep the first queries, what is relevant to them, and other documents up to the number."""
    queries = dict(itertools.islice(whole.queries.items(), QUERIES))
    qrels = {query: whole.qrels[query] for query in queries}
    wanted = {document for judged in qrels.values() for document in judged}
    rows = [json.dumps(row) for row in beir.rows(whole.corpus) if row["_id"] in wanted]
    others = (json.dumps(row) for row in beir.rows(whole.corpus) if row["_id"] not in wanted)
    rows += itertools.islice(others, DOCUMENTS - len(rows))
    corpus.write_text("\n".join(rows), encoding="utf-8")
    return beir.Set(whole.name, corpus, queries, qrels)
