"""An agent that starts `footnote mcp`, beside a service on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from mcp import Client, StdioServerParameters

from knowledge.models import Principal
from knowledge.settings import Settings
from tests.house import Keys, QuickHouse
from tests.service import command, footnote, free_port

ALICE = Principal("alice", groups=frozenset({"hr"}))


@contextlib.contextmanager
def listening(house: QuickHouse) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(house.app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Keys]]:
    folder = tmp_path_factory.mktemp("world")
    keys = Keys(folder)
    settings = Settings(_env_file=None, data_dir=folder / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        house.take_in("zebra.txt", "The zebra budget of 2031 is 4211 euros.", ALICE)
        with listening(house) as url:
            yield url, keys


def test_an_agent_over_stdin_has_the_rights_of_its_key(
    world: tuple[str, Keys], tmp_path: Path
) -> None:
    url, keys = world

    async def search(key: str) -> tuple[list[str], list[str]]:
        given = {"FOOTNOTE_API_URL": url, "FOOTNOTE_API_KEY": key}
        program, *arguments = command(tmp_path / "data", "mcp", **given)
        async with Client(StdioServerParameters(command=program, args=arguments)) as client:
            found = await client.call_tool("search", {"query": "zebra budget"})
            assert found.structured_content is not None
            texts = [each["text"] for each in found.structured_content["results"]]
            bad = await client.call_tool("fetch", {"id": "no such"})
            return texts, [part.text for part in bad.content]  # type: ignore[union-attr]

    texts, [refused] = asyncio.run(search(keys.alice))
    assert texts == ["The zebra budget of 2031 is 4211 euros."]
    assert "There is nothing here that you may see." in refused
    assert asyncio.run(search(keys.bob))[0] == []


def test_without_a_key_or_a_service_it_says_what_to_do(
    world: tuple[str, Keys], tmp_path: Path
) -> None:
    url, _ = world
    keyless = footnote(tmp_path / "data", "mcp", FOOTNOTE_API_URL=url)
    assert keyless.returncode == 2
    assert "FOOTNOTE_API_KEY" in keyless.stderr
    absent = footnote(tmp_path / "data", "mcp", FOOTNOTE_API_URL=f"http://127.0.0.1:{free_port()}")
    assert "footnote serve" in absent.stderr
