"""Codes and scales mean what the format says, for every code and every scale."""

from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.moe.mxfp4 import (
    NOT_A_SCALE,
    code_values,
    dequantise,
    pack_nibbles,
    quantise,
    scale_values,
    unpack_nibbles,
)

ALL_CODES = torch.arange(16, dtype=torch.uint8)
ALL_SCALES = torch.arange(NOT_A_SCALE, dtype=torch.uint8)


def test_a_code_is_sign_two_bits_of_exponent_and_one_of_mantissa() -> None:
    for code, value in enumerate(code_values(ALL_CODES).tolist()):
        sign, exponent, mantissa = code >> 3, (code >> 1) & 3, code & 1
        size = (1 + mantissa / 2) * 2 ** (exponent - 1) if exponent else mantissa / 2
        assert value == (-size if sign else size)
        assert math.copysign(1, value) == (-1 if sign else 1)


def test_a_scale_is_a_power_of_two_down_to_the_smallest() -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        for scale, value in enumerate(scale_values(ALL_SCALES, dtype).tolist()):
            assert value == 2.0 ** (scale - 127), (dtype, scale)


def test_every_code_with_every_scale_is_exact() -> None:
    codes = ALL_CODES.repeat(2).expand(NOT_A_SCALE, 32)
    weights = dequantise(codes, ALL_SCALES.unsqueeze(1))
    wanted = code_values(codes) * (2.0 ** (ALL_SCALES.double() - 127)).unsqueeze(1)
    assert torch.equal(weights, wanted)


def test_the_scale_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        dequantise(torch.zeros(32, dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8))


def test_the_low_nibble_is_the_even_column() -> None:
    blocks = torch.arange(16, dtype=torch.uint8).reshape(1, 16) * 16 + 3
    assert unpack_nibbles(blocks)[::2].tolist() == [3] * 16
    assert unpack_nibbles(blocks)[1::2].tolist() == list(range(16))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 15), min_size=64, max_size=64))
def test_nibbles_come_back(codes: list[int]) -> None:
    given_codes = torch.tensor(codes, dtype=torch.uint8).reshape(2, 32)
    assert torch.equal(unpack_nibbles(pack_nibbles(given_codes)), given_codes)


def test_every_weight_that_the_format_holds_is_quantised_to_itself() -> None:
    group = ALL_CODES.repeat(2).expand(NOT_A_SCALE, 32)  # holds 6, so the scale is determined
    weights = dequantise(group, ALL_SCALES.unsqueeze(1))
    codes, scales = quantise(weights)
    assert torch.equal(scales.squeeze(1), ALL_SCALES)
    assert torch.equal(codes, group)


def test_quantising_takes_the_nearest_code_and_an_even_one_of_two() -> None:
    chance = random.Random(1)
    middles = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]
    values = [6.0, *middles, *(chance.uniform(-7.9, 7.9) for _ in range(24))]
    codes, scales = quantise(torch.tensor(values))
    assert scales.tolist() == [127]
    assert codes.tolist() == [_slow_code(value) for value in values]


def test_a_group_of_zeros_has_the_smallest_scale_and_no_value() -> None:
    codes, scales = quantise(torch.zeros(32))
    assert scales.tolist() == [0]
    assert not dequantise(codes, scales).any()


def _slow_code(value: float) -> int:
    magnitudes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    best = min(range(8), key=lambda code: (abs(abs(value) - magnitudes[code]), code % 2))
    return best + 8 * (value < 0)
