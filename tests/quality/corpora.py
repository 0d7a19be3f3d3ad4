"""Corpora ingested once by the command into `build/quality`, and served afresh for each test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2

from tests.quality.beir import Set
from tests.requirements import eval_data
from tests.service import ROOT, footnote, serving

LIMIT = 100
Search = Callable[..., dict[str, float]]


def folder(name: str) -> Path:
    """Return the folder of an evaluation set; skips the test where it is not at hand."""
    return eval_data(name)


@contextlib.contextmanager
def served(judged: Set) -> Iterator[Search]:
    """Ingest the corpus unless it is there, serve it, and yield a function that searches it."""
    data = ROOT / "build" / "quality" / judged.name
    done = footnote(data, "ingest", str(judged.corpus), "--collection", judged.name, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    with serving(data) as url, httpx2.Client(base_url=url, timeout=60) as client:

        def search(query: str, *, collection: str) -> dict[str, float]:
            body = {"query": query, "collection": collection, "limit": LIMIT}
            reply = client.post("/v1/search", json=body)
            assert reply.status_code == 200, reply.text
            return by_document(reply.json()["passages"])

        yield search


def by_document(passages: list[dict[str, object]]) -> dict[str, float]:
    """Score each document by the rank of its best passage."""
    scores: dict[str, float] = {}
    for passage in passages:
        document = passage["document"]
        assert isinstance(document, dict)
        rank = passage["rank"]
        assert isinstance(rank, int)
        scores.setdefault(str(document["external_id"]), 1.0 / rank)
    return scores
