"""Packing against the sentence that defines it, for every code, scale, row and column."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.moe.layout import (
    VALUE_EXPONENT,
    pack,
    pack_scales,
    pack_tiles,
    paired_rows,
    registers,
    unpack_scales,
    unpack_tiles,
)
from serving.moe.mxfp4 import code_values
from serving.moe.reference import draw_weights
from serving.moe.spec import TINY

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def draw_codes(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 16, (rows, columns), generator=draw, dtype=torch.uint8)


def test_each_code_is_where_the_definition_puts_it() -> None:
    codes = draw_codes(32, 128)
    words = pack_tiles(codes)
    for row in range(32):
        for column in range(128):
            assert _slow_code(words, row, column) == codes[row, column], (row, column)


@settings(max_examples=25)
@given(SIZES, st.integers(0, 2**32))
def test_tiles_come_back(size: tuple[int, int], seed: int) -> None:
    codes = draw_codes(16 * size[0], 64 * size[1], seed)
    assert torch.equal(unpack_tiles(pack_tiles(codes)), codes)


def test_every_code_comes_back_in_every_place() -> None:
    for code in range(16):
        codes = torch.full((16, 64), code, dtype=torch.uint8)
        assert torch.equal(unpack_tiles(pack_tiles(codes)), codes)
    seen = set()
    for place in range(0, 16 * 64, 7):  # one word each, and no two places the same bits of it
        alone = torch.zeros(16 * 64, dtype=torch.uint8)
        alone[place] = 15
        words = pack_tiles(alone.reshape(16, 64)).flatten()
        (where,) = words.nonzero().flatten().tolist()
        seen.add((where, int(words[where])))
    assert len(seen) == len(range(0, 16 * 64, 7))


def test_a_tile_has_512_bytes_for_1024_codes() -> None:
    words = pack_tiles(draw_codes(48, 192))
    assert words.shape == (3, 3, 32, 4)
    assert words.element_size() * words[0, 0].numel() == 512


def test_the_eleven_operations_leave_float16_values_times_two_to_minus_fourteen() -> None:
    codes = draw_codes(32, 128, seed=3)
    bits = registers(pack_tiles(codes)).numpy()  # T, K, lane, j, R
    halves = bits.view(np.float16).reshape(2, 2, 8, 4, 4, 2, 2, 2)  # T, K, g, t, j, q, h, b
    values = halves.transpose(0, 6, 2, 1, 4, 5, 3, 7).reshape(32, 128).astype(np.float64)
    assert np.array_equal(values * 2.0**-VALUE_EXPONENT, code_values(codes).numpy())


@settings(max_examples=25)
@given(SIZES, st.integers(0, 2**32))
def test_scales_come_back(size: tuple[int, int], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    shape = (16 * size[0], 2 * size[1])
    scales = torch.randint(0, 255, shape, generator=draw, dtype=torch.uint8)
    assert torch.equal(unpack_scales(pack_scales(scales)), scales)


def test_every_scale_but_255_is_packed() -> None:
    scales = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    with pytest.raises(ValueError, match="255"):
        pack_scales(scales)
    scales[15, 15] = 0
    assert torch.equal(unpack_scales(pack_scales(scales)), scales)


def test_a_word_of_scales_holds_what_its_four_lanes_need() -> None:
    scales = torch.arange(32, dtype=torch.uint8).reshape(16, 2) * 8 - 1
    scales[0, 0] = 3
    words = pack_scales(scales)
    for g in range(8):
        word = words[0, 0, g].numpy().view(np.uint32)
        assert [(word >> shift) & 255 for shift in (0, 8, 16, 24)] == [
            *scales[g].tolist(),
            *scales[g + 8].tolist(),
        ]


def test_gate_and_up_of_one_neuron_are_eight_rows_apart() -> None:
    rows = paired_rows(64).tolist()
    for tile in range(4):
        for g in range(8):
            neuron = 8 * tile + g
            assert rows[16 * tile + g] == 2 * neuron  # gate
            assert rows[16 * tile + g + 8] == 2 * neuron + 1  # up


def test_a_whole_layer_is_packed_expert_by_expert() -> None:
    weights = draw_weights(TINY, seed=5)
    packed, pairs = pack(weights), paired_rows(2 * TINY.intermediate)
    for expert in range(TINY.experts):
        assert torch.equal(unpack_tiles(packed.w13[expert]), weights.w13[expert][pairs])
        assert torch.equal(unpack_scales(packed.w2_scales[expert]), weights.w2_scales[expert])
        assert torch.equal(packed.b13[expert], weights.b13[expert][pairs].float())


@pytest.mark.parametrize(
    "shape", [pytest.param((24, 64), id="rows"), pytest.param((16, 96), id="columns")]
)
def test_sizes_that_would_need_padding_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiple"):
        pack_tiles(draw_codes(*shape))


def _slow_code(words: torch.Tensor, row: int, column: int) -> int:
    """Find one code by the sentences of the module's docstring."""
    g, high_row = row % 8, row % 16 // 8
    j, q, t, odd = column % 64 // 16, column % 16 // 8, column % 8 // 2, column % 2
    word = int(words[row // 16, column // 64, 4 * g + t, j]) & 0xFFFFFFFF
    half = (word >> (16 * odd)) & 0xFFFF
    register = 2 * q + high_row
    magnitude = (half >> (9, 6, 3, 0)[register]) & 7
    return magnitude | ((half >> (15, 12, 14, 13)[register]) & 1) << 3
