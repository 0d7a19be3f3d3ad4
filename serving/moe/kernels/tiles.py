"""Who goes where, in one launch: `routing.make_tiles` for few tokens.

What takes some twenty launches in torch is most of the time of a layer when one user is answered.
One program compares everything with everything, which is cheap up to 256 slots; with more, sorting
is, and the products take long enough to hide it.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from serving.moe import routing
from serving.moe.routing import Tiles, most_tiles

MOST_SLOTS = 256


def make_tiles(ids: Tensor, *, experts: int, block: int) -> Tiles:
    """Sort the slots of ids [M, k] by expert and cut them into tiles, as `routing` does."""
    count = ids.numel()
    if not 0 < count <= MOST_SLOTS:
        return routing.make_tiles(ids, experts=experts, block=block)
    length = most_tiles(count, experts, block)
    sizes = (count, experts, length, length, length)
    tiles = Tiles(*(torch.empty(size, dtype=torch.int32, device=ids.device) for size in sizes))
    _make_tiles[(1,)](
        ids, tiles.slots, tiles.counts, tiles.expert, tiles.start, tiles.rows, count, experts,
        length, BLOCK=block, SLOTS=triton.next_power_of_2(count),
        EXPERTS=triton.next_power_of_2(experts), TILES=triton.next_power_of_2(length), STEP=16,
        num_warps=8,
    )  # fmt: skip
    return tiles


@triton.jit
def _make_tiles(
    ids, slots, counts, tile_expert, tile_start, tile_rows, count, experts, length,
    BLOCK: tl.constexpr, SLOTS: tl.constexpr, EXPERTS: tl.constexpr, TILES: tl.constexpr,
    STEP: tl.constexpr,
):  # fmt: skip
    """Place each slot behind those of lower experts and the earlier ones of its own."""
    slot = tl.arange(0, SLOTS)
    inside = slot < count
    expert = tl.load(ids + slot, mask=inside, other=EXPERTS).to(tl.int32)
    known = tl.arange(0, EXPERTS)
    held = tl.sum((expert[None, :] == known[:, None]).to(tl.int32), axis=1)
    tl.store(counts + known, held, mask=known < experts)
    place = tl.zeros((SLOTS,), tl.int32)
    for start in range(0, count, STEP):
        other = start + tl.arange(0, STEP)
        theirs = tl.load(ids + other, mask=other < count, other=EXPERTS).to(tl.int32)[None, :]
        earlier = (theirs == expert[:, None]) & (other[None, :] < slot[:, None])
        before = (theirs < expert[:, None]) | earlier
        place += tl.sum(before.to(tl.int32), axis=1)
    tl.store(slots + place, slot, mask=inside)

    tiles = (held + BLOCK - 1) // BLOCK
    ends, first = tl.cumsum(tiles, 0), tl.cumsum(held, 0) - held
    number = tl.arange(0, TILES)
    chosen = tl.sum((ends[None, :] <= number[:, None]).to(tl.int32), axis=1)
    here = chosen[:, None] == known[None, :]
    within = (number - _at(here, ends - tiles)) * BLOCK
    rows = tl.minimum(_at(here, held) - within, BLOCK)
    real = number < tl.sum(tiles, axis=0)
    asked = number < length
    tl.store(tile_expert + number, tl.where(real, chosen, -1), mask=asked)
    tl.store(tile_start + number, tl.where(real, _at(here, first) + within, 0), mask=asked)
    tl.store(tile_rows + number, tl.where(real, rows, 0), mask=asked)


@triton.jit
def _at(here, values):
    """Pick each tile's value of its expert."""
    return tl.sum(tl.where(here, values[None, :], 0), axis=1)
