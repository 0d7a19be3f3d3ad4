from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.text import decode, parse_text
from knowledge.models import BlockKind

WORDS = "Zoë paid 5 € für Käse"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_the_encoding_is_found(encoding: str) -> None:
    assert decode(WORDS.encode(encoding)) == WORDS


def test_a_declared_charset_is_tried_first_and_an_unknown_one_is_passed_over() -> None:
    assert decode("Привет".encode("koi8-r"), "koi8-r") == "Привет"
    assert decode(WORDS.encode(), "no-such-charset") == WORDS
    assert decode(WORDS.encode("cp1252"), "utf-8") == WORDS


@given(st.binary(max_size=200))
def test_all_bytes_can_be_decoded(data: bytes) -> None:
    assert isinstance(decode(data), str)


def test_paragraphs_end_at_empty_lines_and_list_items_at_their_marks() -> None:
    text = "First\r\nline.\r\n \r\nTo do:\n- one\n  more\n- two\n\nIn 1990.\n1. is no list"
    (parsed,) = parse_text(text.encode(), "notes")
    assert parsed.title == "notes"
    assert [(block.kind, block.span.cut(parsed.text)) for block in parsed.blocks] == [
        (BlockKind.PARAGRAPH, "First\nline."),
        (BlockKind.PARAGRAPH, "To do:"),
        (BlockKind.LIST_ITEM, "- one\nmore"),
        (BlockKind.LIST_ITEM, "- two"),
        (BlockKind.PARAGRAPH, "In 1990.\n1. is no list"),
    ]
