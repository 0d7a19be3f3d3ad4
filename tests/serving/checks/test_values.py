from __future__ import annotations

import pytest

from knowledge.models import ValueKind
from serving.checks.values import Value, asks_for, values


def one(text: str, kind: ValueKind) -> Value:
    (found,) = [each for each in values(text, "english") if each.kind is kind]
    return found


@pytest.mark.parametrize(
    ("kind", "mine", "other", "agrees"),
    [
        (ValueKind.DATE, "on 4 May 1998", "in 1998", True),
        (ValueKind.DATE, "on 4 May 1998", "on May 5", False),
        (ValueKind.DATE, "on 4 May", "on 4.5.1998", True),
        (ValueKind.DATE, "in 1998", "in 1999", False),
        (ValueKind.NUMBER, "has 1,000 rows", "has one thousand rows", True),
        (ValueKind.NUMBER, "has nine rows", "has 12 rows", False),
        (ValueKind.NUMBER, "has twelve rows", "has 12 rows", True),
        (ValueKind.NAME, "by Ann Lee", "by Dr Lee", True),
        (ValueKind.NAME, "by Ann Lee", "by Bob Ray", False),
    ],
)
def test_values_agree_where_both_can_be_right(
    kind: ValueKind, mine: str, other: str, agrees: bool
) -> None:
    assert one(mine, kind).agrees(one(other, kind)) is agrees
    assert one(other, kind).agrees(one(mine, kind)) is agrees


def test_a_year_does_not_tell_a_day_but_a_day_tells_its_year() -> None:
    day, year = one("on 4 May 1998", ValueKind.DATE), one("in 1998", ValueKind.DATE)
    assert year.is_told_by(day)
    assert not day.is_told_by(year)


def test_a_date_is_no_number_and_no_name() -> None:
    found = values("It has been so since May 2019 and 4 June 2020.", "english")
    assert [each.kind for each in found] == [ValueKind.DATE] * 2


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("When does it open?", {"date"}),
        ("How much is the fee?", {"number"}),
        ("Wer leitet den Einkauf?", {"name"}),
        ("Where was it founded, and when?", {"date", "name"}),
        ("Why is it so?", set()),
    ],
)
def test_a_question_says_what_it_asks_for(question: str, kinds: set[str]) -> None:
    assert {kind.value for kind in asks_for(question)} == kinds
