"""Holds each sentence of an answer against what it cites: finds the quote, and judges it.

A sentence is carried by words and by meaning, or not; and whatever carries it, its numbers, dates
and names have to be in what it cites, and it may not deny what the quote says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.models import Backing, Citation, Context, Passage, Span, Statement
from knowledge.ports import Embedder, Judge
from serving.checks.evidence import Evidence, facts, lacking
from serving.checks.negation import contradictions, polarity
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
        self._embedder = embedder
        self._judge = judge
        self._candidates = candidates
        self._most_embedded = most_embedded

    def verify(self, text: str, context: Context) -> Verified:
        """Judge every sentence of `text` that claims something; its marks are among the passages.

        A sentence that cites nothing is unsupported, whatever the passages say.
        """
        told = [claim for claim in claims(text) if states(claim)]
        cited = {number: context.passages[number - 1] for claim in told for number in claim.numbers}
        readings = {number: Reading(passage) for number, passage in cited.items()}
        quotes = self._quotes(told, cited, readings)
        evidence = {number: _evidence(passage) for number, passage in cited.items()}
        asked = Evidence(context.question.text, *(turn.text for turn in context.question.history))
        statements = tuple(
            _state(claim, quotes[at], cited, _of_claim(quotes[at], cited, evidence, context), asked)
            for at, claim in enumerate(told)
        )
        return Verified(_citations(quotes, cited), statements)

    def _quotes(
        self, told: Sequence[Claim], cited: dict[int, Passage], readings: dict[int, Reading]
    ) -> list[dict[int, Quote]]:
        """Return for each claim the best quote of each passage it cites."""
        found = {
            (claim.text, number): readings[number].quotes(claim.text, most=self._candidates)
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

    def _read_together(self, best: dict[_Pair, Quote], cited: Mapping[int, Passage]) -> None:
        """Let the judge, where there is one, read each quote with its claim; verbatim ones stay."""
        if self._judge is None:
            return
        pairs = [pair for pair, quote in best.items() if quote.support < 1]
        texts = [(cited[number].cut(best[said, number].span), said) for said, number in pairs]
        for pair, inference in zip(pairs, self._judge.infer(texts), strict=True):
            support = round(min(MOST_BY_WORDS, (best[pair].support + inference.follows) / 2), 3)
            denies = inference.denied >= DENIED
            best[pair] = replace(best[pair], support=support, denies=denies)

    def _nearness(
        self, found: Mapping[_Pair, Sequence[Quote]], cited: Mapping[int, Passage]
    ) -> dict[_Pair, dict[Span, float]]:
        """Return how near each undecided claim is in meaning to single sentences; all at once."""
        if self._embedder is None:
            return {}
        wanted = [
            (pair, quote.span, cited[pair[1]].cut(quote.span))
            for pair, (best, *singles) in found.items()
            if best.support < DECIDED
            for quote in singles
        ]
        texts: dict[str, None] = {}
        for (said, _), _, quoted in wanted:
            if len(texts) + 2 <= self._most_embedded:
                texts |= {said: None, quoted: None}
        vectors = dict(zip(texts, self._embedder.embed(list(texts)), strict=True))
        near: dict[_Pair, dict[Span, float]] = {}
        for (said, number), span, quoted in wanted:
            if said in vectors and quoted in vectors:
                nearness = max(0.0, _dot(vectors[said], vectors[quoted]))
                near.setdefault((said, number), {})[span] = nearness
        return near


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


def _evidence(passage: Passage) -> Evidence:
    headings = (passage.document.title, *passage.heading, passage.header)
    return Evidence(*headings, passage.text)


def _of_claim(
    numbers: Collection[int],
    cited: dict[int, Passage],
    evidence: dict[int, Evidence],
    context: Context,
) -> list[Evidence]:
    """Return the evidence of what a claim cites, and what was worked out from that."""
    found = [evidence[number] for number in numbers]
    passages = [cited[number] for number in numbers]
    worked_out = [each.value for each in context.reckoned if each.rests_on(passages)]
    return [*found, Evidence(*worked_out)] if worked_out else found


def _state(
    claim: Claim,
    quotes: dict[int, Quote],
    cited: dict[int, Passage],
    evidence: Sequence[Evidence],
    asked: Evidence,
) -> Statement:
    if not quotes:
        return Statement(claim.span, (), Backing.UNSUPPORTED, 0.0, (UNCITED,))
    number, best = max(quotes.items(), key=lambda each: each[1].support)
    reasons: list[str] = []
    if best.support < 1:
        quoted = cited[number].cut(best.span)
        reasons = _reasons(claim.text, quoted, evidence, asked)
        reasons += ["denied"] * best.denies
    wrong = [reason for reason in reasons if not reason.startswith(_HARMLESS)]
    support = best.support * (CONTRADICTED if wrong else 1)
    if wrong or support < WEAKEST:
        backing = Backing.UNSUPPORTED
    else:
        backing = Backing.PARTLY if reasons or support < SUPPORTED else Backing.SUPPORTED
    weak = [WEAK] if best.support < SUPPORTED else []
    return Statement(claim.span, claim.numbers, backing, round(support, 3), (*reasons, *weak))


def _reasons(claim: str, quoted: str, evidence: Sequence[Evidence], asked: Evidence) -> list[str]:
    said = facts(claim)
    missing = lacking(said, evidence)
    new = {each.partition(":")[2] for each in lacking(said, [asked])}
    found = [
        reason if (text := reason.partition(":")[2]) in new else f"assumed:{text}"
        for reason in missing
    ]
    found += contradictions(polarity(claim), polarity(quoted))
    found += swapped(claim, quoted)
    return list(dict.fromkeys(found))


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
