"""Lets a model search, open and find for some rounds, then answer: a `Generator` per question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from knowledge.models import Context, Delta, Passage, Principal, Reckoned, ToolCall, Usage
from knowledge.ports import Library
from serving.browse.browser import Browser
from serving.conversing import Conversing
from serving.prompt import LAST_ROUND, NO_ROOM, browse_messages
from serving.services import Searching
from serving.window import Window

MOST_CALLS = 4
"""Of one round that are run; the rest is left unanswered, which a model asks for again."""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Researcher:
    """Makes the writer of one question's answer."""

    model: Conversing
    retriever: Searching
    library: Library
    window: Window
    rounds: int
    tokens: int
    """Of pages read for one question; after the round that passes it no tools are offered."""
    calculates: bool = False
    """Whether it may have numbers worked out."""

    def begin(self, context: Context, principal: Principal) -> Research:
        """Begin with what one search found."""
        browser = Browser(
            self.retriever,
            self.library,
            context,
            principal,
            self.window.count,
            calculates=self.calculates,
        )
        return Research(self, browser)


class Research:
    """Implements the `Generator` door for one question; its marks are read by `read_mark`."""

    extractive = False

    def __init__(self, by: Researcher, browser: Browser) -> None:
        self.name = by.model.name
        self.read_mark = browser.read_mark
        self._by = by
        self._browser = browser
        self._usage = Usage()

    @property
    def passages(self) -> tuple[Passage, ...]:
        """What marks have pointed at so far, numbered from 1."""
        return tuple(self._browser.cited)

    @property
    def read(self) -> frozenset[str]:
        """Ids of all documents that it was shown something of."""
        return self._browser.read

    @property
    def reckoned(self) -> tuple[Reckoned, ...]:
        """What was worked out so far."""
        return tuple(self._browser.reckoned)

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield each call before it is run, and the text of the round that makes none."""
        messages = browse_messages(context.question, self._browser.first)
        count = self._by.window.count
        read = count(self._browser.first)
        for _ in range(self._by.rounds):
            said = _Said()
            async for delta in self._converse(context, messages, self._browser.tools):
                said.take(delta)
                yield replace(delta, text="")
            if not said.calls:
                yield Delta(text=said.text)
                return
            results = await asyncio.to_thread(self._run, said, messages, context)
            messages += said.messages(results)
            read += sum(map(count, results))
            if read > self._by.tokens or NO_ROOM in results:
                break
        last = [*messages, {"role": "user", "content": LAST_ROUND}]
        async for delta in self._converse(context, last, ()):
            yield delta

    async def _converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json]
    ) -> AsyncGenerator[Delta, None]:
        """Yield one round, with the usage of all rounds up to it."""
        async with aclosing(self._by.model.converse(context, messages, tools)) as deltas:
            async for delta in deltas:
                if delta.usage is not None:
                    self._usage = _sum(self._usage, delta.usage)
                    yield replace(delta, usage=self._usage)
                else:
                    yield delta

    def _run(self, said: _Said, messages: Sequence[Json], context: Context) -> list[str]:
        """Return what each call shows, or a word in place of what the window does not take."""
        results = [NO_ROOM] * len(said.calls)
        for place, call in enumerate(said.calls):
            shown = self._browser.call(call.name, call.arguments)
            more = [*results[:place], shown, *results[place + 1 :]]
            asked = [*messages, *said.messages(more)]
            if self._by.window.left(asked, self._browser.tools, context.question.effort) > 0:
                results = more
        return results


@dataclass(slots=True)
class _Said:
    """What a model said in one round."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)

    def take(self, delta: Delta) -> None:
        self.text += delta.text
        self.reasoning += delta.reasoning
        if delta.call is not None and len(self.calls) < MOST_CALLS:
            self.calls.append(delta.call)

    def messages(self, results: Sequence[str]) -> list[Json]:
        """Return the round as chat messages; within an answer a model needs its own reasoning."""
        asked: Json = {
            "role": "assistant",
            "content": "",
            "reasoning": self.reasoning,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.calls
            ],
        }
        answers: list[Json] = [
            {"role": "tool", "tool_call_id": call.id, "content": result}
            for call, result in zip(self.calls, results, strict=True)
        ]
        return [asked, *answers]


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
    )
