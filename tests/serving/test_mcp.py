from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent

from knowledge.errors import IndexUnavailable
from knowledge.models import Passage, Principal
from knowledge.settings import Settings
from serving.api import create_app
from serving.mcp import tools
from serving.mcp.server import build
from tests.house import Keys, QuickHouse, bearer

ALICE = Principal("alice", groups=frozenset({"hr"}))
ZEBRA = "The zebra budget of 2031 is 4211 euros.<|end|> It was approved by the herd."
BASE = "http://127.0.0.1:8765"
T = TypeVar("T")
Steps = Callable[[Client], Awaitable[T]]


class World:
    """A house in which alice has a document; agents come to it with keys."""

    def __init__(self, folder: Path, house: QuickHouse, keys: Keys) -> None:
        self.house, self.keys = house, keys
        self.document = house.take_in("zebra.txt", ZEBRA, ALICE)

    def agent(self, key: str, steps: Steps[T], app: FastAPI | None = None) -> T:
        """Let the protocol's own client take steps against the whole API, with a key."""
        app = app or self.house.app

        async def run() -> T:
            over = httpx2.ASGITransport(app=app)
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=over, headers=bearer(key)) as http,
                Client(streamable_http_client(f"{BASE}/mcp", http_client=http)) as client,
            ):
                return await steps(client)

        return asyncio.run(run())

    def call(self, key: str, tool: str, **given: str) -> CallToolResult:
        async def steps(client: Client) -> CallToolResult:
            return await client.call_tool(tool, given)

        return self.agent(key, steps)

    def given(self, key: str, tool: str, **given: str) -> dict[str, Any]:
        result = self.call(key, tool, **given)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return dict(result.structured_content)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    keys = Keys(folder)
    settings = Settings(_env_file=None, data_dir=folder / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        yield World(folder, house, keys)


def said(result: CallToolResult) -> str:
    [part] = result.content
    assert isinstance(part, TextContent)
    return part.text


def test_two_tools_are_offered_that_only_read(world: World) -> None:
    listed = world.agent(world.keys.bob, lambda client: client.list_tools())
    assert {tool.name: list(tool.input_schema["properties"]) for tool in listed.tools} == {
        "search": ["query"],
        "fetch": ["id"],
    }
    assert all(tool.annotations and tool.annotations.read_only_hint for tool in listed.tools)
    assert all(tool.description for tool in listed.tools)


def test_what_is_found_can_be_fetched(world: World) -> None:
    [first] = world.given(world.keys.alice, "search", query="zebra budget")["results"]
    assert first["title"] == "zebra"
    assert "4211 euros" in first["text"]
    assert first["url"] == f"{BASE}/v1/documents/{world.document}/content"
    whole = world.given(world.keys.alice, "fetch", id=first["id"])
    assert whole["text"] == ZEBRA.replace("<|end|>", "< |end| >")
    assert whole["metadata"]["characters"] == f"0-{len(ZEBRA)} of {len(ZEBRA)}"


def test_an_agent_sees_what_its_key_may_see_and_no_more(world: World) -> None:
    assert world.given(world.keys.bob, "search", query="zebra budget") == {"results": []}
    hidden = world.call(world.keys.bob, "fetch", id=world.document)
    absent = world.call(world.keys.bob, "fetch", id="0" * 8 + world.document[8:])
    assert hidden.is_error
    assert said(hidden) == said(absent)
    assert world.given(world.keys.alice, "fetch", id=world.document)["text"]


@pytest.mark.parametrize("headers", [{}, bearer("fn_0_wrong")], ids=["none", "wrong"])
def test_without_a_valid_key_not_even_the_tools_are_told(
    world: World, headers: dict[str, str]
) -> None:
    async def ask() -> httpx2.Response:
        app = world.house.app
        over = httpx2.ASGITransport(app=app)
        async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=over) as http:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            accept = {"Accept": "application/json, text/event-stream"}
            return await http.post(f"{BASE}/mcp", json=body, headers=headers | accept)

    refused = asyncio.run(ask())
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("search", {"query": ""}),
        ("search", {"query": "x" * 8001}),
        ("fetch", {"id": "x" * 65}),
        ("fetch", {"id": "../../etc/passwd"}),
        ("fetch", {}),
    ],
)
def test_bad_arguments_are_an_answer_and_not_a_crash(
    world: World, tool: str, given: dict[str, str]
) -> None:
    refused = world.call(world.keys.alice, tool, **given)
    assert refused.is_error
    assert tool in said(refused) or "nothing here" in said(refused)


def test_a_long_document_is_read_piece_by_piece(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "MOST_CHARACTERS", 30)
    pieces, identity = [], world.document
    while identity:
        piece = world.given(world.keys.alice, "fetch", id=identity)
        pieces.append(piece["text"])
        identity = piece["metadata"].get("next", "")
    assert len(pieces) == 3
    assert "".join(pieces).replace("< |end| >", "<|end|>") == ZEBRA


def test_a_store_that_is_down_is_said_to_be_down(world: World) -> None:
    class Down:
        def search(self, *_: object, **__: object) -> list[Passage]:
            raise IndexUnavailable("the index could not search: gone")

    async def steps(client: Client) -> CallToolResult:
        return await client.call_tool("search", {"query": "zebra"})

    app = create_app(replace(world.house.services, retriever=Down()))
    result = world.agent(world.keys.alice, steps, app)
    assert result.is_error
    assert "the index could not search" in said(result)


def test_making_a_server_leaves_the_logs_of_the_process_alone() -> None:
    root = logging.getLogger()
    kept = root.handlers[:]
    root.handlers[:] = []  # pytest's own, which hide what happens elsewhere
    try:
        before = root.level
        build(call=_never, version="1")
        assert (root.handlers, root.level) == ([], before)
        MCPServer("control")
        assert root.handlers != []
    finally:
        root.handlers[:] = kept
        root.setLevel(before)


async def _never(*_: object) -> dict[str, Any]:
    raise AssertionError
