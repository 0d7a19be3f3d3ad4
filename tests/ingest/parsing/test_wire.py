from __future__ import annotations

import socket
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing import wire
from ingest.parsing.builder import MAX_BLOCKS, MAX_CHARACTERS, Builder, Row
from knowledge.errors import ParserFailed, TooLarge, Unreadable, Unsupported
from knowledge.models import BlockKind, Box, Coverage, Parsed

TEXT = st.text(max_size=30)
BOXES = st.none() | st.builds(Box, *[st.floats(0, 1000)] * 4)


@st.composite
def documents(draw: st.DrawFn) -> Parsed:
    builder = Builder()
    for kind, text, page, box in draw(
        st.lists(
            st.tuples(st.sampled_from(BlockKind), TEXT, st.none() | st.integers(1, 9), BOXES),
            max_size=6,
        )
    ):
        if kind is BlockKind.HEADING:
            builder.heading(text, page or 1, page=page, box=box)
        elif kind is BlockKind.TABLE:
            builder.table([Row([text, "x"], page, box, text), Row([text])])
        else:
            builder.add(kind, text, page=page, box=box)
    builder.warnings += draw(st.lists(TEXT, max_size=2))
    metadata = draw(st.dictionaries(TEXT, TEXT, max_size=2))
    numbers = st.lists(st.integers(1, 9), max_size=3).map(tuple)
    builder.coverage = Coverage(
        pages=draw(st.integers(0, 9)),
        empty_pages=draw(numbers),
        layer_characters=draw(st.integers(0, 9)),
        ocr_pages=draw(numbers),
        ocr_confidence=draw(st.none() | st.floats(0, 1)),
        skipped_bytes=draw(st.integers(0, 9)),
    )
    parsed = builder.build(draw(TEXT), external_id=draw(st.none() | TEXT), metadata=metadata)
    return replace(parsed, part=draw(TEXT))


@given(documents())
def test_a_document_comes_back_as_it_was(parsed: Parsed) -> None:
    assert wire.to_parsed(wire.decode(wire.encode(wire.from_parsed(parsed)))) == parsed


COVERAGE = asdict(Coverage())
BLOCK: list[Any] = ["paragraph", 0, 3, None, None, [], None, None, ""]
GOOD: dict[str, Any] = {
    "title": "t",
    "text": "abc",
    "blocks": [BLOCK],
    "external_id": None,
    "metadata": {},
    "warnings": [],
    "error": "",
    "part": "",
    "coverage": COVERAGE,
}


@pytest.mark.parametrize(
    "change",
    [
        {"text": 5},
        {"title": None},
        {"external_id": 5},
        {"metadata": {"a": 1}},
        {"warnings": [1]},
        {"error": None},
        {"blocks": [["nonsense", 0, 3, None, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 4, None, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 2, 1, None, None, [], None, None, ""]]},
        {"blocks": [["paragraph", -1, 1, None, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 1.5, None, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, "1", None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, None, ["x", 0, 0, 0], [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, None, None, [7], None, None, ""]]},
        {"blocks": [["table", 0, 3, None, None, [], "1", None, ""]]},
        {"blocks": [["table", 0, 3, None, None, [], 1, [0, 2], ""]]},
        {"blocks": [["table", 0, 3, None, None, [], 1, None, 7]]},
        {"blocks": [["paragraph", 0, 3, -1, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, 2**70, None, [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, None, [float("nan"), 0, 0, 0], [], None, None, ""]]},
        {"blocks": [["paragraph", 0, 3, None, [0, 0, 0, float("inf")], [], None, None, ""]]},
        {"title": "half a \ud83d"},
        {"text": "x" * (MAX_CHARACTERS + 1)},
        {"blocks": [["paragraph", 0, 0, None, None, [], None, None, ""]] * (MAX_BLOCKS + 1)},
        {"blocks": [BLOCK, BLOCK]},
        {"part": None},
        {"coverage": COVERAGE | {"pages": -1}},
        {"coverage": COVERAGE | {"empty_pages": ["1"]}},
    ],
)
def test_an_unsound_document_is_not_believed(change: dict[str, Any]) -> None:
    assert wire.to_parsed(GOOD).text == "abc"
    with pytest.raises(ValueError):
        wire.to_parsed(GOOD | change)


@pytest.mark.parametrize(
    "error",
    [
        Unsupported("no"),
        TooLarge("big", code="bomb"),
        Unreadable("odd", code="encrypted"),
        ParserFailed("slow", code="timeout"),
    ],
)
def test_an_error_comes_back_with_its_kind_code_and_words(error: Exception) -> None:
    back = wire.to_error(wire.from_error(error))
    assert (type(back), str(back)) == (type(error), str(error))
    assert back.code == getattr(error, "code", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), "out_of_memory"), (RecursionError(), "too_deep"), (KeyError("x"), "damaged")],
)
def test_errors_of_libraries_get_a_code(error: Exception, code: str) -> None:
    assert wire.to_error(wire.from_error(error)).code == code


def test_torn_and_oversized_frames_are_refused_and_a_clean_end_is_none() -> None:
    for sent, expected in ((b"\0\0\0\5abc", "ended after 3"), (b"\0\0\1\0", "are allowed")):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(sent)
            theirs.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionError, match=expected):
                wire.receive_frame(ours, 100)
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert wire.receive_frame(ours) is None
