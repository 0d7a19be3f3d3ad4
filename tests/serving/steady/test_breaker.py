from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ModelError
from serving.steady.breaker import Breaker, State


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    for _ in range(3):
        breaker.enter()
        breaker.failed()
    return breaker


def test_after_some_failures_in_a_row_nobody_enters() -> None:
    breaker = opened(Clock())
    assert breaker.is_open
    with pytest.raises(ModelError) as raised:
        breaker.enter()
    assert raised.value.code == "resting"


def test_one_success_between_them_keeps_it_closed() -> None:
    breaker = Breaker(failures=3, seconds=30)
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    breaker.enter()
    assert not breaker.is_open


def test_after_a_while_one_tries_and_the_others_go_on_waiting() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    breaker.enter()
    with pytest.raises(ModelError):
        breaker.enter()
    breaker.succeeded()
    breaker.enter()
    breaker.enter()


def test_a_try_that_fails_begins_the_rest_anew() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 30
    breaker.enter()
    breaker.failed()
    clock.now += 29
    with pytest.raises(ModelError):
        breaker.enter()
    clock.now += 1
    breaker.enter()


def test_a_try_that_nobody_waits_for_is_followed_by_another() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(3):
        clock.now += 30
        breaker.enter()  # and is left without a word


@given(st.lists(st.sampled_from(["enter", "failed", "succeeded", "wait"])))
def test_while_it_is_open_at_most_one_enters_in_a_rest(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(failures=2, seconds=30, clock=clock)
    tried: list[float] = []
    for step in steps:
        if step == "wait":
            clock.now += 10
        elif step != "enter":
            getattr(breaker, step)()
        elif breaker.is_open:
            try:
                breaker.enter()
            except ModelError:
                continue
            assert all(clock.now - other >= 30 for other in tried[-1:])
            tried.append(clock.now)


def test_it_says_whom_it_lets_through_and_how_often_it_opened() -> None:
    clock = Clock()
    breaker = Breaker(failures=3, seconds=30, clock=clock)
    told = [(breaker.state, breaker.opened)]
    for _ in range(3):
        breaker.failed()
    told.append((breaker.state, breaker.opened))
    clock.now += 30
    told.append((breaker.state, breaker.opened))
    breaker.enter()
    told.append((breaker.state, breaker.opened))
    breaker.failed()
    told.append((breaker.state, breaker.opened))
    clock.now += 30
    breaker.enter()
    breaker.succeeded()
    told.append((breaker.state, breaker.opened))
    assert told == [
        (State.CLOSED, 0),
        (State.OPEN, 1),
        (State.HALF_OPEN, 1),
        (State.HALF_OPEN, 1),
        (State.OPEN, 1),
        (State.CLOSED, 1),
    ]
