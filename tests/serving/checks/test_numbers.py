from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.checks.numbers import numbers, rounds


def values(text: str, language: str = "english") -> list[set[Decimal | str]]:
    return [set(number.values) for number in numbers(text, language)]


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        pytest.param("1,234.5", "english", "1234.5", id="English marks"),
        pytest.param("1.234,5", "german", "1234.5", id="German marks"),
        pytest.param("1 234,5", "french", "1234.5", id="a space groups"),
        pytest.param("1'234.50", "german", "1234.5", id="Swiss marks"),
        pytest.param("12,000", "english", "12000", id="thousands"),
        pytest.param("12.000", "german", "12000", id="Tausender"),
        pytest.param("3.5 million", "english", "3500000", id="scale"),
        pytest.param("2,5 Mio", "german", "2500000", id="Skala"),
        pytest.param("twenty-five", "english", "25", id="in words"),
        pytest.param("fünfundzwanzig", "german", "25", id="in Worten"),
        pytest.param("quinze", "french", "15", id="en lettres"),
        pytest.param("five hundred", "english", "500", id="hundreds"),
        pytest.param("4th", "english", "4", id="ordinal"),
        pytest.param("1990s", "english", "1990", id="decade"),
    ],
)
def test_one_number_has_many_spellings(text: str, language: str, value: str) -> None:
    assert values(text, language) == [{Decimal(value)}]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        *(("15 %", "%"), ("15 percent", "%"), ("15 per cent", "%"), ("15 Prozent", "%")),
        *(("$15", "$"), ("15 dollars", "$"), ("15-year", "year"), ("15 km", "km"), ("15 men", "")),
    ],
)
def test_one_unit_has_many_spellings(text: str, unit: str) -> None:
    assert [number.unit for number in numbers(text)] == [unit]


def test_where_the_language_is_unknown_a_mark_may_group_or_not() -> None:
    [number] = numbers("1,500", both=True)
    assert number.values == {Decimal(1500), Decimal("1.5")}


def test_labels_versions_and_names_are_no_quantities() -> None:
    assert values("1. Version 6.15.0 of the A320 at 9:30") == [{"6.15.0"}, {"9:30"}]


@given(st.integers(0, 10**12))
def test_a_grouped_number_is_the_number(number: int) -> None:
    assert values(f"It is {number:,}.") == [{Decimal(number)}]


@given(st.integers(1001, 10**9))
def test_only_fewer_places_round(number: int) -> None:
    assert not rounds(Decimal(number), Decimal(number))
    assert not rounds(Decimal(number) + 1, Decimal(number)) or str(number + 1).endswith("0")
