from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from knowledge.errors import ModelError
from knowledge.models import Context, Delta, Effort
from serving.steady import model as steady
from serving.steady.breaker import Breaker
from serving.steady.line import Line
from serving.steady.model import Json, SteadyModel
from serving.window import TooLong
from tests.fakes import context

ASKED = context("What does soup cost?", "Soup costs three euro.", "Tea is free.", "Cake is sweet.")
FOREVER = 3600.0


class Moody:
    """Fails with one code after the other, then answers; `texts` come before each failure."""

    name = "moody"

    def __init__(self, *codes: str, text: str = "", hangs: float = 0) -> None:
        self.asked: list[Context] = []
        self.left = 0
        self._codes = list(codes)
        self._text = text
        self._hangs = hangs

    async def aclose(self) -> None:
        pass

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        self.asked.append(context)
        ended = False
        try:
            await asyncio.sleep(self._hangs)
            if self._codes:
                if self._text:
                    yield Delta(self._text)
                raise ModelError("no", code=self._codes.pop(0))
            yield Delta("Soup [1].")
            ended = True
        finally:
            self.left += not ended

    async def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json] = ()
    ) -> AsyncGenerator[Delta, None]:
        async with aclosing(self.generate(context)) as deltas:
            async for delta in deltas:
                yield delta


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "PAUSE", 0.0)


def standing(
    moody: Moody,
    *,
    places: int = 1,
    waiting: int = 9,
    seconds: float = 60,
    breaker: Breaker | None = None,
) -> SteadyModel:
    return SteadyModel(
        moody,
        line=Line(places=places, waiting=waiting),
        breaker=breaker or Breaker(failures=99, seconds=FOREVER),
        seconds=seconds,
    )


async def text(model: SteadyModel, asked: Context = ASKED) -> str:
    return "".join([delta.text async for delta in model.generate(asked)])


def code(model: SteadyModel) -> str:
    with pytest.raises(ModelError) as raised:
        asyncio.run(text(model))
    return raised.value.code


@pytest.mark.parametrize(
    "fault",
    [
        *("reset", "unavailable", "stream_error", "http_429", "http_500", "http_503", "empty"),
        *("null_content", "reasoning_only", "json_tool_call", "harmony_markup", "length"),
    ],
)
def test_what_may_be_gone_the_next_time_is_asked_again(fault: str) -> None:
    moody = Moody(fault)
    assert asyncio.run(text(standing(moody))) == "Soup [1]."
    assert len(moody.asked) == 2


def test_a_conversation_is_asked_again_too() -> None:
    moody = Moody("reset")

    async def run() -> list[Delta]:
        return [delta async for delta in standing(moody).converse(ASKED, [])]

    assert asyncio.run(run()) == [Delta("Soup [1].")]


@pytest.mark.parametrize("fault", ["timeout", "unauthorized", "http_404", "http_400", "endless"])
def test_what_will_be_the_same_is_not(fault: str) -> None:
    moody = Moody(fault)
    assert code(standing(moody)) == fault
    assert len(moody.asked) == 1


def test_there_is_no_third_time() -> None:
    moody = Moody("reset", "empty", "empty")
    assert code(standing(moody)) == "empty"
    assert len(moody.asked) == 2


def test_after_text_was_shown_there_is_no_second_time() -> None:
    moody = Moody("reset", text="Soup")
    assert code(standing(moody)) == "reset"
    assert len(moody.asked) == 1


def test_white_space_shows_nothing() -> None:
    assert asyncio.run(text(standing(Moody("null_content", text=" \n")))).strip() == "Soup [1]."


def test_what_is_too_long_is_halved_and_what_thinks_too_much_thinks_less() -> None:
    long, high = Moody("context_overflow"), Moody("reasoning_only")
    asyncio.run(text(standing(long)))
    asyncio.run(text(standing(high)))
    assert long.asked[1].passages == ASKED.passages[:2]
    assert high.asked[1].question.effort is Effort.LOW


def test_a_server_that_keeps_failing_is_left_alone() -> None:
    moody = Moody(*["reset"] * 99)
    model = standing(moody, breaker=Breaker(failures=5, seconds=FOREVER))
    codes = [code(model) for _ in range(5)]
    assert codes[0] == "reset"
    assert codes[-1] == "resting"
    assert len(moody.asked) == 5


@pytest.mark.parametrize("fault", ["context_overflow", "endless", "reasoning_only"])
def test_a_server_that_answers_badly_is_there(fault: str) -> None:
    model = standing(Moody(*[fault] * 99), breaker=Breaker(failures=5, seconds=FOREVER))
    assert {code(model) for _ in range(9)} == {fault}


class Crowded(Moody):
    """Knows before it asks that a request does not fit."""

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        self.asked.append(context)
        raise TooLong
        yield


def test_what_was_never_sent_says_nothing_of_the_server() -> None:
    breaker = Breaker(failures=3, seconds=FOREVER)
    for _ in range(2):
        assert code(standing(Moody("timeout"), breaker=breaker)) == "timeout"
    crowded = Crowded()
    assert code(standing(crowded, breaker=breaker)) == "context_overflow"
    assert len(crowded.asked) == 2  # the second time with half of the passages
    assert not breaker.is_open
    assert code(standing(Moody("timeout"), breaker=breaker)) == "timeout"
    assert breaker.is_open


def test_who_waits_is_told_where() -> None:
    async def run() -> tuple[list[Delta], list[Delta], list[Delta]]:
        model = standing(Moody(hangs=0.01))

        async def ask() -> list[Delta]:
            return [delta async for delta in model.generate(ASKED)]

        return await asyncio.gather(ask(), ask(), ask())

    first, second, third = asyncio.run(run())
    assert first == [Delta("Soup [1].")]
    assert second == [Delta(waiting=1), Delta("Soup [1].")]
    assert third == [Delta(waiting=2), Delta(waiting=1), Delta("Soup [1].")]


def test_a_full_line_is_told_at_once() -> None:
    async def run() -> None:
        model = standing(Moody(hangs=60), waiting=0)
        async with aclosing(model.generate(ASKED)) as deltas:
            busy = asyncio.ensure_future(anext(deltas))
            await asyncio.sleep(0)
            with pytest.raises(ModelError) as raised:
                await text(model)
            busy.cancel()
            await asyncio.wait([busy])
        assert raised.value.code == "busy"

    asyncio.run(run())


@pytest.mark.parametrize(("places", "fault"), [(1, "busy"), (2, "timeout")])
def test_waiting_and_writing_have_one_deadline(places: int, fault: str) -> None:
    """With one place the second question waits for the first, which has been given longer."""

    async def run() -> str:
        moody, line = Moody(hangs=60), Line(places=places, waiting=9)
        breaker = Breaker(failures=99, seconds=FOREVER)
        patient = SteadyModel(moody, line=line, breaker=breaker, seconds=60)
        hasty = SteadyModel(moody, line=line, breaker=breaker, seconds=0.05)
        before = asyncio.create_task(text(patient))
        await asyncio.sleep(0)
        with pytest.raises(ModelError) as raised:
            await text(hasty)
        before.cancel()
        await asyncio.wait([before])
        return raised.value.code

    assert asyncio.run(run()) == fault


def test_who_leaves_while_waiting_makes_room_and_the_server_is_left() -> None:
    async def run() -> None:
        moody = Moody(hangs=60)
        model = standing(moody)
        tasks = [asyncio.create_task(text(model)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in (tasks[1], tasks[0]):
            task.cancel()
            await asyncio.wait([task])
        await asyncio.sleep(0.01)
        assert moody.left == 1
        assert len(moody.asked) == 2  # the third one's turn has come
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert moody.left == 2

    asyncio.run(run())
