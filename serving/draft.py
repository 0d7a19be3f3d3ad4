"""What one writer writes for one context: cleaned, cited, verified, and judged at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

from knowledge.errors import (
    ModelError,
)
from knowledge.models import (
    Answer,
    Backing,
    Citation,
    Conflict,
    Context,
    Delta,
    Passage,
    Reckoned,
    Statement,
    Unsupported,
    Usage,
    Verdict,
)
from knowledge.ports import Generator
from serving.ahead import Ahead
from serving.cite import cites
from serving.conflicts import conflicts
from serving.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    Event,
    PassagesEvent,
    QueuedEvent,
    StepEvent,
)
from serving.markers import MarkerNormaliser
from serving.prompt import (
    CUT_SHORT,
    MOST_SOURCES,
    may_say_not_found,
    not_found_answer,
    prompt_version,
    repair_request,
    subject,
)
from serving.verify import Verification
from serving.withhold import Gate

T = TypeVar("T")


@runtime_checkable
class WellRead(Protocol):
    """A generator whose marks point at what it has read itself, not at the context."""

    @property
    def passages(self) -> tuple[Passage, ...]:
        """What marks have pointed at so far, numbered from 1."""

    @property
    def read(self) -> frozenset[str]:
        """Ids of all documents that it was shown something of."""

    @property
    def reckoned(self) -> tuple[Reckoned, ...]:
        """What was worked out on the way."""

    def read_mark(self, content: str) -> list[int] | None:
        """Return the numbers of a mark, 0 for what points at nothing; None: it is none."""


class Draft:
    """What one generator writes for one context, and what becomes of it."""

    def __init__(
        self,
        generator: Generator,
        context: Context,
        clock: Clock,
        verification: Verification,
        policy: Unsupported,
        *,
        stands_in_for: ModelError | None = None,
    ) -> None:
        self.generator = generator
        self.failure: ModelError | None = None
        self.text = ""
        """All that was shown so far, joined."""
        self.citations: tuple[Citation, ...] = ()
        self.statements: tuple[Statement, ...] = ()
        self.conflicts: tuple[Conflict, ...] = ()
        self._silences = 0
        self._context = context
        self._clock = clock
        self._verification = verification
        self._ahead = Ahead(verification, self._in_sight)
        self._reason = "" if stands_in_for is None else f"{stands_in_for} ({stands_in_for.code})"
        self._well_read = generator if isinstance(generator, WellRead) else None
        self._normaliser = (
            MarkerNormaliser(MOST_SOURCES, self._well_read.read_mark)
            if self._well_read
            else MarkerNormaliser(len(context.passages))
        )
        self._gate = Gate(verification, context) if policy is Unsupported.WITHHOLD else None
        self._is_held = policy is Unsupported.REPAIR and self._well_read is None
        """Whether nothing is shown before the text is whole and verified."""
        self.found = True
        self._asked = context
        self._repaired = False
        self._held = ""
        self._raw = ""
        self._cut_short = False
        self._usage = Usage()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield text and steps; afterwards either `failure` is set or the draft is complete."""
        with closing(self._verification):
            try:
                async with _closing(self._deltas()) as deltas:
                    async for delta in deltas:
                        for event in _aside(delta):
                            yield event
                        if shown := await self._show(self._normaliser.feed(delta.text)):
                            yield DeltaEvent(shown)
            except ModelError as error:
                self._cut_short = error.code == "length" and bool(self._raw)
                if not self._cut_short:
                    self.failure = error
                    return
            for step in (self._end, self._settle):
                if shown := await step():
                    yield DeltaEvent(shown)

    def ending(self) -> Iterator[Event]:
        """Yield what comes after the text of a complete draft."""
        if self._well_read is not None:
            yield PassagesEvent(self._context.passages)
        for citation in self.citations:
            yield CitationEvent(citation)
        yield AnswerEvent(self._answer(), self.rests_on())

    def _answer(self) -> Answer:
        return Answer(
            text=self.text,
            citations=self.citations,
            statements=self.statements,
            conflicts=self.conflicts,
            verdict=self._verdict(),
            model=self.generator.name,
            effort=self._context.question.effort,
            prompt="" if self.generator.extractive else prompt_version(),
            extractive=self.generator.extractive,
            fallback_reason=self._reason,
            dropped_markers=self._normaliser.dropped,
            withheld=self._withheld,
            repaired=self._repaired,
            usage=self._usage,
            timings_ms=self._clock.timings(),
        )

    def rests_on(self) -> frozenset[str]:
        """Return the documents that the words may come from; a model need not cite them."""
        cited = frozenset(citation.document_id for citation in self.citations)
        if not self.found or not self._is_model:
            return cited
        shown = frozenset(passage.document.id for passage in self._context.passages)
        return cited | shown | (self._well_read.read if self._well_read else frozenset())

    async def _deltas(self) -> AsyncGenerator[Delta, None]:
        if not self._context.passages and self._well_read is None:
            return
        async with _closing(self.generator.generate(self._asked)) as deltas:
            async for delta in deltas:
                self._usage = delta.usage or self._usage
                yield delta

    async def _show(self, safe: str) -> str:
        """Return what to show now; a beginning that may turn out as "not found" waits."""
        self._held += safe
        if not self._held or (self._is_model and not self._raw and may_say_not_found(self._held)):
            return ""
        passed, self._held = self._held, ""
        return await self._pass(passed)

    async def _pass(self, text: str, *, final: bool = False) -> str:
        """Take text into the answer; return what of it is shown at once."""
        self._raw += text
        shown = text
        if self._gate is None:
            self._ahead.follow(self._raw, text)
        else:
            self._gate.context = self._in_sight()
            shown = await asyncio.to_thread(self._gate.feed, text)
            if final:
                shown += await asyncio.to_thread(self._gate.finish)
        return self._add(shown)

    def _in_sight(self) -> Context:
        """Return the context that marks point into by now."""
        if self._well_read is None:
            return self._context
        return replace(self._context, passages=self._well_read.passages)

    def _add(self, text: str) -> str:
        self.text += text
        if text:
            self._clock.mark("first_delta")
        return "" if self._is_held else text

    async def _end(self) -> str:
        """Let go of what was held back, or say that nothing was found."""
        rest = self._held + self._normaliser.finish()
        self._held = ""
        self._context = self._in_sight()
        said_so = self._is_model and not self._raw and may_say_not_found(rest)
        if said_so and not cites(rest):
            rest = ""
        shown = await self._pass(rest, final=True)
        self.found = bool(self.text)
        if not self.found:
            shown += self._add(not_found_answer(self._context.question))
        if self._cut_short:
            shown += self._add(CUT_SHORT)
        return shown

    async def _settle(self) -> str:
        """Verify the whole; a text that was held until now is mended first, then shown."""
        await asyncio.to_thread(self._check)
        if not self._is_held or self.failure is not None:
            return ""
        await self._repair()
        return self.text

    def _check(self) -> None:
        """Resolve and verify the citations; a model's text without any is not an answer."""
        if self.found:
            verified = self._verification.verify(self.text, self._context)
            self.citations, self.statements = verified.citations, verified.statements
            self._silences = verified.silences
            self._clock.mark("verification")
            self.conflicts = conflicts(self._context, self.citations)
            self._clock.mark("conflicts")
        if self._raw.strip() and not cites(self._raw) and not self._says_nothing:
            self.failure = ModelError("The model's answer cited nothing.", code="uncited")

    async def _repair(self) -> None:
        """Ask the model once more where nothing carries a sentence; keep what is better."""
        wrong = self._unsupported()
        if not wrong:
            return
        second = Draft(
            self.generator, self._context, self._clock, self._verification, Unsupported.MARK
        )
        question = repair_request(self._context.question, self.text, wrong)
        second._asked = replace(self._context, question=question)
        async with aclosing(second.events()) as events:
            async for _ in events:
                pass
        better = second.failure is None and second.found and not second._says_nothing
        if better and len(second._unsupported()) < len(wrong):
            self.text, self._cut_short = second.text, second._cut_short
            self.citations, self.statements = second.citations, second.statements
            self.conflicts, self._silences = second.conflicts, second._silences
            self._repaired = True
        self._usage = _sum(self._usage, second._usage)

    def _unsupported(self) -> list[str]:
        return [
            statement.span.cut(self.text)
            for statement in self.statements
            if statement.backing is Backing.UNSUPPORTED
        ]

    def _verdict(self) -> Verdict:
        if not self.found or self._says_nothing:
            return Verdict.NOT_FOUND
        backings = {statement.backing for statement in self.statements}
        if backings == {Backing.UNSUPPORTED}:
            return Verdict.UNSUPPORTED
        lacks = self._cut_short or self._withheld or self._silences
        if lacks or backings - {Backing.SUPPORTED}:
            return Verdict.PARTLY
        return Verdict.ANSWERED

    @property
    def _says_nothing(self) -> bool:
        """Whether all that is told is what the sources leave out."""
        return bool(self._silences) and not self.statements

    @property
    def _withheld(self) -> int:
        return self._gate.withheld if self._gate is not None else 0

    @property
    def _is_model(self) -> bool:
        return not self.generator.extractive


def _aside(delta: Delta) -> Iterator[Event]:
    """Yield what a writer says besides text."""
    if delta.waiting:
        yield QueuedEvent(delta.waiting)
    if delta.call is not None:
        yield StepEvent(delta.call.name, subject(delta.call))


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.reasoning_tokens + other.reasoning_tokens,
    )


class Clock:
    """Milliseconds since the question came."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._marks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note the time of the first call with this name."""
        self._marks.setdefault(name, (time.perf_counter() - self._start) * 1000)

    def timings(self) -> dict[str, float]:
        """Return all moments, this one as the total."""
        self.mark("total")
        return dict(self._marks)


@asynccontextmanager
async def _closing(iterator: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a generator's stream when its reader leaves, where it can be closed."""
    try:
        yield iterator
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()
