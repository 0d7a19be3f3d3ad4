"""How well the verifier tells what is carried from what is not, beside two simple ways.

Three sets, reported apart, with 95 % intervals by a bootstrap over conversations, questions or
titles. Figures that need a threshold get it from the other folds of a cross-validation by
conversation (five folds, ten shuffles, averaged); all others use the service's own.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.models import Answer, Backing, Context, Delta, Principal, Question
from knowledge.text import normalise_for_match, words
from serving.answer import Answerer
from serving.cite import cites, claims, states
from serving.events import AnswerEvent
from serving.verify import Verified, Verifier
from tests.fakes import Unchanged
from tests.quality import corpora
from tests.quality.judging import (
    Case,
    altered,
    balanced,
    cross_validated,
    falsified,
    interval,
    judged_answers,
    references,
    verbatim,
)

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

SHUFFLES = 10
FEWEST_WORDS = 3
"""Of a sentence in the timing: shorter ones are greetings."""


TOKENS_A_SECOND = 100.0
"""Of a model on a GPU of its own; the tokens are those of the embedding model."""


@cache
def embedder() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder()


@cache
def verifier() -> Verifier:
    return Verifier(embedder())


def judged(cases: Sequence[Case]) -> list[Verified]:
    return [verifier().verify(case.text, case.context) for case in cases]


def test_answers_that_people_found_faithful_are_told_from_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = judged_answers(corpora.folder("mtrag-judged-answers"))
    ways = {
        "verbatim sentences": [_mean(_is_verbatim, case) for case in cases],
        "best overlap of words, mean": [_mean(_overlap, case) for case in cases],
        "best overlap of words, least": [_least(_overlap, case) for case in cases],
        "verifier": [_support(each) for each in judged(cases)],
    }
    right = {name: _right(scores, cases) for name, scores in ways.items()}
    everything = range(len(cases))
    accuracy = {name: _balanced(shares, cases, everything) for name, shares in right.items()}
    best = max(list(ways)[:-1], key=accuracy.__getitem__)

    def gain(places: Sequence[int]) -> float:
        mine, theirs = right["verifier"], right[best]
        return _balanced(mine, cases, places) - _balanced(theirs, cases, places)

    with capsys.disabled():
        count = sum(case.supported for case in cases)
        print(f"\nmtrag-judged-answers: {len(cases)} answers, {count} rated 3 or more")
        for name, shares in right.items():
            _tell(name, shares, cases)
        low, high = interval(cases, gain)
        gained = gain(everything)
        print(f"  more than {best!r}: {gained:+.3f} ({low:+.3f} to {high:+.3f})")
    assert gained >= 0.05


def test_what_falsified_sources_say_is_told_from_what_they_do_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cases = falsified(corpora.folder("rgb-en-fact"))
    found = judged(cases)
    kept = [_kept(each) for each in found]
    surely = [_supported(each) for each in found]
    plain = {
        "verbatim sentences": [_mean(_is_verbatim, case) for case in cases],
        "best overlap of words": [_mean(_overlap, case) for case in cases],
    }
    with capsys.disabled():
        print(f"\nrgb-en-fact: {len(cases)} statements, half of them supported")
        _tell("kept where not unsupported", _as_true(kept, cases), cases)
        _tell("kept where supported", _as_true(surely, cases), cases)
        for name, scores in plain.items():
            _tell(f"{name}, cross-validated", _right(scores, cases), cases)
    assert _balanced(_as_true(surely, cases), cases, range(len(cases))) >= 0.80


def test_altered_sentences_are_flagged_and_paraphrases_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = corpora.folder("clapnq-a")
    wrong, same, said = list(altered(folder)), list(verbatim(folder)), list(references(folder))
    flagged = [not _kept(each) for each in judged(wrong)]
    untouched = [_supported(each) for each in judged(same)]
    found = judged(said)
    kept = [_supported(each) for each in found]
    with capsys.disabled():
        print("\nclapnq-a: shares of sentences")
        for kind in sorted({case.kind for case in wrong}):
            places = [at for at, case in enumerate(wrong) if case.kind == kind]
            _share(f"{kind} altered: unsupported", flagged, wrong, places)
        _share("verbatim: supported", untouched, same)
        _share("paraphrase by people: supported", kept, said)
        _share("paraphrase by people: not unsupported", [_kept(each) for each in found], said)
        inside = [at for at, each in enumerate(kept) if each]
        gold = [_is_gold(each, case) for each, case in zip(found, said, strict=True)]
        _share("supported paraphrase: quote in gold", gold, said, inside)
    usual = [at for at, case in enumerate(wrong) if case.kind in ("number", "name", "negation")]
    assert _rate(flagged, usual) >= 0.90
    assert _rate(untouched) >= 0.98
    assert _rate(kept) >= 0.85
    assert _rate(gold, inside) >= 0.80


def test_verifying_an_answer_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    """All of it at the end, as where an answer comes in one piece."""
    by_words = Verifier()
    spent: dict[str, list[float]] = {"with meaning": [], "by words": []}
    worked: dict[str, list[float]] = {"with meaning": [], "by words": []}
    cases = as_models_cite()
    for case in cases:
        for name, judge in (("with meaning", verifier()), ("by words", by_words)):
            start, before = time.perf_counter(), time.process_time()
            judge.verify(case.text, case.context)
            spent[name].append(1000 * (time.perf_counter() - start))
            worked[name].append(1000 * (time.process_time() - before))
    with capsys.disabled():
        sentences = statistics.median(len(claims(case.text)) for case in cases)
        print(f"\nverification of {len(cases)} answers of {sentences:.0f} sentences (median)")
        for name, each in spent.items():
            busy = statistics.median(worked[name])
            print(f"  {name}: {_times(each)}; of processors {busy:.1f} ms")
    assert statistics.median(worked["by words"]) < statistics.median(worked["with meaning"])


class Recorded:
    """The `Generator` door: says an answer again, so many tokens a second; 0: in one piece."""

    name, extractive = "recorded", False

    def __init__(self, text: str, speed: float) -> None:
        self.ended = 0.0
        """When the last of it was handed over."""
        self._text = text
        self._speed = speed

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        ends = [span.end for span in embedder().token_spans(self._text)] if self._speed else []
        begun = time.perf_counter()
        for place, (start, end) in enumerate(pairwise([0, *ends[:-1], len(self._text)])):
            await asyncio.sleep(begun - time.perf_counter() + place / (self._speed or 1))
            self.ended = time.perf_counter()
            yield Delta(self._text[start:end])


class Found(Unchanged):
    """Finds one context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def retrieve(self, question: Question, principal: Principal) -> Context:
        return self._context


async def answered(case: Case, speed: float) -> tuple[Answer, float]:
    """Return an answer, and how many ms it took from the last of its text to its end."""
    model = Recorded(case.text, speed)
    answerer = Answerer(retriever=Found(case.context), generator=model, verifier=verifier())
    last = await answerer.answer(case.context.question, Principal("ann"))
    late = 1000 * (time.perf_counter() - model.ended)
    assert isinstance(last, AnswerEvent), last
    return last.answer, late


def test_what_is_left_at_the_end_of_a_streamed_answer_is_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same statements, however an answer comes; the time between its last token and its end."""
    late: dict[float, list[float]] = {0.0: [], TOKENS_A_SECOND: []}
    for case in as_models_cite():
        if not cites(case.text):
            continue
        told = {}
        for speed, each in late.items():
            told[speed], ms = asyncio.run(answered(case, speed))
            each.append(ms)
        assert told[0.0].statements == told[TOKENS_A_SECOND].statements
        assert told[0.0].citations == told[TOKENS_A_SECOND].citations
    whole, streamed = late.values()
    with capsys.disabled():
        print(f"\n{len(streamed)} answers: from the last text to the end")
        print(f"  {TOKENS_A_SECOND:.0f} tokens a second: {_times(streamed)}")
        print(f"  in one piece: {_times(whole)}")
    assert statistics.median(streamed) < statistics.median(whole)


def _times(each: Sequence[float]) -> str:
    late = statistics.quantiles(each, n=20)[-1]
    return f"p50 {statistics.median(each):.1f} ms, p95 {late:.1f} ms"


def _tell(name: str, right: Sequence[float], cases: Sequence[Case]) -> None:
    low, high = interval(cases, lambda places: _balanced(right, cases, places))
    value = _balanced(right, cases, range(len(cases)))
    print(f"  {name}: balanced accuracy {value:.3f} ({low:.3f} to {high:.3f})")


def _share(
    name: str, hits: Sequence[bool], cases: Sequence[Case], places: Sequence[int] | None = None
) -> None:
    kept = list(range(len(cases))) if places is None else list(places)
    low, high = interval([cases[at] for at in kept], lambda at: _rate([hits[kept[i]] for i in at]))
    print(f"  {name}: {_rate(hits, kept):.3f} ({low:.3f} to {high:.3f}) of {len(kept)}")


def _rate(hits: Sequence[bool], places: Sequence[int] | None = None) -> float:
    chosen = list(hits) if places is None else [hits[at] for at in places]
    return sum(chosen) / max(1, len(chosen))


def _balanced(right: Sequence[float], cases: Sequence[Case], places: Sequence[int]) -> float:
    return balanced([right[at] for at in places], [cases[at].supported for at in places])


def _as_true(decided: Sequence[bool], cases: Sequence[Case]) -> list[float]:
    return [float(said == case.supported) for said, case in zip(decided, cases, strict=True)]


def _right(scores: Sequence[float], cases: Sequence[Case]) -> list[float]:
    """Return in how many of the shuffles each case is decided rightly, as a share."""
    made = [_as_true(cross_validated(scores, cases, seed=seed), cases) for seed in range(SHUFFLES)]
    return [statistics.mean(shares) for shares in zip(*made, strict=True)]


def _support(verified: Verified) -> float:
    supports = [statement.support for statement in verified.statements]
    return statistics.mean(supports) if supports else 0.0


def _kept(verified: Verified) -> bool:
    return all(each.backing is not Backing.UNSUPPORTED for each in verified.statements)


def _supported(verified: Verified) -> bool:
    return all(each.backing is Backing.SUPPORTED for each in verified.statements)


def _mean(score: Callable[[str, Case], float], case: Case) -> float:
    return statistics.mean(_scores(score, case) or [0.0])


def _least(score: Callable[[str, Case], float], case: Case) -> float:
    return min(_scores(score, case), default=0.0)


def _scores(score: Callable[[str, Case], float], case: Case) -> list[float]:
    return [score(claim.text, case) for claim in claims(case.text) if states(claim)]


def _is_verbatim(sentence: str, case: Case) -> float:
    said = normalise_for_match(sentence).rstrip(". ")
    return float(any(said in normalise_for_match(each.text) for each in case.context.passages))


def _overlap(sentence: str, case: Case) -> float:
    """Return the largest share of a sentence's words that one sentence of a passage holds."""
    said = set(words(sentence))
    held = (_words(each.text) for passage in case.context.passages for each in claims(passage.text))
    return max((len(said & known) / max(1, len(said)) for known in held), default=0.0)


@cache
def _words(sentence: str) -> frozenset[str]:
    return frozenset(words(sentence))


def _is_gold(verified: Verified, case: Case) -> bool:
    """Say whether the best quote lies in sentences that people chose, but for its punctuation."""
    if not verified.citations:
        return False
    best = max(verified.citations, key=lambda citation: citation.support)
    text = case.context.passages[0].text
    chosen: set[int] = set()
    for sentence in case.gold:
        start = text.find(sentence)
        if start >= 0:
            chosen |= set(range(start, start + len(sentence)))
    letters = [at for at in range(best.span.start, best.span.end) if text[at].isalnum()]
    return all(at in chosen for at in letters)


def as_models_cite() -> list[Case]:
    """Every fourth judged answer; each sentence cites the passage that holds most of its words."""
    cases = judged_answers(corpora.folder("mtrag-judged-answers"))
    found = [case for case in cases if case.context.passages][::4]
    return [replace(case, text=_as_a_model_cites(case)) for case in found]


def _as_a_model_cites(case: Case) -> str:
    count = len(case.context.passages)
    text = case.text
    marks = "".join(f"[{number}]" for number in range(1, count + 1))
    for claim in reversed(claims(text)):
        if claim.numbers and len(claim.text.split()) >= FEWEST_WORDS:
            said = _words(claim.text)
            best = max(
                range(count), key=lambda at: len(said & _words(case.context.passages[at].text))
            )
            own = claim.span.cut(text).replace(marks, f"[{best + 1}]")
            text = text[: claim.span.start] + own + text[claim.span.end :]
    return text
