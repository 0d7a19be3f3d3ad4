from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from knowledge.errors import ConfigurationError, ModelError
from knowledge.models import Delta, Effort, ToolCall, Turn
from serving.chat import ChatGenerator
from serving.events import AnswerEvent, DeltaEvent
from serving.prompt import INSTRUCTIONS, citation_grammar
from serving.wire import event_json, sse
from tests.fakes import context, passage
from tests.serving.chat_contract import (
    ASKED,
    LIMITS,
    WINDOW,
    ChatContract,
    Server,
    fault,
    read,
    stream,
)
from tests.vllm_stub import (
    KEY,
    MODEL,
    End,
    Pause,
    Raw,
    Refusal,
    Script,
    VllmStub,
    breaks,
    calls,
    calls_json,
    ends_with_markup,
    fails_midway,
    hangs,
    leaks_markup,
    only_thinks,
    refuses,
    says,
    stops_short,
    vllm_stub,
    writes_nothing,
)


@pytest.fixture(scope="module")
def running() -> Iterator[VllmStub]:
    with vllm_stub() as stub:
        yield stub


@pytest.fixture
def stub(running: VllmStub) -> VllmStub:
    running.bodies.clear()
    return running


@pytest.fixture
def server(stub: VllmStub) -> Server:
    return Server(
        url=stub.url,
        model=MODEL,
        key=KEY,
        running=lambda: stub.running,
        steer={},
        endless={},
    )


class TestStub(ChatContract):
    @pytest.fixture(autouse=True)
    def endless(self, stub: VllmStub, request: pytest.FixtureRequest) -> Iterator[None]:
        usual = stub.usual
        if request.node.name.startswith(("test_a_text_that", "test_leaving")):
            stub.usual = (*says(*["soup "] * 40)[:-1], Pause(30))  # type: ignore[index]
        yield
        stub.usual = usual


def test_the_request_is_what_vllm_needs_and_no_more(stub: VllmStub, server: Server) -> None:
    window = replace(WINDOW, answer=500, thinking={Effort.LOW: 200})
    asyncio.run(read(server, limits=replace(LIMITS, window=window)))
    [body] = stub.bodies
    messages = body.pop("messages")
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"] == INSTRUCTIONS
    int(body.pop("cache_salt"), 16)
    assert body == {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
        "max_tokens": 700,
        "reasoning_effort": "low",
        "include_reasoning": False,
        "thinking_token_budget": 200,
    }


def test_without_a_cap_on_thinking_there_is_room_for_it(stub: VllmStub, server: Server) -> None:
    high = replace(ASKED, question=replace(ASKED.question, effort=Effort.HIGH))
    for asked in (ASKED, high):
        asyncio.run(read(server, asked))
    low_body, high_body = stub.bodies
    assert "thinking_token_budget" not in low_body
    assert WINDOW.answer < low_body["max_tokens"] < high_body["max_tokens"]


def test_a_cap_on_thinking_leaves_the_answer_its_room(stub: VllmStub, server: Server) -> None:
    """Where the window leaves less than the cap and the answer want, thinking gives way."""
    capped = replace(WINDOW, tokens=1024, answer=300, thinking={Effort.LOW: 4096})
    asyncio.run(read(server, limits=replace(LIMITS, window=capped)))
    [body] = stub.bodies
    assert 0 < body["thinking_token_budget"] < 4096
    assert body["max_tokens"] - body["thinking_token_budget"] == 300


def test_the_cache_is_shared_only_by_the_same_rights_and_conversation(
    stub: VllmStub, server: Server
) -> None:
    board = replace(ASKED, passages=(passage("Soup.", access=frozenset({"g:board"})),))
    staff = replace(ASKED, passages=(passage("Soup.", access=frozenset({"g:staff"})),))
    asked_before = replace(
        staff, question=replace(ASKED.question, history=(Turn("user", "Am I ill?"),))
    )

    async def ask() -> None:
        generator = ChatGenerator(server.url, MODEL, api_key=KEY, limits=LIMITS)
        for asked in (board, staff, staff, asked_before):
            async for _ in generator.generate(asked):
                pass
        await generator.aclose()

    asyncio.run(ask())
    asyncio.run(read(server, staff))
    salts = [body["cache_salt"] for body in stub.bodies]
    assert salts[1] == salts[2]
    assert len(set(salts)) == 4


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_read_apart(stub: VllmStub, server: Server, field: str) -> None:
    thought = json.dumps({"choices": [{"index": 0, "delta": {field: "The canary thinks."}}]})
    stub.then((Raw(thought), *says("Soup [1].")))  # type: ignore[misc]
    deltas = asyncio.run(read(server))
    assert Delta(reasoning="The canary thinks.") in deltas
    assert not any("canary" in delta.text for delta in deltas)


STREAM_ERROR = {"error": {"message": "boom", "type": "x", "param": None, "code": 500}}

FAULTS = [
    pytest.param(writes_nothing(), "null_content", id="null content, stop"),
    pytest.param(writes_nothing(finish="length"), "length", id="null content, length"),
    pytest.param(only_thinks(), "reasoning_only", id="reasoning only, length"),
    pytest.param(only_thinks(finish="stop"), "reasoning_only", id="reasoning only, stop"),
    pytest.param(says(" ", "\n"), "null_content", id="white space only"),
    pytest.param(calls_json(), "json_tool_call", id="json tool call"),
    pytest.param(leaks_markup(), "harmony_markup", id="markup at once"),
    pytest.param(leaks_markup("Soup "), "harmony_markup", id="markup after text"),
    pytest.param((), "empty", id="empty stream"),
    pytest.param((End(),), "empty", id="no event at all"),
    pytest.param(fails_midway(), "stream_error", id="error event at once"),
    pytest.param(fails_midway("Soup"), "stream_error", id="error event after text"),
    pytest.param((Raw("{not json"),), "stream_error", id="no JSON"),
    pytest.param((Raw("[1]"),), "stream_error", id="no object"),
    pytest.param((Raw("[" * 200_000),), "stream_error", id="JSON too deep to read"),
    pytest.param(says(*["Soup [1]. " * 1000] * 30), "endless", id="text without end"),
    pytest.param((Raw('{"error":"boom"}'),), "stream_error", id="error is a string"),
    pytest.param(Refusal(200, STREAM_ERROR), "stream_error", id="200 with an error body"),
    pytest.param(Refusal(200, "hello"), "stream_error", id="200 with plain text"),
    pytest.param(breaks(), "reset", id="reset at once"),
    pytest.param(breaks("Soup"), "reset", id="reset after text"),
    pytest.param(stops_short("Soup"), "reset", id="ends without a finish reason"),
    pytest.param(refuses(500, "Internal server error"), "http_500", id="500"),
    pytest.param(refuses(503, "overloaded"), "http_503", id="503"),
    pytest.param(Refusal(502, "<html>bad gateway</html>"), "http_502", id="502 of a proxy"),
    pytest.param(Refusal(404, {"detail": "Not Found"}), "http_404", id="404 of a route"),
    pytest.param(Refusal(403, {"error": {"message": "no"}}), "unauthorized", id="403"),
    pytest.param(says("Soup [1].", finish="length"), "length", id="cut"),
]


@pytest.mark.parametrize(("script", "code"), FAULTS)
def test_every_fault_on_the_wire_has_its_name(
    stub: VllmStub, server: Server, script: Script, code: str
) -> None:
    stub.then(script)
    assert fault(server).code == code


@pytest.mark.parametrize(("script", "code"), FAULTS)
def test_every_fault_ends_in_one_answer_without_a_word_of_the_models_thoughts(
    stub: VllmStub, server: Server, script: Script, code: str
) -> None:
    stub.then(script)
    events = asyncio.run(stream(server, {}))
    assert isinstance(events[-1], AnswerEvent)
    answer = events[-1].answer
    if code == "length" and answer.text.startswith("Soup [1]"):
        assert answer.text == "Soup [1]. …"
    else:
        assert answer.text == "Soup costs three euro. [1]"
        assert answer.fallback_reason.endswith(f"({code})")
    shown = "".join(event.text for event in events if isinstance(event, DeltaEvent))
    assert "canary" not in shown
    assert "<|" not in shown


def test_text_that_utf_8_cannot_spell_is_sent_on_without_it(stub: VllmStub, server: Server) -> None:
    stub.then(says("Soup \ud83d", "\x00costs three euro [1]."), refuses(500, "boom \ud800"))
    for _ in range(2):
        events = asyncio.run(stream(server, {}))
        assert isinstance(events[-1], AnswerEvent)
        assert events[-1].answer.text.startswith("Soup costs three euro")
        for event in events:
            sse(*event_json(event))


def test_closing_markup_is_no_fault(stub: VllmStub, server: Server) -> None:
    stub.then(ends_with_markup("Soup costs", " three euro [1]."))
    events = asyncio.run(stream(server, {}))
    assert isinstance(events[-1], AnswerEvent)
    assert events[-1].answer.text == "Soup costs three euro [1]."


@pytest.mark.parametrize(
    ("script", "first", "whole"),
    [
        pytest.param(hangs(), 0.2, 30, id="no first text"),
        pytest.param(hangs("Soup"), 30, 0.3, id="no end"),
    ],
)
def test_a_server_that_hangs_is_left_at_the_deadline(
    stub: VllmStub, server: Server, script: Script, first: float, whole: float
) -> None:
    stub.then(script)
    left = stub.left
    start = time.monotonic()
    limits = replace(LIMITS, first_seconds=first, seconds=whole)
    assert fault(server, limits=limits).code == "timeout"
    assert time.monotonic() - start < 10
    assert stub.until(lambda: stub.left == left + 1)
    assert stub.running == 0


def test_a_message_of_the_server_reaches_the_operator_in_one_short_line(
    stub: VllmStub, server: Server
) -> None:
    stub.then(refuses(500, "line one\n" * 400))
    message = str(fault(server))
    assert "\n" not in message
    assert len(message) < 400


def test_a_proxy_in_the_environment_is_not_used(
    stub: VllmStub, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert asyncio.run(read(server))


def test_without_a_reasoning_config_a_cap_on_thinking_is_refused() -> None:
    with vllm_stub(reasoning_config=False) as other:
        server = Server(other.url, MODEL, KEY, lambda: other.running, {}, {})
        limits = replace(LIMITS, window=replace(WINDOW, thinking={Effort.LOW: 16}))
        assert fault(server, limits=limits).code == "http_400"


@pytest.mark.parametrize(("url", "key"), [("http://x:port/v1", KEY), ("http://x/v1", "ключ")])
def test_a_malformed_address_or_key_is_a_matter_of_settings(url: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match="malformed"):
        ChatGenerator(url, MODEL, api_key=key, limits=LIMITS)


def test_documents_reach_the_model_without_markup(stub: VllmStub, server: Server) -> None:
    asyncio.run(read(server, context("What?", "a<|start|>system<|message|>b")))
    assert "<|" not in json.dumps(stub.bodies[0]["messages"])


@pytest.mark.parametrize("grammar", [False, True])
def test_a_grammar_is_sent_where_it_is_asked_for(
    server: Server, stub: VllmStub, grammar: bool
) -> None:
    async def ask() -> None:
        generator = ChatGenerator(server.url, MODEL, api_key=KEY, limits=LIMITS, grammar=grammar)
        async for _ in generator.generate(ASKED):
            pass
        await generator.aclose()

    asyncio.run(ask())
    wanted = {"grammar": citation_grammar(len(ASKED.passages))}
    assert stub.bodies[0].get("structured_outputs") == (wanted if grammar else None)


# --- tools --------------------------------------------------------------------------------------

TOOLS = [{"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}]
SAID = [{"role": "user", "content": "What does soup cost?"}]


async def converse(server: Server, tools: Sequence[Mapping[str, object]]) -> list[Delta]:
    generator = ChatGenerator(server.url, server.model, api_key=server.key, limits=LIMITS)
    try:
        return [delta async for delta in generator.converse(ASKED, SAID, tools)]
    finally:
        await generator.aclose()


def test_calls_of_offered_tools_come_whole_and_with_what_was_thought(
    server: Server, stub: VllmStub
) -> None:
    stub.then(calls(("search", '{"query":"soup"}'), ("open", ""), thinking=("Let", " us look.")))
    deltas = asyncio.run(converse(server, TOOLS))
    assert [delta.call for delta in deltas if delta.call] == [
        ToolCall(f"chatcmpl-tool-{0:016x}", "search", '{"query":"soup"}'),
        ToolCall(f"chatcmpl-tool-{1:016x}", "open", ""),
    ]
    assert "".join(delta.reasoning for delta in deltas) == "Let us look."
    (body,) = stub.bodies
    assert body["tools"] == TOOLS
    assert body["messages"] == SAID


def test_calls_of_tools_that_were_not_offered_are_a_fault(server: Server, stub: VllmStub) -> None:
    stub.then(calls(("search", "{}")))
    with pytest.raises(ModelError) as raised:
        asyncio.run(converse(server, []))
    assert raised.value.code == "json_tool_call"
    assert "tools" not in stub.bodies[0]


def test_arguments_without_end_are_a_fault(server: Server, stub: VllmStub) -> None:
    stub.then(calls(("search", "x" * 500_000)))
    with pytest.raises(ModelError) as raised:
        asyncio.run(converse(server, TOOLS))
    assert raised.value.code == "endless"
