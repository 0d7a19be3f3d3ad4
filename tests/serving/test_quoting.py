from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Context, Delta, Effort, Principal, Question, Verdict
from serving.answer import Answerer
from serving.browse.research import Json
from serving.events import AnswerEvent
from serving.prompt import QUOTING
from serving.quoting import QuoteFirst, quoted
from tests.fakes import Parrot, Unchanged, passage

MENU = passage("Soup costs three euro. Tea is free. Cake is two euro.", document="menu", start=40)
HOURS = passage("The canteen opens at nine. It closes at five.", document="hours", start=7)
ASKED = Context(Question("What does soup cost?", effort=Effort.HIGH), (MENU, HOURS))


class Model(Parrot):
    """Names the given sentences, then says the given pieces."""

    def __init__(self, named: str, *pieces: str) -> None:
        super().__init__(*pieces)
        self.named = named
        self.messages: list[Json] = []

    async def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json] = ()
    ) -> AsyncGenerator[Delta, None]:
        assert not tools
        self.messages = list(messages)
        yield Delta(self.named)


class Finds(Unchanged):
    def retrieve(self, question: Question, principal: Principal) -> Context:
        return ASKED


def answer(model: Model) -> AnswerEvent:
    answerer = Answerer(retriever=Finds(), generator=Parrot(), researcher=QuoteFirst(model))
    last = asyncio.run(answerer.answer(ASKED.question, Principal("ann")))
    assert isinstance(last, AnswerEvent), last
    return last


def test_the_second_step_reads_only_what_was_named_and_stands_there() -> None:
    model = Model(
        "[2] It closes at five.\n[1] Tea is dear.\n[1] “Soup costs  three euro”\n[9] Nothing here.",
        "Soup costs three euro [1]. It closes at five [2].",
    )
    told = answer(model).answer
    (written_from,) = model.contexts
    assert [each.text for each in written_from.passages] == [
        "Soup costs three euro.",
        "It closes at five.",
    ]
    assert model.messages[0]["content"] == QUOTING
    assert told.verdict is Verdict.ANSWERED
    assert [(each.document_id, each.quote) for each in told.citations] == [
        ("menu", "Soup costs three euro."),
        ("hours", "It closes at five."),
    ]
    assert told.citations[0].span.start == 40


@pytest.mark.parametrize("named", ["", "NOT_FOUND", "[1] Beer is dear.", "soup", "[1] Soup"])
def test_where_nothing_true_is_named_the_passages_are_read_as_they_are(named: str) -> None:
    model = Model(named, "Soup costs three euro [1].")
    assert answer(model).answer.text == "Soup costs three euro [1]."
    assert model.contexts[0].passages == ASKED.passages


def test_a_mark_of_a_passage_that_was_not_named_points_at_nothing() -> None:
    told = answer(Model("[1] Soup costs three euro.", "Soup costs three euro [1][2].")).answer
    assert (told.text, told.dropped_markers) == ("Soup costs three euro [1].", 1)


def test_neighbours_become_one_passage() -> None:
    found = list(quoted("[1] Soup costs three euro.\n[1] Tea is free.", ASKED.passages))
    assert [each.text for each in found] == ["Soup costs three euro. Tea is free."]
    apart = list(quoted("[1] Soup costs three euro.\n[1] Cake is two euro.", ASKED.passages))
    assert [each.text for each in apart] == ["Soup costs three euro.", "Cake is two euro."]


@given(st.text(max_size=200) | st.lists(st.sampled_from(MENU.text.split())).map(" ".join))
def test_whatever_is_named_only_parts_of_the_passages_come(named: str) -> None:
    for line in (named, f"[1] {named}", f"[2] {named}"):
        for each in quoted(line, ASKED.passages):
            whole = MENU if each.document.id == "menu" else HOURS
            assert each.text == whole.cut(each.span) != ""
