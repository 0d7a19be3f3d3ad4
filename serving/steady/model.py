"""The model behind a queue, a breaker and one retry: what answers are asked from."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from knowledge.errors import ModelError
from knowledge.models import Context, Delta, Effort
from serving.steady.breaker import Breaker
from serving.steady.deadline import in_time
from serving.steady.line import Line, Turn
from serving.steady.standing import Standing, Tally
from serving.window import TooLong

log = logging.getLogger(__name__)

SERVER_FAULTS = ("timeout", "reset", "unavailable", "stream_error", "http_429", "http_5")
"""Beginnings of the codes of faults that the next one who asks would meet as well."""
RETRIED = (
    *("reset", "unavailable", "stream_error", "http_429", "http_5", "empty"),
    *("null_content", "reasoning_only", "json_tool_call", "harmony_markup", "length"),
    "context_overflow",
)
"""The same of faults after which a second try may help; none after the time is up."""
PAUSE = 0.2
"""Seconds before it."""

Json = Mapping[str, object]
Ask = Callable[[Context], AsyncGenerator[Delta, None]]


class Model(Protocol):
    """What is asked: the adapter of a model server."""

    name: str

    async def aclose(self) -> None:
        """Close all connections."""

    def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield an answer."""

    def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Yield the next message of a conversation."""


class SteadyModel:
    """Implements the `Generator` door over a model server that may be busy, lie or die.

    While others are before it, a request yields deltas that say how many, its own place included.
    `seconds` bounds all of it: the queue, both tries, and the pause between them.
    """

    extractive = False

    def __init__(self, model: Model, *, line: Line, breaker: Breaker, seconds: float) -> None:
        self.name = model.name
        self._model = model
        self._line = line
        self._breaker = breaker
        self._seconds = seconds
        self._tally = Tally()

    def standing(self) -> Standing:
        """Say how it stands; from any thread."""
        return Standing(
            writing=self._line.taken,
            waiting=len(self._line),
            breaker=self._breaker.state,
            opened=self._breaker.opened,
            turned_away=dict(self._tally.turned_away),
            faults=dict(self._tally.faults),
            second_tries=self._tally.second_tries,
        )

    async def aclose(self) -> None:
        """Close all connections to the server."""
        await self._model.aclose()

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield positions, then the answer; raises `ModelError`."""
        async with aclosing(self._in_turn(self._model.generate, context)) as deltas:
            async for delta in deltas:
                yield delta

    async def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json] = ()
    ) -> AsyncGenerator[Delta, None]:
        """Yield positions, then the next message; raises `ModelError`."""

        def ask(changed: Context) -> AsyncGenerator[Delta, None]:
            return self._model.converse(changed, messages, tools)

        async with aclosing(self._in_turn(ask, context)) as deltas:
            async for delta in deltas:
                yield delta

    async def _in_turn(self, ask: Ask, context: Context) -> AsyncGenerator[Delta, None]:
        until = time.monotonic() + self._seconds
        turn = self._join(context.question.asker)
        try:
            async with aclosing(self._wait(until, turn)) as positions:
                async for position in positions:
                    yield Delta(waiting=position)
            async with aclosing(self._counted(in_time(until, self._twice(ask, context)))) as deltas:
                async for delta in deltas:
                    yield delta
        finally:
            turn.leave()

    def _join(self, person: str) -> Turn:
        try:
            return self._line.join(person)
        except ModelError:
            self._tally.turn_away("full")
            raise

    async def _wait(self, until: float, turn: Turn) -> AsyncGenerator[int, None]:
        try:
            async with aclosing(in_time(until, turn.positions(), "busy")) as positions:
                async for position in positions:
                    yield position
        except ModelError:
            self._tally.turn_away("full" if turn.gave_way else "late")
            raise

    async def _counted(self, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    yield delta
        except ModelError as error:
            self._tally.fail(error.code)
            raise

    async def _twice(self, ask: Ask, context: Context) -> AsyncGenerator[Delta, None]:
        """Ask a second time if the first one brought nothing that could be shown."""
        shown, easier = False, None
        try:
            async with aclosing(self._guarded(ask, context)) as deltas:
                async for delta in deltas:
                    shown = shown or bool(delta.text.strip()) or delta.call is not None
                    yield delta
        except ModelError as error:
            if shown or not error.code.startswith(RETRIED):
                raise
            log.info("model %s is asked again after: %s", self.name, error.code)
            self._tally.fail(error.code)
            easier = _easier(context, error.code)
        if easier is not None:
            await asyncio.sleep(PAUSE)
            self._tally.second_tries += 1
            async with aclosing(self._guarded(ask, easier)) as deltas:
                async for delta in deltas:
                    yield delta

    async def _guarded(self, ask: Ask, context: Context) -> AsyncGenerator[Delta, None]:
        self._breaker.enter()
        try:
            async with aclosing(ask(context)) as deltas:
                async for delta in deltas:
                    yield delta
        except TooLong:
            raise  # nothing was asked: it says nothing of the server
        except ModelError as error:
            if error.code.startswith(SERVER_FAULTS):
                self._breaker.failed()
            else:
                self._breaker.succeeded()
            raise
        self._breaker.succeeded()


def _easier(context: Context, code: str) -> Context:
    """Return what the model may manage after a fault: less to read, or less to think."""
    if code == "context_overflow":
        alone = replace(context.question, history=())
        half = context.passages[: (len(context.passages) + 1) // 2]
        return replace(context, question=alone, passages=half)
    return replace(context, question=replace(context.question, effort=Effort.LOW))
