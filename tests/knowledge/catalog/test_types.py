from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Dialect, make_url

from knowledge.catalog.types import Moment, pack, storable, unpack

DIALECTS = [make_url(name).get_dialect()() for name in ("sqlite://", "postgresql+psycopg://")]


@given(numbers=st.lists(st.integers(0, 2**32 - 1)))
def test_packed_numbers_come_back(numbers: list[int]) -> None:
    assert list(unpack(pack(numbers))) == numbers


def test_numbers_beyond_32_bits_are_refused() -> None:
    with pytest.raises(OverflowError):
        pack([2**32])


@given(text=st.text(st.characters()))
def test_stored_text_keeps_its_length_and_can_be_written(text: str) -> None:
    stored = storable(text)

    stored.encode()
    assert "\0" not in stored
    assert len(stored) == len(text)
    assert all(a == b for a, b in zip(stored, text, strict=True) if a != "\ufffd")


@pytest.mark.parametrize("dialect", DIALECTS, ids=["sqlite", "postgresql"])
def test_a_moment_is_the_same_moment_in_utc(dialect: Dialect) -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    stored = Moment().process_bind_param(there, dialect)

    found = Moment().process_result_value(stored, dialect)

    assert found == there
    assert found.tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Moment().process_bind_param(datetime(2026, 1, 1), DIALECTS[0])  # noqa: DTZ001 - on purpose
