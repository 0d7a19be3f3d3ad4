"""The Hopper decode kernel on a CPU: its index map by a twin, its arithmetic by its own PTX."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from serving.moe.kernels.unpack import unpacking
from serving.moe.layout import pack, pack_tiles, prepare_rows, registers
from serving.moe.mxfp4 import code_values
from serving.moe.reference import draw_weights, moe, relative_l2
from serving.moe.routing import make_tiles
from serving.moe.spec import MoESpec
from tests.moe.decode_twin import DecodeTwin, Floats, run_ptx

SMALL = MoESpec("small", experts=4, hidden=64, intermediate=128, layers=1)


def test_the_ptx_does_what_the_layout_says() -> None:
    draw = torch.Generator().manual_seed(0)
    words = torch.randint(-(2**31), 2**31, (1000,), generator=draw, dtype=torch.int64).int()
    assert np.array_equal(
        run_ptx(unpacking(), words.numpy().view(np.uint32)).view(np.int32), registers(words).numpy()
    )


def test_scaled_unpacking_gives_each_weight_exactly() -> None:
    draw = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 16, (16, 64), generator=draw, dtype=torch.uint8)
    words = pack_tiles(codes).numpy().view(np.uint32)
    for scale in (104, 110, 125, 128):
        half = np.uint16((scale - 98) << 10)  # as the kernel's _power
        pair = np.full_like(words, np.uint32(half) * np.uint32(0x10001))
        bits = run_ptx(unpacking(scaled=True), words, pair, pair)
        halves = bits.view(np.float16).reshape(1, 1, 8, 4, 4, 2, 2, 2)  # T, K, g, t, j, q, h, b
        values = halves.transpose(0, 6, 2, 1, 4, 5, 3, 7).reshape(16, 64).astype(np.float64)
        assert np.array_equal(values, code_values(codes).numpy() * 2.0 ** (scale - 127))


def test_prepared_rows_hold_what_each_lane_needs_side_by_side() -> None:
    columns = prepare_rows(torch.arange(192.0).reshape(1, 192)).reshape(3, 4, 16)
    for k in range(3):
        for t in range(4):
            wanted = [
                64 * k + 16 * j + 8 * q + 2 * t + b
                for j in range(4)
                for q in range(2)
                for b in range(2)
            ]
            assert columns[k, t].tolist() == wanted


@pytest.mark.parametrize(("bm", "split"), [(8, 1), (8, 2), (16, 1)])
def test_the_index_map_computes_the_block(bm: int, split: int) -> None:
    weights = draw_weights(SMALL, seed=4)
    draw = torch.Generator().manual_seed(5)
    x = (torch.randn(3, SMALL.hidden, generator=draw) * 2).bfloat16().float()
    wanted = moe(x, weights, SMALL, torch.float64)
    tiles = make_tiles(wanted.ids.int(), experts=SMALL.experts, block=bm)
    twin = DecodeTwin(pack(weights), SMALL, bm)

    activated = torch.from_numpy(twin.gate_up(prepare_rows(x).half().numpy(), tiles))
    sorted_slots = wanted.activated.flatten(0, 1)[tiles.slots.long()]
    assert relative_l2(activated, prepare_rows(sorted_slots)) <= 1e-5

    shares = wanted.shares.float().numpy()
    outputs = twin.down(activated.half().numpy(), shares, tiles, split)
    got = torch.from_numpy(outputs).reshape(3, -1, SMALL.hidden).sum(1)
    assert relative_l2(got, wanted.output) <= 1e-3


def test_a_wrong_place_in_the_index_map_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = draw_weights(SMALL, seed=4)
    x = torch.randn(1, SMALL.hidden, generator=torch.Generator().manual_seed(5)).bfloat16().float()
    wanted = moe(x, weights, SMALL, torch.float64)
    tiles = make_tiles(wanted.ids.int(), experts=SMALL.experts, block=8)
    right = DecodeTwin._right

    def swapped(x: NDArray[np.float16], starts: list[int], n: int, offset: int) -> Floats:
        fragment: Floats = right(x, starts, n, offset)[np.arange(16) ^ 2]
        return fragment

    monkeypatch.setattr(DecodeTwin, "_right", staticmethod(swapped))
    twin = DecodeTwin(pack(weights), SMALL, 8)
    got = torch.from_numpy(twin.gate_up(prepare_rows(x).half().numpy(), tiles))
    sorted_slots = wanted.activated.flatten(0, 1)[tiles.slots.long()]
    assert relative_l2(got, prepare_rows(sorted_slots)) > 0.1
