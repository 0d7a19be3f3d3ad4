from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ModelError
from serving.steady.line import Line


async def wait(line: Line, told: list[int], person: str = "") -> None:
    turn = line.join(person)
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
        async with asyncio.timeout(10):
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


def served(line: Line, people: str) -> list[int]:
    """Return the order in which requests are served that come in this order, by their numbers."""

    async def run() -> list[int]:
        busy, order = line.join("somebody"), []

        async def ask(number: int, person: str) -> None:
            await wait(line, [], person)
            order.append(number)

        tasks = [asyncio.create_task(ask(number, person)) for number, person in enumerate(people)]
        await asyncio.sleep(0)
        busy.leave()
        await asyncio.gather(*tasks)
        return order

    return asyncio.run(run())


def test_whoever_asks_much_does_not_make_the_others_wait() -> None:
    flood = "a" * 60 + "b"
    fair = served(Line(places=1, waiting=99), flood).index(60)
    plain = served(Line(places=1, waiting=99), "a" * 61).index(60)
    print(f"after 60 of another are served before one: {fair}; control, without persons: {plain}")
    assert fair == 1
    assert plain == 60


@given(st.text("abcd", min_size=1, max_size=30))
def test_each_first_request_waits_for_at_most_one_of_each_other_and_ones_own_keep_their_order(
    people: str,
) -> None:
    order = served(Line(places=1, waiting=99), people)
    assert sorted(order) == list(range(len(people)))
    for person in set(people):
        own = [number for number in order if people[number] == person]
        assert own == sorted(own)
        before = [people[number] for number in order[: order.index(own[0])]]
        assert len(before) == len(set(before))


@given(st.text("abcd", min_size=1, max_size=20))
def test_a_position_is_the_number_of_turns_until_it_comes_while_nobody_joins(people: str) -> None:
    line = Line(places=1, waiting=99)
    last = line.join("somebody")
    turns = [line.join(person) for person in people]
    told = [line.position(turn) for turn in turns]
    assert sorted(told) == list(range(1, len(turns) + 1))
    for _, turn in sorted(zip(told, turns, strict=True), key=lambda each: each[0]):
        assert not turn.has_come
        last.leave()
        assert turn.has_come
        last = turn


def test_in_a_full_line_the_latest_of_whoever_has_most_gives_way() -> None:
    async def run() -> None:
        line = Line(places=1, waiting=3)
        busy = line.join("a")
        first, _, third = (line.join("a") for _ in range(3))
        told: list[int] = []
        waiting = asyncio.create_task(wait(line, told, "b"))
        with pytest.raises(ModelError) as raised:
            async with aclosing(third.positions()) as positions:
                await anext(positions)
                await anext(positions)
        assert raised.value.code == "busy"
        third.leave()
        with pytest.raises(ModelError):
            line.join("a")
        assert len(line) == 3
        busy.leave()
        assert first.has_come
        await asyncio.sleep(0)
        first.leave()
        await waiting
        assert told[-1] == 1

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
            turn = line.join(chance.choice("abc"))
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
