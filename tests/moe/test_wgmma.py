"""The kernel by warpgroups on a CPU: its index map by a twin, its arithmetic by its own PTX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from serving.moe.layout import pack, unpack_tiles
from serving.moe.mxfp4 import code_values
from serving.moe.reference import MoEWeights, draw_weights, moe, relative_l2
from serving.moe.routing import Tiles, make_tiles
from serving.moe.spec import MoESpec
from tests.moe.decode_twin import Floats
from tests.moe.wgmma_twin import WgmmaTwin

SMALL = MoESpec("small", experts=5, hidden=192, intermediate=192, layers=1)
TOKENS = 41
"""So many that some expert has a full tile and a rest."""
CUTS = [(32, 1, 3), (64, 1, 3), (128, 3, 3)]
EACH = pytest.mark.parametrize(("bm", "r", "stages"), CUTS)


@pytest.fixture(scope="module")
def weights() -> MoEWeights:
    return draw_weights(SMALL, seed=6)


def draw(bm: int, tokens: int = TOKENS) -> tuple[torch.Tensor, torch.Tensor, Tiles]:
    draw = torch.Generator().manual_seed(7)
    x = (torch.randn(tokens, SMALL.hidden, generator=draw) * 2).bfloat16().float()
    wanted = moe(x, draw_weights(SMALL, seed=6), SMALL, torch.float64)
    return (
        x,
        wanted.ids,
        make_tiles(wanted.ids.int(), experts=SMALL.experts, block=bm, largest_first=True),
    )


@EACH
def test_the_index_map_computes_the_block(
    weights: MoEWeights, bm: int, r: int, stages: int
) -> None:
    x, _, tiles = draw(bm)
    wanted = moe(x, weights, SMALL, torch.float64)
    twin = WgmmaTwin(pack(weights), SMALL, bm=bm, r=r, stages=stages)

    activated = torch.from_numpy(twin.gate_up(x.half().numpy(), tiles))
    sorted_slots = wanted.activated.flatten(0, 1)[tiles.slots.long()]
    assert relative_l2(activated, sorted_slots) <= 1e-5

    shares = wanted.shares.float().numpy()
    outputs = torch.from_numpy(twin.down(activated.half().numpy(), shares, tiles))
    got = outputs.reshape(TOKENS, -1, SMALL.hidden).sum(1)
    assert relative_l2(got, wanted.output) <= 1e-3


@EACH
def test_every_word_is_read_once_per_tile_and_every_output_written_once(
    weights: MoEWeights, bm: int, r: int, stages: int
) -> None:
    x, ids, tiles = draw(bm)
    twin = WgmmaTwin(pack(weights), SMALL, bm=bm, r=r, stages=stages)
    slots = torch.bincount(ids.flatten(), minlength=SMALL.experts)
    of_expert = -(-slots // bm)  # tiles
    if bm == 32:
        assert of_expert.max() > 1

    halves = twin.gate_up(x.half().numpy(), tiles).astype(np.float16)
    assert (twin.written == 1).all()
    twin.down(halves, np.ones((TOKENS, SMALL.top_k), np.float32), tiles)
    assert (twin.written == 1).all()
    for name in ("w13", "w2"):
        by_expert = twin.read[name].reshape(SMALL.experts, -1)
        assert (by_expert == of_expert.numpy()[:, None]).all()


def test_a_tile_that_is_left_out_is_counted(
    weights: MoEWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the counts."""
    x, _, tiles = draw(32)
    each = WgmmaTwin._each
    monkeypatch.setattr(WgmmaTwin, "_each", staticmethod(lambda tiles: each(tiles)[1:]))
    twin = WgmmaTwin(pack(weights), SMALL, bm=32, r=1, stages=3)
    twin.gate_up(x.half().numpy(), tiles)
    print(f"{(twin.written != 1).sum()} outputs are not written once where a tile is left out")
    assert (twin.written != 1).any()


def test_what_a_lane_holds_is_the_weight_of_its_row_and_column(weights: MoEWeights) -> None:
    """The operand of each warp and step is a 16 x 16 piece of the matrix, nothing moved."""
    packed = pack(weights)
    twin = WgmmaTwin(packed, SMALL, bm=32, r=1, stages=3)
    codes = unpack_tiles(packed.w2[0])
    scales = weights.w2_scales[0].double().repeat_interleave(32, 1)
    matrix = (code_values(codes).double() * 2.0 ** (scales - 127)).numpy()
    for tile in range(SMALL.hidden // 16):
        for k in range(SMALL.intermediate // 64):
            for step, a in enumerate(twin._left("w2", tile * (SMALL.intermediate // 64) + k)):
                piece = matrix[16 * tile : 16 * tile + 16, 64 * k + 16 * step :][:, :16]
                assert np.array_equal(a, piece)


@pytest.mark.parametrize("stages", [2, 3, 5, 9])
def test_the_ring_hands_out_every_tile_of_tokens_once_and_whole(stages: int) -> None:
    spec = MoESpec("ring", experts=4, hidden=64 * 90, intermediate=64, layers=1)
    twin = WgmmaTwin(pack(draw_weights(SMALL, seed=0)), spec, bm=32, r=1, stages=stages)
    x = np.arange(2 * spec.hidden).astype(np.float16)
    starts, known = np.arange(32) % 2 * spec.hidden, np.arange(32) < 3
    seen = []
    for k, rows in twin._ring(x, starts, known, 90):
        seen.append(k)
        assert not np.isnan(rows).any()
        for token in range(3):
            assert np.array_equal(rows[token], x[starts[token] + 64 * k :][:64])
        assert not rows[3:].any()
    assert seen == list(range(90))


def _wrong_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    left = WgmmaTwin._left
    monkeypatch.setattr(WgmmaTwin, "_left", lambda self, name, tile: left(self, name, tile ^ 1))


def _wrong_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    power = WgmmaTwin._power
    monkeypatch.setattr(WgmmaTwin, "_power", staticmethod(lambda word, at: power(word, at ^ 2)))


def _late_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = WgmmaTwin._ring

    def late(self: WgmmaTwin, *args: Any) -> Iterator[tuple[int, Floats]]:
        every = list(ring(self, *args))
        return ((k, rows) for (k, _), (_, rows) in zip(every, every[1:] + every[:1], strict=True))

    monkeypatch.setattr(WgmmaTwin, "_ring", late)


@pytest.mark.parametrize("spoil", [_wrong_rows, _wrong_scales, _late_stage])
def test_a_wrong_place_in_the_index_map_is_noticed(
    spoil: Callable[[pytest.MonkeyPatch], None],
    weights: MoEWeights,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, _, tiles = draw(32, tokens=3)
    wanted = moe(x, weights, SMALL, torch.float64)
    spoil(monkeypatch)
    twin = WgmmaTwin(pack(weights), SMALL, bm=32, r=1, stages=3)
    got = torch.from_numpy(twin.gate_up(x.half().numpy(), tiles))
    sorted_slots = wanted.activated.flatten(0, 1)[tiles.slots.long()]
    assert not relative_l2(got, sorted_slots) <= 0.1
