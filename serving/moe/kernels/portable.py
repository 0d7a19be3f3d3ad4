"""The whole block in plain Triton: any GPU that Triton knows, and its interpreter.

The twin that faster kernels are held against on a device, and the plan of last resort. It reads the
packed format of `serving.moe.layout`. Products are exact in float16 (a code's value times 2^-14),
sums are float32, and a group's scale multiplies the sum over its 32 columns, so that no scale can
leave the range of a type.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from serving.moe.kernels.tiles import make_tiles
from serving.moe.layout import PackedWeights
from serving.moe.routing import Tiles
from serving.moe.spec import MoESpec

UNFOLD = tl.constexpr(2.0**14)
"""Undoes the 2^-14 that unpacked codes carry."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A program computes `block_m` slots by `block_n` rows of weights."""

    block_m: int = 16
    block_n: int = 64


def moe(
    x: Tensor,
    weights: PackedWeights,
    spec: MoESpec,
    plan: Plan = Plan(),
    *,
    out_dtype: torch.dtype = torch.bfloat16,
    logits: Tensor | None = None,
) -> Tensor:
    """Compute the block for tokens [M, H]; every value of the output is written."""
    ids, shares = route(x, weights, spec, logits)
    tiles = make_tiles(ids, experts=spec.experts, block=plan.block_m)
    activated = gate_up(x, weights, spec, tiles, plan)
    return combine(down(activated, shares, weights, spec, tiles, plan), spec.top_k, out_dtype)


def route(
    x: Tensor, weights: PackedWeights, spec: MoESpec, logits: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the chosen experts [M, k] (int32, best first) and their shares [M, k] (float32).

    Where somebody else has computed the logits [M, E], only the choice is left to do.
    """
    ids = torch.empty(len(x), spec.top_k, dtype=torch.int32, device=x.device)
    shares = torch.empty(len(x), spec.top_k, dtype=torch.float32, device=x.device)
    block = triton.next_power_of_2(spec.experts)
    if len(x) and logits is not None:
        _choose[(len(x),)](
            logits, ids, shares, logits.stride(0), spec.experts, TOP_K=spec.top_k, BLOCK_E=block
        )
    elif len(x):
        _route[(len(x),)](
            x, weights.router, weights.router_bias, ids, shares, spec.experts, spec.hidden,
            TOP_K=spec.top_k, BLOCK_E=block, BLOCK_H=64,
        )  # fmt: skip
    return ids, shares


def gate_up(
    x: Tensor,
    weights: PackedWeights,
    spec: MoESpec,
    tiles: Tiles,
    plan: Plan,
    *,
    dtype: torch.dtype = torch.float16,
) -> Tensor:
    """Return swiglu(x @ w13 + b13) as [slots, I], rows in the order of `tiles.slots`.

    |value| is at most 56, so float16 holds it more exactly than bfloat16 does.
    """
    out = torch.empty(len(tiles.slots), spec.intermediate, dtype=dtype, device=x.device)
    if len(tiles.slots):
        _gate_up[(len(tiles.expert), 2 * spec.intermediate // plan.block_n)](
            x, weights.w13, weights.w13_scales, weights.b13, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            TOP_K=spec.top_k, ALPHA=spec.alpha, LIMIT=spec.limit,
            BLOCK_M=plan.block_m, BLOCK_N=plan.block_n,
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
        _down[(len(tiles.expert), spec.hidden // plan.block_n)](
            activated, weights.w2, weights.w2_scales, weights.b2, shares, out,
            tiles.slots, tiles.expert, tiles.start, tiles.rows, spec.hidden, spec.intermediate,
            BLOCK_M=plan.block_m, BLOCK_N=plan.block_n,
        )  # fmt: skip
    return out


def combine(outputs: Tensor, parts: int, dtype: torch.dtype) -> Tensor:
    """Add each `parts` neighbouring rows [M * parts, H] in order: bitwise the same every time."""
    tokens, hidden = len(outputs) // parts, outputs.shape[1]
    y = torch.empty(tokens, hidden, dtype=dtype, device=outputs.device)
    if tokens:
        _combine[(tokens, triton.cdiv(hidden, 64))](outputs, y, hidden, PARTS=parts, BLOCK=64)
    return y


@triton.jit
def _route(
    x, router, bias, ids, shares, E, H, TOP_K: tl.constexpr, BLOCK_E: tl.constexpr,
    BLOCK_H: tl.constexpr,
):  # fmt: skip
    """One token per program: logits by a matrix-vector product, then the best of them."""
    token = tl.program_id(0).to(tl.int64)
    expert = tl.arange(0, BLOCK_E)
    inside = expert < E
    logits = tl.load(bias + expert, mask=inside, other=0.0).to(tl.float32)
    for start in range(0, H, BLOCK_H):
        column = start + tl.arange(0, BLOCK_H)
        known = column < H
        row = tl.load(x + token * H + column, mask=known, other=0.0).to(tl.float32)
        weight = tl.load(
            router + expert[:, None] * H + column[None, :],
            mask=inside[:, None] & known[None, :],
            other=0.0,
        ).to(tl.float32)
        logits += tl.sum(weight * row[None, :], axis=1)
    _store_best(logits, token, ids, shares, E, TOP_K, BLOCK_E)


@triton.jit
def _choose(logits, ids, shares, stride, E, TOP_K: tl.constexpr, BLOCK_E: tl.constexpr):
    """One token per program: the best of logits that are there."""
    token = tl.program_id(0).to(tl.int64)
    expert = tl.arange(0, BLOCK_E)
    row = tl.load(logits + token * stride + expert, mask=expert < E, other=0.0).to(tl.float32)
    _store_best(row, token, ids, shares, E, TOP_K, BLOCK_E)


@triton.jit
def _store_best(logits, token, ids, shares, E, TOP_K: tl.constexpr, BLOCK_E: tl.constexpr):
    """Find the best by repeated search; their shares are a softmax over them alone.

    Of equal logits the lowest id wins. Where logits are not numbers, neither are the shares, and
    the ids are still those of experts.
    """
    expert = tl.arange(0, BLOCK_E)
    logits = tl.where(expert < E, logits, float("-inf"))
    top = tl.max(logits, axis=0)
    place = tl.arange(0, TOP_K)
    best = tl.full((TOP_K,), float("-inf"), tl.float32)
    chosen = tl.zeros((TOP_K,), tl.int32)
    for rank in tl.static_range(TOP_K):
        value = tl.max(logits, axis=0)
        winner = tl.min(tl.where(logits == value, expert, BLOCK_E), axis=0)
        winner = tl.minimum(winner, E - 1)
        best = tl.where(place == rank, value, best)
        chosen = tl.where(place == rank, winner, chosen)
        logits = tl.where(expert == winner, float("-inf"), logits)
    power = tl.exp(best - top)
    tl.store(ids + token * TOP_K + place, chosen)
    tl.store(shares + token * TOP_K + place, power / tl.sum(power, axis=0))


@triton.jit
def _gate_up(
    x, words, scales, bias, out, slots, tile_expert, tile_start, tile_rows, H, I,
    TOP_K: tl.constexpr, ALPHA: tl.constexpr, LIMIT: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of slots by BLOCK_N packed rows, which are BLOCK_N / 2 gates and their ups."""
    tile, block = tl.program_id(0), tl.program_id(1)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    m = tl.arange(0, BLOCK_M)
    known = m < tl.load(tile_rows + tile)
    place = tl.load(tile_start + tile) + m
    token = tl.load(slots + place, mask=known, other=0).to(tl.int64) // TOP_K
    acc = _product(x, token * H, known, words, scales, expert, 2 * I, H, block, BLOCK_M, BLOCK_N)
    row = block * BLOCK_N + tl.arange(0, BLOCK_N)
    acc += tl.load(bias + expert * 2 * I + row)[:, None]
    acc = tl.reshape(acc, (BLOCK_N // 16, 2, 8, BLOCK_M))
    gate, up = tl.split(tl.permute(acc, (0, 2, 3, 1)))
    gate = tl.reshape(_at_most(gate, LIMIT), (BLOCK_N // 2, BLOCK_M))
    up = tl.reshape(-_at_most(-_at_most(up, LIMIT), LIMIT), (BLOCK_N // 2, BLOCK_M))
    activated = gate / (1.0 + tl.exp(-ALPHA * gate)) * (up + 1.0)
    neuron = block * (BLOCK_N // 2) + tl.arange(0, BLOCK_N // 2)
    target = out + place.to(tl.int64)[None, :] * I + neuron[:, None]
    tl.store(target, activated.to(out.dtype.element_ty), mask=known[None, :])


@triton.jit
def _down(
    activated, words, scales, bias, shares, out, slots, tile_expert, tile_start, tile_rows, H, I,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """One tile of slots by BLOCK_N features; a slot's row is written by its own programs only."""
    tile, block = tl.program_id(0), tl.program_id(1)
    expert = tl.load(tile_expert + tile).to(tl.int64)
    if expert < 0:
        return
    m = tl.arange(0, BLOCK_M)
    known = m < tl.load(tile_rows + tile)
    place = tl.load(tile_start + tile) + m
    slot = tl.load(slots + place, mask=known, other=0).to(tl.int64)
    acc = _product(
        activated, place.to(tl.int64) * I, known, words, scales, expert, H, I, block,
        BLOCK_M, BLOCK_N,
    )  # fmt: skip
    row = block * BLOCK_N + tl.arange(0, BLOCK_N)
    acc += tl.load(bias + expert * H + row)[:, None]
    acc *= tl.load(shares + slot, mask=known, other=0.0)[None, :]
    tl.store(out + slot[None, :] * H + row[:, None], acc, mask=known[None, :])


@triton.jit
def _combine(outputs, y, H, PARTS: tl.constexpr, BLOCK: tl.constexpr):
    """Add PARTS neighbouring rows."""
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    known = column < H
    total = tl.zeros((BLOCK,), tl.float32)
    for part in tl.static_range(PARTS):
        total += tl.load(outputs + (token * PARTS + part) * H + column, mask=known, other=0.0)
    tl.store(y + token * H + column, total.to(y.dtype.element_ty), mask=known)


@triton.jit
def _product(
    rows, row_start, known, words, scales, expert, N, K, block, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):  # fmt: skip
    """Return weights [BLOCK_N, K] times rows [K, BLOCK_M] as float32, a group of 32 at a time."""
    T: tl.constexpr = BLOCK_N // 16
    tiles_of_k = K // 64
    tile = expert * (N // 16) * tiles_of_k + (block * T + tl.arange(0, T)) * tiles_of_k
    acc = tl.zeros((BLOCK_N, BLOCK_M), tl.float32)
    for group in range(0, K // 32):
        here = tile + group // 2
        weight = _unpack(words, here, group % 2, T)
        scale = _scale(scales, here, group % 2, T)
        column = group * 32 + tl.arange(0, 32)
        source = rows + row_start[None, :] + column[:, None]
        right = tl.load(source, mask=known[None, :], other=0.0).to(tl.float32).to(tl.float16)
        acc += tl.dot(weight, right) * scale[:, None]
    return acc * UNFOLD


@triton.jit
def _unpack(words, tile, half, T: tl.constexpr):
    """Return half a tile's columns as float16 [16 * T, 32]: a code's value times 2^-14."""
    lane = tl.arange(0, 32)[None, :, None]
    word = tl.arange(0, 2)[None, None, :]
    w = tl.load(words + (tile[:, None, None] * 32 + lane) * 4 + 2 * half + word)
    w = tl.reshape(w.to(tl.uint32, bitcast=True), (T, 8, 4, 2))
    r0 = w & 0x8E008E00
    r1 = (w << 3) & 0x8E008E00
    r2 = ((w << 1) & 0x80008000) | ((w << 6) & 0x0E000E00)
    r3 = ((w << 2) & 0x80008000) | ((w << 9) & 0x0E000E00)
    even = tl.join(tl.join(_low(r0), _low(r1)), tl.join(_low(r2), _low(r3)))
    odd = tl.join(tl.join(_high(r0), _high(r1)), tl.join(_high(r2), _high(r3)))
    codes = tl.join(even, odd)  # T, g, t, j, h, q, b
    return tl.reshape(tl.permute(codes, (0, 4, 1, 3, 5, 2, 6)), (16 * T, 32))


@triton.jit
def _scale(scales, tile, half, T: tl.constexpr):
    """Return the scales of half a tile's columns as float32 [16 * T]."""
    word = tl.load(scales + tile[:, None] * 8 + tl.arange(0, 8)[None, :])
    exponent = tl.join((word >> (8 * half)) & 255, (word >> (16 + 8 * half)) & 255)  # T, g, h
    exponent = tl.reshape(tl.permute(exponent, (0, 2, 1)), (16 * T,))
    bits = tl.where(exponent == 0, 1 << 22, exponent << 23)  # 2^-127 has no exponent of its own
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _low(register):
    return (register & 0xFFFF).to(tl.uint16).to(tl.float16, bitcast=True)


@triton.jit
def _high(register):
    return (register >> 16).to(tl.uint16).to(tl.float16, bitcast=True)


@triton.jit
def _at_most(value, limit: tl.constexpr):
    """Cut off above; what is not a number stays so."""
    return tl.where(value > limit, limit, value)
