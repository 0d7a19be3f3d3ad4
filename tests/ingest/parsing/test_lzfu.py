from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.lzfu import MAX_UNPACKED, unpacked
from knowledge.errors import IngestError

PACKED = bytes.fromhex(  # the example of MS-OXRTFCP 4.1
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232"
    "0af32068656c090020627705b06c647d0a800fa0"
)
RTF = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"


def test_the_example_of_the_standard_is_unpacked() -> None:
    assert unpacked(PACKED) == RTF


def test_what_is_not_packed_is_taken_as_it_is() -> None:
    assert unpacked(struct.pack("<4I", len(RTF) + 12, len(RTF), 0x414C454D, 0) + RTF) == RTF
    assert unpacked(b"") == b""


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"short", "damaged"),
        (struct.pack("<4I", 0, 5, 7, 0), "damaged"),
        (struct.pack("<4I", 0, MAX_UNPACKED + 1, 0x75465A4C, 0), "bomb"),
    ],
)
def test_what_cannot_be_unpacked_has_a_code(data: bytes, code: str) -> None:
    with pytest.raises(IngestError) as caught:
        unpacked(data)
    assert caught.value.code == code


@given(st.binary(max_size=200), st.integers(0, 500))
def test_any_bytes_unpack_to_no_more_than_was_said(data: bytes, size: int) -> None:
    assert len(unpacked(struct.pack("<4I", 0, size, 0x75465A4C, 0) + data)) <= size
