"""The least that must be read and computed, against figures worked out by hand."""

from __future__ import annotations

import pytest

from serving.moe.spec import BUCKETS, GPT_OSS_20B, GPT_OSS_120B, MoESpec, bucket


@pytest.mark.parametrize(
    ("spec", "tokens", "experts", "megabytes", "microseconds"),
    [
        pytest.param(GPT_OSS_20B, 1, 4.0, 53, 12.4, id="20b-1"),
        pytest.param(GPT_OSS_20B, 64, 32.0, 428, 99.5, id="20b-64"),
        pytest.param(GPT_OSS_20B, 8192, 32.0, 896, 2066, id="20b-8192"),
        pytest.param(GPT_OSS_120B, 1, 4.0, 54, 12.5, id="120b-1"),
        pytest.param(GPT_OSS_120B, 64, 111.2, 1479, 343.8, id="120b-64"),
        pytest.param(GPT_OSS_120B, 4096, 128.0, 1933, 1036, id="120b-4096"),
    ],
)
def test_the_floor_is_memory_for_few_tokens_and_arithmetic_for_many(
    spec: MoESpec, tokens: int, experts: float, megabytes: float, microseconds: float
) -> None:
    assert spec.distinct(tokens) == pytest.approx(experts, abs=0.05)
    assert spec.least_bytes(tokens) / 1e6 == pytest.approx(megabytes, abs=0.5)
    floor = spec.floor(tokens, bandwidth=4.3e12, flops=790e12)
    assert floor * 1e6 == pytest.approx(microseconds, rel=2e-3)


def test_the_floor_takes_the_experts_that_were_drawn() -> None:
    drawn = GPT_OSS_20B.least_bytes(64, experts=4)
    assert GPT_OSS_20B.least_bytes(64) - drawn == pytest.approx(
        (GPT_OSS_20B.distinct(64) - 4) * GPT_OSS_20B.bytes_per_expert
    )


def test_a_bucket_is_the_smallest_that_holds_the_tokens() -> None:
    for tokens in range(1, 10_000):
        size = bucket(tokens)
        assert size >= min(tokens, BUCKETS[-1])
        assert all(smaller < tokens for smaller in BUCKETS if smaller < size)
