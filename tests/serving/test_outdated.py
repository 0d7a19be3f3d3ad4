"""Documents that change while an answer is written: what is cited is what stands now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from knowledge.models import Answer, Context, Delta, Principal, Question, Verdict
from knowledge.ports import Generator
from knowledge.settings import Settings
from retrieval.retriever import Retriever
from serving.answer import CHANGED, Answerer
from serving.events import AnswerEvent, DeltaEvent, ErrorEvent, Event, Terminal
from serving.extractive import ExtractiveGenerator
from tests.fakes import Parrot
from tests.house import QuickHouse

ALICE = Principal("alice")
ASKED = Question("What is the zebra budget?")
Meddle = Callable[[], object]
WRITERS = ["quotes", "model"]


class Interrupted:
    """A writer during whose first words something happens to the documents, `times` times."""

    def __init__(self, writer: Generator, meddle: Meddle, times: int = 1) -> None:
        self.name, self.extractive = writer.name, writer.extractive
        self._writer, self._meddle, self._left = writer, meddle, times

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        async for delta in self._writer.generate(context):
            if self._left:
                self._left -= 1
                await asyncio.to_thread(self._meddle)
            yield delta


class Site:
    """A house with one document, whose budget changes with each revision."""

    def __init__(self, house: QuickHouse) -> None:
        self.house = house
        self.budget = 4000
        self.document = self.replace()

    def replace(self) -> str:
        self.budget += 1
        return self.house.take_in(
            "budget.txt", f"The zebra budget is {self.budget} euros this year.", ALICE
        )

    def writer(self, kind: str) -> Generator:
        if kind == "quotes":
            return ExtractiveGenerator(0.3)
        return Echo()

    def ask(self, writer: Generator, *, looks_again: bool = True) -> list[Event]:
        retriever = self.house.retriever if looks_again else Careless(self.house.retriever)
        return asyncio.run(_all(Answerer(retriever=retriever, generator=writer)))

    def superseded(self, events: list[Event]) -> int:
        """Count what is cited of a revision that is not the live one."""
        answer = _answer(events)
        quoted = [*answer.citations, *(s.citation for c in answer.conflicts for s in c.sides)]
        live = self.house.catalog.readable([each.document_id for each in quoted], ALICE)
        return sum(live.get(each.document_id) != each.revision_id for each in quoted)


class Careless:
    """Finds what can be found, and believes that nothing changes afterwards."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._seen: dict[str, str] = {}

    def retrieve(self, question: Question, principal: Principal) -> Context:
        context = self._retriever.retrieve(question, principal)
        self._seen |= {each.document.id: each.revision_id for each in context.passages}
        return context

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        return self._seen


class Echo(Parrot):
    """A model that repeats the first passage it is shown."""

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        self._pieces = (f"{context.passages[0].text} [1]",) if context.passages else ("",)
        async for delta in super().generate(context):
            yield delta


async def _all(answerer: Answerer) -> list[Event]:
    return [event async for event in answerer.stream(ASKED, ALICE)]


def _answer(events: list[Event]) -> Answer:
    assert [isinstance(event, Terminal) for event in events].count(True) == 1
    assert isinstance(events[-1], AnswerEvent), events[-1]
    return events[-1].answer


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with QuickHouse(Settings(_env_file=None, data_dir=tmp_path)) as house:
        yield Site(house)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_document_that_was_just_replaced_is_cited_as_it_is(site: Site, kind: str) -> None:
    site.replace()
    events = site.ask(site.writer(kind))

    assert site.superseded(events) == 0
    assert str(site.budget) in _answer(events).text


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_replaced_under_the_answer_is_answered_anew(site: Site, kind: str) -> None:
    events = site.ask(Interrupted(site.writer(kind), site.replace))
    found = site.superseded(events)
    assert _answer(events).citations
    assert str(site.budget) in _answer(events).text

    careless = site.ask(Interrupted(site.writer(kind), site.replace), looks_again=False)
    told = site.superseded(careless)
    print(f"\n{kind}: {found} superseded quotes cited; without a second look {told}")
    assert found == 0 < told


def _told(answer: Answer) -> str:
    """Return all that an answer says; how long it took may hold any digits."""
    return str(replace(answer, timings_ms={}))


@pytest.mark.parametrize("kind", WRITERS)
def test_what_may_not_be_read_any_more_is_not_told_at_the_end(site: Site, kind: str) -> None:
    def hide() -> None:
        site.house.intake.set_access(site.document, frozenset({"u:nobody"}))

    answer = _answer(site.ask(Interrupted(site.writer(kind), hide)))
    assert answer.verdict is Verdict.NOT_FOUND
    assert str(site.budget) not in _told(answer)
    site.house.intake.set_access(site.document, ALICE.tokens())
    careless = _answer(site.ask(Interrupted(site.writer(kind), hide), looks_again=False))
    assert str(site.budget) in _told(careless)


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_removed_is_not_told_either(site: Site, kind: str) -> None:
    def remove() -> None:
        site.house.intake.remove(site.document)

    answer = _answer(site.ask(Interrupted(site.writer(kind), remove)))
    assert answer.verdict is Verdict.NOT_FOUND
    assert str(site.budget) not in _told(answer)


def test_where_documents_keep_changing_one_is_asked_to_try_again(site: Site) -> None:
    events = site.ask(Interrupted(site.writer("model"), site.replace, times=9))

    assert [event for event in events if isinstance(event, ErrorEvent | AnswerEvent)] == [CHANGED]
    assert sum(isinstance(event, DeltaEvent) for event in events) > 0
