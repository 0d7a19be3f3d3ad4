"""Grouped products for few tokens per expert on Hopper: weights go straight to registers.

Each warp owns R row tiles of 16 weights rows and walks along K. A 16-byte load per lane brings a
tile in the register order of `mma.m16n8k16`; eleven integer operations make eight float16 values of
a 32-bit word; activations come in the same order, so they need two 16-byte loads per 64 columns and
eight tokens. No shared memory, no shuffles: every change of layout below is asserted to be free.

Products are exact, sums float32, and scales multiply the sums of a group: a scale may be any power
of two. Written in Gluon, which no interpreter runs; `tests/moe/test_decode.py` holds its machine
code and a twin of its index map against the oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import mma_v2

from serving.moe.kernels.portable import combine, route
from serving.moe.kernels.prepare import prepare
from serving.moe.kernels.tiles import make_tiles
from serving.moe.kernels.unpack import unpacking
from serving.moe.layout import PackedWeights
from serving.moe.routing import Tiles
from serving.moe.spec import MoESpec

UNFOLD = gl.constexpr(2.0**14)

UNPACK = gl.constexpr(unpacking())


@dataclass(frozen=True, slots=True)
class Plan:
    """How to cut the two products; `r` row tiles per warp, `nw` warps, `u` K tiles per turn."""

    bm: int = 8
    r13: int = 1
    nw13: int = 4
    u13: int = 5
    r2: int = 1
    nw2: int = 4
    u2: int = 5
    split: int = 1
    maxnreg: int | None = None

    def check(self, spec: MoESpec) -> None:
        """Refuse a cut that leaves a rest."""
        k13, k2 = spec.hidden // 64, spec.intermediate // 64
        rests = (
            2 * spec.intermediate % (16 * self.r13 * self.nw13),
            spec.hidden % (16 * self.r2 * self.nw2),
            k13 % self.u13,
            k2 % self.split or k2 // self.split % self.u2,
        )
        if self.bm not in (8, 16, 32) or any(rests):
            raise ValueError(f"{self} does not divide {spec.name}")


def moe(
    x: Tensor,
    weights: PackedWeights,
    spec: MoESpec,
    plan: Plan,
    *,
    out_dtype: torch.dtype = torch.bfloat16,
    logits: Tensor | None = None,
) -> Tensor:
    """Compute the block for tokens [M, H]; nothing is asked of the device in between."""
    plan.check(spec)
    ids, shares = route(x, weights, spec, logits)
    tiles = make_tiles(ids, experts=spec.experts, block=plan.bm)
    activated = gate_up(prepare(x), weights, spec, tiles, plan)
    return combine(
        down(activated, shares, weights, spec, tiles, plan), spec.top_k * plan.split, out_dtype
    )


def gate_up(
    prepared: Tensor, weights: PackedWeights, spec: MoESpec, tiles: Tiles, plan: Plan
) -> Tensor:
    """Return prepared activations [slots, I] (float16) in the order of `tiles.slots`."""
    out = torch.empty(
        len(tiles.slots), spec.intermediate, dtype=torch.float16, device=prepared.device
    )
    if len(tiles.slots):
        _decode_gate_up[(len(tiles.expert), 2 * spec.intermediate // (16 * plan.r13 * plan.nw13))](
            prepared, weights.w13.view(torch.uint8), weights.w13_scales, weights.b13, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            spec.top_k, spec.alpha, spec.limit, plan.bm, plan.r13, plan.nw13, plan.u13,
            num_warps=plan.nw13, maxnreg=plan.maxnreg,
        )  # fmt: skip
    return out


def down(
    activated: Tensor,
    shares: Tensor,
    weights: PackedWeights,
    spec: MoESpec,
    tiles: Tiles,
    plan: Plan,
) -> Tensor:
    """Return share * (activated @ w2 + b2) [slots * split, H], a slot's parts adjacent."""
    out = torch.empty(
        len(tiles.slots) * plan.split, spec.hidden, dtype=torch.float32, device=shares.device
    )
    if len(tiles.slots):
        blocks = spec.hidden // (16 * plan.r2 * plan.nw2)
        _decode_down[(len(tiles.expert), blocks, plan.split)](
            activated, weights.w2.view(torch.uint8), weights.w2_scales, weights.b2, shares, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            plan.bm, plan.r2, plan.nw2, plan.u2, plan.split, num_warps=plan.nw2,
            maxnreg=plan.maxnreg,
        )  # fmt: skip
    return out


@gluon.constexpr_function
def _accumulator(NW):
    return gl.NVMMADistributedLayout(version=[2, 0], warps_per_cta=[NW, 1], instr_shape=[16, 8])


@gluon.constexpr_function
def _activations(BM, NW):
    """Rows of 64 values in the order (t, j, q, b): lane 4g + t holds token g, sixteen values."""
    more = [[8 << i, 0] for i in range((BM // 8).bit_length() - 1)]
    reg = [[0, 1], [0, 2], [0, 4], [0, 8], *more]
    lane = [[0, 16], [0, 32], [1, 0], [2, 0], [4, 0]]
    warp = [[0, 0]] * (NW.bit_length() - 1)
    return gl.DistributedLinearLayout(reg, lane, warp, [], [BM, 64])


@gluon.constexpr_function
def _scale_words(R, NW):
    """One word per row tile and g; the four lanes 4g + t hold the same."""
    reg = [[NW << i, 0] for i in range(R.bit_length() - 1)]
    lane = [[0, 0], [0, 0], [0, 1], [0, 2], [0, 4]]
    warp = [[1 << i, 0] for i in range(NW.bit_length() - 1)]
    return gl.DistributedLinearLayout(reg, lane, warp, [], [R * NW, 8])


@gluon.jit
def _weights(raw, R: gl.constexpr, NW: gl.constexpr):
    """Unpack [R * NW, 512] bytes into the left operands of columns 0-31 and 32-63."""
    left: gl.constexpr = gl.DotOperandLayout(0, _accumulator(NW), 2)
    BN: gl.constexpr = 16 * R * NW
    low, high = gl.inline_asm_elementwise(
        UNPACK, "=r,=r,=r,=r,r", [raw], (gl.float16, gl.float16), is_pure=True, pack=4
    )
    codes = gl.join(low, high)  # T, (g, t, j, h, b), q
    codes = codes.reshape([R * NW, 8, 4, 4, 2, 2, 2]).permute([0, 4, 1, 3, 6, 2, 5])
    codes = codes.reshape([BN, 2, 32]).permute([0, 2, 1])
    first, second = gl.split(codes)
    return (
        gl.convert_layout(first, left, assert_trivial=True),
        gl.convert_layout(second, left, assert_trivial=True),
    )


@gluon.jit
def _operands(rows, BM: gl.constexpr, NW: gl.constexpr):
    """Turn [BM, 64] prepared activations into the right operands of columns 0-31 and 32-63."""
    right: gl.constexpr = gl.DotOperandLayout(1, _accumulator(NW), 2)
    columns = rows.reshape([BM, 4, 4, 2, 2]).permute([2, 3, 1, 4, 0])
    first, second = gl.split(columns.reshape([2, 32, BM]).permute([1, 2, 0]))
    return (
        gl.convert_layout(first, right, assert_trivial=True),
        gl.convert_layout(second, right, assert_trivial=True),
    )


@gluon.jit
def _scales(word, R: gl.constexpr, NW: gl.constexpr):
    """Return float32 scales of both groups of 32 columns for each row, as the sums lie.

    Moving a byte to bits 30-23 makes it a power of two; a byte of 0 becomes 0 instead of 2^-127.
    """
    BN: gl.constexpr = 16 * R * NW
    rows: gl.constexpr = gl.SliceLayout(1, _accumulator(NW))
    first = gl.join((word << 23) & 0x7F800000, (word << 7) & 0x7F800000)  # T, g, h
    second = gl.join((word << 15) & 0x7F800000, (word >> 1) & 0x7F800000)
    first = first.permute([0, 2, 1]).reshape([BN]).to(gl.float32, bitcast=True)
    second = second.permute([0, 2, 1]).reshape([BN]).to(gl.float32, bitcast=True)
    return (
        gl.convert_layout(first, rows, assert_trivial=True),
        gl.convert_layout(second, rows, assert_trivial=True),
    )


@gluon.jit
def _product(
    x, row_start, known, words, scales, first_tile, KT: gl.constexpr, BM: gl.constexpr,
    R: gl.constexpr, NW: gl.constexpr, U: gl.constexpr, start, stop,
):  # fmt: skip
    """Return weights times activations [BN, BM] in float32 over the K tiles start to stop."""
    mma: gl.constexpr = _accumulator(NW)
    tiles: gl.constexpr = gl.BlockedLayout([1, 16], [1, 32], [NW, 1], [1, 0])
    words_at: gl.constexpr = _scale_words(R, NW)
    rows_at: gl.constexpr = _activations(BM, NW)
    BN: gl.constexpr = 16 * R * NW

    tile = first_tile + gl.arange(0, R * NW, gl.SliceLayout(1, tiles))
    byte = gl.arange(0, 512, gl.SliceLayout(0, tiles))
    at_words = words + ((tile * KT + start).to(gl.int64) * 512)[:, None] + byte[None, :]
    tile = first_tile + gl.arange(0, R * NW, gl.SliceLayout(1, words_at))
    g = gl.arange(0, 8, gl.SliceLayout(0, words_at))
    at_scales = scales + ((tile * KT + start) * 8)[:, None] + g[None, :]
    column = gl.arange(0, 64, gl.SliceLayout(0, rows_at))
    at_rows = x + (row_start + start * 64)[:, None] + column[None, :]
    mask = known[:, None] & (column[None, :] >= 0)

    acc = gl.zeros([BN, BM], gl.float32, mma)
    for _ in range(start, stop, U):
        for u in gl.static_range(U):
            a0, a1 = _weights(gl.load(at_words + u * 512), R, NW)
            s0, s1 = _scales(gl.load(at_scales + u * 8), R, NW)
            b0, b1 = _operands(gl.load(at_rows + u * 64, mask=mask, other=0.0), BM, NW)
            zero = gl.zeros([BN, BM], gl.float32, mma)
            acc += mma_v2(a0, b0, zero) * s0[:, None]
            acc += mma_v2(a1, b1, zero) * s1[:, None]
        at_words += U * 512
        at_scales += U * 8
        at_rows += U * 64
    return acc


@gluon.jit
def _decode_gate_up(
    x, words, scales, bias, out, slots, tile_expert, tile_start, tile_rows,
    H: gl.constexpr, I: gl.constexpr, TOP_K: gl.constexpr, ALPHA: gl.constexpr,
    LIMIT: gl.constexpr, BM: gl.constexpr, R: gl.constexpr, NW: gl.constexpr, U: gl.constexpr,
):  # fmt: skip
    """One tile of slots by 16 * R * NW packed rows of w13; gate and up meet in one lane."""
    mma: gl.constexpr = _accumulator(NW)
    T: gl.constexpr = R * NW
    KT: gl.constexpr = H // 64
    tile, block = gl.program_id(0), gl.program_id(1)
    expert = gl.load(tile_expert + tile)
    if expert >= 0:
        first, rows = gl.load(tile_start + tile), gl.load(tile_rows + tile)
        m = gl.arange(0, BM, gl.SliceLayout(1, _activations(BM, NW)))
        token = gl.load(slots + first + m, mask=m < rows, other=0) // TOP_K
        first_tile = expert * (2 * I // 16) + block * T
        acc = _product(x, token * H, m < rows, words, scales, first_tile, KT, BM, R, NW, U, 0, KT)
        row = block * 16 * T + gl.arange(0, 16 * T, gl.SliceLayout(1, mma))
        acc = acc * UNFOLD + gl.load(bias + expert * 2 * I + row)[:, None]
        gate, up = gl.split(acc.reshape([T, 2, 8, BM]).permute([0, 2, 3, 1]))
        gate = gl.where(gate > LIMIT, LIMIT, gate)
        up = gl.where(up > LIMIT, LIMIT, gl.where(up < -LIMIT, -LIMIT, up))
        a = gate / (1.0 + gl.exp(-ALPHA * gate)) * (up + 1.0)
        a = a.reshape([8 * T, BM])
        _store_prepared(a, out, first, rows, block * 8 * T, I, BM, 8 * T)


@gluon.jit
def _store_prepared(
    a, out, first, rows, neuron, I: gl.constexpr, BM: gl.constexpr, N: gl.constexpr
):
    """Write float16 [N, BM] as rows of prepared activations for the second product."""
    layout: gl.constexpr = a.type.layout
    i = neuron + gl.arange(0, N, gl.SliceLayout(1, layout))
    m = gl.arange(0, BM, gl.SliceLayout(0, layout))
    place = i // 64 * 64 + i % 8 // 2 * 16 + i % 64 // 16 * 4 + i % 16 // 8 * 2 + i % 2
    at = out + ((first + m) * I)[None, :] + place[:, None]
    gl.store(at, a.to(gl.float16), mask=(m < rows)[None, :] & (i >= 0)[:, None])


@gluon.jit
def _decode_down(
    activated, words, scales, bias, shares, out, slots, tile_expert, tile_start, tile_rows,
    H: gl.constexpr, I: gl.constexpr, BM: gl.constexpr, R: gl.constexpr, NW: gl.constexpr,
    U: gl.constexpr, SPLIT: gl.constexpr,
):  # fmt: skip
    """One tile of slots by 16 * R * NW features by one SPLIT-th of K; sums leave unmixed."""
    mma: gl.constexpr = _accumulator(NW)
    T: gl.constexpr = R * NW
    KT: gl.constexpr = I // 64
    tile, block, part = gl.program_id(0), gl.program_id(1), gl.program_id(2)
    expert = gl.load(tile_expert + tile)
    if expert >= 0:
        first, rows = gl.load(tile_start + tile), gl.load(tile_rows + tile)
        m = gl.arange(0, BM, gl.SliceLayout(1, _activations(BM, NW)))
        first_tile = expert * (H // 16) + block * T
        EACH: gl.constexpr = KT // SPLIT
        acc = _product(
            activated, (first + m) * I, m < rows, words, scales, first_tile, KT, BM, R, NW, U,
            part * EACH, part * EACH + EACH,
        )  # fmt: skip
        row = block * 16 * T + gl.arange(0, 16 * T, gl.SliceLayout(1, mma))
        n = gl.arange(0, BM, gl.SliceLayout(0, mma))
        slot = gl.load(slots + first + n, mask=n < rows, other=0)
        share = gl.load(shares + slot, mask=n < rows, other=0.0)
        b = gl.load(bias + expert * H + row) * (part == 0).to(gl.float32)
        acc = (acc * UNFOLD + b[:, None]) * share[None, :]
        at = out + ((slot * SPLIT + part) * H)[None, :] + row[:, None]
        gl.store(at, acc, mask=(n < rows)[None, :] & (row >= 0)[:, None])
