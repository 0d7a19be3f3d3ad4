from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ModelError
from serving.steady.line import Line


async def wait(line: Line, told: list[int]) -> None:
    turn = line.join()
    try:
        async with aclosing(turn.positions()) as positions:
            async for position in positions:
                told.append(position)
        await asyncio.sleep(0.001)
    finally:
        turn.leave()


def test_who_comes_to_a_free_place_does_not_wait() -> None:
    told: list[int] = []
    asyncio.run(wait(Line(places=1, waiting=0), told))
    assert told == []


def test_positions_fall_until_the_turn_has_come() -> None:
    async def run() -> list[list[int]]:
        line = Line(places=1, waiting=9)
        busy = line.join()
        told: list[list[int]] = [[], [], []]
        tasks = [asyncio.create_task(wait(line, each)) for each in told]
        await asyncio.sleep(0)
        busy.leave()
        await asyncio.gather(*tasks)
        return told

    assert asyncio.run(run()) == [[1], [2, 1], [3, 2, 1]]


def test_a_full_line_takes_nobody() -> None:
    async def run() -> None:
        line = Line(places=1, waiting=1)
        first, second = line.join(), line.join()
        with pytest.raises(ModelError) as raised:
            line.join()
        assert raised.value.code == "busy"
        assert len(line) == 1
        second.leave()
        assert len(line) == 0
        first.leave()
        line.join().leave()

    asyncio.run(run())


@given(st.integers(1, 3), st.integers(0, 5), st.integers(0, 10**6))
def test_no_more_than_the_places_come_at_once_and_nobody_is_forgotten(
    places: int, waiting: int, seed: int
) -> None:
    """Some leave while they wait, some while they have a place; in the end all places are free."""
    chance = random.Random(seed)

    async def run() -> None:
        line = Line(places=places, waiting=waiting)
        here = most = 0

        async def stay() -> None:
            nonlocal here, most
            turn = line.join()
            try:
                async with aclosing(turn.positions()) as positions:
                    async for _ in positions:
                        pass
                here += 1
                most = max(most, here)
                try:
                    for _ in range(chance.randrange(4)):
                        await asyncio.sleep(0)
                finally:
                    here -= 1
            finally:
                turn.leave()

        tasks = [asyncio.create_task(stay()) for _ in range(8)]
        for _ in range(3):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            end is None or isinstance(end, asyncio.CancelledError | ModelError) for end in ended
        )
        assert most <= places
        assert [line.join().has_come for _ in range(places)] == [True] * places

    asyncio.run(run())
