from __future__ import annotations

import pytest

from ingest.parsing.elements import parse_xml_document
from ingest.parsing.formats import parse
from knowledge.errors import Unreadable
from tests.ingest.samples import XML, shape


def test_text_comes_in_order_and_records_are_a_table() -> None:
    (parsed,) = parse_xml_document(XML, "a")
    travel = ("Travel",)
    assert shape(parsed) == [
        ("heading", travel, "Travel"),
        ("paragraph", travel, "Book early."),
        ("table", travel, "city | amount"),
        ("table", travel, "Oslo | 120"),
        ("table", travel, "Rome | 95"),
    ]


def test_different_fields_beside_each_other_are_read_with_their_names() -> None:
    (parsed,) = parse_xml_document(b"<bill><no>17</no><total cur='NOK'>12</total></bill>", "a")
    assert parsed.text == "no: 17\n\ntotal: 12 cur: NOK"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "hostile"),
        ("<!DOCTYPE a><a/>".encode("utf-16"), "hostile"),
        (b"<a>" * 100_000, "damaged"),
        (b"<a>" * 1900 + b"</a>" * 1900, "hostile"),
        (b"<a><b></a>", "damaged"),
    ],
)
def test_what_is_hostile_or_torn_has_a_reason(data: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as caught:
        list(parse(data, "a.xml"))
    assert caught.value.code == code


@pytest.mark.timeout(20)
def test_a_long_file_takes_no_more_than_its_length() -> None:
    (parsed,) = parse_xml_document(b"<a>" + b"<r><x>1</x><y>2</y></r>" * 20_000 + b"</a>", "a")
    assert len(parsed.blocks) == 20_001
