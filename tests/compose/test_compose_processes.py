"""What `docker compose up` starts works together: a file is uploaded, indexed and answered.

PostgreSQL is real; Qdrant is the test server of `qdrant_rest`; the rest is what compose starts.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.compose.compose_file import SECRETS
from tests.compose.qdrant_rest import qdrant_server
from tests.compose.stack import Stack
from tests.postgres import fresh_database, postgres_server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(280)]

OURS = ("parser", "api", "worker", "ui")
NOTICE = """# Notice periods

Permanent staff may end their contract with a notice period of eleven weeks.
During probation, two weeks suffice for either side.
"""


@pytest.fixture
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="fn-", dir="/tmp"))  # short, for a socket
    try:
        with (
            postgres_server() as server,
            fresh_database(server) as database,
            qdrant_server(SECRETS["QDRANT_API_KEY"]) as qdrant,
            Stack(folder, qdrant=qdrant, database=database) as stack,
        ):
            yield stack
    finally:
        shutil.rmtree(folder)


def test_an_uploaded_file_is_indexed_by_the_worker_and_answered(stack: Stack) -> None:
    key = stack.run("keys", "add", "--user", "alice", "--role", "editor").strip()
    assert not any(stack.healthy(name) for name in OURS), "healthy before it was started"
    for name in OURS:
        stack.start(name)
    for name in OURS:
        stack.wait_for(name)

    assert httpx2.get(f"{stack.api_url}/v1/documents", timeout=30).status_code == 401
    with _client(stack, key) as client:
        _upload(stack, client, "notice.md", NOTICE)
        answer = client.post("/v1/ask", json={"question": "How long is the notice period?"}).json()
    assert answer["verdict"] == "answered"
    assert any("eleven weeks" in each["quote"] for each in answer["citations"])
    assert answer["citations"][0]["title"]
    assert "<html" in httpx2.get(stack.page_url, timeout=30).text

    for name in OURS:
        assert stack.stop(name) in (0, -15, 143), stack.log(name)
        assert not stack.healthy(name), f"{name} is healthy after its end"


def test_the_api_refuses_to_start_without_keys(stack: Stack) -> None:
    stack.start("api")
    assert stack.ended("api") == 2
    assert "footnote keys add" in stack.log("api")


def _client(stack: Stack, key: str) -> httpx2.Client:
    bearer = {"Authorization": f"Bearer {key}"}
    return httpx2.Client(base_url=stack.api_url, headers=bearer, timeout=60)


def _upload(stack: Stack, client: httpx2.Client, name: str, text: str) -> None:
    taken = client.post("/v1/documents", files={"file": (name, text.encode(), "text/markdown")})
    assert taken.status_code == 202, taken.text
    deadline = time.monotonic() + 90
    while (state := client.get(taken.json()["status_url"]).json())["state"] != "done":
        assert state["state"] in ("received", "working"), state
        assert time.monotonic() < deadline, stack.log("worker")
        time.sleep(0.2)
