"""Whether two sentences answer the same question with different values; pure.

Two forms are noticed. One says the same as the other but for a date, a number or a name. Or both
hold most of the question's words, and beside the same one of them stand different dates, or
different numbers of the same thing. Careful rather than complete: whoever is told of conflicts that
are none soon looks at none.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import product

from knowledge.models import Span, ValueKind
from knowledge.terms import language_of, terms
from serving.checks.values import Value, asks_for, values

# Chosen on the questions of even number of the set in docs/measurements.md, section "Conflicts".
LIKENESS = 0.6
"""Share of words in the same order from which on two sentences say the same but for a few."""
LONGEST_SWAP = 6
"""Words."""
ON_THE_POINT = 0.6
"""Share of the question's words, rare ones first, of a sentence that is not like the other."""
AROUND = 0.5
"""What a word counts that stands not in the sentence, but in its passage or title."""
BESIDE = 3
"""Words between a value and the question's word that it belongs to."""
ELSEWHERE = 30
"""Sentences taken to exist beyond the passages."""

Difference = tuple[Value, Value]
_Step = tuple[str, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Told:
    """A sentence in compatibility form, read once."""

    text: str
    within: str
    """The passage that it stands in."""
    terms: frozenset[str]
    around: frozenset[str]
    """Of the passage, its title and its headings."""

    @cached_property
    def language(self) -> str:
        """The language of its words in Latin letters."""
        return language_of(self.text)

    @cached_property
    def values(self) -> list[Value]:
        """Its dates, numbers and names."""
        return values(self.text, self.language)

    @cached_property
    def words(self) -> list[re.Match[str]]:
        """Its words with their places."""
        return list(_WORD.finditer(self.text))

    @cached_property
    def plain_words(self) -> list[str]:
        """Its words without case."""
        return [match.group().casefold() for match in self.words]

    @cached_property
    def stems(self) -> list[frozenset[str]]:
        """Of each word."""
        return [frozenset(terms(match.group(), self.language)) for match in self.words]

    def places(self, span: Span) -> list[int]:
        """Return the places of the words that a span covers."""
        return [
            at
            for at, match in enumerate(self.words)
            if match.start() < span.end and span.start < match.end()
        ]

    def elsewhere(self, kind: ValueKind) -> list[Value]:
        """Return the values of a kind in all of the passage."""
        return [
            value for value in values(self.within, language_of(self.within)) if value.kind is kind
        ]

    def writes_small(self, name: Value) -> bool:
        """Say whether the passage has a word of the name without its capital: it is none."""
        return not name.means.isdisjoint(_SMALL.findall(self.within))


class Asked:
    """What a question is about, and what it asks for; `question` is in compatibility form."""

    def __init__(self, question: str) -> None:
        self.terms = frozenset(terms(question)) - _ASKING
        self._kinds = asks_for(question)
        told = values(question, language_of(question))
        self._told = [value for value in told if value.kind is not ValueKind.NAME]
        self._years = frozenset(_YEAR.findall(question))

    def supports(self, sentences: Sequence[Told]) -> list[float]:
        """Return what share of the question's words each sentence holds, rare ones first."""
        holding = Counter(term for each in sentences for term in each.terms & self.terms)
        count = len(sentences) + ELSEWHERE
        rarity = {
            term: math.log1p((count - holding[term] + 0.5) / (holding[term] + 0.5))
            for term in self.terms
        }
        return [_share(rarity, each) for each in sentences]

    def means(self, sentence: Told) -> bool:
        """Say whether a sentence is of a year that is asked for, if it is of any."""
        own = _YEAR.findall(sentence.text) if self._years else ()
        return not own or not self._years.isdisjoint(own)

    def swapped(self, one: Told, other: Told) -> Iterator[Difference]:
        """Yield what stands in each other's place in sentences that else say the same."""
        matcher = SequenceMatcher(None, one.plain_words, other.plain_words, autojunk=False)
        if matcher.quick_ratio() < LIKENESS or matcher.ratio() < LIKENESS:
            return
        steps = matcher.get_opcodes()
        if not self._share_words(one, steps) or self._differ_in_subject(one, other, steps):
            return
        for kind, start, end, begin, stop in steps:
            if kind == "replace" and max(end - start, stop - begin) <= LONGEST_SWAP:
                mine = self._within(one, range(start, end))
                theirs = self._within(other, range(begin, stop))
                yield from self._opposed(one, mine, other, theirs)

    def beside(self, one: Told, other: Told) -> Iterator[Difference]:
        """Yield dates and numbers that stand beside the same word of the question in both."""
        for kind in (ValueKind.DATE, ValueKind.NUMBER):
            if kind not in self._kinds:
                continue
            for mine, theirs in product(self._new(kind, one.values), self._new(kind, other.values)):
                if self._same_place(one, mine, other, theirs) and not _agree_anywhere(
                    one, mine, other, theirs
                ):
                    yield mine, theirs
                    return

    def _share_words(self, one: Told, steps: Sequence[_Step]) -> bool:
        """Say whether the two share a word of the question, and not only a number of it."""
        return any(
            not term.isdigit()
            for kind, start, end, _, _ in steps
            if kind == "equal"
            for stems in one.stems[start:end]
            for term in stems & self.terms
        )

    def _differ_in_subject(self, one: Told, other: Told, steps: Sequence[_Step]) -> bool:
        """Say whether one has a word of the question where the other has something else."""
        for kind, start, end, begin, stop in steps:
            if kind == "equal":
                continue
            mine = frozenset().union(*one.stems[start:end]) & self.terms
            theirs = frozenset().union(*other.stems[begin:stop]) & self.terms
            if mine - other.around or theirs - one.around:
                return True
        return False

    def _within(self, sentence: Told, places: range) -> list[Value]:
        """Return the values that lie in these words; of a name, what of it does and is new."""
        found = []
        for value in sentence.values:
            at = [place for place in sentence.places(value.span) if place in places]
            if at and value.kind is ValueKind.NAME:
                new = [place for place in at if sentence.stems[place].isdisjoint(self.terms)]
                found += [_part(sentence, new)] if new else []
            elif at:
                found.append(value)
        return found

    def _opposed(
        self, one: Told, mine: list[Value], other: Told, theirs: list[Value]
    ) -> Iterator[Difference]:
        for kind in self._comparable:
            ours, his = self._new(kind, mine), self._new(kind, theirs)
            if not ours or not his or _any_agree(ours, his):
                continue
            if kind is ValueKind.NAME and (one.writes_small(ours[0]) or other.writes_small(his[0])):
                continue
            if not (
                _any_agree(ours[:1], self._new(kind, other.values))
                or _any_agree(his[:1], self._new(kind, one.values))
            ):
                yield ours[0], his[0]
                return

    @property
    def _comparable(self) -> Sequence[ValueKind]:
        """Return what is asked for; names only where they surely are."""
        kinds = self._kinds or (ValueKind.DATE, ValueKind.NUMBER)
        return [kind for kind in ValueKind if kind in kinds]

    def _new(self, kind: ValueKind, found: Iterable[Value]) -> list[Value]:
        """Return the values of a kind that the question does not tell itself."""
        return [
            value
            for value in found
            if value.kind is kind and not any(value.is_told_by(told) for told in self._told)
        ]

    def _same_place(self, one: Told, mine: Value, other: Told, theirs: Value) -> bool:
        if mine.kind is ValueKind.NUMBER:
            if mine.unit != theirs.unit:
                return False
            if mine.unit and mine.unit in self.terms:
                return True
        return not self._neighbours(one, mine).isdisjoint(self._neighbours(other, theirs))

    def _neighbours(self, sentence: Told, value: Value) -> set[tuple[str, bool]]:
        """Return the question's words near a value, and whether they come before it."""
        places = sentence.places(value.span)
        before = range(max(0, places[0] - BESIDE), places[0])
        after = range(places[-1] + 1, min(len(sentence.words), places[-1] + 1 + BESIDE))
        return {
            (term, at < places[0])
            for at in (*before, *after)
            for term in sentence.stems[at] & self.terms
        }


_WORD = re.compile(r"\d[\d.,]*\d|\w+")
_SMALL = re.compile(r"\b[^\W\d_A-Z]\w+")
_YEAR = re.compile(r"\b(?:1\d|20)\d\d\b")
_ASKING = frozenset(
    terms(
        "how when where why who whom whose which what do does did can could would should many much "
        "name date"
    )
)


def _share(rarity: dict[str, float], sentence: Told) -> float:
    total = sum(rarity.values())
    held = sum(
        weight if term in sentence.terms else AROUND * weight if term in sentence.around else 0.0
        for term, weight in rarity.items()
    )
    return held / total if total else 0.0


def _part(sentence: Told, places: Sequence[int]) -> Value:
    """Return the name that some words of a sentence are."""
    span = Span(sentence.words[places[0]].start(), sentence.words[places[-1]].end())
    inside = values(span.cut(sentence.text), sentence.language)
    means = frozenset(meaning for value in inside for meaning in value.means)
    return Value(ValueKind.NAME, span.cut(sentence.text), span, means)


def _any_agree(some: Iterable[Value], others: Sequence[Value]) -> bool:
    return any(one.agrees(other) for one in some for other in others)


def _agree_anywhere(one: Told, mine: Value, other: Told, theirs: Value) -> bool:
    """Say whether either's passage has the value of the other: it may only speak of both."""
    return _any_agree([mine], other.elsewhere(mine.kind)) or _any_agree(
        [theirs], one.elsewhere(mine.kind)
    )
