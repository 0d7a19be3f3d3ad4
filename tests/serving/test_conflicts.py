from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Conflict, Context, Question, Span, ValueKind
from serving.cite import Quote, citation
from serving.conflicts import conflicts
from tests.fakes import context, passage

LEAVE = "How many days of annual leave do I get?"
OLD = "Full-time employees get 25 days of annual leave."
NEW = "Annual leave is 28 days for everybody in full time."


def told(found: tuple[Conflict, ...]) -> list[list[str]]:
    return [[side.value for side in conflict.sides] for conflict in found]


def test_sides_have_their_quote_their_place_and_their_date_the_latest_first() -> None:
    asked = context(LEAVE, OLD, NEW)
    moments = datetime(2019, 5, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
    dated = tuple(
        replace(each, document=replace(each.document, dated_at=moment))
        for each, moment in zip(asked.passages, moments, strict=True)
    )
    (conflict,) = conflicts(replace(asked, passages=dated))

    assert conflict.kind is ValueKind.NUMBER
    assert [(side.value, side.dated_at) for side in conflict.sides] == [
        ("28", moments[1]),
        ("25", moments[0]),
    ]
    assert [side.citation.quote for side in conflict.sides] == [NEW, OLD]
    assert [side.citation.number for side in conflict.sides] == [2, 1]


@pytest.mark.parametrize(
    ("question", "one", "other", "values"),
    [
        pytest.param(
            "Who approves travel expenses?",
            "Travel expenses above 500 euro are approved by Ann Lee in advance.",
            "Travel expenses above 500 euro are approved by Bob Ray in advance.",
            {"Ann Lee", "Bob Ray"},
            id="a name in the same sentence",
        ),
        pytest.param(
            "Who approves travel expenses?",
            "Controllers approve travel expenses above 500 euro.",
            "Managers approve travel expenses above 500 euro.",
            {"Controllers", "Managers"},
            id="a name that begins its sentence",
        ),
        pytest.param(
            "When is the deadline for the tax return?",
            "The deadline for the tax return is 31 July 2026.",
            "Mind the deadline for a paper tax return: September 30, 2026.",
            {"31 July 2026", "September 30, 2026"},
            id="dates beside the same word",
        ),
        pytest.param(
            "Wie viele Tage Urlaub gibt es?",
            "Es gibt 25 Tage Urlaub im Jahr.",
            "Im Jahr gibt es 28 Tage Urlaub.",
            {"25", "28"},
            id="German",
        ),
        pytest.param(
            "What was the revenue in 2025?",
            "In 2025 the revenue of the group was $4.2 million before tax.",
            "In 2025 the revenue of the group was $4.8 million before tax.",
            {"4.2 million", "4.8 million"},
            id="money",
        ),
    ],
)
def test_different_answers_are_noticed(
    question: str, one: str, other: str, values: set[str]
) -> None:
    (conflict,) = conflicts(context(question, one, other))

    assert {side.value for side in conflict.sides} == values
    assert len(told(conflicts(context(question, other, one)))) == 1


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        pytest.param(LEAVE, OLD, OLD, id="the same"),
        pytest.param(
            LEAVE, OLD, "Annual leave is twenty-five days for everybody.", id="in other words"
        ),
        pytest.param(
            "Who directs the sales department?",
            "Ann Lee directs the sales department of the group.",
            "Bob Ray directs the legal department of the group.",
            id="another subject",
        ),
        pytest.param(
            "What was the revenue in 2025?",
            "In 2025 the revenue of the group was $4.2 million.",
            "In 2024 the revenue of the group was $3.9 million.",
            id="another year than was asked for",
        ),
        pytest.param(
            LEAVE,
            OLD,
            "Annual leave is 28 days in full time. Annual leave was 25 days before.",
            id="one that tells of both",
        ),
        pytest.param(
            "How long is the notice period?",
            "The notice period is four weeks in the first year.",
            "The notice period is announced by 3 managers.",
            id="numbers of different things",
        ),
        pytest.param(
            "When was it founded?",
            "The company was founded in 1998 by two brothers.",
            "The company was founded on 4 May 1998.",
            id="a day in that year",
        ),
        pytest.param(
            "Where is the office?",
            "The office is in Vienna, near the station.",
            "What is in the office of Graz?",
            id="a question states nothing",
        ),
    ],
)
def test_what_may_agree_is_none(question: str, one: str, other: str) -> None:
    assert conflicts(context(question, one, other)) == ()


def test_a_document_does_not_contradict_itself() -> None:
    both = (passage(OLD, document="d"), passage(NEW, document="d", start=500))
    assert conflicts(Context(Question(LEAVE), both)) == ()


def test_one_of_them_has_to_be_cited() -> None:
    asked = context(LEAVE, OLD, "Tea is free for all who work here.", NEW)

    def cited(number: int) -> tuple[Conflict, ...]:
        source = asked.passages[number - 1]
        return conflicts(asked, [citation(number, source, Quote(source.span, 1.0))])

    assert [sorted(*told(cited(number))) for number in (1, 3)] == [["25", "28"]] * 2
    assert cited(2) == ()
    assert conflicts(asked, []) == ()


def test_a_third_answer_is_one_more_side() -> None:
    third = "We give 30 days of annual leave to everybody."
    found = conflicts(context(LEAVE, OLD, NEW, third, OLD.replace("Full-time", "All")))

    assert [sorted(values) for values in told(found)] == [["25", "28", "30"]]


@given(
    st.lists(st.sampled_from([OLD, NEW, "Tea is free.", "There are 25 days in it."]), max_size=5)
)
def test_quotes_are_verbatim_and_copies_never_disagree(texts: list[str]) -> None:
    asked = context(LEAVE, *texts)
    for conflict in conflicts(asked):
        values = [side.value for side in conflict.sides]
        assert len(set(values)) == len(values) > 1
        for side in conflict.sides:
            source = asked.passages[side.citation.number - 1]
            assert side.citation.quote == source.cut(side.citation.span)
            assert side.value in side.citation.quote
    copies = context(LEAVE, *[" ".join(texts)] * 3)
    assert conflicts(copies) == ()


def test_the_place_of_a_quote_counts_from_the_beginning_of_its_revision() -> None:
    shifted = passage(f"Read this. {NEW}", document="b", start=100)
    (conflict,) = conflicts(Context(Question(LEAVE), (passage(OLD, document="a"), shifted)))

    (side,) = [each for each in conflict.sides if each.citation.document_id == "b"]
    assert side.citation.span == Span(111, 111 + len(NEW))
