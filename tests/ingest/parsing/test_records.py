from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.records import parse_json
from knowledge.errors import Unreadable
from tests.ingest.samples import JSON, joined, shape

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
)


def test_fields_stand_below_their_path_and_records_are_a_table() -> None:
    (parsed,) = parse_json(JSON, "a")
    assert parsed.title == "Rates"
    assert shape(parsed) == [
        ("paragraph", (), "title: Rates\ntags: travel, hotel"),
        ("heading", ("valid",), "valid"),
        ("paragraph", ("valid",), "from: 2024-01-01\nnet: 1.10"),
        ("heading", ("rates",), "rates"),
        ("table", ("rates",), "city | rate | note.by"),
        ("table", ("rates",), "Oslo | 120"),
        ("table", ("rates",), "Rome | 95 | Ada"),
    ]


def test_what_holds_lists_of_records_is_read_by_its_name() -> None:
    (parsed,) = parse_json(b'[{"name": "Oslo", "desks": [{"n": 1}, {"n": 2}]}, 5]', "a")
    assert shape(parsed) == [
        ("heading", ("Oslo",), "Oslo"),
        ("paragraph", ("Oslo",), "name: Oslo"),
        ("heading", ("Oslo", "desks"), "desks"),
        ("table", ("Oslo", "desks"), "n"),
        ("table", ("Oslo", "desks"), "1"),
        ("table", ("Oslo", "desks"), "2"),
        ("heading", ("2",), "2"),
        ("paragraph", ("2",), "5"),
    ]


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500, b"{", b'{"a": 1}\n{"a": 2}']
)
def test_what_is_too_deep_or_no_json_has_a_reason(data: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        list(parse_json(data, "a"))
    assert len(str(caught.value)) < 301


def test_lines_of_json_are_told_what_they_are_called() -> None:
    with pytest.raises(Unreadable, match=r"called \.jsonl"):
        list(parse_json(b'{"a": 1}\n{"a": 2}', "a"))


@given(VALUES)
def test_any_value_is_read(value: object) -> None:
    (parsed,) = parse_json(json.dumps(value).encode(), "a")
    assert joined(parsed) == parsed.text
