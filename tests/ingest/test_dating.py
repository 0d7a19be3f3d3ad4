from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.dating import own_date

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"date": "2026-03-03T12:00:00Z"}, NOON),
        ({"Date": "Tue, 3 Mar 2026 13:00:00 +0100"}, NOON),
        ({"published": " 2026-03-03 "}, NOON - timedelta(hours=12)),
        ({"modified": "2026-03-03T12:00:00", "date": "soon"}, NOON),
        ({"created": "2020-01-01", "date": "2026-03-03T07:00:00-05:00"}, NOON),
        ({"date": "1700000000"}, None),
        ({"date": ""}, None),
        ({"author": "2026-03-03"}, None),
        ({}, None),
    ],
)
def test_a_document_is_dated_by_what_it_says_of_itself(
    metadata: dict[str, str], expected: datetime | None
) -> None:
    assert own_date(metadata) == expected


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9 :+-]{0,40}|[0-9TZ:.+-]{0,40}"))
def test_whatever_is_said_there_is_a_date_or_none(said: str) -> None:
    moment = own_date({"date": said})
    assert moment is None or moment.tzinfo is UTC


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))))
def test_every_time_is_read_as_it_was_written(moment: datetime) -> None:
    if moment.year in range(2, 9998):
        assert own_date({"date": moment.isoformat()}) == moment
