"""The whole service in one test: one file becomes one cited answer, over real HTTP, offline."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from tests.service import serving

PAGES = [
    ["Herd handbook", "This handbook is for everyone who works with the herd."],
    ["Money", "The zebra budget of 2031 is 4211 euros.", "It was approved by the herd in spring."],
    ["Places", "The waterhole is closed on Mondays."],
]
QUESTION = "How large is the zebra budget of 2031?"


def test_one_file_becomes_one_cited_answer(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as url, httpx2.Client(base_url=url, timeout=60) as client:
        document_id = _upload(client, "handbook.pdf", _pdf())
        answer = client.post("/v1/ask", json={"question": QUESTION}).json()
        assert answer["verdict"] == "answered"
        assert "4211" in answer["text"]
        assert "[1]" in answer["text"]
        _check_citation(client, answer["citations"][0], document_id)
        _check_stream(client, answer)
        unknown = client.post("/v1/ask", json={"question": "Who painted the Mona Lisa?"}).json()
        assert (unknown["verdict"], unknown["citations"]) == ("not_found", [])
        assert client.delete(f"/v1/documents/{document_id}").status_code == 204
        gone = client.post("/v1/ask", json={"question": QUESTION}).json()
        assert (gone["verdict"], gone["citations"]) == ("not_found", [])


def _upload(client: httpx2.Client, name: str, data: bytes) -> str:
    """Upload a file, wait until it can be asked about, and return the document's id."""
    taken = client.post("/v1/documents", files={"file": (name, data)})
    assert taken.status_code == 202, taken.text
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        seen = client.get(taken.headers["location"]).json()
        if seen["state"] not in {"received", "working"}:
            assert seen["state"] == "done", seen
            (document_id,) = seen["documents"]
            return str(document_id)
        time.sleep(0.1)
    raise AssertionError("the upload was never done")


def _check_citation(client: httpx2.Client, citation: dict[str, Any], document_id: str) -> None:
    assert citation["document_id"] == document_id
    assert citation["page"] == 2
    assert citation["quote"] in PAGES[1]
    assert citation["box"]["y0"] < citation["box"]["y1"]
    passages = client.post("/v1/search", json={"query": QUESTION}).json()["passages"]
    (passage,) = [each for each in passages if _covers(each["span"], citation["span"])]
    start = citation["span"]["start"] - passage["span"]["start"]
    assert passage["text"][start : start + len(citation["quote"])] == citation["quote"]
    original = client.get(f"/v1/documents/{document_id}/content")
    assert original.content.startswith(b"%PDF")


def _check_stream(client: httpx2.Client, answer: dict[str, Any]) -> None:
    body = {"question": QUESTION, "stream": True}
    with client.stream("POST", "/v1/ask", json=body) as reply:
        events = list(_events(reply))
    names = [name for name, _ in events]
    assert names[0] == "passages"
    assert names[-1] == "answer"
    assert names.count("answer") + names.count("error") == 1
    assert "".join(data["text"] for name, data in events if name == "delta") == answer["text"]
    assert [data for name, data in events if name == "citation"] == answer["citations"]
    assert events[-1][1]["citations"] == answer["citations"]


def _covers(outer: dict[str, int], inner: dict[str, int]) -> bool:
    return outer["start"] <= inner["start"] and inner["end"] <= outer["end"]


def _events(reply: httpx2.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    for event in httpx2.EventSource(reply):
        yield event.event, json.loads(event.data)


def _pdf() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    for lines in PAGES:
        for number, line in enumerate(lines):
            canvas.setFont("Helvetica", 20 if number == 0 else 11)
            canvas.drawString(72, 770 - 40 * number, line)
        canvas.showPage()
    canvas.save()
    return file.getvalue()
