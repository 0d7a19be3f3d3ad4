from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import get_response_synthesizer
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode

from footnote.llamaindex import FootnoteRetriever
from knowledge.errors import FootnoteError, OwnedElsewhere
from knowledge.models import Filters, Principal
from knowledge.settings import Settings
from tests.footnote.test_agent import listening
from tests.house import Keys, QuickHouse
from tests.service import free_port

ALICE = Principal("alice", groups=frozenset({"hr"}))
BOB = Principal("bob")
ZEBRA = "The zebra budget of 2031 is 4211 euros."


class World:
    def __init__(self, house: QuickHouse, keys: Keys, url: str) -> None:
        self.house, self.keys, self.url = house, keys, url
        self.document = house.take_in("zebra.txt", ZEBRA, ALICE)

    def retrievers(self, key: str, who: Principal) -> list[FootnoteRetriever]:
        return [
            FootnoteRetriever.at(self.url, key=key),
            FootnoteRetriever.within(self.house.retriever, who),
        ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    keys = Keys(folder)
    settings = Settings(_env_file=None, data_dir=folder / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house, listening(house) as url:
        yield World(house, keys, url)


def test_both_ways_give_the_same_nodes_with_all_that_a_citation_needs(world: World) -> None:
    over_http, in_process = (
        retriever.retrieve("zebra budget")
        for retriever in world.retrievers(world.keys.alice, ALICE)
    )
    assert over_http == in_process
    [found] = over_http
    assert (found.text, found.score) == (ZEBRA, 1.0)
    assert found.metadata["document_id"] == world.document
    assert (found.metadata["start"], found.metadata["end"]) == (0, len(ZEBRA))
    assert "zebra" in found.node.get_content(MetadataMode.LLM)
    assert world.document not in found.node.get_content(MetadataMode.LLM)


def test_neither_way_gives_what_the_caller_may_not_read(world: World) -> None:
    for retriever in world.retrievers(world.keys.bob, BOB):
        assert retriever.retrieve("zebra budget") == []


def test_it_retrieves_asynchronously_and_inside_a_query_engine(world: World) -> None:
    [retriever, _] = world.retrievers(world.keys.alice, ALICE)
    assert len(asyncio.run(retriever.aretrieve("zebra budget"))) == 1
    engine = RetrieverQueryEngine(retriever, get_response_synthesizer(llm=MockLLM()))
    answer = engine.query("What is the zebra budget?")
    assert ZEBRA in str(answer)
    assert [source.text for source in answer.source_nodes] == [ZEBRA]


def test_filters_narrow_both_ways(world: World) -> None:
    none = Filters(tags=frozenset({"no such tag"}))
    inside = FootnoteRetriever.within(world.house.retriever, ALICE, filters=none)
    outside = FootnoteRetriever.at(
        world.url, key=world.keys.alice, filters={"tags": ["no such tag"]}
    )
    assert inside.retrieve("zebra budget") == outside.retrieve("zebra budget") == []


def test_what_is_refused_is_said_in_words(world: World) -> None:
    with pytest.raises(FootnoteError, match="API key"):
        FootnoteRetriever.at(world.url, key="wrong").retrieve("zebra")
    with pytest.raises(OwnedElsewhere, match="stopped answering"):
        FootnoteRetriever.at(f"http://127.0.0.1:{free_port()}").retrieve("zebra")
