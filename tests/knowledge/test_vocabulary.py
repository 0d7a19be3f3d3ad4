from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from knowledge.vocabulary import count_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("word " * 2000, 2001), ("<|end|>", 5), ("東京都庁は新宿にある。", 9)],
)
def test_texts_have_the_tokens_of_the_model(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


VOCABULARY = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


@given(st.text(max_size=300))
def test_a_text_without_long_runs_is_counted_exactly(text: str) -> None:
    assert count_tokens(text) == len(VOCABULARY.encode(text, disallowed_special=()))


@pytest.mark.parametrize("run", ["a", " ", "\n", ".", "東", "\u0301"])
def test_a_run_without_an_end_is_counted_in_a_moment(run: str) -> None:
    began = time.process_time()
    assert count_tokens(run * 100_000) >= 100_000 / 128
    assert time.process_time() - began < 3


def test_threads_may_count_at_once() -> None:
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(count_tokens, ["some words, and more"] * 64))
    assert set(counted) == {5}
