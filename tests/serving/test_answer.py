from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import (
    AccessDenied,
    CatalogUnavailable,
    FootnoteError,
    IndexUnavailable,
    ModelError,
)
from knowledge.models import (
    NOBODY,
    Answer,
    Backing,
    Context,
    Delta,
    Effort,
    Principal,
    Question,
    ToolCall,
    Unsupported,
    Usage,
    Verdict,
)
from knowledge.ports import Generator
from serving.answer import Answerer, Researching
from serving.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    ErrorEvent,
    Event,
    PassagesEvent,
    StepEvent,
    Terminal,
)
from serving.extractive import ExtractiveGenerator
from serving.prompt import NOT_FOUND, NOT_FOUND_ANSWER
from tests.fakes import Parrot, Unchanged, context, passage

ANN = Principal("ann")
ASKED = context("What does soup cost?", "Soup costs three euro. Tea is free.", "Cake is sweet.")
QUOTES = ExtractiveGenerator(0.3)


class Found(Unchanged):
    """Finds the same context for every question, or fails."""

    def __init__(self, found: Context | FootnoteError) -> None:
        self._found = found

    def retrieve(self, question: Question, principal: Principal) -> Context:
        if not principal.tokens():
            raise AccessDenied("nobody")
        if isinstance(self._found, FootnoteError):
            raise self._found
        return self._found


def events(
    generator: Generator,
    *,
    fallback: Generator | None = None,
    found: Context | FootnoteError = ASKED,
    principal: Principal = ANN,
    researcher: Researching | None = None,
    unsupported: Unsupported = Unsupported.MARK,
) -> list[Event]:
    answerer = Answerer(
        retriever=Found(found),
        generator=generator,
        fallback=fallback,
        researcher=researcher,
        unsupported=unsupported,
    )

    async def run() -> list[Event]:
        return [event async for event in answerer.stream(ASKED.question, principal)]

    return asyncio.run(run())


def answer_in(told: Sequence[Event]) -> Answer:
    assert isinstance(told[-1], AnswerEvent), told[-1]
    return told[-1].answer


def error_in(told: Sequence[Event]) -> ErrorEvent:
    assert isinstance(told[-1], ErrorEvent), told[-1]
    return told[-1]


def shown(told: Sequence[Event]) -> str:
    return "".join(event.text for event in told if isinstance(event, DeltaEvent))


class Doubting:
    """Believes that no passages answer anything."""

    def answers(self, context: Context) -> bool:
        return False


def test_a_model_is_not_asked_where_a_judge_says_that_nothing_answers() -> None:
    model, judge = Parrot("Soup costs three euro [1]."), Doubting()
    quotes = ExtractiveGenerator(0.3, judge=judge)
    sparing = Answerer(retriever=Found(ASKED), generator=model, fallback=quotes, judge=judge)
    told = asyncio.run(sparing.answer(ASKED.question, ANN))

    assert isinstance(told, AnswerEvent)
    assert (told.answer.verdict, told.answer.fallback_reason) == (Verdict.NOT_FOUND, "")
    assert not model.contexts
    asyncio.run(replace(sparing, judge=None).answer(ASKED.question, ANN))
    assert len(model.contexts) == 1


def test_a_model_that_looks_further_is_asked_all_the_same() -> None:
    model = Parrot("Soup costs three euro [1].")

    class Further:
        def begin(self, context: Context, principal: Principal) -> Generator:
            return model

    asked = replace(ASKED, question=replace(ASKED.question, effort=Effort.HIGH))
    answerer = Answerer(
        retriever=Found(asked),
        generator=Parrot(),
        fallback=QUOTES,
        researcher=Further(),
        judge=Doubting(),
    )
    asyncio.run(answerer.answer(asked.question, ANN))
    assert len(model.contexts) == 1


def test_a_stream_tells_passages_then_text_then_citations_then_the_answer() -> None:
    told = events(Parrot("Soup costs ", "three euro 【", "1†L1】."))
    assert [type(event) for event in told] == [
        PassagesEvent,
        DeltaEvent,
        DeltaEvent,
        DeltaEvent,
        CitationEvent,
        AnswerEvent,
    ]
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro [1]."
    assert answer.verdict is Verdict.ANSWERED
    assert [citation.quote for citation in answer.citations] == ["Soup costs three euro."]
    assert (answer.model, answer.extractive, answer.fallback_reason) == ("parrot", False, "")
    assert list(answer.timings_ms) == [
        *("retrieval", "first_delta", "verification", "conflicts", "total")
    ]


def test_usage_and_effort_are_told_and_reasoning_is_not() -> None:
    usage = Usage(prompt_tokens=9, completion_tokens=5, reasoning_tokens=2)
    thought = Delta(reasoning="The canary thinks.")
    told = events(Parrot(thought, "Soup costs three euro [1].", Delta(usage=usage)))
    answer = answer_in(told)
    assert (answer.usage, answer.effort) == (usage, Effort.LOW)
    assert "canary" not in repr(told)


def test_marks_that_point_nowhere_are_counted() -> None:
    answer = answer_in(events(Parrot("Soup costs three euro [1][7]. Tea is free [2] [9].")))
    assert answer.text == "Soup costs three euro [1]. Tea is free [2]."
    assert answer.dropped_markers == 2


def test_a_sentence_without_a_mark_makes_the_answer_a_part() -> None:
    told = events(Parrot("Soup costs three euro [1]. Everybody loves it."))
    assert answer_in(told).verdict is Verdict.PARTLY


def test_every_sentence_that_claims_something_is_judged_where_it_stands() -> None:
    answer = answer_in(events(Parrot("Prices:\nSoup costs three euro [1]. It burned down [2].")))
    told = [(each.span.cut(answer.text), each.backing) for each in answer.statements]
    assert told == [
        ("Soup costs three euro [1].", Backing.SUPPORTED),
        ("It burned down [2].", Backing.UNSUPPORTED),
    ]
    assert answer.verdict is Verdict.PARTLY


def test_an_answer_of_which_nothing_is_carried_is_not_called_an_answer() -> None:
    answer = answer_in(events(Parrot("The canteen burned down [2].")))
    assert answer.verdict is Verdict.UNSUPPORTED


def test_the_extractive_writer_answers_and_says_what_it_is() -> None:
    told = events(QUOTES)
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro. [1]"
    assert (answer.extractive, answer.model) == (True, "extractive")
    assert answer.citations[0].support == 1.0
    assert answer.verdict is Verdict.ANSWERED


@pytest.mark.parametrize(
    "said", ["", " \n", NOT_FOUND, f" {NOT_FOUND}.\n", f"**{NOT_FOUND}** The sources say nothing."]
)
def test_a_model_that_finds_nothing_says_so_in_our_words(said: str) -> None:
    told = events(Parrot(*said), fallback=QUOTES)
    answer = answer_in(told)
    assert answer.text == shown(told) == NOT_FOUND_ANSWER
    assert (answer.verdict, answer.citations) == (Verdict.NOT_FOUND, ())


MISSING = "The sources do not state what soup costs."


@pytest.mark.parametrize("policy", Unsupported)
def test_what_the_sources_leave_out_makes_the_answer_a_part_and_is_no_statement(
    policy: Unsupported,
) -> None:
    told = events(Parrot(f"Tea is free [1]. {MISSING}"), unsupported=policy)
    answer = answer_in(told)
    assert answer.text == shown(told) == f"Tea is free [1]. {MISSING}"
    assert (answer.verdict, answer.withheld) == (Verdict.PARTLY, 0)
    assert [each.backing for each in answer.statements] == [Backing.SUPPORTED]


@pytest.mark.parametrize("said", [MISSING, f"{MISSING[:-1]} [1]."])
@pytest.mark.parametrize("policy", Unsupported)
def test_a_model_that_only_tells_what_is_left_out_has_found_nothing(
    said: str, policy: Unsupported
) -> None:
    told = events(Parrot(said), fallback=QUOTES, unsupported=policy)
    answer = answer_in(told)
    assert answer.text == shown(told) == said
    assert (answer.verdict, answer.statements) == (Verdict.NOT_FOUND, ())
    assert bool(answer.citations) is ("[1]" in said)


def test_a_repair_that_only_tells_what_is_left_out_changes_nothing() -> None:
    told = events(Mending(WRONG, MISSING), unsupported=Unsupported.REPAIR)
    assert answer_in(told).text == shown(told) == WRONG


def test_a_cited_answer_about_the_word_itself_is_shown() -> None:
    told = events(Parrot(f"{NOT_FOUND} means that soup costs nothing [1]."))
    assert answer_in(told).text == shown(told) == f"{NOT_FOUND} means that soup costs nothing [1]."


def test_without_passages_no_model_is_asked() -> None:
    parrot = Parrot("Soup costs three euro [1].")
    told = events(parrot, found=context("What does soup cost?"))
    assert answer_in(told).verdict is Verdict.NOT_FOUND
    assert parrot.contexts == []


def test_a_model_that_fails_before_any_text_is_stood_in_for() -> None:
    failure = ModelError("The model did not begin to answer in time.", code="timeout")
    told = events(Parrot(failure=failure), fallback=QUOTES)
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro. [1]"
    assert answer.extractive
    assert answer.fallback_reason == "The model did not begin to answer in time. (timeout)"


def test_a_model_that_fails_midway_is_replaced_by_the_final_answer() -> None:
    failure = ModelError("The connection to the model server broke.", code="reset")
    told = events(Parrot("Soup costs ", "ten euro", failure=failure), fallback=QUOTES)
    assert shown(told) == "Soup costs ten euro"
    answer = answer_in(told)
    assert answer.text == "Soup costs three euro. [1]"
    assert answer.fallback_reason.endswith("(reset)")
    cited = tuple(event.citation for event in told if isinstance(event, CitationEvent))
    assert cited == answer.citations


def test_a_text_that_cites_nothing_is_not_an_answer() -> None:
    told = events(Parrot("Soup costs ten euro [8]."), fallback=QUOTES)
    assert answer_in(told).text == "Soup costs three euro. [1]"
    assert answer_in(told).fallback_reason.endswith("(uncited)")
    assert error_in(events(Parrot("Soup costs ten euro."))).code == "uncited"


def test_a_text_cut_at_the_token_limit_stays_and_says_that_it_is_cut() -> None:
    failure = ModelError("cut", code="length")
    told = events(Parrot("Soup costs three euro [1]. Tea is", failure=failure), fallback=QUOTES)
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro [1]. Tea is …"
    assert (answer.verdict, answer.fallback_reason) == (Verdict.PARTLY, "")


@pytest.mark.parametrize(
    ("code", "retryable"),
    [("timeout", True), ("http_503", True), ("http_404", False), ("unauthorized", False)],
)
def test_without_a_stand_in_a_failing_model_is_an_error(code: str, retryable: bool) -> None:
    told = events(Parrot("Soup ", failure=ModelError("It failed.", code=code)))
    assert error_in(told) == ErrorEvent(code, "It failed.", retryable)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(IndexUnavailable("down"), "index_unavailable", id="index"),
        pytest.param(CatalogUnavailable("down"), "catalog_unavailable", id="catalog"),
    ],
)
def test_a_part_that_is_down_is_a_passing_error(error: FootnoteError, code: str) -> None:
    assert events(Parrot("Soup"), found=error) == [ErrorEvent(code, "down", retryable=True)]


def test_nobody_gets_an_error_and_no_passages() -> None:
    told = events(Parrot("Soup"), principal=NOBODY)
    assert [type(event) for event in told] == [ErrorEvent]
    assert error_in(told).code == "unauthorized"


def test_closing_the_stream_early_stops_the_model() -> None:
    parrot = Parrot("Soup costs three euro [1]. ", forever=True)
    answerer = Answerer(retriever=Found(ASKED), generator=parrot)

    async def read_a_little() -> None:
        async with aclosing(answerer.stream(ASKED.question, ANN)) as told:
            async for event in told:
                if isinstance(event, DeltaEvent):
                    break

    asyncio.run(read_a_little())
    assert parrot.closed


def test_an_answer_is_the_last_event_of_the_stream() -> None:
    answerer = Answerer(retriever=Found(ASKED), generator=Parrot("Soup costs three euro [1]."))
    last = asyncio.run(answerer.answer(ASKED.question, ANN))
    assert isinstance(last, AnswerEvent)
    assert last.answer.text == "Soup costs three euro [1]."


WRONG = "Soup costs three euro [1]. The canteen burned down [1]. Cake is sweet [2]."


def test_by_default_what_nothing_carries_is_shown_and_marked() -> None:
    told = events(Parrot(WRONG))
    answer = answer_in(told)
    assert answer.text == shown(told) == WRONG
    assert [each.backing for each in answer.statements].count(Backing.UNSUPPORTED) == 1


def test_what_nothing_carries_is_withheld_and_counted() -> None:
    told = events(Parrot(*WRONG), unsupported=Unsupported.WITHHOLD)
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro [1]. Cake is sweet [2]."
    assert (answer.withheld, answer.verdict) == (1, Verdict.PARTLY)
    assert {each.backing for each in answer.statements} == {Backing.SUPPORTED}


def test_a_verified_sentence_is_shown_before_the_next_one_is_written() -> None:
    parrot = Parrot("Soup costs three euro [1]. ", "Cake is ", "sweet [2].")
    told = events(parrot, unsupported=Unsupported.WITHHOLD)
    pieces = [event.text for event in told if isinstance(event, DeltaEvent)]
    assert pieces == ["Soup costs three euro [1].", " Cake is sweet [2]."]


def test_a_lead_in_goes_with_what_it_leads_to() -> None:
    parrot = Parrot(
        "Damage:\n- The canteen burned down [1].\nPrices:\n- Soup costs three euro [1]."
    )
    answer = answer_in(events(parrot, unsupported=Unsupported.WITHHOLD))
    assert answer.text == "Prices:\n- Soup costs three euro [1]."


def test_where_everything_is_withheld_nothing_was_found() -> None:
    told = events(Parrot("The canteen burned down [1]."), unsupported=Unsupported.WITHHOLD)
    answer = answer_in(told)
    assert answer.text == shown(told) == NOT_FOUND_ANSWER
    assert (answer.verdict, answer.withheld) == (Verdict.NOT_FOUND, 1)
    assert (answer.citations, answer.statements) == ((), ())


def test_an_answer_that_cites_nothing_is_stood_in_for_under_every_policy() -> None:
    for policy in Unsupported:
        told = events(Parrot("Soup costs ten."), fallback=QUOTES, unsupported=policy)
        assert answer_in(told).text == "Soup costs three euro. [1]"
        assert answer_in(told).fallback_reason.endswith("(uncited)")


class Mending:
    """Says one thing when asked first, another when asked to repair it."""

    name = "mending"
    extractive = False

    def __init__(self, first: str, second: str | ModelError) -> None:
        self.asked: list[Context] = []
        self._first = first
        self._second = second

    async def generate(self, context: Context) -> AsyncIterator[Delta]:
        self.asked.append(context)
        said = self._first if len(self.asked) == 1 else self._second
        if isinstance(said, ModelError):
            raise said
        yield Delta(text=said, usage=Usage(prompt_tokens=5, completion_tokens=2))


def test_the_model_is_asked_once_to_repair_what_nothing_carries() -> None:
    model = Mending(WRONG, "Soup costs three euro [1]. Cake is sweet [2].")
    told = events(model, unsupported=Unsupported.REPAIR)
    answer = answer_in(told)
    assert answer.text == shown(told) == "Soup costs three euro [1]. Cake is sweet [2]."
    assert (answer.repaired, answer.verdict) == (True, Verdict.ANSWERED)
    assert answer.usage == Usage(prompt_tokens=10, completion_tokens=4)
    assert "burned down" in model.asked[1].question.text
    assert ASKED.question.text in model.asked[1].question.text
    assert model.asked[1].passages == ASKED.passages


@pytest.mark.parametrize(
    "second",
    ["The canteen burned down [1]. It is gone [1].", ModelError("gone", code="reset"), NOT_FOUND],
)
def test_a_repair_that_is_no_better_changes_nothing(second: str | ModelError) -> None:
    told = events(Mending(WRONG, second), unsupported=Unsupported.REPAIR)
    answer = answer_in(told)
    assert answer.text == shown(told) == WRONG
    assert (answer.repaired, answer.verdict) == (False, Verdict.PARTLY)


def test_an_answer_that_is_carried_is_not_repaired() -> None:
    model = Mending("Soup costs three euro [1].", "Never asked.")
    assert answer_in(events(model, unsupported=Unsupported.REPAIR)).verdict is Verdict.ANSWERED
    assert len(model.asked) == 1


PIECES = st.lists(
    st.sampled_from(
        [
            *("Soup costs ", "three euro", ".", " ", "[1]", "[", "2", "]", "【1†", "L3】", "[9]"),
            *(NOT_FOUND, "NOT_", "<|end|>", "(http://e.vil)", "Tea is free [2]. ", "\n"),
        ]
    ),
    max_size=12,
)
FAILURES = st.sampled_from([None, "timeout", "length", "harmony_markup"])


@given(PIECES, FAILURES, st.booleans(), st.sampled_from(Unsupported))
def test_whatever_a_model_says_there_is_one_end_and_nothing_unresolved(
    pieces: list[str], code: str | None, has_fallback: bool, policy: Unsupported
) -> None:
    failure = ModelError("failed", code=code) if code else None
    fallback = QUOTES if has_fallback else None
    told = events(Parrot(*pieces, failure=failure), fallback=fallback, unsupported=policy)
    assert sum(isinstance(event, Terminal) for event in told) == 1
    if not isinstance(told[-1], AnswerEvent):
        assert not has_fallback
        return
    answer = told[-1].answer
    revisions = {passage.revision_id: passage for passage in ASKED.passages}
    for citation in answer.citations:
        assert citation.span.cut(revisions[citation.revision_id].text) == citation.quote
    if not answer.fallback_reason:
        assert shown(told) == answer.text
    if answer.verdict is not Verdict.NOT_FOUND:
        assert answer.citations
        assert NOT_FOUND_ANSWER not in answer.text


# --- a model that reads on ----------------------------------------------------------------------


class Reader(Parrot):
    """Writes marks of its own, and knows what they point at."""

    def __init__(self, *pieces: str | Delta, failure: Exception | None = None) -> None:
        super().__init__(*pieces, failure=failure)
        self.passages = (passage("Tea is free on Mondays.", document="tea"),)
        self.reckoned = ()

    @property
    def read(self) -> frozenset[str]:
        return frozenset({"doc-read"})

    def read_mark(self, content: str) -> list[int] | None:
        return {"3†L7": [1], "9†L9": [0]}.get(content)


class Beginning:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def begin(self, context: Context, principal: Principal) -> Generator:
        assert principal == ANN
        return self.reader


def researched(reader: Reader, found: Context = ASKED, effort: Effort = Effort.HIGH) -> list[Event]:
    asked = replace(found, question=replace(found.question, effort=effort))
    return events(PLAIN, found=asked, researcher=Beginning(reader))


PLAIN = Parrot("Soup costs three euro [1].")


LOOKED = Delta(call=ToolCall("1", "search", '{"query": "free [tea](http://x.example)"}'))


def test_a_model_that_reads_on_cites_what_it_has_read() -> None:
    told = researched(Reader(LOOKED, "Tea is free on Mondays 【3†", "L7】【9†L9】."))
    assert [type(event) for event in told] == [
        PassagesEvent,
        StepEvent,
        DeltaEvent,
        DeltaEvent,
        PassagesEvent,
        CitationEvent,
        AnswerEvent,
    ]
    assert told[1] == StepEvent("search", "free tea")
    answer = answer_in(told)
    assert shown(told) == answer.text == "Tea is free on Mondays [1]."
    assert [citation.document_id for citation in answer.citations] == ["tea"]
    assert answer.dropped_markers == 1
    assert told[-3] == PassagesEvent(Reader().passages)


def test_it_may_look_where_the_first_search_found_nothing() -> None:
    answer = answer_in(researched(Reader("Tea is free on Mondays 【3†L7】."), context("Tea?")))
    assert answer.verdict is Verdict.ANSWERED


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(Reader("Tea is free."), id="cites nothing"),
        pytest.param(Reader(failure=ModelError("no tools", code="http_400")), id="no tools"),
    ],
)
def test_a_model_that_gets_nowhere_answers_from_the_first_search(reader: Reader) -> None:
    answer = answer_in(researched(reader))
    assert answer.text == "Soup costs three euro [1]."


def test_only_high_effort_reads_on() -> None:
    answer = answer_in(researched(Reader("Tea is free 【3†L7】."), effort=Effort.MEDIUM))
    assert answer.text == "Soup costs three euro [1]."
