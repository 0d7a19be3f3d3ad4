from __future__ import annotations

import pytest

from serving.checks.evidence import Evidence, facts, lacking
from serving.checks.swaps import swapped

TEXT = (
    "Ann Lee founded BASF Norway on 21 July 2017 with 1,500 people and 12 % of the United States "
    "market, 15 km from Oslo. It grew to 4.28 million euros. The Internet Crime Centre moved in. "
    "The fair is held each 3 May."
)
EVIDENCE = [Evidence("Handbook", TEXT)]


@pytest.mark.parametrize(
    "said",
    [
        "Ann Lee founded it on July 21, 2017.",
        "Founded on 2017-07-21 by Lee.",
        "Gegründet wurde es am 21. Juli 2017 mit 1.500 Leuten.",
        "In July 2017 there were 1500 people, and twelve percent of the US market.",
        "The Norwegian company is fifteen kilometres from Oslo.",
        "The ICC moved in.",
        "Lee's company grew to 4.28 million euros.",
        "One of them was founded in 2017.",
    ],
)
def test_another_spelling_lacks_nothing(said: str) -> None:
    assert lacking(facts(said), EVIDENCE) == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Ann Lee had 1,600 people.", "number:1,600"),
        ("It had 15 percent of the market.", "unit:15"),
        ("It was founded on July 22, 2017.", "date:July 22, 2017"),
        ("It was founded in June 2017.", "date:June 2017"),
        ("It was founded by Ann Smith.", "name:Smith"),
        ("It had the A320 in Oslo.", "name:A320"),
        ("It grew to 4.3 million euros.", "derived:4.3 million"),
        ("There are six owners.", "derived:six"),
        ("There are forty owners.", "number:forty"),
    ],
)
def test_what_is_not_there_is_named(said: str, reason: str) -> None:
    assert lacking(facts(said), EVIDENCE) == [reason]


def test_what_one_of_two_passages_has_is_not_lacking() -> None:
    other = Evidence("Ann Smith came later, with 1,600 people.")
    assert lacking(facts("Ann Smith had 1,600 people in Oslo."), [*EVIDENCE, other]) == []


def test_a_word_is_no_name_because_a_sentence_or_an_item_begins_with_it() -> None:
    for said in ("Overall it grew.", "1. **Check The Files**: then go on.", "- Recently moved in."):
        assert facts(said).names == ()


@pytest.mark.parametrize(
    ("said", "quote", "reasons"),
    [
        ("Soup costs four euro.", "Soup costs three euro.", ["number:four"]),
        ("Ann met Bob in Oslo.", "Ann met Eve in Oslo.", ["name:Bob"]),
        ("It sold 12 houses in May.", "It sold 15 houses in May.", ["number:12"]),
        ("Lee met Bob in Oslo.", "She met Bob in Oslo.", []),
        ("Bob met Ann in Oslo last year.", "Last year was good for Eve.", []),
    ],
)
def test_a_swap_is_seen_where_the_rest_is_the_same(
    said: str, quote: str, reasons: list[str]
) -> None:
    assert list(swapped(said, quote)) == reasons
