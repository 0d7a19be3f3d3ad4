"""What a sentence could answer with, and what a question asks for: dates, numbers, names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knowledge import languages
from knowledge.models import Span, ValueKind
from knowledge.terms import terms
from serving.checks.dates import dates
from serving.checks.names import folded, names
from serving.checks.numbers import numbers


@dataclass(frozen=True, slots=True)
class Value:
    """A date, a number or a name as it is written, and what it means."""

    kind: ValueKind
    text: str
    span: Span
    """In characters of the sentence."""
    means: frozenset[object]
    unit: str = ""
    """Of a number: its unit, or the stem of what is counted."""

    def agrees(self, other: Value) -> bool:
        """Say whether both can be right: a year and a day in it, a name and a part of it."""
        if self.kind is not other.kind:
            return False
        if self.kind is not ValueKind.DATE:
            return not self.means.isdisjoint(other.means)
        return any(_fits(one, another) for one in self.means for another in other.means)

    def is_told_by(self, other: Value) -> bool:
        """Say whether `other` tells all of this one: of a day, its year alone does not."""
        if self.kind is not ValueKind.DATE:
            return self.agrees(other)
        return self.agrees(other) and min(map(_gaps, self.means)) >= min(map(_gaps, other.means))


def values(sentence: str, language: str) -> list[Value]:
    """Return the dates, numbers and names of a sentence that is in compatibility form.

    >>> [(v.kind.value, v.text, v.unit) for v in values(
    ...     "Ann Lee has had 28 days a year since May 2019.", "english")]
    [('date', 'May 2019', ''), ('number', '28', 'day'), ('name', 'Ann Lee', '')]
    """
    found = list(_dates(sentence))
    rest = _without(sentence, [each.span for each in found])
    found += _numbers(rest, language)
    return found + list(_names(rest, language))


def asks_for(question: str) -> frozenset[ValueKind]:
    """Return what a question asks for; nothing where that cannot be told.

    >>> [kind.value for kind in asks_for("How many days may I be away?")]
    ['number']
    """
    return frozenset(kind for kind, asking in _ASKING.items() if asking.search(question))


def _any_of(*forms: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(forms)})\b", re.IGNORECASE)


_MEASURE = r"many|much|old|long|far|tall|big|large|often|high|fast|wide|deep|heavy|late|early"
_ASKING = {
    ValueKind.DATE: _any_of(
        r"when|(?:what|which) (?:year|date|day|month)|dates?|deadline",
        r"wann|datum|frist|welche[mnrs]? (?:tag|jahr|monat)|quand|date limite|cuándo|fecha",
        r"quando|wanneer",
    ),
    ValueKind.NUMBER: _any_of(
        rf"how (?:{_MEASURE})|number|amount|price|costs?|fees?|rate|revenue|percentage|limit",
        r"maximum|minimum|total|population|budget|salary|age|allowance|period",
        r"wie ?(?:viele?|hoch|lange?|alt|oft|weit|groß)|combien|cuánt[oa]s?|quant[oaie]|hoeveel",
    ),
    ValueKind.NAME: _any_of(
        r"who(?:m|se)?|where|location|name of",
        r"(?:what|which) (?:\w+ )?(?:person|country|city|state|company|town|team|player|actor)",
        r"(?:what|which) (?:\w+ )?(?:actress|director|movie|film|book|place|office|department)",
        r"(?:ceo|director|president|manager|head|author|owner) of",
        r"we[rmn]|wessen|wo|qui|où|quién|dónde|chi|dove|quem|onde|wie is",
    ),
}
_YEAR = re.compile(r"(?<![\w$€£.,-])(?:1\d|20)\d\d(?![\w%]|[.,-]\d)")
_NEXT = re.compile(r"[\s-]*([^\W\d_]+)")
_WORD = re.compile(r"[^\W\d_][\w’'-]*")
_CAPITALISED_NOUNS = "german"
_TRIVIAL = ("one", "zero", "ein", "eine", "einen", "un", "une", "uno", "una")


def _dates(sentence: str) -> Iterator[Value]:
    told: dict[Span, set[object]] = {}
    for date in dates(sentence):
        told.setdefault(date.span, set()).add((date.year, date.month, date.day))
    for match in _YEAR.finditer(sentence):
        span = Span(*match.span())
        if not any(span.overlaps(other) for other in told):
            told[span] = {(int(match.group()), None, None)}
    for span, means in sorted(told.items()):
        yield Value(ValueKind.DATE, span.cut(sentence).strip(), span, frozenset(means))


def _fits(one: object, other: object) -> bool:
    """Say whether no part that both dates tell differs."""
    assert isinstance(one, tuple)  # noqa: S101
    assert isinstance(other, tuple)  # noqa: S101
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _gaps(date: object) -> int:
    """Return how many parts of a date are not told."""
    assert isinstance(date, tuple)  # noqa: S101
    return date.count(None)


def _numbers(sentence: str, language: str) -> Iterator[Value]:
    for number in numbers(sentence, language):
        if number.text.casefold() in _TRIVIAL:
            continue
        span = Span(number.at, number.at + len(number.text))
        counted = _NEXT.match(sentence, span.end)
        unit = number.unit or next(iter(terms(counted[1], language)) if counted else iter(()), "")
        yield Value(ValueKind.NUMBER, number.text, span, frozenset(number.values), unit)


def _names(sentence: str, language: str) -> Iterator[Value]:
    """Yield runs of words in capitals; the first word of a sentence may be none, but counts."""
    sure = frozenset(names(sentence, language))
    run: list[re.Match[str]] = []
    for match in _WORD.finditer(sentence):
        if run and sentence[run[-1].end() : match.start()] != " ":
            yield _name(run)
            run = []
        if _is_capital(match.group(), language, sure):
            run.append(match)
        elif run:
            yield _name(run)
            run = []
    if run:
        yield _name(run)


def _is_capital(word: str, language: str, sure: frozenset[str]) -> bool:
    if language == _CAPITALISED_NOUNS:
        return word in sure
    return (
        word[0].isupper() and len(word) > 1 and not languages.says_little(word.casefold(), language)
    )


def _name(run: list[re.Match[str]]) -> Value:
    span = Span(run[0].start(), run[-1].end())
    means = frozenset[object](folded(_POSSESSIVE.sub("", match.group())) for match in run)
    return Value(ValueKind.NAME, span.cut(run[0].string), span, means)


_POSSESSIVE = re.compile(r"['’]s?$")


def _without(text: str, spans: Iterable[Span]) -> str:
    for span in spans:
        text = text[: span.start] + "\n" * (span.end - span.start) + text[span.end :]
    return text
