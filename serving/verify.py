"""Holds each sentence of an answer against what it cites: finds the quote, and judges it.

A sentence is carried by words and by meaning, or not; and whatever carries it, its numbers, dates
and names have to be in what it cites, and it may not deny what the quote says.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial

from knowledge.models import Backing, Citation, Context, Inference, Passage, Span, Statement
from knowledge.ports import Embedder, Judge
from serving.checks.evidence import Evidence, facts, lacking
from serving.checks.negation import contradictions, polarity
from serving.checks.silence import is_silence
from serving.checks.swaps import swapped
from serving.cite import MOST_BY_WORDS, Claim, Quote, Reading, citation, claims, states

# Chosen on the sets described in docs/measurements.md, section "Verification".
SUPPORTED = 0.6
"""Least support of a sentence that is carried."""
WEAKEST = 0.45
"""Below it nothing carries the sentence."""
CONTRADICTED = 0.5
"""What is left of a support where something is not as the quote says."""
DECIDED = 0.9
"""A quote that holds so many of the words needs no look at the meaning, which gives no more."""
SHARE_OF_MEANING = 0.7
CANDIDATES = 1
"""Single sentences of a passage whose meaning is compared: the nearest by their words."""
MOST_EMBEDDED = 32
"""Texts of one answer; what comes later is judged by its words."""

UNCITED = "uncited"
WEAK = "weak"
DENIED = 0.5
"""How surely a judge has to deny a sentence."""

_Pair = tuple[str, int]
"""A sentence of the answer, and the number of a passage that it cites."""
_HARMLESS = ("derived", "assumed")
"""Reasons that leave a sentence partly carried: it may follow, or the question said it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of an answer's sentences."""

    citations: tuple[Citation, ...]
    statements: tuple[Statement, ...]
    silences: int = 0
    """Sentences that only say what the sources leave out; they are no statements."""


class Verifier:
    """Judges answers; without an `embedder` by words alone. Safe to share between threads.

    A `judge` reads each quote with its sentence; its word counts as much as all the rest.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        judge: Judge | None = None,
        *,
        candidates: int = CANDIDATES,
        most_embedded: int = MOST_EMBEDDED,
    ) -> None:
        self.embedder = embedder
        self.judge = judge
        self.candidates = candidates
        self.most_embedded = most_embedded
        self.aside = ThreadPoolExecutor(1, thread_name_prefix="verify")
        """Where answers are looked at that are not whole yet: no more than a core is theirs."""

    def begin(self) -> Verification:
        """Return what verifies one answer."""
        return Verification(self)

    def verify(self, text: str, context: Context) -> Verified:
        """Judge a whole answer; see `Verification.verify`."""
        return self.begin().verify(text, context)


class Abandoned(Exception):
    """Nobody waits for this verification any more."""


class Verification:
    """Judges one answer, or its beginning as often as it grows; safe to share between threads.

    All that takes time is a function of a text or two and is kept, so what was looked at before
    costs next to nothing at the end, and looking early never changes what comes out: each text is
    embedded by itself, whose vector would depend a little on those beside it otherwise.
    """

    def __init__(self, by: Verifier) -> None:
        self.aside = by.aside
        self._by = by
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._wanted = threading.Event()
        self._readings: dict[int, Reading] = {}
        self._by_words = cache(partial(Reading.quotes, most=by.candidates))
        self._evidence = cache(Evidence)
        self._reasons = cache(_reasons)
        self._is_silence = cache(is_silence)
        self._vectors: dict[str, tuple[float, ...]] = {}
        self._inferences: dict[tuple[str, str], Inference] = {}

    @property
    def is_full(self) -> bool:
        """Whether as many texts are embedded as count in an answer."""
        return len(self._vectors) >= self._by.most_embedded

    def close(self) -> None:
        """Have a thread that is verifying, or is about to, raise `Abandoned` at its next text."""
        self._closed.set()

    def verify(self, text: str, context: Context) -> Verified:
        """Judge every sentence of `text` that claims something; its marks are among the passages.

        A sentence that cites nothing is unsupported, whatever the passages say; but one that only
        says what the sources leave out claims nothing, with marks or without.
        """
        self._wanted.set()
        with self._turn:
            self._wanted.clear()
            return self._verify(text, context)

    def expect(self, begun: str, numbers: Iterable[int], context: Context) -> None:
        """Embed what a sentence that begins so will be compared with, if it cites these passages.

        A guess, which may spare time at the end and never changes what comes out. It stops where
        something is to be verified.
        """
        if (embedder := self._by.embedder) is None:
            return
        for number in numbers:
            if not 1 <= number <= len(context.passages):
                continue
            passage = context.passages[number - 1]
            best, *singles = self._by_words(self._reading(passage), begun)
            for quote in singles if best.support < DECIDED else ():
                with self._turn:
                    if self._wanted.is_set() or self.is_full:
                        return
                    self._vector(embedder, passage.cut(quote.span))

    def _verify(self, text: str, context: Context) -> Verified:
        told = [claim for claim in claims(text) if states(claim)]
        cited = {number: context.passages[number - 1] for claim in told for number in claim.numbers}
        quotes = self._quotes(told, cited)
        question = [context.question.text, *(turn.text for turn in context.question.history)]
        asked = self._evidence(*question)
        statements = tuple(
            self._state(claim, of_claim, cited, self._carrying(of_claim, cited, context), asked)
            for claim, of_claim in zip(told, quotes, strict=True)
            if not self._is_silence(claim.text, "\n".join(question))
        )
        return Verified(_citations(quotes, cited), statements, len(told) - len(statements))

    def _quotes(self, told: Sequence[Claim], cited: dict[int, Passage]) -> list[dict[int, Quote]]:
        """Return for each claim the best quote of each passage it cites."""
        found = {
            (claim.text, number): self._by_words(self._reading(cited[number]), claim.text)
            for claim in told
            for number in claim.numbers
        }
        near = self._nearness(found, cited)
        best = {
            (said, number): max(
                (_weighed(quote, near.get((said, number), {})) for quote in quotes),
                key=lambda quote: quote.support,
            )
            for (said, number), quotes in found.items()
        }
        self._read_together(best, cited)
        return [{number: best[claim.text, number] for number in claim.numbers} for claim in told]

    def _reading(self, passage: Passage) -> Reading:
        known = self._readings.get(id(passage))  # which stays its own: a reading keeps its passage
        if known is None:
            known = self._readings[id(passage)] = Reading(passage)
        return known

    def _read_together(self, best: dict[_Pair, Quote], cited: Mapping[int, Passage]) -> None:
        """Let the judge, where there is one, read each quote with its claim; verbatim ones stay."""
        if self._by.judge is None:
            return
        for (said, number), quote in best.items():
            if quote.support < 1:
                inference = self._inference(self._by.judge, cited[number].cut(quote.span), said)
                support = round(min(MOST_BY_WORDS, (quote.support + inference.follows) / 2), 3)
                denies = inference.denied >= DENIED
                best[said, number] = replace(quote, support=support, denies=denies)

    def _inference(self, judge: Judge, quoted: str, said: str) -> Inference:
        if (quoted, said) not in self._inferences:
            self._go_on()
            [self._inferences[quoted, said]] = judge.infer([(quoted, said)])
        return self._inferences[quoted, said]

    def _nearness(
        self, found: Mapping[_Pair, Sequence[Quote]], cited: Mapping[int, Passage]
    ) -> dict[_Pair, dict[Span, float]]:
        """Return how near each undecided claim is in meaning to single sentences."""
        if (embedder := self._by.embedder) is None:
            return {}
        texts: set[str] = set()
        near: dict[_Pair, dict[Span, float]] = {}
        for (said, number), (best, *singles) in found.items():
            for quote in singles if best.support < DECIDED else ():
                quoted = cited[number].cut(quote.span)
                if len(texts) + 2 <= self._by.most_embedded:
                    texts |= {said, quoted}
                if texts >= {said, quoted}:
                    nearness = _dot(self._vector(embedder, said), self._vector(embedder, quoted))
                    near.setdefault((said, number), {})[quote.span] = max(0.0, nearness)
        return near

    def _vector(self, embedder: Embedder, text: str) -> tuple[float, ...]:
        if text not in self._vectors:
            self._go_on()
            [self._vectors[text]] = embedder.embed([text])
        return self._vectors[text]

    def _go_on(self) -> None:
        if self._closed.is_set():
            raise Abandoned

    def _carrying(
        self, numbers: Collection[int], cited: dict[int, Passage], context: Context
    ) -> tuple[Evidence, ...]:
        """Return the evidence of what a claim cites, and what was worked out from that."""
        passages = [cited[number] for number in numbers]
        found = tuple(
            self._evidence(each.document.title, *each.heading, each.header, each.text)
            for each in passages
        )
        worked_out = [each.value for each in context.reckoned if each.rests_on(passages)]
        return (*found, self._evidence(*worked_out)) if worked_out else found

    def _state(
        self,
        claim: Claim,
        quotes: dict[int, Quote],
        cited: dict[int, Passage],
        evidence: tuple[Evidence, ...],
        asked: Evidence,
    ) -> Statement:
        if not quotes:
            return Statement(claim.span, (), Backing.UNSUPPORTED, 0.0, (UNCITED,))
        number, best = max(quotes.items(), key=lambda each: each[1].support)
        reasons: tuple[str, ...] = ()
        if best.support < 1:
            quoted = cited[number].cut(best.span)
            reasons = self._reasons(claim.text, quoted, evidence, asked)
            reasons += ("denied",) * best.denies
        wrong = [reason for reason in reasons if not reason.startswith(_HARMLESS)]
        support = best.support * (CONTRADICTED if wrong else 1)
        if wrong or support < WEAKEST:
            backing = Backing.UNSUPPORTED
        else:
            backing = Backing.PARTLY if reasons or support < SUPPORTED else Backing.SUPPORTED
        weak = (WEAK,) * (best.support < SUPPORTED)
        return Statement(claim.span, claim.numbers, backing, round(support, 3), reasons + weak)


def _weighed(quote: Quote, near: Mapping[Span, float]) -> Quote:
    """Let the meaning speak with the words; it never makes a quote as good as a verbatim one.

    A run of sentences means what the nearest of them does.
    """
    within = [
        nearness
        for span, nearness in near.items()
        if quote.span.start <= span.start and span.end <= quote.span.end
    ]
    if not within or quote.support >= DECIDED:
        return quote
    support = (1 - SHARE_OF_MEANING) * quote.support + SHARE_OF_MEANING * max(within)
    return replace(quote, support=round(min(DECIDED, support), 3))


def _reasons(
    claim: str, quoted: str, evidence: Sequence[Evidence], asked: Evidence
) -> tuple[str, ...]:
    said = facts(claim)
    missing = lacking(said, evidence)
    new = {each.partition(":")[2] for each in lacking(said, [asked])}
    found = [
        reason if (text := reason.partition(":")[2]) in new else f"assumed:{text}"
        for reason in missing
    ]
    found += contradictions(polarity(claim), polarity(quoted))
    found += swapped(claim, quoted)
    return tuple(dict.fromkeys(found))


def _citations(
    quotes: Sequence[dict[int, Quote]], cited: dict[int, Passage]
) -> tuple[Citation, ...]:
    """Return a citation for each distinct (number, quote), in order of appearance."""
    found: dict[tuple[int, Span], Quote] = {}
    for of_claim in quotes:
        for number, quote in of_claim.items():
            known = found.get((number, quote.span))
            if known is None or known.support < quote.support:
                found[number, quote.span] = quote
    return tuple(citation(number, cited[number], quote) for (number, _), quote in found.items())


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
