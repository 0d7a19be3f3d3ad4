"""Two services that are alike, but for what one of them hides from the person who asks."""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import qdrant_edge as edge
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message

from ingest.recover import freeze
from knowledge.index import edge as edge_file
from knowledge.index import shape
from knowledge.settings import Settings
from serving import schemas
from tests.house import bearer
from tests.rights.world import MARK, RightsHouse, Ring

VOCABULARY = [
    f"{first}{last}"
    for first in ("bar", "cel", "dor", "fen", "gil", "hum", "jas", "kor", "lim", "mer")
    for last in ("ado", "ine", "oth", "usk", "erp")
]
RARE = VOCABULARY[::5]
"""Words that the hidden document is full of; a few visible ones hold each of them too."""
VARYING = {
    "timings_ms",
    "updated_at",
    "dated_at",
    "first",
    "last",
    "received_at",
    "created_at",
    "started_at",
    "finished_at",
}
"""What no two services have in common: moments, and how long it took."""


class Service:
    """One of the two: what Ann may read is the same in both."""

    def __init__(self, folder: Path, *, hides: bool) -> None:
        self.house = RightsHouse(Settings(_env_file=None, data_dir=folder, chunk_tokens=32))
        self.house.ring = Ring()
        self.house.ring.groups["ann"] = {"legal"}
        self.client = TestClient(self.house.app, base_url="http://127.0.0.1")
        self.client.__enter__()
        chance = Random(7)
        lines = [_line(number, chance) for number in range(40)]
        self._hand_in("open.jsonl", lines[:30], "bob", "everyone")
        self._hand_in("legal.jsonl", lines[30:], "bob", "u:bob", "g:legal")
        if hides:
            self._hide(lines)
        freeze(self.house.catalog)

    def _hide(self, lines: Sequence[str]) -> None:
        """Add a document full of rare words, a near copy of an open one, and one that is gone."""
        full = " ".join(f"{word} zq99999x" for word in RARE for _ in range(30))
        copy = json.loads(lines[3])["text"] + " zq99998x"
        hidden = [{"id": "h1", "title": "Secret", "text": full}, {"id": "h2", "text": copy}]
        self._hand_in("secret.jsonl", [json.dumps(each) for each in hidden], "cy", "u:cy")
        text = json.dumps({"id": "g1", "text": full.replace("99999", "99997")})
        for document_id in self._hand_in("gone.jsonl", [text], "cy", "everyone", "u:cy"):
            self.house.intake.remove(document_id)

    def _hand_in(self, name: str, lines: Sequence[str], owner: str, *access: str) -> Sequence[str]:
        by = self.house.ring.principal(owner)
        taken = self.house.intake.submit(
            io.BytesIO("\n".join(lines).encode()),
            name=name,
            collection="main",
            access=frozenset(access),
            by=by,
        )
        while self.house.worker.work_one():
            pass
        return self.house.intake.status(taken.id, by).document_ids

    def answer(self, request: tuple[str, str, dict[str, Any]]) -> str:
        """Return status and body of Ann's request, without what varies."""
        method, path, content = request
        reply = self.client.request(method, path, headers=bearer("ann"), **content)
        body = reply.json() if reply.content else None
        return f"{reply.status_code} {json.dumps(_steady(body), sort_keys=True)}"

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.house.__exit__(None, None, None)


@contextmanager
def services(folder: Path) -> Iterator[tuple[Service, Service]]:
    """Yield the service without and the one with hidden documents."""
    with ExitStack() as stack:
        both = []
        for name, hides in (("without", False), ("with", True)):
            service = Service(folder / name, hides=hides)
            stack.callback(service.close)
            both.append(service)
        yield both[0], both[1]


def differences(pair: tuple[Service, Service], requests: int, *, seed: int = 1) -> list[str]:
    """Return the requests whose answers differ."""
    chance = Random(seed)
    asked = [request(pair[0], chance) for _ in range(requests)]
    said = [[service.answer(each) for service in pair] for each in asked]
    secrets = {mark for _, one in said for mark in MARK.findall(one)}
    assert not secrets & {"zq99999x", "zq99998x", "zq99997x"}
    return [
        f"{each}: {a[:200]} | {b[:200]}" for each, (a, b) in zip(asked, said, strict=True) if a != b
    ]


def request(service: Service, chance: Random) -> tuple[str, str, dict[str, Any]]:
    """Draw a request; most of them hold words that the hidden document is full of."""
    words = chance.sample(VOCABULARY, chance.randint(1, 3)) + chance.sample(RARE, 2)
    chance.shuffle(words)
    text = " ".join([*words, *(["zq99999x"] if chance.random() < 0.2 else [])])
    explain = {"explain": True} if "explain" in schemas.SearchIn.model_fields else {}
    narrow: list[dict[str, Any]] = [{}, {"collection": "main"}, {"filters": {"types": ["jsonl"]}}]
    only = chance.choice(narrow)
    kind = chance.randrange(6)
    if kind <= 2:
        effort = chance.choice(("low", "high"))
        body = {"query": text, "limit": chance.choice((1, 5, 20)), "effort": effort, **only}
        return "POST", "/v1/search", {"json": body | (explain if kind else {})}
    if kind == 3:
        effort = chance.choice(("low", "high"))
        return "POST", "/v1/ask", {"json": {"question": text, "effort": effort, **only}}
    if kind == 4:
        limit = chance.choice((1, 7, 1000))
        return "GET", "/v1/documents", {"params": {"limit": limit}}
    path = chance.choice(
        ("/v1/collections", "/v1/facets", "/v1/jobs", "/v1/submissions", "/v1/quarantine")
    )
    return "GET", path, {}


def searches(chance: Random, many: int) -> list[str]:
    """Draw searches for what the hidden document is full of."""
    return [" ".join(chance.sample(RARE, 3)) for _ in range(many)]


def timings(pair: tuple[Service, Service], many: int) -> tuple[list[float], list[float]]:
    """Time the same searches in both, one after the other, in an order drawn anew each time.

    One loop and one pool of threads serve both, so that the two differ in what they hold alone.
    """
    chance = Random(3)
    found: tuple[list[float], list[float]] = ([], [])

    async def measure() -> None:
        for query in searches(chance, many):
            for which in chance.sample((0, 1), 2):
                began = time.perf_counter()
                await _search(pair[which].house.app, query)
                found[which].append(time.perf_counter() - began)

    asyncio.run(measure())
    return found


async def _search(app: ASGIApp, query: str) -> None:
    """Make Ann's request without a client in between."""
    body = json.dumps({"query": query, "limit": 10}).encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/search",
        "raw_path": b"/v1/search",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"application/json"),
            (b"authorization", b"Bearer ann"),
        ],
    }
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        statuses.append(message.get("status"))

    await app(scope, receive, send)
    assert statuses[0] == 200


def auc(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Return how well latency tells the two apart (0.5: not at all), and its standard error.

    The probability that one of `other` is longer than one of `one`, counted by ranks; the error is
    that of Hanley and McNeil (1982).
    """
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    total, place = 0.0, 0
    while place < len(ranked):
        end = place
        while end < len(ranked) and ranked[end][0] == ranked[place][0]:
            end += 1
        middle = (place + 1 + end) / 2
        total += middle * sum(which for _, which in ranked[place:end])
        place = end
    m, n = len(one), len(other)
    area = (total - n * (n + 1) / 2) / (m * n)
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)
    return area, math.sqrt(spread / (m * n))


def open_with_idf(folder: Path, dimension: int) -> edge.EdgeShard:
    """Open a store that weighs words by how rare they are in all its points, as Qdrant offers."""
    sparse = edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)
    config = edge.EdgeConfig(
        vectors={shape.DENSE: edge.EdgeVectorParams(dimension, edge.Distance.Cosine)},
        sparse_vectors={shape.SPARSE: sparse},
    )
    if not (folder / "segments").is_dir():
        edge_file._create(folder, config)
    return edge.EdgeShard.load(str(folder), config)


def _line(number: int, chance: Random) -> str:
    words = ", ".join(chance.choices(VOCABULARY, k=8)).title()
    text = f"{words} is note zq{number:05}x of {' '.join(chance.choices(VOCABULARY, k=4))}."
    return json.dumps({"id": f"d{number}", "title": f"Note {number}", "text": text})


def _steady(body: Any) -> Any:  # noqa: ANN401
    if isinstance(body, dict):
        return {name: _steady(value) for name, value in body.items() if name not in VARYING}
    return [_steady(each) for each in body] if isinstance(body, list) else body
