from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.quality.load import Ask, Taken, asking


def test_questions_come_at_a_steady_rate_from_all_clients() -> None:
    asked: list[str] = []
    began = time.monotonic()
    with asking(lambda: nullcontext(asked.append), ["a", "b", "c"], clients=2, rate=100) as taken:
        time.sleep(0.3)
    assert 10 <= len(asked) <= 100 * (time.monotonic() - began) + 1
    assert set(asked) == {"a", "b", "c"}
    assert len(taken.seconds) == len(asked)


def test_a_slow_answer_delays_the_next_one_which_counts_its_wait() -> None:
    def client() -> AbstractContextManager[Ask]:
        first = [0.2]
        return nullcontext(lambda _: time.sleep(first.pop() if first else 0))

    with asking(client, ["a"], clients=1, rate=20) as taken:
        time.sleep(0.4)
    assert taken.seconds[0] >= 0.2
    assert taken.seconds[1] >= 0.14  # it was due after 0.05 s
    assert taken.seconds[-1] < 0.1


def test_percentiles_are_in_milliseconds() -> None:
    taken = Taken([n / 1000 for n in range(1, 102)])
    assert [taken.ms(50), taken.ms(95)] == pytest.approx([51.0, 96.0])
    assert str(taken) == "p50 51 ms, p95 96 ms, 101 searches"
