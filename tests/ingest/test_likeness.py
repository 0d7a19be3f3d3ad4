from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.likeness import NUMBERS, shingles, signature
from knowledge.catalog.families import likeness

WORDS = [f"word{n}" for n in range(2000)]


def text(seed: int, words: int = 400) -> str:
    chance = Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(words))


def edited(whole: str, share: float, seed: int) -> str:
    """Replace this share of the words."""
    chance = Random(seed)
    return " ".join(
        chance.choice(WORDS) if chance.random() < share else word for word in whole.split()
    )


def jaccard(one: str, other: str) -> float:
    """The slow, exact twin."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_equal_texts_agree_in_all_numbers_whatever_their_case_and_spacing() -> None:
    whole = text(1)
    assert len(signature(whole)) == NUMBERS
    assert signature(whole) == signature(whole.upper().replace(" ", "\n"))


@pytest.mark.parametrize("short", ["", "one two", " ".join(WORDS[:21])])
def test_a_text_too_short_to_compare_has_no_signature(short: str) -> None:
    assert signature(short) == ()
    assert signature(f"{short} {' '.join(WORDS[30:60])}") != ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.6))
def test_signatures_estimate_the_exact_jaccard_similarity(seed: int, share: float) -> None:
    one = text(seed)
    other = edited(one, share, seed + 1)
    estimate = likeness(signature(one), signature(other))
    assert abs(estimate - jaccard(one, other)) < 0.2  # 4.5 deviations of 0.044 at most
