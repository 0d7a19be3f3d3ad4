from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.chunk import chunk, embedding_text
from ingest.parsing.builder import Builder, Row
from knowledge.models import Block, BlockKind, Chunk, Parsed, Span, derive_id


def words(text: str) -> list[Span]:
    return [Span(*match.span()) for match in re.finditer(r"\w+|[^\w\s]", text)]


def document(*parts: tuple[BlockKind, str, tuple[str, ...]], title: str = "") -> Parsed:
    """Join the parts by blank lines; page n is the n-th part's."""
    text, blocks = "", []
    for page, (kind, content, heading) in enumerate(parts, start=1):
        text += "\n\n" if text else ""
        blocks.append(Block(kind, Span(len(text), len(text) + len(content)), page, None, heading))
        text += content
    return Parsed(title=title, text=text, blocks=tuple(blocks))


def paragraph(text: str, *heading: str) -> tuple[BlockKind, str, tuple[str, ...]]:
    return (BlockKind.PARAGRAPH, text, heading)


def heading(*path: str) -> tuple[BlockKind, str, tuple[str, ...]]:
    return (BlockKind.HEADING, path[-1], path)


def texts(parsed: Parsed, max_tokens: int) -> list[str]:
    return [c.span.cut(parsed.text) for c in chunk("r", parsed, words, max_tokens)]


def test_paragraphs_under_one_heading_share_a_chunk_while_they_fit() -> None:
    parsed = document(*(paragraph(f"Paragraph {n} says five things.") for n in range(4)))
    assert texts(parsed, 12) == [
        "Paragraph 0 says five things.\n\nParagraph 1 says five things.",
        "Paragraph 2 says five things.\n\nParagraph 3 says five things.",
    ]


def test_a_heading_opens_a_chunk_and_stays_with_the_text_below_it() -> None:
    parsed = document(
        heading("Travel"),
        heading("Travel", "Hotels"),
        paragraph("Book early.", "Travel", "Hotels"),
        heading("Travel", "Trains"),
        paragraph("Second class.", "Travel", "Trains"),
    )
    chunks = chunk("r", parsed, words, 100)
    assert [c.span.cut(parsed.text) for c in chunks] == [
        "Travel\n\nHotels\n\nBook early.",
        "Trains\n\nSecond class.",
    ]
    assert [c.heading for c in chunks] == [("Travel", "Hotels"), ("Travel", "Trains")]
    assert [c.page for c in chunks] == [1, 4]


def test_a_heading_without_text_does_not_swallow_its_neighbours() -> None:
    parsed = document(heading("One"), heading("Two"), paragraph("Text of two.", "Two"))
    assert texts(parsed, 100) == ["One", "Two\n\nText of two."]


def test_a_long_paragraph_is_cut_evenly_at_sentence_ends() -> None:
    sentences = [f"Sentence number {n} has six words." for n in range(6)]
    pieces = texts(document(paragraph(" ".join(sentences))), 32)
    assert pieces == [" ".join(sentences[:3]), " ".join(sentences[3:])]


def test_a_long_table_is_cut_between_rows_and_each_part_knows_its_header() -> None:
    rows = [["City", "Rate"], *([f"row {n}", f"value. Other. {n * n}"] for n in range(10))]
    builder = Builder()
    builder.heading("Rates", 1)
    builder.table(map(Row, rows))
    builder.add(BlockKind.PARAGRAPH, "After it.")
    parsed = builder.build("t")
    chunks = chunk("r", parsed, words, 40)
    lines = [line for c in chunks for line in c.span.cut(parsed.text).split("\n")]
    assert [line for line in lines if "|" in line] == [" | ".join(row) for row in rows]
    assert [c.header for c in chunks] == ["", *["City | Rate"] * (len(chunks) - 1)]
    for each in chunks:
        embedded = embedding_text("t", each.heading, each.span.cut(parsed.text), each.header)
        assert embedded.count("City | Rate") == 1
        assert len(words(embedded)) <= 40


def test_a_header_of_a_page_of_text_leaves_half_of_the_room() -> None:
    builder = Builder()
    builder.table([Row(["x " * 5000]), *(Row([f"row {n}"]) for n in range(20))])
    parsed = builder.build("t")
    for each in chunk("r", parsed, words, 40):
        assert len(words(each.span.cut(parsed.text))) <= 40
        assert len(each.header) <= 1000


def test_an_endless_sentence_is_cut_between_words() -> None:
    parsed = document(paragraph(" ".join(f"word{n}" for n in range(50))))
    pieces = texts(parsed, 20)
    assert len(pieces) == 3
    assert " ".join(pieces) == parsed.text


def test_one_giant_word_does_not_make_a_giant_chunk() -> None:
    parsed = document(paragraph("x" * 100_000))
    assert max(map(len, texts(parsed, 20))) <= 20 * 64


def test_a_long_title_takes_its_room_but_never_more_than_half() -> None:
    body = paragraph(" ".join(["word"] * 100))
    assert len(texts(document(body, title="t " * 10), 50)) == 3  # 40 tokens each
    assert len(texts(document(body, title="t " * 90), 50)) == 4  # 25 tokens each


def test_text_outside_of_all_blocks_is_kept() -> None:
    parsed = document(paragraph("first"), paragraph("second"))
    lonely = replace(parsed, blocks=parsed.blocks[1:], text=parsed.text + " third")
    assert texts(lonely, 100) == ["first\n\nsecond third"]


def test_an_empty_text_has_no_chunks() -> None:
    assert chunk("r", Parsed("t", " \n ", ()), words, 10) == []


@pytest.mark.parametrize(
    ("title", "path", "text", "expected"),
    [
        pytest.param("T", (), "body", "T\nbody", id="title"),
        pytest.param("T", ("A", "B"), "body", "T\nA\nB\nbody", id="headings"),
        pytest.param("T", ("T", "A"), "A\n\nbody", "T\nA\n\nbody", id="no line twice"),
        pytest.param("T", ("A", "B"), "A\n\nB\n\nbody", "T\nA\n\nB\n\nbody", id="two own headings"),
        pytest.param("", (), "body", "body", id="nothing to add"),
        pytest.param("A", (), "A", "A\nA", id="only a line"),
    ],
)
def test_what_is_embedded_names_title_and_headings_once(
    title: str, path: tuple[str, ...], text: str, expected: str
) -> None:
    assert embedding_text(title, path, text) == expected


KINDS = st.sampled_from(list(BlockKind))
CONTENT = st.text("ab. \n\t|é😀", max_size=120) | st.text(max_size=40)
PATHS = st.lists(st.sampled_from(["A", "B c"]), max_size=2).map(tuple)
PARTS = st.lists(st.tuples(KINDS, CONTENT, PATHS), max_size=8)


@given(PARTS, st.integers(1, 60), st.text("xy ", max_size=30))
@example([(BlockKind.PARAGRAPH, "a" * 300, ())], 3, "")
def test_chunks_are_ordered_small_and_lose_no_visible_character(
    parts: list[tuple[BlockKind, str, tuple[str, ...]]], limit: int, title: str
) -> None:
    parsed = document(*parts, title=title)
    chunks = chunk("rev", parsed, words, limit)
    spans = [c.span for c in chunks]
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(span.end <= len(parsed.text) for span in spans)
    assert all(span.cut(parsed.text).strip() == span.cut(parsed.text) != "" for span in spans)
    assert "".join("".join(s.cut(parsed.text).split()) for s in spans) == "".join(
        parsed.text.split()
    )
    assert all(len(words(span.cut(parsed.text))) <= limit for span in spans)
    assert [c.ordinal for c in chunks] == list(range(len(chunks)))
    assert [c.id for c in chunks] == [derive_id("rev", str(n)) for n in range(len(chunks))]


@given(PARTS, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=6))
def test_blocks_that_overlap_or_lie_disordered_do_no_harm(
    parts: list[tuple[BlockKind, str, tuple[str, ...]]], places: list[tuple[int, int]]
) -> None:
    parsed = document(*parts)
    size = len(parsed.text)
    odd = tuple(
        Block(BlockKind.PARAGRAPH, Span(min(a, b, size), min(max(a, b), size))) for a, b in places
    )
    chunks: list[Chunk] = chunk("rev", replace(parsed, blocks=odd), words, 10)
    together = "".join(c.span.cut(parsed.text) for c in chunks)
    assert "".join(together.split()) == "".join(parsed.text.split())
