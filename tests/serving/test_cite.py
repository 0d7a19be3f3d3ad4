from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Block, BlockKind, Box, Citation, Context, Passage, Question, Span
from serving.cite import Quote, Reading, claims, quotable, states
from serving.verify import Verifier
from tests.fakes import context, passage

CANTEEN = (
    "The canteen opens at noon and closes at two. Soup costs three euro. "
    "Guests pay one euro more than staff do."
)


def best_quote(claim: str, source: Passage) -> Quote:
    return Reading(source).quotes(claim, most=0)[0]


def resolve(text: str, asked: Context) -> tuple[Citation, ...]:
    return Verifier().verify(text, asked).citations


def quote_of(claim: str, text: str) -> str:
    found = best_quote(claim, passage(text))
    return found.span.cut(text)


def test_a_verbatim_sentence_is_its_own_quote_with_full_support() -> None:
    [citation] = resolve("Soup costs three euro. [1]", context("What is soup?", CANTEEN))
    assert (citation.quote, citation.support) == ("Soup costs three euro.", 1.0)


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        pytest.param("Soup is 3 or three euro", "Soup costs three euro.", id="paraphrase"),
        pytest.param("soup costs  THREE euro", "Soup costs three euro.", id="spelling"),
        pytest.param("Guests pay more.", "Guests pay one euro more than staff do.", id="shortened"),
        pytest.param(
            "It opens at noon, and soup costs three euro.",
            "The canteen opens at noon and closes at two. Soup costs three euro.",
            id="two sentences",
        ),
    ],
)
def test_the_quote_is_what_carries_the_claim(claim: str, quote: str) -> None:
    assert quote_of(claim, CANTEEN) == quote


def test_a_claim_the_passage_does_not_carry_has_little_support() -> None:
    assert best_quote("Parking is free on Sundays.", passage(CANTEEN)).support == 0
    assert 0 < best_quote("The canteen burned down.", passage(CANTEEN)).support < 0.6


def test_spans_count_from_the_beginning_of_the_revision() -> None:
    revision = "x" * 500 + CANTEEN
    cited = passage(CANTEEN, start=500)
    [citation] = resolve("Soup costs three euro [1].", Context(Question("?"), (cited,)))
    assert citation.span.cut(revision) == citation.quote == "Soup costs three euro."


def test_page_and_box_come_from_the_blocks_under_the_quote() -> None:
    first, second = "The canteen opens at noon.", "Soup costs three euro."
    text = f"Food\n\n{first}\n\n{second}"
    at = text.index(second)
    blocks = [
        Block(BlockKind.HEADING, Span(0, 4), page=3, box=Box(0, 0, 9, 1)),
        Block(BlockKind.PARAGRAPH, Span(6, 6 + len(first)), page=3, box=Box(0, 1, 9, 2)),
        Block(BlockKind.PARAGRAPH, Span(at, len(text)), page=4, box=Box(0, 0, 9, 5)),
    ]
    cited = passage(text, blocks=blocks, page=3)
    one, two = resolve(f"{first} [1] {second} [1]", Context(Question("?"), (cited,)))
    assert (one.page, one.box) == (3, Box(0, 1, 9, 2))
    assert (two.page, two.box) == (4, Box(0, 0, 9, 5))


def test_a_quote_over_two_blocks_of_a_page_gets_the_box_around_both() -> None:
    text = "The canteen opens at noon.\n\nSoup costs three euro."
    blocks = [
        Block(BlockKind.PARAGRAPH, Span(0, 26), page=1, box=Box(10, 10, 50, 20)),
        Block(BlockKind.PARAGRAPH, Span(28, len(text)), page=1, box=Box(5, 30, 40, 45)),
    ]
    cited = passage(text, blocks=blocks)
    answer = "The canteen opens at noon where soup costs three euro [1]."
    [citation] = resolve(answer, Context(Question("?"), (cited,)))
    assert (citation.quote, citation.box) == (text, Box(5, 10, 50, 45))


def test_headings_are_not_quoted_and_table_rows_are() -> None:
    text = "Prices\n\nDish | Price\nSoup | 3 euro\nCake | 2 euro"
    blocks = [
        Block(BlockKind.HEADING, Span(0, 6)),
        Block(BlockKind.TABLE, Span(8, len(text))),
    ]
    found = quotable(passage(text, blocks=blocks))
    assert [span.cut(text) for span in found] == ["Dish | Price", "Soup | 3 euro", "Cake | 2 euro"]


def test_a_passage_with_nothing_but_headings_is_quoted_whole() -> None:
    text = "Prices"
    cited = passage(text, blocks=[Block(BlockKind.HEADING, Span(0, 6))])
    [citation] = resolve("Prices [1].", Context(Question("?"), (cited,)))
    assert citation.quote == text


def test_each_number_and_quote_is_one_citation_in_order_of_appearance() -> None:
    text = "Soup costs three euro [1]. Cake is sweet [2]. Again, soup costs three euro [1][2]."
    found = resolve(text, context("?", CANTEEN, "Cake is sweet. Tea is hot."))
    assert [(c.number, c.quote) for c in found] == [
        (1, "Soup costs three euro."),
        (2, "Cake is sweet."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "One is so [1]. Two is so [2][3].",
        "One is so.[1] Two is so. [2] [3]",
        "- One is so [1]\n- Two is so [2] [3]",
        "One is so. [1]\n\nTwo is so. [2][3]",
    ],
)
def test_marks_belong_to_the_sentence_they_follow(text: str) -> None:
    assert [claim.numbers for claim in claims(text)] == [(1,), (2, 3)]


def test_a_text_of_marks_alone_claims_nothing() -> None:
    assert claims("[1]") == []
    assert resolve("[1]", context("?", CANTEEN)) == ()


def test_a_long_run_of_white_space_is_read_as_fast_as_words() -> None:
    """A model that repeats a blank until its limit must not stop the service."""

    def seconds(text: str) -> float:
        start = time.perf_counter()
        claims(text)
        return time.perf_counter() - start

    assert seconds("Soup" + " " * 60_000 + "is [1].") < 10 * seconds("Soup is. " * 7_000 + "[1].")


def test_sentences_without_a_mark_are_told_apart_from_lead_ins() -> None:
    text = "# Prices\nThese are the prices:\n- Soup costs three [1].\n- Cake costs two.\nYes."
    told = [claim.text for claim in claims(text) if states(claim)]
    assert told == ["- Soup costs three.", "- Cake costs two.", "Yes."]


@given(st.lists(st.sampled_from(["Soup is", " ", ".", " [1]", "[2]", "\n- ", "So it is", "!"])))
def test_sentences_with_their_marks_stand_apart_and_leave_no_mark_out(pieces: list[str]) -> None:
    text = "".join(pieces)
    spans = [claim.span for claim in claims(text)]
    assert all(one.end <= other.start for one, other in pairwise(spans))
    if spans:
        covered = "".join(span.cut(text) for span in spans)
        assert covered.count("[") == text.count("[")
    for claim in claims(text):
        bare = re.sub(r"\s*\[\d\]", "", claim.span.cut(text))
        assert bare.strip() == claim.text


WORDS = st.sampled_from(
    [
        "soup",
        "cake",
        "costs",
        "three",
        "two",
        "euro",
        "noon",
        "not",
        "The",
        "Guests",
        "3.5",
        "Dr.",
        "(x)",
    ]
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=9).map(" ".join)
TEXTS = st.lists(SENTENCES, min_size=1, max_size=5).map(". ".join)


@given(TEXTS, TEXTS, st.integers(0, 50))
def test_every_quote_is_cut_verbatim_from_the_revision(said: str, text: str, start: int) -> None:
    revision = "#" * start + text
    cited: Passage = replace(passage(text, start=start))
    for citation in resolve(f"{said} [1].", Context(Question("?"), (cited,))):
        assert citation.quote == citation.span.cut(revision) != ""
        assert 0 <= citation.support <= 1


@given(TEXTS)
def test_every_sentence_of_a_passage_supports_itself_fully(text: str) -> None:
    source = passage(text)
    for span in quotable(source):
        if any(char.isalnum() for char in span.cut(text)):
            assert best_quote(span.cut(text), source).support == 1
