from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.table import parse_csv
from knowledge.models import BlockKind


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_and_each_row_is_a_block_below_its_header(delimiter: str) -> None:
    rows = [["City", "Rate"], ["Oslo, N", "120"], ["Rome", "95"]]
    plain = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    (parsed,) = parse_csv(plain.encode(), "rates")
    assert parsed.text == "City | Rate\nOslo, N | 120\nRome | 95"
    head, *rest = parsed.blocks
    assert {block.kind for block in parsed.blocks} == {BlockKind.TABLE}
    assert (head.header, [row.header for row in rest]) == (None, [head.span] * 2)


def test_a_cell_with_line_breaks_stays_in_its_row_and_empty_rows_go() -> None:
    (parsed,) = parse_csv(b'a,b\n\n"one\ntwo",3\n,,\n', "t")
    assert parsed.text == "a | b\none two | 3"


def test_a_single_column_is_read() -> None:
    (parsed,) = parse_csv(b"name\nAda\nGrace\n", "t")
    assert parsed.text == "name\nAda\nGrace"


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_read_as_some_table(text: str) -> None:
    (parsed,) = parse_csv(text.encode(), "t")
    assert "\x00" not in parsed.text
