from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing import builder as module
from ingest.parsing.builder import Builder, one_line, visible
from knowledge.errors import TooLarge
from knowledge.models import BlockKind, Parsed

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
PIECES = st.lists(st.tuples(st.sampled_from(BlockKind), ANY_TEXT, st.integers(1, 6)), max_size=12)


def built(pieces: list[tuple[BlockKind, str, int]]) -> Parsed:
    builder = Builder()
    for kind, text, level in pieces:
        if kind is BlockKind.HEADING:
            builder.heading(text, level, page=level)
        else:
            builder.add(kind, text)
    return builder.build("title")


@given(PIECES)
def test_every_span_cuts_its_block_and_blocks_are_one_empty_line_apart(
    pieces: list[tuple[BlockKind, str, int]],
) -> None:
    parsed = built(pieces)
    cuts = [block.span.cut(parsed.text) for block in parsed.blocks]
    assert "\n\n".join(cuts) == parsed.text
    assert all(cut.strip() for cut in cuts)


@given(PIECES)
def test_whatever_comes_in_the_text_can_be_stored_and_hides_nothing(
    pieces: list[tuple[BlockKind, str, int]],
) -> None:
    text = built(pieces).text
    text.encode()  # no lone surrogate
    assert text == visible(text)
    assert "\x00" not in text


@given(PIECES)
def test_no_block_but_code_holds_an_empty_line(pieces: list[tuple[BlockKind, str, int]]) -> None:
    parsed = built(pieces)
    for block in parsed.blocks:
        assert block.kind is BlockKind.CODE or "\n\n" not in block.span.cut(parsed.text)


def test_a_heading_closes_those_of_its_own_and_deeper_levels() -> None:
    builder = Builder()
    for text, level in (("One", 1), ("Deep", 3), ("Two", 2), ("Again", 2), ("Last", 1)):
        builder.heading(text, level)
    builder.add(BlockKind.PARAGRAPH, "text")
    assert [block.heading for block in builder.build("t").blocks] == [
        ("One",),
        ("One", "Deep"),
        ("One", "Two"),
        ("One", "Again"),
        ("Last",),
        ("Last",),
    ]


def test_hidden_and_reordering_characters_go_and_joiners_stay() -> None:
    assert visible("a\u200bb\u202ec\u2066d\U000e0041e\ufefff\u00adg") == "abcdefg"
    assert visible("\u0645\u06cc\u200c\u062e") == "\u0645\u06cc\u200c\u062e"
    assert visible("\uf0b7 item") == "• item"
    assert visible("free\x0bstandard") == "free\nstandard"


def test_runs_of_blanks_become_one_space_but_code_keeps_its_layout() -> None:
    builder = Builder()
    builder.add(BlockKind.PARAGRAPH, "  a \t b\u00a0 c \n\n\n d ")
    builder.add(BlockKind.CODE, "if x:\n    go()\n\n    stop()\n")
    assert builder.build("t").text == "a b c\nd\n\nif x:\n    go()\n\n    stop()"


def test_a_title_is_one_short_line() -> None:
    assert one_line("a\nb  c" + "x" * 500) == ("a b c" + "x" * 500)[:200]


@pytest.mark.parametrize("cap", ["MAX_CHARACTERS", "MAX_BLOCKS"])
def test_too_much_text_is_refused(monkeypatch: pytest.MonkeyPatch, cap: str) -> None:
    monkeypatch.setattr(module, cap, 4)
    builder = Builder()
    with pytest.raises(TooLarge, match="split it") as caught:
        for _ in range(5):
            builder.add(BlockKind.PARAGRAPH, "ab")
    assert caught.value.code == "too_much_text"
