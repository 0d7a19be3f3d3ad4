from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.likeness import NUMBERS, shingles, signature
from knowledge.catalog.families import likeness

THRESHOLD = 0.8
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


def rewritten(whole: str, share: float, seed: int) -> str:
    """Replace one run of words that makes up this share, as an editor does."""
    words, fresh = whole.split(), text(seed, 400)
    length = round(share * len(words))
    start = Random(seed).randrange(len(words) - length + 1)
    return " ".join([*words[:start], *fresh.split()[:length], *words[start + length :]])


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


SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
PAIRS = 40
"""Of each share and kind of edit."""


def test_near_duplicates_are_told_from_others(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[bool, float]] = []
    for share in SHARES:
        for edit in (edited, rewritten):
            for seed in range(PAIRS):
                one = text(seed)
                other = edit(one, share, seed + 1000)
                found = likeness(signature(one), signature(other)) >= THRESHOLD
                told.append((found, jaccard(one, other)))
    right = sum(found and exact >= THRESHOLD for found, exact in told)
    precision = right / sum(found for found, _ in told)
    recall = right / sum(exact >= THRESHOLD for _, exact in told)
    mistaken = [exact for found, exact in told if found is not (exact >= THRESHOLD)]
    with capsys.disabled():
        print(f" precision {precision:.3f}, recall {recall:.3f} of {len(told)} pairs ", end="")
    assert all(abs(exact - THRESHOLD) < 0.1 for exact in mistaken)
    assert min(precision, recall) >= 0.75
