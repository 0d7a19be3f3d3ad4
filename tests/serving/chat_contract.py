"""What the chat adapter and a vLLM server owe each other; the stub and a real server pass it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest

from knowledge.errors import ModelError
from knowledge.models import Context, Delta, Effort, Principal, Question, Usage
from knowledge.vocabulary import count_tokens
from serving.answer import Answerer
from serving.chat import ChatGenerator, Limits
from serving.events import AnswerEvent, Event, Terminal
from serving.extractive import ExtractiveGenerator
from serving.markers import MarkerNormaliser
from serving.window import Window
from tests.fakes import Unchanged, context

SERVERS_WINDOW = 4096
ASKED = context("What does soup cost?", "Soup costs three euro.", "Tea is free.")
WINDOW = Window(100_000, 64, count_tokens)
"""Far more than a server has that is held against this: what it refuses is to be its own word."""
LIMITS = Limits(seconds=60, first_seconds=60, window=WINDOW)


@dataclass(frozen=True)
class Server:
    """A server under contract."""

    url: str
    model: str
    key: str
    running: Callable[[], int]
    """How many requests it works on right now."""
    steer: Mapping[str, object]
    """Fields that make it write `Soup costs three euro [1].`"""
    endless: Mapping[str, object]
    """Fields that make it write until it is stopped."""


async def read(
    server: Server,
    asked: Context = ASKED,
    *,
    model: str = "",
    key: str = "",
    limits: Limits = LIMITS,
    extra: Mapping[str, object] | None = None,
) -> list[Delta]:
    """Return all deltas of one answer."""
    generator = ChatGenerator(
        server.url,
        model or server.model,
        api_key=key or server.key,
        limits=limits,
        extra=server.steer if extra is None else extra,
    )
    try:
        async with aclosing(generator.generate(asked)) as deltas:
            return [delta async for delta in deltas]
    finally:
        await generator.aclose()


def fault(server: Server, asked: Context = ASKED, **changes: object) -> ModelError:
    """Return the error that reading an answer ends with."""
    with pytest.raises(ModelError) as caught:
        asyncio.run(read(server, asked, **changes))  # type: ignore[arg-type]
    return caught.value


class ChatContract:
    """Needs a fixture `server` with a `Server`."""

    def test_an_answer_comes_in_pieces_and_ends_with_the_usage(self, server: Server) -> None:
        deltas = asyncio.run(read(server))
        # A model may spell `<|end|>` in ordinary letters at the end: the normaliser's to remove.
        normaliser = MarkerNormaliser(len(ASKED.passages))
        text = "".join(normaliser.feed(delta.text) for delta in deltas) + normaliser.finish()
        assert text == "Soup costs three euro [1]."
        assert sum(bool(delta.text) for delta in deltas) > 1
        usage = deltas[-1].usage
        assert isinstance(usage, Usage)
        assert usage.prompt_tokens > 60
        assert usage.completion_tokens > usage.reasoning_tokens >= 0

    def test_the_wire_has_the_recorded_shapes(self, server: Server) -> None:
        first, *texts, finish, usage = asyncio.run(raw_events(server))
        common = {"id", "object", "created", "model", "choices"}
        assert first.keys() == common | {"prompt_token_ids", "prompt_text"}
        assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        for chunk in texts:
            assert chunk.keys() == common
            [choice] = chunk["choices"]
            assert choice.keys() == {"index", "delta", "logprobs", "finish_reason", "token_ids"}
            assert choice["delta"].keys() == {"content", "reasoning"}
        [choice] = finish["choices"]
        assert (choice["delta"], choice["finish_reason"]) == ({}, "stop")
        assert "stop_reason" in choice
        assert usage.keys() == common | {"usage", "system_fingerprint"}
        assert usage["choices"] == []
        assert "reasoning_tokens" in usage["usage"]["completion_tokens_details"]

    def test_reasoning_is_hidden_unless_asked_for(self, server: Server) -> None:
        assert not any(delta.reasoning for delta in asyncio.run(read(server)))

    @pytest.mark.parametrize("effort", list(Effort))
    def test_every_effort_is_accepted(self, server: Server, effort: Effort) -> None:
        asked = replace(ASKED, question=replace(ASKED.question, effort=effort))
        assert asyncio.run(read(server, asked))

    def test_a_cap_on_thinking_is_accepted(self, server: Server) -> None:
        capped = replace(WINDOW, thinking=dict.fromkeys(Effort, 16))
        assert asyncio.run(read(server, limits=replace(LIMITS, window=capped)))

    def test_the_server_tells_its_window(self, server: Server) -> None:
        async def told() -> int | None:
            generator = ChatGenerator(server.url, server.model, api_key=server.key, limits=LIMITS)
            try:
                return await generator.window()
            finally:
                await generator.aclose()

        assert asyncio.run(told()) == SERVERS_WINDOW

    def test_a_wrong_key_is_unauthorized(self, server: Server) -> None:
        assert fault(server, key="wrong").code == "unauthorized"

    def test_an_unknown_model_is_not_found(self, server: Server) -> None:
        error = fault(server, model="nope")
        assert error.code == "http_404"
        assert "does not exist" in str(error)

    def test_an_overlong_prompt_is_told_apart(self, server: Server) -> None:
        long = context("What?", "soup tea cake " * 8000)
        assert fault(server, long).code == "context_overflow"

    def test_a_refused_field_is_a_client_error(self, server: Server) -> None:
        extra = {**server.steer, "reasoning_effort": "none"}
        assert fault(server, extra=extra).code == "http_400"

    def test_a_text_that_reaches_the_token_limit_is_cut(self, server: Server) -> None:
        error = fault(server, extra={**server.endless, "max_tokens": 12})
        assert error.code in ("length", "reasoning_only", "harmony_markup")

    def test_leaving_early_stops_the_server(self, server: Server) -> None:
        async def leave() -> None:
            generator = ChatGenerator(
                server.url,
                server.model,
                api_key=server.key,
                limits=LIMITS,
                extra={**server.endless, "include_reasoning": True},
            )
            async with aclosing(generator.generate(ASKED)) as deltas:
                await anext(deltas)
                assert await asyncio.to_thread(until, lambda: server.running() == 1)
            await generator.aclose()

        asyncio.run(leave())
        assert until(lambda: server.running() == 0)

    def test_a_server_that_is_not_there_is_unavailable(self, server: Server) -> None:
        nowhere = replace(server, url="http://127.0.0.1:9/v1")
        assert fault(nowhere).code == "unavailable"

    @pytest.mark.parametrize("seed", range(3))
    def test_noise_ends_in_exactly_one_terminal_event(self, server: Server, seed: int) -> None:
        noise = {"temperature": 1.0, "seed": seed, "max_tokens": 48}
        events = asyncio.run(stream(server, noise))
        assert sum(isinstance(event, Terminal) for event in events) == 1
        assert isinstance(events[-1], AnswerEvent)


def until(condition: Callable[[], bool], *, seconds: float = 10) -> bool:
    """Wait until `condition` holds; say whether it came about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


async def stream(server: Server, extra: Mapping[str, object]) -> list[Event]:
    """Return all events of an answer by the server, with the extractive writer behind it."""
    generator = ChatGenerator(
        server.url, server.model, api_key=server.key, limits=LIMITS, extra=extra
    )
    answerer = Answerer(
        retriever=Found(), generator=generator, fallback=ExtractiveGenerator(threshold=0.3)
    )
    try:
        return [event async for event in answerer.stream(ASKED.question, Principal("ann"))]
    finally:
        await generator.aclose()


async def raw_events(server: Server) -> list[dict[str, Any]]:
    """Return the JSON of every event of one answer."""
    body = {
        "model": server.model,
        "messages": [{"role": "user", "content": "What does soup cost?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "include_reasoning": False,
        "temperature": 0,
        **server.steer,
    }
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        reply = await client.post(f"{server.url}/chat/completions", json=body, headers=headers)
    events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


class Found(Unchanged):
    """Finds the same context for every question."""

    def retrieve(self, question: Question, principal: Principal) -> Context:
        return ASKED
