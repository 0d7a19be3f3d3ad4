"""The story of what is kept: taken up again, added to, opened; each time with the rights of now.

Words that rest on a document which can no longer be read are shown to nobody, not even to the
model: an answer is given out only while all documents that its words may come from can be read.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from knowledge.errors import NotFound
from knowledge.models import (
    Answer,
    Citation,
    Conflict,
    Conversation,
    Exchange,
    Feedback,
    Principal,
    Revision,
    Span,
    Staleness,
    Trace,
    Turn,
)
from knowledge.ports import Conversations, Library
from serving.events import AnswerEvent, Stored
from serving.trace import trace

NEW = "new"
"""In place of an id: a conversation that begins."""
EXCHANGES_RECALLED = 10
"""The latest ones, which the model is shown."""
LONGEST_TURN = 32_000
LONGEST_TITLE = 80
"""Characters."""


@dataclass(frozen=True, slots=True)
class Thread:
    """What a question takes up: the conversation, and as much of it as may be told today."""

    conversation_id: str
    begins: bool
    history: tuple[Turn, ...] = ()
    rests_on: frozenset[str] = frozenset()
    """Documents that the history rests on: an answer to it does too."""
    kept: bool = True
    """Whether the answer will be stored."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An exchange as its reader may see it today."""

    exchange: Exchange
    """Without text where it is withheld, and without the quotes that are gone."""
    withheld: bool
    traces: tuple[Trace, ...]


class Archive:
    """Everybody's own conversations; synchronous. What is another's raises `NotFound`."""

    def __init__(
        self,
        conversations: Conversations,
        library: Library,
        *,
        settings: str = "",
        keeps: bool = True,
    ) -> None:
        """Begin with a digest of the settings that answers are made with.

        One that keeps nothing new still opens what was kept before.
        """
        self.conversations = conversations
        self._library = library
        self._settings = settings
        self._keeps = keeps

    # --- going on ---------------------------------------------------------------------------------

    def take_up(self, conversation_id: str, principal: Principal, *, store: bool = True) -> Thread:
        """Return what a question to this conversation, or to a new one, goes on from."""
        kept = store and self._keeps
        if conversation_id == NEW:
            return Thread(str(uuid.uuid4()), begins=True, kept=kept)
        past = self.conversations.exchanges(
            conversation_id, principal.user, latest=EXCHANGES_RECALLED
        )
        whole = [each for each in past if not self._hidden(each, self._readable(past, principal))]
        return Thread(
            conversation_id,
            begins=False,
            history=tuple(turn for each in whole for turn in _turns(each)),
            rests_on=frozenset().union(*(each.rests_on for each in whole)),
            kept=kept,
        )

    def keep(
        self, question: str, event: AnswerEvent, thread: Thread, principal: Principal
    ) -> Stored:
        """Store an answer durably; raises `NotFound` if its conversation was deleted meanwhile."""
        told_by_model = event.rests_on and not event.answer.extractive  # who reads the history
        inherited = thread.rests_on if told_by_model else frozenset()
        exchange = Exchange(
            id=str(uuid.uuid4()),
            conversation_id=thread.conversation_id,
            asked_at=datetime.now(UTC),
            question=question,
            answer=event.answer,
            rests_on=event.rests_on | inherited,
            settings=self._settings,
        )
        title = _title(question) if thread.begins else ""
        self.conversations.keep(exchange, owner=principal.user, title=title)
        return Stored(thread.conversation_id, exchange.id)

    # --- looking back -----------------------------------------------------------------------------

    def open(self, conversation_id: str, principal: Principal) -> tuple[Conversation, list[Opened]]:
        """Return a conversation as it may be read today."""
        found = self.conversations.conversation(conversation_id, principal.user)
        past = self.conversations.exchanges(conversation_id, principal.user)
        return found, self._opened(past, principal)

    def open_answer(self, exchange_id: str, principal: Principal) -> Opened:
        """Return one answer as it may be read today."""
        (opened,) = self._opened(
            [self.conversations.exchange(exchange_id, principal.user)], principal
        )
        return opened

    def judge(self, exchange_id: str, principal: Principal, feedback: Feedback) -> None:
        """Store what somebody says of an answer of his."""
        self.conversations.judge(exchange_id, principal.user, feedback)

    def judged(
        self, principal: Principal, *, after: str | None = None, limit: int = 100
    ) -> list[Opened]:
        """List everybody's answers that have feedback, as this reader may read their documents."""
        return self._opened(self.conversations.judged(after=after, limit=limit), principal)

    # --- the rights of now ------------------------------------------------------------------------

    def _opened(self, past: Sequence[Exchange], principal: Principal) -> list[Opened]:
        readable = self._readable(past, principal)
        live = self._live((c for each in past for c in each.answer.citations), readable, principal)
        return [self._open_one(each, readable, live) for each in past]

    def _open_one(
        self, exchange: Exchange, readable: dict[str, str], live: dict[str, Revision | None]
    ) -> Opened:
        answer, hidden = exchange.answer, self._hidden(exchange, readable)
        traces = tuple(_traced(each, readable, live) for each in answer.citations)
        seen = tuple(
            each if each.document_id in readable else _blank(each) for each in answer.citations
        )
        shown = _withhold(answer) if hidden else answer
        told = tuple(each for each in shown.conflicts if _still_stands(each, readable))
        shown = replace(shown, citations=seen, conflicts=told)
        return Opened(replace(exchange, answer=shown), hidden, traces)

    def _hidden(self, exchange: Exchange, readable: dict[str, str]) -> bool:
        """Say whether the words of an answer may come from what cannot be read today."""
        return not _sources(exchange) <= readable.keys()

    def _readable(self, past: Sequence[Exchange], principal: Principal) -> dict[str, str]:
        """Map what the exchanges rest on, as far as it can be read today, to live revisions."""
        wanted = frozenset().union(
            *(_sources(each) for each in past),
            *(_told_by(conflict) for each in past for conflict in each.answer.conflicts),
        )
        return self._library.readable(wanted, principal)

    def _live(
        self, citations: Iterable[Citation], readable: dict[str, str], principal: Principal
    ) -> dict[str, Revision | None]:
        """Return the live revisions of documents that changed since they were cited."""
        changed = {
            each.document_id
            for each in citations
            if readable.get(each.document_id, each.revision_id) != each.revision_id
        }
        return {document_id: self._revision(document_id, principal) for document_id in changed}

    def _revision(self, document_id: str, principal: Principal) -> Revision | None:
        try:
            return self._library.revision(document_id, principal)
        except NotFound:
            return None


def _sources(exchange: Exchange) -> frozenset[str]:
    return exchange.rests_on | {each.document_id for each in exchange.answer.citations}


def _told_by(conflict: Conflict) -> frozenset[str]:
    """Return the documents that do not agree; some may not be cited."""
    return frozenset(side.citation.document_id for side in conflict.sides)


def _still_stands(conflict: Conflict, readable: dict[str, str]) -> bool:
    """Say whether all of its documents can be read today, and none has changed since."""
    return all(
        readable.get(side.citation.document_id) == side.citation.revision_id
        for side in conflict.sides
    )


def _turns(exchange: Exchange) -> tuple[Turn, Turn]:
    asked = Turn("user", exchange.question[:LONGEST_TURN])
    return asked, Turn("assistant", exchange.answer.text[:LONGEST_TURN])


def _traced(
    citation: Citation, readable: dict[str, str], live: dict[str, Revision | None]
) -> Trace:
    if readable.get(citation.document_id) == citation.revision_id:
        return Trace(citation.number, Staleness.UNCHANGED, span=citation.span)
    return trace(citation, live.get(citation.document_id))


def _withhold(answer: Answer) -> Answer:
    """Return what is no text: named one by one, so that what is added later is withheld."""
    return Answer(
        text="",
        citations=(),
        verdict=answer.verdict,
        model=answer.model,
        effort=answer.effort,
        extractive=answer.extractive,
        prompt=answer.prompt,
        usage=answer.usage,
        timings_ms=answer.timings_ms,
    )


def _blank(citation: Citation) -> Citation:
    """Return a citation of which only the number is left."""
    return Citation(citation.number, "", "", "", "", "", Span(0, 0), 0.0)


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"
