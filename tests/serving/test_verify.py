from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Backing, Context, Inference, Question, Reckoned, Statement
from serving.verify import DECIDED, UNCITED, WEAK, Verifier
from tests.fakes import FakeEmbedder, context, passage

CANTEEN = (
    "The canteen opens at noon and closes at two. Soup costs three euro. "
    "Guests pay one euro more than staff do. The chef is Ann Lee."
)
ASKED = context("What does soup cost in 2026?", CANTEEN, "Cake is sweet. Tea is not free.")


def judge(text: str) -> Statement:
    [statement] = Verifier().verify(text, ASKED).statements
    return statement


@pytest.mark.parametrize(
    ("said", "backing", "reasons"),
    [
        ("Soup costs three euro. [1]", Backing.SUPPORTED, ()),
        ("The soup costs 3 euros [1].", Backing.SUPPORTED, ()),
        ("Soup costs three euro.", Backing.UNSUPPORTED, (UNCITED,)),
        ("Soup costs four euro [1].", Backing.UNSUPPORTED, ("number:four",)),
        ("Soup costs three dollars [1].", Backing.UNSUPPORTED, ("unit:three",)),
        ("The chef is Bob Lee [1].", Backing.UNSUPPORTED, ("name:Bob",)),
        ("Tea is free [2].", Backing.UNSUPPORTED, ("negation",)),
        ("Soup costs three euro in 2026 [1].", Backing.PARTLY, ("assumed:2026",)),
        ("Parking is hard to find [1].", Backing.UNSUPPORTED, (WEAK,)),
    ],
)
def test_a_sentence_is_judged_with_reasons(
    said: str, backing: Backing, reasons: tuple[str, ...]
) -> None:
    found = judge(said)
    if reasons == ("number:four",):  # a small count may be reckoned; one in another's place not
        assert "number:four" in found.reasons
    else:
        assert found.reasons == reasons
    assert found.backing is backing


def test_what_two_cited_passages_say_together_is_looked_up_in_both() -> None:
    assert judge("Soup costs three euro and cake is sweet [1][2].").reasons == ()


def test_a_contradiction_takes_support_away() -> None:
    assert judge("The chef is Bob Lee [1].").support < judge("The chef is Lee [1].").support


@pytest.mark.parametrize("embedder", [None, FakeEmbedder()])
def test_only_a_verbatim_sentence_is_surely_carried(embedder: FakeEmbedder | None) -> None:
    verified = Verifier(embedder).verify(
        "Soup costs three euro [1]. The soup is 3 euro [1].", ASKED
    )
    exact, close = verified.statements
    assert exact.support == 1.0
    assert close.support < 1.0


class Counting(FakeEmbedder):
    """Notes what it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.asked += texts
        return super().embed(texts)


def test_texts_are_embedded_once_an_answer_and_not_where_words_decide() -> None:
    embedder = Counting()
    Verifier(embedder).verify("Soup costs three euro [1]. Cake is sweet [2].", ASKED)
    assert embedder.asked == []
    verification = Verifier(embedder).begin()
    said = "Soup is cheap [1]. Guests of staff pay a bit more [1]."
    verification.verify(said, ASKED)
    assert len(embedder.asked) == 4
    verification.verify(f"{said} Soup is cheap [1].", ASKED)
    assert len(embedder.asked) == 4


class Stern:
    """The `Judge` door: denies what speaks of tea, and lets nothing else follow."""

    def __init__(self) -> None:
        self.read: list[tuple[str, str]] = []

    def infer(self, pairs: Sequence[tuple[str, str]]) -> list[Inference]:
        self.read += pairs
        return [Inference(0.0, 0.9 if "tea" in said.lower() else 0.1) for _, said in pairs]


def test_a_judge_counts_as_much_as_all_the_rest_but_never_against_a_verbatim_sentence() -> None:
    judge = Stern()
    said = "Soup costs three euro [1]. The soup costs 3 euro [1]. Tea is surely not free [2]."
    exact, close, tea = Verifier(judge=judge).verify(said, ASKED).statements
    assert exact.support == 1.0
    assert close.support < Verifier().verify(said, ASKED).statements[1].support
    assert (tea.backing, tea.reasons[0]) == (Backing.UNSUPPORTED, "denied")
    assert judge.read[0] == ("Soup costs three euro.", "The soup costs 3 euro.")
    assert len(judge.read) == 2


VOCABULARY = "soup cake costs three two euro noon not the guests chef Lee 3.5"
WORDS = st.sampled_from(VOCABULARY.split())
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=4).map(
    ". ".join
)


@given(TEXTS, TEXTS)
def test_every_claim_is_judged_within_bounds_and_every_citation_resolves(
    said: str, text: str
) -> None:
    asked = context("What?", text)
    verified = Verifier(FakeEmbedder()).verify(f"{said} [1].", asked)
    assert verified.citations
    for citation in verified.citations:
        assert citation.quote == citation.span.cut(text) != ""
    for statement in verified.statements:
        assert 0 <= statement.support <= 1
        assert (statement.backing is Backing.SUPPORTED) <= (statement.reasons == ())
        assert (statement.support > DECIDED + 0.05) <= (statement.support == 1.0)


@given(TEXTS, TEXTS)
def test_choosing_candidates_by_words_agrees_with_embedding_every_sentence(
    said: str, text: str
) -> None:
    """The slow twin looks at every sentence; it may only find a quote that is nearer."""
    asked = context("What?", text)
    fast = Verifier(FakeEmbedder()).verify(f"{said} [1].", asked).statements
    slow = Verifier(FakeEmbedder(), candidates=99, most_embedded=999).verify(f"{said} [1].", asked)
    for one, other in zip(fast, slow.statements, strict=True):
        if one.support < DECIDED and not (one.reasons or other.reasons):
            assert other.support >= one.support


def test_a_number_that_was_worked_out_needs_what_it_rests_on() -> None:
    soup = passage("Soup costs 3 euro in the canteen.", document="a")
    cake = passage("Cake costs 4 euro in the canteen.", document="b")
    worked_out = Reckoned("7", ((soup.revision_id, soup.span), (cake.revision_id, cake.span)))

    def backing(text: str, *reckoned: Reckoned) -> tuple[str, ...]:
        asked = Context(Question("What do they cost?"), (soup, cake), reckoned=reckoned)
        (statement,) = Verifier().verify(text, asked).statements
        return statement.reasons

    said = "Soup and cake in the canteen cost 7 euro"
    assert "number:7" in backing(f"{said} [1][2].")
    assert "number:7" not in backing(f"{said} [1][2].", worked_out)
    assert "number:7" in backing(f"{said} [1].", worked_out)
    assert "number:8" in backing("Soup and cake in the canteen cost 8 euro [1][2].", worked_out)
