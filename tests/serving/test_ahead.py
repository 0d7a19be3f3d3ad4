from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.models import Answer, Context, Delta, Inference, Principal, Question, Unsupported
from serving.ahead import LONGEST, Ahead
from serving.answer import Answerer
from serving.events import AnswerEvent, DeltaEvent
from serving.verify import Verification, Verified, Verifier
from tests.fakes import FakeEmbedder, Unchanged, context

ASKED = context(
    "What does soup cost?",
    "Soup costs three euro in the canteen. Guests pay one euro more than staff do.",
    "Cake is sweet, and sold out by noon. Tea is not free. Dr. Lee cooks.",
)
SENTENCES = (
    "A soup is about three euro [1].",
    "Guests are charged a bit more. [1]",
    "Most cake is gone by lunch [2][1].",
    "Tea is free [2].",
    "Nobody cites this.",
    "No. 5 is by Dr. Lee [2].",
    "- It is 3.5 euro [1]",
    "Prices:",
)
TEXTS = st.builds(
    str.join, st.sampled_from([" ", "\n", "\n\n"]), st.lists(st.sampled_from(SENTENCES), max_size=6)
)


class Touchy(FakeEmbedder):
    """Gives a text another vector where others are embedded with it, as processors do."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.asked += texts
        made = super().embed(texts)
        return [(vector[0] + 0.1 * len(texts), *vector[1:]) for vector in made]


class Doubtful:
    """The `Judge` door: believes by length, and less of what it reads with other pairs."""

    def infer(self, pairs: Sequence[tuple[str, str]]) -> list[Inference]:
        return [Inference(1 / len(said) / len(pairs), 0.1) for _, said in pairs]


def cut(text: str, places: Sequence[int]) -> list[str]:
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


def follow(verification: Verification, pieces: Sequence[str]) -> None:
    """Let a text grow piece by piece, each look done before the next."""
    ahead, text = Ahead(verification, lambda: ASKED), ""
    for piece in pieces:
        text += piece
        ahead.follow(text, piece)
        verification.aside.submit(int).result()


@given(TEXTS, st.lists(st.integers(0, 200), max_size=20))
def test_what_is_verified_early_is_what_is_verified_at_the_end(
    text: str, places: list[int]
) -> None:
    verifier = Verifier(Touchy(), Doubtful(), most_embedded=6)
    early = verifier.begin()
    follow(early, cut(text, places))
    assert early.verify(text, ASKED) == verifier.verify(text, ASKED)


def test_only_the_last_sentence_is_left_for_the_end() -> None:
    text = " ".join(SENTENCES[:3])
    embedder = Touchy()
    early = Verifier(embedder).begin()
    follow(early, [f"{word} " for word in text.split()])
    before = len(embedder.asked)
    early.verify(text, ASKED)
    assert 0 < len(embedder.asked) - before <= 3  # it and a quote of each passage

    embedder.asked.clear()
    Verifier(embedder).verify(text, ASKED)
    assert len(embedder.asked) > 3
    assert before >= len(embedder.asked) - 3


def test_nothing_is_looked_at_before_a_sentence_is_whole() -> None:
    embedder = Touchy()
    follow(Verifier(embedder).begin(), ["A soup is ", "about ", "three euro [1]", "."])
    assert embedder.asked == []


def test_in_a_long_sentence_what_it_may_cite_is_read_up() -> None:
    text = (
        "Soup is rather cheap [1]. Guests are charged a bit more than the people of the house [1]."
    )
    embedder = Touchy()
    early = Verifier(embedder).begin()
    follow(early, [f"{word} " for word in text.split()])
    before = len(embedder.asked)
    early.verify(text, ASKED)
    assert len(embedder.asked) - before == 1  # itself


def test_a_text_without_end_is_not_followed_to_its_end() -> None:
    pieces = ["Guests are charged a bit more [1] ", *["and more "] * (LONGEST // 4)]
    verification = Verifier(FakeEmbedder()).begin()
    seen: list[str] = []
    verification.expect = lambda claim, *_: seen.append(claim)  # type: ignore[method-assign]
    follow(verification, pieces)
    assert LONGEST // 2 < max(map(len, seen)) <= LONGEST


class Slow(Touchy):
    """Waits at every text until it may go on; says when it begins."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.free = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.begun.set()
        assert self.free.wait(30)
        return super().embed(texts)


@pytest.mark.parametrize("closed", [True, False])
def test_closing_stops_a_look_at_its_next_text(closed: bool) -> None:
    embedder = Slow()
    early = Verifier(embedder).begin()
    text = f"{' '.join(SENTENCES[:3])} And"
    Ahead(early, lambda: ASKED).follow(text, text)
    assert embedder.begun.wait(30)
    if closed:
        early.close()
    embedder.free.set()
    early.aside.submit(int).result()
    assert (len(embedder.asked) == 1) is closed


class Failing(FakeEmbedder):
    """Fails so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self._left = times

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self._left -= 1
        if self._left >= 0:
            raise MemoryError("no room")
        return super().embed(texts)


def test_a_look_that_fails_is_told_and_made_good_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = " ".join(SENTENCES[:3])
    early = Verifier(Failing(1)).begin()
    with caplog.at_level(logging.WARNING):
        follow(early, [f"{SENTENCES[0]} And"])
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert early.verify(text, ASKED) == Verifier(FakeEmbedder()).verify(text, ASKED)

    early = Verifier(Failing(9)).begin()
    follow(early, [f"{SENTENCES[0]} And"])
    with pytest.raises(MemoryError):
        early.verify(text, ASKED)


# --- within the story of an answer --------------------------------------------------------------


class Found(Unchanged):
    def retrieve(self, question: Question, principal: Principal) -> Context:
        return ASKED


class Telling:
    """The `Generator` door: says its pieces, each after the looks at those before are done."""

    name, extractive = "telling", False

    def __init__(self, verifier: Verifier, pieces: Sequence[str]) -> None:
        self._verifier = verifier
        self._pieces = pieces

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        for piece in self._pieces:
            yield Delta(piece)
            await asyncio.to_thread(self._verifier.aside.submit(int).result)


def told(pieces: Sequence[str], policy: Unsupported) -> Answer | None:
    verifier = Verifier(Touchy(), Doubtful())
    answerer = Answerer(
        retriever=Found(),
        generator=Telling(verifier, pieces),
        verifier=verifier,
        unsupported=policy,
    )
    last = asyncio.run(answerer.answer(ASKED.question, Principal("ann")))
    return last.answer if isinstance(last, AnswerEvent) else None


@settings(max_examples=30)
@given(TEXTS, st.lists(st.integers(0, 200), max_size=20), st.sampled_from(Unsupported))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(
    text: str, places: list[int], policy: Unsupported
) -> None:
    early, whole = told(cut(text, places), policy), told([text], policy)
    if early is None or whole is None:
        assert early is whole
        return
    assert early.text == whole.text
    assert (early.verdict, early.withheld) == (whole.verdict, whole.withheld)
    assert Verified(early.citations, early.statements) == Verified(
        whole.citations, whole.statements
    )


def test_closing_an_answer_early_stops_the_looks() -> None:
    embedder = Slow()
    verifier = Verifier(embedder)
    pieces = [f"{sentence} And " for sentence in SENTENCES[:3]] * 9

    class Hasty(Telling):
        async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
            for piece in self._pieces:
                yield Delta(piece)

    answerer = Answerer(retriever=Found(), generator=Hasty(verifier, pieces), verifier=verifier)

    async def leave() -> None:
        async with aclosing(answerer.stream(ASKED.question, Principal("ann"))) as events:
            async for event in events:
                if isinstance(event, DeltaEvent) and embedder.begun.wait(30):
                    break

    asyncio.run(leave())
    embedder.free.set()
    verifier.aside.submit(int).result()
    assert len(embedder.asked) == 1
