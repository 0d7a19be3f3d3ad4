from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing import builder as module
from ingest.parsing.builder import Builder, Row, one_line, row_text, visible
from knowledge.errors import TooLarge
from knowledge.models import BlockKind, Parsed
from tests.ingest.samples import joined

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
PIECES = st.lists(st.tuples(st.sampled_from(BlockKind), ANY_TEXT, st.integers(1, 6)), max_size=12)
TABLES = st.lists(st.lists(st.lists(ANY_TEXT, max_size=4), max_size=4), max_size=3)


def built(pieces: list[tuple[BlockKind, str, int]]) -> Parsed:
    builder = Builder()
    for kind, text, level in pieces:
        if kind is BlockKind.HEADING:
            builder.heading(text, level, page=level)
        elif kind is BlockKind.TABLE:
            builder.table([Row([text]), Row([text, "x"])], header_rows=level % 3)
        else:
            builder.add(kind, text)
    return builder.build("title")


@given(PIECES)
def test_every_span_cuts_its_block_and_blocks_are_one_empty_line_apart(
    pieces: list[tuple[BlockKind, str, int]],
) -> None:
    parsed = built(pieces)
    assert joined(parsed) == parsed.text
    assert all(block.span.cut(parsed.text).strip() for block in parsed.blocks)
    assert parsed.coverage.characters == len("".join(parsed.text.split()))


@given(TABLES, st.integers(0, 2))
def test_each_row_is_one_line_that_knows_its_table_and_its_header(
    tables: list[list[list[str]]], header_rows: int
) -> None:
    builder = Builder()
    for rows in tables:
        builder.table(map(Row, rows), header_rows=header_rows)
    parsed = builder.build("t")
    shown = [[text for row in rows if (text := row_text(row))] for rows in tables]
    lines = [line for rows in shown for line in rows]
    assert parsed.text == "\n\n".join("\n".join(rows) for rows in shown if rows)
    assert [block.span.cut(parsed.text) for block in parsed.blocks] == lines
    assert parsed.coverage.tables == sum(map(bool, shown))
    for block in parsed.blocks:
        assert block.header is None or block.header.end < block.span.start


def test_rows_refer_to_all_header_rows_above_them() -> None:
    builder = Builder()
    rows = [["", "2023", ""], ["City", "Rate", "Days"], ["Oslo", "120", "3"], ["", "", ""]]
    builder.table(map(Row, rows), header_rows=2)
    parsed = builder.build("t")
    first, second, oslo = parsed.blocks
    assert (first.header, second.header, oslo.table) == (None, None, 1)
    assert oslo.header is not None
    assert oslo.header.cut(parsed.text) == "| 2023\nCity | Rate | Days"


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
