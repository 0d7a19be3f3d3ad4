from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.rtf import parse_rtf
from tests.ingest.samples import RTF, joined, shape

PIECES = st.sampled_from(
    [
        rb"\par ",
        rb"{\*\x ",
        b"{",
        b"}",
        rb"\u8364?",
        rb"\'e4",
        rb"\intbl ",
        rb"\cell ",
        rb"\row ",
        b"word ",
        rb"\f1 ",
        rb"\v ",
        rb"\bin3 ",
        b"\\",
        rb"\uc0 ",
        rb"\pard ",
        rb"\s1 ",
        rb"\info ",
    ]
)


def text(data: bytes) -> str:
    (parsed,) = parse_rtf(data, "a")
    return parsed.text


def test_headings_tables_signs_and_code_pages_are_read_and_nothing_hidden() -> None:
    (parsed,) = parse_rtf(RTF, "a")
    assert parsed.title == "House rules"
    rules = ("Rules",)
    assert shape(parsed) == [
        ("heading", rules, "Rules"),
        ("paragraph", rules, "No “smoking” in the building —€5."),
        ("paragraph", rules, "Привет"),
        ("table", rules, "Day | Who"),
        ("table", rules, "Monday | Ada"),
        ("paragraph", rules, "After."),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (rb"{\rtf1 \u55357?\u56832?!}", "😀!"),
        (rb"{\rtf1\uc2 \u8364\'80\'80x}", "€x"),
        (rb"{\rtf1\uc0 \u8364x}", "€x"),
        (rb"{\rtf1\ansicpg932 \'93\'fa\'96\'7b}", "日本"),
        (rb"{\rtf1 a{\pict\bin4 }}{}}\par b}", "ab"),
        (rb"{\rtf1 a\{b\}\\c}", r"a{b}\c"),
        (rb"{\rtf1 a{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}}", "alink"),
        (rb"{\rtf1 open {group", "open group"),
    ],
)
def test_characters(data: bytes, expected: str) -> None:
    assert text(data).replace("\n\n", "") == expected


@pytest.mark.parametrize(
    "inside",
    [b"\\" * 300_001, b"a" * 300_000, b"\\b x " * 100_000, b"{}" * 300_000, rb"\u8364?" * 100_000],
)
@pytest.mark.timeout(20)
def test_hostile_files_take_no_more_than_their_length(inside: bytes) -> None:
    text(b"{\\rtf1 " + inside)


@given(st.lists(PIECES, max_size=40))
def test_any_mess_of_marks_gives_blocks_that_hold(pieces: list[bytes]) -> None:
    (parsed,) = parse_rtf(b"{\\rtf1 " + b"".join(pieces), "a")
    assert joined(parsed) == parsed.text
