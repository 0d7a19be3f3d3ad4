"""Documents that answer the question differently, side by side with their dates; pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from knowledge.models import Citation, Conflict, Context, Passage, Side, Span
from knowledge.terms import terms
from retrieval.retriever import condense
from serving.checks.opposed import ON_THE_POINT, Asked, Difference, Told
from serving.checks.values import Value
from serving.cite import Quote, citation, quotable
from serving.markers import plain

WEAKEST = 0.2
"""Least share of the question's words, rare ones first, of a sentence that is looked at."""
FEWEST_WORDS = 4
MOST_SENTENCES = 30
MOST_CONFLICTS = 2
MOST_SIDES = 4


def conflicts(
    context: Context, citations: Iterable[Citation] | None = None
) -> tuple[Conflict, ...]:
    """Return where a cited sentence and one of another document do not agree.

    Without `citations`, all sentences count as cited. Rights were seen to before: all passages of
    a context are its reader's.
    """
    asked = Asked(unicodedata.normalize("NFKC", condense(context.question)))
    said = _on_the_subject(asked, context.passages)
    found = _Found()
    for one in said if citations is None else _cited(said, citations):
        for other in said:
            if other.passage.document.id != one.passage.document.id:
                for mine, theirs in _differences(asked, one, other):
                    found.add((one, mine), (other, theirs))
    return found.conflicts()


@dataclass(frozen=True, slots=True)
class _Sentence:
    number: int
    passage: Passage
    span: Span
    told: Told
    support: float = 0.0


def _on_the_subject(asked: Asked, passages: Sequence[Passage]) -> list[_Sentence]:
    """Return the sentences that hold most of the question's words, best first."""
    found = [
        each
        for number, passage in enumerate(passages, start=1)
        for each in _sentences(number, passage)
    ]
    supports = asked.supports([each.told for each in found])
    near = [
        _Sentence(each.number, each.passage, each.span, each.told, support)
        for each, support in zip(found, supports, strict=True)
        if support >= WEAKEST and asked.means(each.told)
    ]
    return sorted(near, key=lambda each: -each.support)[:MOST_SENTENCES]


def _sentences(number: int, passage: Passage) -> Iterator[_Sentence]:
    headings = " ".join([passage.document.title, *passage.heading])
    around = frozenset(terms(f"{headings}\n{passage.text}"))
    within = unicodedata.normalize("NFKC", passage.text)
    for span in quotable(passage):
        shown = unicodedata.normalize("NFKC", plain(passage.cut(span)))
        text = " ".join(shown.lstrip("-*•").split())
        if len(text.split()) >= FEWEST_WORDS and not text.endswith(("?", "？")):
            told = Told(text, within, frozenset(terms(text)), around)
            yield _Sentence(number, passage, span, told)


def _cited(said: Sequence[_Sentence], citations: Iterable[Citation]) -> list[_Sentence]:
    quotes: dict[str, list[Span]] = {}
    for each in citations:
        quotes.setdefault(each.revision_id, []).append(each.span)
    return [
        each
        for each in said
        if any(each.span.overlaps(span) for span in quotes.get(each.passage.revision_id, ()))
    ]


def _differences(asked: Asked, one: _Sentence, other: _Sentence) -> list[Difference]:
    if found := list(asked.swapped(one.told, other.told)):
        return found
    if min(one.support, other.support) < ON_THE_POINT:
        return []
    return list(asked.beside(one.told, other.told))


_Said = tuple[_Sentence, Value]


@dataclass
class _Found:
    """Pairs that do not agree, gathered to conflicts with a side for each value."""

    _groups: list[list[_Said]] = field(default_factory=list)

    def add(self, one: _Said, other: _Said) -> None:
        """Add a pair to the conflict that has one of its values, or begin another."""
        pair = (one, other)
        for group in self._groups:
            if any(_is_told(group, said) for said in pair):
                group += [said for said in pair if not _is_told(group, said)]
                return
        self._groups.append([one, other])

    def conflicts(self) -> tuple[Conflict, ...]:
        """Return the first few, each with its sides, the latest first."""
        return tuple(
            Conflict(group[0][1].kind, tuple(_in_time(_side(*said) for said in group[:MOST_SIDES])))
            for group in self._groups[:MOST_CONFLICTS]
        )


def _is_told(group: Sequence[_Said], said: _Said) -> bool:
    return any(value.agrees(said[1]) for _, value in group)


def _side(sentence: _Sentence, value: Value) -> Side:
    document = sentence.passage.document
    quote = citation(sentence.number, sentence.passage, Quote(sentence.span, 1.0))
    return Side(value.text, quote, document.dated_at or document.updated_at)


def _in_time(sides: Iterable[Side]) -> list[Side]:
    """Put the latest first; those without a date come last."""
    return sorted(sides, key=lambda side: side.dated_at or _LONG_AGO, reverse=True)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)
