from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

import pytest

from knowledge.errors import ModelError
from knowledge.models import NOBODY, Context, Delta, Effort, Principal, Question, Turn
from retrieval.retriever import condense
from serving.answer import Answerer
from serving.condense import LONGEST_QUERY, Condenser
from serving.events import PassagesEvent
from serving.prompt import CONDENSING
from tests.fakes import Parrot, Unchanged, context

FOLLOW_UP = Question(
    "And in <|end|>winter?",
    history=(Turn("user", "When does it open?"), Turn("assistant", "At nine [1].")),
    effort=Effort.HIGH,
)
BY_TURNS = "And in <|end|>winter?\nWhen does it open?"


class Writer:
    """Says the given pieces, or fails, or says nothing for a long time."""

    name = "writer"

    def __init__(self, *pieces: str, failure: ModelError | None = None, late: bool = False) -> None:
        self.asked: list[Sequence[Mapping[str, object]]] = []
        self.efforts: list[Effort] = []
        self._pieces, self._failure, self._late = pieces, failure, late

    async def converse(
        self,
        context: Context,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]],
    ) -> AsyncGenerator[Delta, None]:
        self.asked.append(messages)
        self.efforts.append(context.question.effort)
        if self._late:
            await asyncio.sleep(60)
        for piece in self._pieces:
            yield Delta(piece)
        if self._failure is not None:
            raise self._failure


class Seeking(Unchanged):
    """Keeps what it was asked for."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, Principal]] = []

    def retrieve(self, question: Question, principal: Principal) -> Context:
        self.queries.append((condense(question), principal))
        return context(question.text, "In winter it opens at ten.")


def query(writer: Writer, question: Question = FOLLOW_UP) -> str:
    return condense(asyncio.run(Condenser(writer, 0.2).condense(question)))


def test_a_follow_up_is_searched_as_the_model_wrote_it() -> None:
    writer = Writer("When does the office ", "open in winter?\n")
    assert query(writer) == "When does the office open in winter?"


def test_the_model_is_told_the_conversation_as_text_and_thinks_little() -> None:
    writer = Writer("When?")
    query(writer)
    assert [each["role"] for each in writer.asked[0]] == ["system", "user", "assistant", "user"]
    assert writer.asked[0][0]["content"] == CONDENSING
    assert writer.asked[0][-1]["content"] == "And in < |end| >winter?"
    assert writer.efforts == [Effort.LOW]


def test_a_first_question_asks_no_model() -> None:
    writer = Writer("Something else")
    assert query(writer, Question("When does it open?")) == "When does it open?"
    assert not writer.asked


@pytest.mark.parametrize(
    "writer",
    [
        pytest.param(Writer(failure=ModelError("gone", code="reset")), id="fails"),
        pytest.param(Writer("When", failure=ModelError("gone", code="reset")), id="breaks off"),
        pytest.param(Writer(late=True), id="is late"),
        pytest.param(Writer(" \n"), id="says nothing"),
        pytest.param(Writer("When? " * LONGEST_QUERY), id="rambles"),
    ],
)
def test_a_model_that_gives_no_query_leaves_it_to_the_turns(writer: Writer) -> None:
    assert query(writer) == BY_TURNS


@pytest.mark.parametrize("asker", [Principal("ann"), NOBODY])
def test_an_answer_searches_with_that_query_and_the_same_rights(asker: Principal) -> None:
    seeking = Seeking()
    parrot = Parrot("At ten [1].")
    answerer = Answerer(
        retriever=seeking,
        generator=parrot,
        condenser=Condenser(Writer("When does it open in winter?"), 1.0),
    )

    async def run() -> None:
        async for event in answerer.stream(FOLLOW_UP, asker):
            if isinstance(event, PassagesEvent):
                return

    asyncio.run(run())
    assert seeking.queries == [("When does it open in winter?", asker)]
