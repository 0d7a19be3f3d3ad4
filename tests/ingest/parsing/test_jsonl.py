from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing import jsonl as module
from ingest.parsing.jsonl import parse_jsonl
from knowledge.errors import TooLarge, Unreadable
from tests.ingest.samples import lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.sampled_from(["id", "_id", "title", "text", "x", "y"]), JSON)


def test_id_title_text_and_other_fields_are_kept() -> None:
    record = {"_id": "4983", "title": "Mice", "text": "One.\n\nTwo.", "year": 1999, "tags": ["a"]}
    (parsed,) = parse_jsonl(lines([record]), "corpus")
    assert (parsed.external_id, parsed.title, parsed.text) == ("4983", "Mice", "One.\n\nTwo.")
    assert parsed.metadata == {"year": "1999", "tags": '["a"]'}
    assert len(parsed.blocks) == 2


def test_a_number_is_an_id_and_a_line_without_title_is_named_by_its_place() -> None:
    first, second = parse_jsonl(lines([{"id": 7, "text": "a"}, {"text": "b"}], packed=True), "c")
    assert (first.external_id, second.external_id) == ("7", None)
    assert second.title == "c line 2"


def test_a_bad_line_says_what_is_wrong_and_the_rest_goes_on() -> None:
    data = b'{"text": "good"}\n\nnot json\n[1]\n{"title": "no text"}\n\xff\n{"text": "good"}\n'
    found = [parsed.error for parsed in parse_jsonl(data, "c")]
    assert found[0] == found[-1] == ""
    assert [error.split(" (")[0] for error in found[1:-1]] == [
        "line 3 is not JSON",
        "line 4 is not a JSON object",
        "line 5 has no `text` that is a string",
        "line 6 is not UTF-8",
    ]


@given(st.lists(RECORDS | st.none(), max_size=6), st.booleans())
def test_each_line_gives_one_document_or_one_reason(
    records: list[dict[str, Any] | None], packed: bool
) -> None:
    found = list(parse_jsonl(lines(records, packed=packed), "c"))
    assert len(found) == len(records)
    for record, parsed in zip(records, found, strict=True):
        readable = record is not None and isinstance(record.get("text"), str)
        assert readable == (not parsed.error)
        assert all(isinstance(value, str) for value in parsed.metadata.values())


def test_a_line_nested_too_deeply_is_one_bad_line() -> None:
    deep = b'{"text": ' + b"[" * 100_000 + b"\n" + b'{"text": "good"}'
    bad, good = parse_jsonl(deep, "c")
    assert "not JSON" in bad.error
    assert good.text == "good"


def test_a_huge_line_is_passed_over_without_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE", 100)
    data = b'{"text": "%s"}\n{"text": "good"}\n' % (b"x" * 1000)
    bad, good = parse_jsonl(data, "c")
    assert bad.error == "line 1 is longer than 100 bytes"
    assert good.text == "good"


def test_a_gzip_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1_000_000)
    bomb = gzip.compress(b'{"text": "x"}\n' + b"\n" * 3_000_000)
    with pytest.raises(TooLarge) as caught:
        list(parse_jsonl(bomb, "c"))
    assert caught.value.code == "bomb"


def test_a_torn_gzip_gives_what_it_holds_and_then_says_that_it_is_damaged() -> None:
    records = [{"id": n, "text": f"{n * 7919 % 1000} words"} for n in range(2000)]
    stream = parse_jsonl(lines(records, packed=True)[:-200], "c")
    assert next(stream).external_id == "0"
    with pytest.raises(Unreadable) as caught:
        list(stream)
    assert caught.value.code == "damaged"


def test_long_values_and_many_fields_are_cut() -> None:
    record = {"text": "a", "long": "x" * 5000, **{f"f{n}": n for n in range(500)}}
    (parsed,) = parse_jsonl(json.dumps(record).encode(), "c")
    assert len(parsed.metadata["long"]) == 1000
    assert len(parsed.metadata) == 64
