from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Block, BlockKind, Context, Passage, Question, Span
from knowledge.text import normalise_for_match
from retrieval.context import cut, pack
from tests.fakes import passage

QUESTION = Question("What is it?")
TEXT = "".join(f"Sentence number {n} says something. " for n in range(40))


def cost(passage: Passage) -> int:
    head = [passage.document.title, *passage.heading, passage.header]
    return len(" ".join([*head, passage.text]).split())


def packed(*passages: Passage, budget: int = 1000, most: int = 10) -> Context:
    return pack(QUESTION, passages, budget=budget, most=most, cost=cost)


def part(start: int, end: int, *, document: str = "doc-1", rank: int = 1) -> Passage:
    return passage(TEXT[start:end], start=start, document=document, rank=rank)


def test_passages_keep_the_order_of_their_ranks() -> None:
    found = [passage(f"Text {n}.", rank=n, document=f"doc-{n}") for n in (1, 2, 3)]
    assert [p.rank for p in packed(*found).passages] == [1, 2, 3]


def test_the_same_text_is_packed_once_even_from_two_documents() -> None:
    found = packed(
        passage("The fee is 5 euro.", document="one"),
        passage("The  FEE is 5 euro.", document="two"),
        passage("The fee is 6 euro.", document="three"),
    )
    assert [p.document.id for p in found.passages] == ["one", "three"]


def test_where_two_passages_overlap_the_later_one_loses_the_overlap() -> None:
    found = packed(part(0, 100), part(50, 200))
    assert [p.span for p in found.passages] == [Span(0, 100), Span(100, 200)]


def test_a_passage_inside_another_is_left_out() -> None:
    assert len(packed(part(0, 200), part(50, 100)).passages) == 1


def test_a_passage_that_does_not_fit_makes_room_for_a_smaller_one() -> None:
    long, short = part(0, 400), passage("Short.", document="doc-2", rank=2)
    first = passage("Twelve.", document="doc-3")
    found = packed(first, long, short, budget=8)
    assert [p.text for p in found.passages] == ["Twelve.", "Short."]


def test_a_first_passage_over_the_whole_budget_is_cut_to_its_leading_sentences() -> None:
    found = packed(part(0, len(TEXT)), budget=12)
    assert [p.text for p in found.passages] == [
        "Sentence number 0 says something. Sentence number 1 says something."
    ]


def test_a_cut_passage_keeps_only_its_own_blocks_and_page() -> None:
    blocks = [
        Block(BlockKind.PARAGRAPH, Span(0, 35), page=1),
        Block(BlockKind.PARAGRAPH, Span(35, 70), page=2),
    ]
    whole = replace(part(0, 70), blocks=tuple(blocks), page=1)
    rest = cut(whole, Span(40, 60))
    assert (rest.text, rest.blocks, rest.page) == (TEXT[40:60], (blocks[1],), 2)


def test_beyond_its_share_a_document_only_fills_what_others_leave() -> None:
    found = [part(n * 40, n * 40 + 35, document="much", rank=n + 1) for n in range(4)]
    other = passage("Another says so.", document="other", rank=5)
    few = pack(QUESTION, [*found, other], budget=999, most=3, cost=cost, per_document=2)
    assert [p.document.id for p in few.passages] == ["much", "much", "other"]
    all_of_it = pack(QUESTION, [*found, other], budget=999, most=9, cost=cost, per_document=2)
    assert len(all_of_it.passages) == 5


def test_no_more_passages_are_packed_than_asked_for() -> None:
    found = [passage(f"Text {n}.", document=f"doc-{n}") for n in range(9)]
    assert len(packed(*found, most=4).passages) == 4


SPANS = st.tuples(st.integers(0, 300), st.integers(1, 120))


@given(
    st.lists(st.tuples(SPANS, st.sampled_from(["doc-1", "doc-2"])), max_size=8),
    st.integers(0, 120),
    st.integers(0, 6),
)
def test_a_context_is_never_over_budget_and_every_span_cuts_to_its_text(
    found: list[tuple[tuple[int, int], str]], budget: int, most: int
) -> None:
    texts = {"doc-1": TEXT, "doc-2": TEXT.upper().replace("SAYS", "TELLS")}
    candidates = [
        passage(texts[document][at : at + size], start=at, document=document, rank=rank)
        for rank, ((at, size), document) in enumerate(found, start=1)
    ]
    context = packed(*candidates, budget=budget, most=most)
    chosen = context.passages
    assert context.tokens == sum(cost(p) for p in chosen) <= budget
    assert len(chosen) <= most
    assert [p.rank for p in chosen] == sorted(p.rank for p in chosen)
    assert all(p.span.cut(texts[p.document.id]) == p.text for p in chosen)
    plain = [normalise_for_match(p.text) for p in chosen]
    assert len(set(plain)) == len(plain)
    for one in chosen:
        others = [p for p in chosen if p is not one and p.revision_id == one.revision_id]
        assert not any(one.span.overlaps(other.span) for other in others)


@pytest.mark.parametrize("budget", [0, 3])
def test_a_budget_too_small_for_one_sentence_gives_an_empty_context(budget: int) -> None:
    assert packed(part(0, 400), budget=budget) == Context(QUESTION, (), 0)


def test_a_passage_cut_within_a_table_still_knows_the_tables_header() -> None:
    text = "Rome 1\nOslo 2\nYear Cost\n2020 30\n2021 40"
    old, new = Span(0, 9), Span(114, 123)
    rows = [Span(100, 106), Span(107, 113), new, Span(124, 131), Span(132, 139)]
    headers = [old, old, None, new, new]
    blocks = [
        Block(BlockKind.TABLE, span, table=1, header=header)
        for span, header in zip(rows, headers, strict=True)
    ]
    whole = replace(passage(text, start=100, blocks=blocks), header="Town Cost")
    end = whole.span.end
    assert [cut(whole, Span(row.start, end)).header for row in rows] == [
        "Town Cost",
        "Town Cost",
        "",
        "Year Cost",
        "Year Cost",
    ]
