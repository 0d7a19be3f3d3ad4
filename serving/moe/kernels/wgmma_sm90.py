"""Grouped products for many tokens per expert on Hopper: by warpgroups, weights in registers.

Weights are the left operand and go from memory to registers as in `decode_sm90`; four warps share
64 rows. Tokens are the right operand: gathered into shared memory by asynchronous copies, several
stages ahead. Here scales multiply the weights, in float16, since the sums of a group cannot be had
apart; that is exact for `layout.FLOAT16_SCALES`, and weights with others must not come here. Tiles
of 32 or 64 tokens are for the knee, 128 for prefill.

Never run: only its machine code is checked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import async_copy
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    warpgroup_mma,
    warpgroup_mma_wait,
)

from serving.moe.kernels.portable import combine, route
from serving.moe.kernels.unpack import unpacking
from serving.moe.layout import PackedWeights
from serving.moe.routing import Tiles, make_tiles
from serving.moe.spec import MoESpec

UNPACK = gl.constexpr(unpacking(scaled=True))

COPY = getattr(async_copy, "async_load", None) or async_copy.async_copy_global_to_shared
BARRIER = getattr(gl, "barrier", None) or gl.thread_barrier  # both renamed after Triton 3.6


@dataclass(frozen=True, slots=True)
class Plan:
    """`bm` tokens by 64 * `r` rows per program, tokens copied `stages` K tiles ahead."""

    bm: int = 64
    r13: int = 2
    r2: int = 1
    stages: int = 3
    maxnreg: int | None = None

    def check(self, spec: MoESpec) -> None:
        """Refuse a cut that leaves a rest."""
        rests = (
            2 * spec.intermediate % (64 * self.r13),
            spec.hidden % (64 * self.r2),
            spec.hidden // 64 % self.stages,
            spec.intermediate // 64 % self.stages,
        )
        if self.bm not in (32, 64, 128) or any(rests) or self.stages < 2:
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
    """Compute the block for tokens [M, H]; full tiles first, so that the last wave is short."""
    plan.check(spec)
    ids, shares = route(x, weights, spec, logits)
    tiles = make_tiles(ids, experts=spec.experts, block=plan.bm, largest_first=True)
    activated = gate_up(x.half(), weights, spec, tiles, plan)
    return combine(down(activated, shares, weights, spec, tiles, plan), spec.top_k, out_dtype)


def gate_up(x: Tensor, weights: PackedWeights, spec: MoESpec, tiles: Tiles, plan: Plan) -> Tensor:
    """Return swiglu(x @ w13 + b13) as float16 [slots, I] in the order of `tiles.slots`."""
    out = torch.empty(len(tiles.slots), spec.intermediate, dtype=torch.float16, device=x.device)
    if len(tiles.slots):
        blocks = 2 * spec.intermediate // (64 * plan.r13)
        _wgmma_gate_up[(len(tiles.expert), blocks)](
            x, weights.w13.view(torch.uint8), weights.w13_scales, weights.b13, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            spec.top_k, spec.alpha, spec.limit, plan.bm, plan.r13, plan.stages,
            num_warps=4, maxnreg=plan.maxnreg,
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
    """Return share * (activated @ w2 + b2) as float32 [slots, H], in the order of slots."""
    out = torch.empty(len(tiles.slots), spec.hidden, dtype=torch.float32, device=shares.device)
    if len(tiles.slots):
        _wgmma_down[(len(tiles.expert), spec.hidden // (64 * plan.r2))](
            activated, weights.w2.view(torch.uint8), weights.w2_scales, weights.b2, shares, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            plan.bm, plan.r2, plan.stages, num_warps=4, maxnreg=plan.maxnreg,
        )  # fmt: skip
    return out


@gluon.constexpr_function
def _sums(BM):
    return gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, BM, 16])


@gluon.constexpr_function
def _copies():
    """Eight lanes copy the 128 bytes of one token, each 16 at a time."""
    return gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])


@gluon.constexpr_function
def _scale_words(R):
    reg = [[4 << i, 0] for i in range(R.bit_length() - 1)]
    lane = [[0, 0], [0, 0], [0, 1], [0, 2], [0, 4]]
    return gl.DistributedLinearLayout(reg, lane, [[1, 0], [2, 0]], [], [4 * R, 8])


@gluon.jit
def _weights(raw, word, R: gl.constexpr, BM: gl.constexpr):
    """Unpack and scale [4 * R, 512] bytes into the left operand [64 * R, 64].

    Scales meet the codes while these lie in pairs of columns, so that one instruction multiplies
    two; any later they would have to be taken apart first.
    """
    left: gl.constexpr = gl.DotOperandLayout(0, _sums(BM), 2)
    raw = raw.reshape([4 * R, 8, 4, 2, 2, 2, 2])  # T, g, t, c, j, h, b
    at: gl.constexpr = gl.SliceLayout(
        2, gl.SliceLayout(4, gl.SliceLayout(6, raw.type.layout))
    )  # T, g, c, h
    lower = gl.join(_power(word & 255), _power((word >> 16) & 255))  # T, g, h
    upper = gl.join(_power((word >> 8) & 255), _power((word >> 24) & 255))
    scale = gl.join(lower, upper).permute([0, 1, 3, 2])
    scale = gl.convert_layout(scale, at, assert_trivial=True)
    scale = scale.expand_dims(2).expand_dims(4).expand_dims(6)
    raw, scale = gl.broadcast(raw, scale)
    low, high = gl.inline_asm_elementwise(
        UNPACK, "=r,=r,=r,=r,r,r,r", [raw, scale], (gl.float16, gl.float16),
        is_pure=True, pack=4,
    )  # fmt: skip
    codes = gl.join(low, high).permute([0, 5, 1, 3, 4, 7, 2, 6]).reshape([64 * R, 64])
    return gl.convert_layout(codes, left, assert_trivial=True)


@gluon.jit
def _power(scale):
    """2^(scale - 127) * 2^14 as float16: with the 2^-14 of a code, the weight itself."""
    return ((scale - 98) << 10).to(gl.int16).to(gl.float16, bitcast=True)


@gluon.jit
def _product(
    x, row_start, known, words, scales, first_tile, KT: gl.constexpr, BM: gl.constexpr,
    R: gl.constexpr, S: gl.constexpr,
):  # fmt: skip
    """Return weights times tokens [64 * R, BM] in float32; row_start and known are [BM]."""
    copies: gl.constexpr = _copies()
    tiles: gl.constexpr = gl.BlockedLayout([1, 16], [1, 32], [4, 1], [1, 0])
    words_at: gl.constexpr = _scale_words(R)
    shared: gl.constexpr = gl.NVMMASharedLayout(128, 16, rank=2)
    rows = gl.allocate_shared_memory(gl.float16, [S, BM, 64], shared)

    at_rows = x + row_start[:, None] + gl.arange(0, 64, gl.SliceLayout(0, copies))[None, :]
    mask = known[:, None] & (gl.arange(0, 64, gl.SliceLayout(0, copies))[None, :] >= 0)
    tile = first_tile + gl.arange(0, 4 * R, gl.SliceLayout(1, tiles))
    at_words = words + (tile * KT).to(gl.int64)[:, None] * 512
    at_words += gl.arange(0, 512, gl.SliceLayout(0, tiles))[None, :]
    tile = first_tile + gl.arange(0, 4 * R, gl.SliceLayout(1, words_at))
    at_scales = scales + (tile * KT * 8)[:, None]
    at_scales += gl.arange(0, 8, gl.SliceLayout(0, words_at))[None, :]

    for stage in gl.static_range(S - 1):
        COPY(rows.index(stage), at_rows + stage * 64, mask=mask)
        async_copy.commit_group()
    acc = gl.zeros([64 * R, BM], gl.float32, _sums(BM))
    for k in range(0, KT, S):
        for stage in gl.static_range(S):
            raw, word = gl.load(at_words + stage * 512), gl.load(at_scales + stage * 8)
            weights = _weights(raw, word, R, BM)
            async_copy.wait_group(S - 2)
            BARRIER()  # all copies are there, and nobody reads the stage that is copied to next
            fence_async_shared()
            ahead = mask & (k + stage + S - 1 < KT)
            COPY(rows.index((stage + S - 1) % S), at_rows + (stage + S - 1) * 64, mask=ahead)
            async_copy.commit_group()
            sums = warpgroup_mma(weights, rows.index(stage).permute([1, 0]), acc, is_async=True)
            acc = warpgroup_mma_wait(0, deps=[sums])
        at_words += S * 512
        at_scales += S * 8
        at_rows += S * 64
    async_copy.wait_group(0)
    return acc


@gluon.jit
def _wgmma_gate_up(
    x, words, scales, bias, out, slots, tile_expert, tile_start, tile_rows,
    H: gl.constexpr, I: gl.constexpr, TOP_K: gl.constexpr, ALPHA: gl.constexpr,
    LIMIT: gl.constexpr, BM: gl.constexpr, R: gl.constexpr, S: gl.constexpr,
):  # fmt: skip
    """One tile of slots by 64 * R packed rows of w13; gate and up meet in one lane."""
    layout: gl.constexpr = _sums(BM)
    tile, block = gl.program_id(0), gl.program_id(1)
    expert = gl.load(tile_expert + tile)
    if expert >= 0:
        first, rows = gl.load(tile_start + tile), gl.load(tile_rows + tile)
        m = gl.arange(0, BM, gl.SliceLayout(1, _copies()))
        token = gl.load(slots + first + m, mask=m < rows, other=0) // TOP_K
        first_tile = expert * (2 * I // 16) + block * 4 * R
        acc = _product(x, token * H, m < rows, words, scales, first_tile, H // 64, BM, R, S)
        row = block * 64 * R + gl.arange(0, 64 * R, gl.SliceLayout(1, layout))
        acc += gl.load(bias + expert * 2 * I + row)[:, None]
        gate, up = gl.split(acc.reshape([4 * R, 2, 8, BM]).permute([0, 2, 3, 1]))
        gate = gl.where(gate > LIMIT, LIMIT, gate)
        up = gl.where(up > LIMIT, LIMIT, gl.where(up < -LIMIT, -LIMIT, up))
        a = (gate / (1.0 + gl.exp(-ALPHA * gate)) * (up + 1.0)).reshape([32 * R, BM])
        neuron = block * 32 * R + gl.arange(0, 32 * R, gl.SliceLayout(1, a.type.layout))
        n = gl.arange(0, BM, gl.SliceLayout(0, a.type.layout))
        at = out + ((first + n) * I)[None, :] + neuron[:, None]
        gl.store(at, a.to(gl.float16), mask=(n < rows)[None, :] & (neuron >= 0)[:, None])


@gluon.jit
def _wgmma_down(
    activated, words, scales, bias, shares, out, slots, tile_expert, tile_start, tile_rows,
    H: gl.constexpr, I: gl.constexpr, BM: gl.constexpr, R: gl.constexpr, S: gl.constexpr,
):  # fmt: skip
    """One tile of slots by 64 * R features; a slot's row is written by its own programs only."""
    layout: gl.constexpr = _sums(BM)
    tile, block = gl.program_id(0), gl.program_id(1)
    expert = gl.load(tile_expert + tile)
    if expert >= 0:
        first, rows = gl.load(tile_start + tile), gl.load(tile_rows + tile)
        m = gl.arange(0, BM, gl.SliceLayout(1, _copies()))
        first_tile = expert * (H // 16) + block * 4 * R
        acc = _product(
            activated, (first + m) * I, m < rows, words, scales, first_tile, I // 64, BM, R, S
        )
        row = block * 64 * R + gl.arange(0, 64 * R, gl.SliceLayout(1, layout))
        n = gl.arange(0, BM, gl.SliceLayout(0, layout))
        slot = gl.load(slots + first + n, mask=n < rows, other=0)
        share = gl.load(shares + slot, mask=n < rows, other=0.0)
        acc = (acc + gl.load(bias + expert * H + row)[:, None]) * share[None, :]
        at = out + (slot * H)[None, :] + row[:, None]
        gl.store(at, acc, mask=(n < rows)[None, :] & (row >= 0)[:, None])
