"""The story of an answer: retrieve, write, clean, cite, judge; whatever fails, one end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from knowledge.errors import (
    AccessDenied,
    CatalogUnavailable,
    FootnoteError,
    IndexUnavailable,
    ModelError,
)
from knowledge.models import (
    Context,
    Effort,
    Principal,
    Question,
    Unsupported,
)
from knowledge.ports import Generator
from serving.draft import Clock, Draft
from serving.events import (
    ErrorEvent,
    Event,
    PassagesEvent,
    Terminal,
)
from serving.judging import Judging
from serving.verify import Verifier

log = logging.getLogger(__name__)

PASSING_FAULTS = (
    *("timeout", "reset", "unavailable", "empty", "stream_error", "http_429", "http_5"),
    *("busy", "resting"),
)
"""Beginnings of the codes of model errors that may be gone when somebody asks again."""
ATTEMPTS = 2
"""How often a question is answered while its documents keep changing under the answer."""
CHANGED = ErrorEvent(
    "changed", "The documents changed while the answer was written. Ask again.", retryable=True
)


class Retrieving(Protocol):
    """Finds the context of a question; synchronous."""

    def retrieve(self, question: Question, principal: Principal) -> Context:
        """Return the numbered passages that fit the model's budget."""

    def readable(self, document_ids: Collection[str], principal: Principal) -> Mapping[str, str]:
        """Map those documents that are live and readable now to their live revisions."""


class Researching(Protocol):
    """Makes writers that look further than the context for themselves."""

    def begin(self, context: Context, principal: Principal) -> Generator:
        """Return the writer of this question's answer, who reads with the principal's rights."""


class Condensing(Protocol):
    """Says with which query a question in a conversation is searched."""

    async def condense(self, question: Question) -> Question:
        """Return the question with that query, or as it is."""


def _as_it_is(question: Question) -> Question:
    return question


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """Answers questions; without a `fallback`, a model that fails means an error.

    Where there is a `researcher`, questions of high effort are its. Without a `condenser`, a
    follow-up is searched by the user's turns. When an answer is written, what it rests on is looked
    at once more: where a document has changed or may not be read any more, the question is asked
    anew. `remember` says what of a conversation is gone on with. With a `judge`, a model is only
    asked where the passages are likely to answer; at high effort it always is, since it looks
    further.
    """

    retriever: Retrieving
    generator: Generator
    fallback: Generator | None = None
    researcher: Researching | None = None
    condenser: Condensing | None = None
    verifier: Verifier = field(default_factory=Verifier)
    unsupported: Unsupported = Unsupported.MARK
    judge: Judging | None = None
    remember: Callable[[Question], Question] = _as_it_is

    async def answer(self, question: Question, principal: Principal) -> Terminal:
        """Return the last event of `stream`."""
        async with aclosing(self.stream(question, principal)) as events:
            async for event in events:
                if isinstance(event, Terminal):
                    return event
        raise AssertionError("a stream ended without its terminal event")

    async def stream(self, question: Question, principal: Principal) -> AsyncGenerator[Event, None]:
        """Yield passages, text, citations, and exactly one terminal event.

        Closing the stream early stops the model.
        """
        clock = Clock()
        question = self.remember(question)
        if self.condenser is not None and question.history:
            question = await self.condenser.condense(question)
            clock.mark("condensing")
        for attempt in range(ATTEMPTS):
            tried = self._try(question, principal, clock, shown=attempt > 0)
            try:
                async with aclosing(tried) as events:
                    async for event in events:
                        yield event
            except _Outdated:
                log.info("a document changed while an answer was written")
            except FootnoteError as error:
                yield _failed(error)
                return
            else:
                return
        yield CHANGED

    async def _try(
        self, question: Question, principal: Principal, clock: Clock, *, shown: bool
    ) -> AsyncGenerator[Event, None]:
        context = await asyncio.to_thread(self.retriever.retrieve, question, principal)
        clock.mark("retrieval")
        yield PassagesEvent(context.passages)
        async with aclosing(self._write(context, principal, clock, shown=shown)) as events:
            async for event in events:
                yield event

    async def _write(
        self, context: Context, principal: Principal, clock: Clock, *, shown: bool
    ) -> AsyncGenerator[Event, None]:
        """Let one writer after the other try, until one does not fail.

        Where text was `shown` before, the answer at the end replaces it.
        """
        failure: ModelError | None = None
        for writer in await asyncio.to_thread(self._writers, context, principal):
            if failure and not writer.extractive and failure.code.startswith(PASSING_FAULTS):
                continue  # it is the same server
            draft = self._draft(writer, context, clock, failure)
            async with aclosing(draft.events()) as events:
                async for event in events:
                    if not shown:
                        yield event
            if draft.failure is None:
                await self._look_again(draft, principal)
                for event in draft.ending():
                    yield event
                return
            failure, shown = draft.failure, shown or bool(draft.text)
            log.warning("model %s failed: %s", writer.name, failure.code)
        if failure is not None:
            yield _failed(failure)

    async def _look_again(self, draft: Draft, principal: Principal) -> None:
        """Raise `_Outdated` unless all that a draft rests on still stands as it was read."""
        quoted = [*draft.citations, *(s.citation for c in draft.conflicts for s in c.sides)]
        wanted = draft.rests_on() | {each.document_id for each in quoted}
        if not wanted:
            return
        live = await asyncio.to_thread(self.retriever.readable, wanted, principal)
        changed = any(live.get(each.document_id) != each.revision_id for each in quoted)
        if changed or not wanted <= live.keys():
            raise _Outdated

    def _draft(
        self, writer: Generator, context: Context, clock: Clock, failure: ModelError | None
    ) -> Draft:
        policy = Unsupported.MARK if writer.extractive else self.unsupported
        begun = self.verifier.begin()
        return Draft(writer, context, clock, begun, policy, stands_in_for=failure)

    def _writers(self, context: Context, principal: Principal) -> list[Generator]:
        """Return who may write, in turn; where the passages will not answer, only quotes."""
        quotes = [] if self.fallback is None else [self.fallback]
        if self.researcher is not None and context.question.effort is Effort.HIGH:
            return [self.researcher.begin(context, principal), self.generator, *quotes]
        if self.judge is not None and quotes and not self.judge.answers(context):
            return quotes
        return [self.generator, *quotes]


class _Outdated(Exception):
    """What an answer rests on is not live any more, or may not be read any more."""


def _failed(error: FootnoteError) -> ErrorEvent:
    match error:
        case ModelError():
            return ErrorEvent(error.code, str(error), error.code.startswith(PASSING_FAULTS))
        case IndexUnavailable():
            return ErrorEvent("index_unavailable", str(error), retryable=True)
        case CatalogUnavailable():
            return ErrorEvent("catalog_unavailable", str(error), retryable=True)
        case AccessDenied():
            return ErrorEvent("unauthorized", str(error), retryable=False)
        case _:
            return ErrorEvent("internal", str(error), retryable=False)
