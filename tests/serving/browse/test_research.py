from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from knowledge.models import Context, Delta, Effort, Principal, Question, ToolCall, Usage
from knowledge.settings import Settings
from serving.browse.arguments import TOOLS
from serving.browse.research import MOST_CALLS, Research, Researcher
from serving.prompt import LAST_ROUND, NO_ROOM
from serving.window import Window
from tests.house import QuickHouse

ALICE = Principal("alice")
ASKED = Question("When does the office open?", effort=Effort.HIGH)
HOURS = "# Opening hours\n\nThe office opens at nine.\n\nIt closes at five on Fridays."
Json = dict[str, Any]


class Scripted:
    """Says one round after the other, and the last one again and again."""

    name = "scripted"

    def __init__(self, *rounds: Sequence[Delta]) -> None:
        self.seen: list[tuple[list[Json], Sequence[Json]]] = []
        self._rounds = list(rounds)

    async def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json]
    ) -> AsyncGenerator[Delta, None]:
        self.seen.append((list(messages), tools))
        for delta in self._rounds.pop(0) if len(self._rounds) > 1 else self._rounds[0]:
            yield delta


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickHouse]:
    folder: Path = tmp_path_factory.mktemp("house")
    with QuickHouse(Settings(_env_file=None, data_dir=folder)) as house:
        house.take_in("hours.md", HOURS, ALICE)
        yield house


def begin(
    house: QuickHouse,
    model: Scripted,
    *,
    rounds: int = 4,
    tokens: int = 9000,
    window: int = 100_000,
) -> Research:
    researcher = Researcher(
        model=model,
        retriever=house.retriever,
        library=house.catalog,
        window=Window(window, 64, lambda text: len(text.split())),
        rounds=rounds,
        tokens=tokens,
    )
    return researcher.begin(house.retriever.retrieve(ASKED, ALICE), ALICE)


def written(research: Research) -> list[Delta]:
    async def run() -> list[Delta]:
        return [delta async for delta in research.generate(Context(ASKED, ()))]

    return asyncio.run(run())


def call(name: str, **arguments: object) -> Delta:
    return Delta(call=ToolCall(f"id-{name}", name, json.dumps(arguments)))


def test_a_model_reads_on_until_it_answers(house: QuickHouse) -> None:
    model = Scripted(
        [Delta(reasoning="Which day?"), call("open", id=0), Delta(usage=Usage(10, 5, 2))],
        [call("find", pattern="fridays"), Delta(usage=Usage(20, 5, 2))],
        [Delta("It closes at "), Delta("five 【2†L1】."), Delta(usage=Usage(30, 5, 2))],
    )
    research = begin(house, model)
    deltas = written(research)
    assert "".join(delta.text for delta in deltas) == "It closes at five 【2†L1】."
    assert [delta.call.name for delta in deltas if delta.call] == ["open", "find"]
    assert deltas[-2].usage == Usage(60, 15, 6)
    assert research.read_mark("2†L1") == [1]
    assert [passage.text for passage in research.passages] == ["It closes at five on Fridays."]


def test_a_round_is_told_as_the_model_itself_would_have_it(house: QuickHouse) -> None:
    model = Scripted([Delta(reasoning="Hm."), call("open", id=0)], [Delta("At nine 【1†L2】.")])
    written(begin(house, model))
    (first, tools), (second, _) = model.seen
    assert tools == TOOLS
    assert [message["role"] for message in first] == ["system", "user", "assistant", "tool"]
    assert first[3]["content"].startswith("[0] Search results for `When does the office open?`")
    assert second[:4] == first
    assert second[4]["reasoning"] == "Hm."
    assert second[4]["tool_calls"][0]["function"] == {"name": "open", "arguments": '{"id": 0}'}
    assert second[5]["tool_call_id"] == second[4]["tool_calls"][0]["id"]
    assert "The office opens at nine." in second[5]["content"]


def test_text_before_a_call_is_not_shown(house: QuickHouse) -> None:
    model = Scripted([Delta("Let me look."), call("open", id=0)], [Delta("At nine.")])
    assert "".join(delta.text for delta in written(begin(house, model))) == "At nine."


def test_rounds_have_a_bound_and_the_last_one_has_no_tools(house: QuickHouse) -> None:
    model = Scripted([Delta("Still looking."), call("search", query="office")])
    deltas = written(begin(house, model, rounds=3))
    assert [bool(tools) for _, tools in model.seen] == [True, True, True, False]
    assert "".join(delta.text for delta in deltas) == "Still looking."
    assert model.seen[-1][0][-1]["role"] == "user"


def test_what_is_read_has_a_bound(house: QuickHouse) -> None:
    model = Scripted([call("search", query="office")])
    written(begin(house, model, rounds=9, tokens=20))
    assert [bool(tools) for _, tools in model.seen] == [True, False]


def test_a_page_that_the_window_does_not_take_is_not_shown(house: QuickHouse) -> None:
    """What a round asks for never leaves less than the answer and some thinking need."""
    asked = [call("open", id=0), call("search", query="office")]
    taken = []
    for size in range(500, 3000, 20):
        model = Scripted(asked, [Delta("At nine.")])
        written(begin(house, model, window=size))
        told, tools = model.seen[1]
        pages = [each["content"] for each in told[4:] if each["role"] == "tool"]
        taken.append(len(pages) - pages.count(NO_ROOM))
        assert bool(tools) == (NO_ROOM not in pages)
        window = Window(size, 64, lambda text: len(text.split()))
        if taken[-1]:
            read = [each for each in told if each["content"] != LAST_ROUND]
            assert window.left(read, model.seen[0][1], Effort.HIGH) > 0
    assert taken == sorted(taken)
    assert {0, 1, 2} == set(taken)


def test_a_round_has_a_bound_on_calls(house: QuickHouse) -> None:
    model = Scripted([call("search", query="office")] * 9, [Delta("At nine.")])
    written(begin(house, model))
    told = model.seen[1][0]
    assert sum(message["role"] == "tool" for message in told[4:]) == MOST_CALLS
    assert len(told[4]["tool_calls"]) == MOST_CALLS
