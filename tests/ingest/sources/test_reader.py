from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.opening import Allowed, open_source
from knowledge.errors import ConfigurationError, SourceUnavailable
from knowledge.models import Feed, Outcome, Principal
from tests.ingest.world import LIMIT, World, outcomes

FOLDER = "tests.ingest.sources"
READERS = ", ".join(
    (
        f"{FOLDER}.readers_for_tests:LinesReader",
        f"{FOLDER}.quick_readers:QuickReader",
        f"{FOLDER}.quick_readers:HangingReader",
    )
)


class Wiki:
    """What a reader finds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pages: dict[str, str] = {}
        self.write()

    def write(self, **pages: str) -> None:
        self.pages |= pages
        lines = [
            {"text": text, "metadata": {"page_id": name, "title": f"About {name}", "views": 3}}
            for name, text in self.pages.items()
        ]
        self.path.write_text("\n".join(map(json.dumps, lines)))

    def feed(self, reader: str = "QuickReader") -> Feed:
        given = {"path": str(self.path), "token": "${env:WIKI}", "load.space": "IT"}
        return Feed("", "wiki", "reader", f"reader:{reader}", settings=given)


@pytest.fixture
def wiki(tmp_path: Path) -> Wiki:
    return Wiki(tmp_path / "wiki.jsonl")


def allowed(**values: Any) -> Allowed:  # noqa: ANN401
    return Allowed(max_bytes=LIMIT, **{"readers": READERS, "secrets": {"WIKI": "hush"}} | values)


def test_a_reader_of_llama_index_becomes_documents(world: World, wiki: Wiki) -> None:
    wiki.write(a="the apple text")
    feed = world.keeper.add(wiki.feed("LinesReader"))
    world.connectors[feed.uri] = open_source(feed, allowed())
    (event,) = world.sync_source(feed)
    assert event.uri == "reader:LinesReader/a"
    assert world.texts("apple") == ["the apple text"]
    document = world.catalog.document(str(event.document_id), Principal("ann"))
    assert document.title == "About a"
    assert document.metadata["space"] == "IT"
    assert document.metadata["views"] == "3"


def test_a_reader_is_kept_in_sync(world: World, wiki: Wiki) -> None:
    wiki.write(a="the apple text", b="the banana text")
    feed = world.keeper.add(wiki.feed())
    world.connectors[feed.uri] = open_source(feed, allowed())
    first = world.sync_source(feed)
    assert outcomes(first) == [Outcome.INDEXED, Outcome.INDEXED]
    wiki.write(b="the blueberry text", c="the cherry text")
    del wiki.pages["a"]
    wiki.write()
    second = world.sync_source(feed)
    assert outcomes(second) == [Outcome.INDEXED, Outcome.INDEXED, Outcome.REMOVED]
    assert sorted(world.texts("text")) == ["the blueberry text", "the cherry text"]
    assert {each.document_id for each in first} & {each.document_id for each in second}


def test_a_reader_that_fails_or_finds_nothing_removes_nothing(world: World, wiki: Wiki) -> None:
    wiki.write(a="the apple text")
    feed = world.keeper.add(wiki.feed())
    world.connectors[feed.uri] = open_source(feed, allowed())
    world.sync_source(feed)
    world.connectors[feed.uri] = open_source(feed, allowed(secrets={"WIKI": "swordfish"}))
    with pytest.raises(SourceUnavailable, match="the reader failed: PermissionError: 401") as why:
        world.sync_source(feed)
    assert "swordfish" not in str(why.value)
    world.connectors[feed.uri] = open_source(feed, allowed())
    wiki.pages.clear()
    wiki.write()
    assert outcomes(world.sync_source(feed)) == []
    assert world.texts("apple") == ["the apple text"]
    assert "returned nothing" in world.keeper.feed(feed.id)[0].error


def test_a_reader_that_hangs_is_ended(world: World) -> None:
    feed = Feed("", "slow", "reader", "reader:HangingReader")
    hanging = open_source(feed, allowed(reader_seconds=3.0))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="FOOTNOTE_READER_SECONDS"):
        hanging.list("")
    assert time.monotonic() - began < 30
    hanging.close()


def test_only_readers_on_the_list_are_run(wiki: Wiki) -> None:
    with pytest.raises(ConfigurationError, match="FOOTNOTE_READERS=module:QuickReader"):
        open_source(wiki.feed(), allowed(readers=""))
    for name in ("os:system", "../x", "tests.ingest.sources.quick_readers.QuickReader"):
        with pytest.raises(ConfigurationError, match="not allowed"):
            open_source(Feed("", "x", "reader", f"reader:{name}"), allowed())
    with pytest.raises(ConfigurationError, match="not module:Class"):
        open_source(wiki.feed(), allowed(readers="QuickReader"))
    with pytest.raises(ConfigurationError, match="pip install llama-index-readers-confluence"):
        open_source(Feed("", "x", "reader", "reader:ConfluenceReader"), allowed())
