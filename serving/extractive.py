"""Answers without any model: the best supported sentences of the packed passages, each cited."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from dataclasses import dataclass, replace

from knowledge.models import Context, Delta
from knowledge.ports import Embedder
from knowledge.terms import terms
from retrieval.retriever import condense
from serving.cite import quotable
from serving.judging import Judging
from serving.markers import plain

# Chosen on the question set described in docs/measurements.md, section "Abstention".
CANDIDATES = 8
"""Sentences whose meaning is compared with the question's, after their words were."""
SHARE_OF_MEANING = 0.8
"""Of the support; the rest is the share of the question's words. Without an embedder, 0."""
AROUND = 0.5
"""What a question's word counts when it stands not in the sentence but in title or headings."""
RANK_PENALTY = 0.02
"""What each place in the list of passages costs when sentences are put in order."""

MOST_SENTENCES = 3
RELATIVE_FLOOR = 0.9
"""Further sentences need this share of the best one's support."""
FEWEST_WORDS = 4
FINAL = (".", "!", "…", "。", "！")
SENTENCES_ELSEWHERE = 30
"""Taken to exist beyond the passages: in a tiny context, too, a word that occurs is not common."""
ASKING = frozenset(
    terms("how when where why whom whose do does did can could would should many much")
)
"""Words that ask, and that an answer does not repeat."""
SAME = 0.7
"""Two sentences that share so much of the shorter one's words say the same."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may go into the answer, and how well it supports one, 0..1."""

    number: int
    text: str
    terms: frozenset[str]
    support: float

    def order(self) -> float:
        """Sort by support, and by the passage's rank where that is near."""
        return RANK_PENALTY * self.number - self.support


class ExtractiveGenerator:
    """Implements the `Generator` door with sentences quoted from the documents.

    Writes nothing, which means "not found", when the best sentence's support is below `threshold`,
    or where a `judge` says that the passages do not answer. Without an `embedder`, only words
    count.
    """

    name = "extractive"
    extractive = True

    def __init__(
        self, threshold: float, embedder: Embedder | None = None, judge: Judging | None = None
    ) -> None:
        self._threshold = threshold
        self._embedder = embedder
        self._judge = judge

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield one sentence after the other, each with its mark."""
        chosen = await asyncio.to_thread(self.choose, context)
        lead = ""
        for candidate in chosen:
            yield Delta(text=f"{lead}{candidate.text} [{candidate.number}]")
            lead = (
                " " if candidate.text.endswith(FINAL) else "\n\n"
            )  # rows and items end in no mark

    def choose(self, context: Context) -> list[Candidate]:
        """Return the sentences of the answer, best first; none when support is too weak."""
        candidates = rank(context, self._embedder)
        if not candidates or not (self._judge is None or self._judge.answers(context)):
            return []
        floor = max(self._threshold, RELATIVE_FLOOR * candidates[0].support)
        good = (candidate for candidate in candidates if candidate.support >= floor)
        return _distinct(good)[:MOST_SENTENCES]


def rank(context: Context, embedder: Embedder | None = None) -> list[Candidate]:
    """Return the sentences that may answer, best first; with an `embedder`, only the best few."""
    question = condense(context.question)
    candidates = sorted(_by_words(question, context), key=Candidate.order)
    if embedder is None or not candidates:
        return candidates
    return sorted(_by_meaning(question, candidates[:CANDIDATES], embedder), key=Candidate.order)


def _by_words(question: str, context: Context) -> Iterator[Candidate]:
    """Score every sentence by the share of the question's words it holds, rare words first."""
    asked = frozenset(terms(question)) - ASKING
    sentences = list(_sentences(context))
    weights = _rarity(asked, [sentence.terms for sentence in sentences])
    for sentence in sentences:
        support = _share(weights, sentence.terms, sentence.around)
        yield Candidate(sentence.number, sentence.text, sentence.terms, support)


@dataclass(frozen=True, slots=True)
class _Sentence:
    number: int
    text: str
    terms: frozenset[str]
    around: frozenset[str]
    """Terms of the title, the headings, and the question that the text itself asked before."""


def _sentences(context: Context) -> Iterator[_Sentence]:
    for number, passage in enumerate(context.passages, start=1):
        headings = terms(" ".join([passage.document.title, *passage.heading]))
        around = frozenset(headings)
        for span in quotable(passage):
            text = " ".join(plain(passage.cut(span)).lstrip("-*•").split())
            if _asks(text):  # a question is no answer, but tells what one is about
                around = frozenset([*headings, *terms(text)])
            elif len(text.split()) >= FEWEST_WORDS:
                yield _Sentence(number, text, frozenset(terms(text)), around)


def _asks(text: str) -> bool:
    """Say whether a sentence only asks; one that states something before a colon does not."""
    stated, colon, _ = text.partition(":")
    states = bool(colon) and len(stated.split()) >= FEWEST_WORDS
    return text.endswith(("?", "？")) and not states


def _rarity(asked: frozenset[str], sentences: list[frozenset[str]]) -> dict[str, float]:
    """Weigh the question's words by how few sentences hold them; absent ones weigh most."""
    holding = Counter(term for held in sentences for term in held & asked)
    count = len(sentences) + SENTENCES_ELSEWHERE
    return {
        term: math.log1p((count - holding[term] + 0.5) / (holding[term] + 0.5)) for term in asked
    }


def _share(weights: dict[str, float], held: frozenset[str], around: frozenset[str]) -> float:
    total = sum(weights.values())
    covered = sum(
        weight if term in held else AROUND * weight if term in around else 0.0
        for term, weight in weights.items()
    )
    return covered / total if total else 0.0


def _by_meaning(
    question: str, candidates: list[Candidate], embedder: Embedder
) -> Iterator[Candidate]:
    asked, *said = embedder.embed([question, *(candidate.text for candidate in candidates)])
    for candidate, vector in zip(candidates, said, strict=True):
        nearness = max(0.0, sum(a * b for a, b in zip(asked, vector, strict=True)))
        words = (1 - SHARE_OF_MEANING) * candidate.support
        yield replace(candidate, support=min(1.0, words + SHARE_OF_MEANING * nearness))


def _distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Leave out sentences that say what a better one says."""
    kept: list[Candidate] = []
    for candidate in candidates:
        if all(_overlap(candidate.terms, other.terms) < SAME for other in kept):
            kept.append(candidate)
    return kept


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / (min(len(one), len(other)) or 1)
