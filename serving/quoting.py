"""Two steps to an answer: the model names sentences first, and then writes from those alone."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from knowledge.models import Context, Delta, Passage, Principal, Reckoned, Span
from knowledge.text import normalise_for_match
from retrieval.context import cut
from serving.cite import quotable
from serving.conversing import Conversing
from serving.markers import read_mark
from serving.prompt import quote_messages

FEWEST_WORDS = 3
"""Of a quote; shorter ones are found in too many sentences."""


class Quoting(Conversing, Protocol):
    """A model that can do both: name sentences, and write from passages."""

    def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield an answer; raises `ModelError`."""


@dataclass(frozen=True, slots=True)
class QuoteFirst:
    """Makes the writer of one question's answer."""

    model: Quoting

    def begin(self, context: Context, principal: Principal) -> QuotingWriter:
        """Begin with the passages of the context; nothing more is read."""
        return QuotingWriter(self.model)


class QuotingWriter:
    """Implements the `Generator` door; its marks point at the sentences that were named.

    What the model names counts only where it stands in the passage it names. Where it names
    nothing that does, it writes from the passages as they are.
    """

    extractive = False

    def __init__(self, model: Quoting) -> None:
        self.name = model.name
        self.passages: tuple[Passage, ...] = ()
        """The passages, or what was named of them, numbered from 1."""
        self.reckoned: tuple[Reckoned, ...] = ()
        self.read: frozenset[str] = frozenset()
        """Ids of the documents that it was shown something of."""
        self._model = model

    def read_mark(self, content: str) -> list[int] | None:
        """Return the numbers of a mark; those of no passage are no good."""
        numbers = read_mark(content, len(self.passages))
        return numbers and [n if 1 <= n <= len(self.passages) else 0 for n in numbers]

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield the text of the second step; raises `ModelError` for a fault in either."""
        self.read = frozenset(passage.document.id for passage in context.passages)
        named = ""
        messages = quote_messages(context)
        async with aclosing(self._model.converse(context, messages, ())) as deltas:
            async for delta in deltas:
                named += delta.text
                yield replace(delta, text="", usage=None)
        self.passages = tuple(quoted(named, context.passages)) or context.passages
        less = replace(context, passages=self.passages)
        async with aclosing(self._model.generate(less)) as deltas:
            async for delta in deltas:
                yield delta


def quoted(named: str, passages: Sequence[Passage]) -> Iterator[Passage]:
    """Yield what stands in the passages of the sentences that were named, in their order.

    Each line of `named` is `[n] sentence`; neighbouring sentences of a passage become one.
    """
    wanted: dict[int, list[str]] = {}
    for number, quote in _NAMED.findall(named):
        if len(quote.split()) >= FEWEST_WORDS:
            wanted.setdefault(int(number), []).append(_form(quote))
    for number, passage in enumerate(passages, start=1):
        said = partial(_holds, quotes=wanted.get(number, []))
        spans = [span for span in quotable(passage) if said(passage.cut(span))]
        yield from (cut(passage, span) for span in _joined(spans, passage))


_NAMED = re.compile(r"^\W*[\[【]\s*(\d{1,3})\s*[\]】]\s*(\S.*)$", re.MULTILINE)


def _form(text: str) -> str:
    return normalise_for_match(text).strip("\"'“”„«» .")


def _holds(sentence: str, quotes: Sequence[str]) -> bool:
    form = _form(sentence)
    return any(quote in form or (form in quote and len(form.split()) >= 3) for quote in quotes)


def _joined(spans: Sequence[Span], passage: Passage) -> Iterator[Span]:
    """Yield runs of spans between which only white space stands."""
    run: Span | None = None
    for span in spans:
        if run is not None and passage.cut(Span(run.end, span.start)).strip():
            yield run
            run = None
        run = Span(run.start, span.end) if run else span
    if run is not None:
        yield run
