"""Only four routes answer, whatever else the server has: held against a real router."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.engine.gate import ALLOWED, Gate, Message

OTHERS = [
    ("POST", "/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/chat/completions/render"),
    ("POST", "/invocations"),  # answers like /v1, and vLLM's key does not guard it
    ("POST", "/inference/v1/generate"),
    ("POST", "/collective_rpc"),
    ("POST", "/tokenize"),
    ("GET", "/tokenizer_info"),
    ("GET", "/version"),
    ("GET", "/openapi.json"),
    ("POST", "/v1/load_lora_adapter"),
    ("POST", "/start_profile"),
    ("POST", "/health"),
    ("DELETE", "/v1/models"),
]


def server() -> FastAPI:
    """A server with what vLLM may have, each route telling that it was reached."""
    app = FastAPI(openapi_url=None)
    for method, path in sorted({*ALLOWED, *OTHERS}):
        app.add_api_route(path, lambda: "reached", methods=[method])

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("reached")

    return app


@pytest.fixture(scope="module")
def gated() -> Iterator[TestClient]:
    app = server()
    app.add_middleware(Gate)  # as vLLM does with what --middleware names
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), sorted(ALLOWED))
def test_what_we_call_passes(gated: TestClient, method: str, path: str) -> None:
    assert gated.request(method, path).json() == "reached"


@pytest.mark.parametrize(("method", "path"), OTHERS)
def test_all_else_looks_like_what_is_not_there(gated: TestClient, method: str, path: str) -> None:
    assert TestClient(server()).request(method, path).json() == "reached"  # the control
    refused, absent = gated.request(method, path), TestClient(server()).get("/nothing")
    assert (refused.status_code, refused.content) == (absent.status_code, absent.content)
    assert refused.headers == absent.headers


def test_a_socket_is_refused(gated: TestClient) -> None:
    with TestClient(server()).websocket_connect("/v1/realtime") as socket:
        assert socket.receive_text() == "reached"  # the control
    with pytest.raises(WebSocketDisconnect), gated.websocket_connect("/v1/realtime"):
        pass


SPELLINGS = [
    "/v1/models/", "//v1/models", "/v1//models", "/V1/models", "/v1/models/../responses",
    "/v1/chat/completions/%2e%2e/%2e%2e/responses", "/v1/chat/completions;/render", "/health%00",
    "/metrics/", "/metrics/x", "/v1/chat%2fcompletions%2frender",
]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT"])
def test_no_spelling_gets_past(gated: TestClient, method: str, path: str) -> None:
    assert gated.request(method, path, follow_redirects=False).status_code == 404


@given(
    path=st.one_of(
        st.text(),
        st.sampled_from(sorted(path for _, path in ALLOWED)).flatmap(
            lambda path: st.tuples(st.text(max_size=3), st.text(min_size=1, max_size=3)).map(
                lambda edges: edges[0] + path + edges[1]
            )
        ),
    ),
    method=st.sampled_from(["GET", "POST", "PUT", "get", "OPTIONS"]),
)
def test_no_other_path_reaches_the_application(path: str, method: str) -> None:
    if (method, path) in ALLOWED:
        return
    reached = []

    async def app(scope: Message, receive: Any, send: Any) -> None:  # noqa: ANN401
        reached.append(scope["path"])

    async def nothing(*_: Message) -> Message:
        return {}

    scope = {"type": "http", "method": method, "path": path}
    asyncio.run(Gate(app)(scope, nothing, nothing))  # type: ignore[arg-type]
    assert reached == []
