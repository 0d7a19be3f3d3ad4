"""How the kernels want the weights: tiles of 16 rows x 64 columns, a warp's registers in order.

A tile is 512 bytes: 32 lanes with four 32-bit words each, so one 16-byte load per lane brings a
tile into the very registers in which a tensor core (`mma.m16n8k16`) wants its left operand. Lane
4g + t, word j holds rows g and g + 8, columns 16j + 8q + 2t + {0, 1} for q = 0 and 1: eight codes.
Within a word they lie such that each of the four registers takes shifts and masks only:

    16-bit half   15  14  13  12  11-9  8-6  5-3  2-0      low half: even column, high half: odd
    register      R0  R2  R3  R1   R0    R1   R2   R3      R = 2q + (row >= 8)
                  (    signs    )   (    magnitudes    )

A magnitude in bits 11-9 of a half, its sign in bit 15, and zeros elsewhere *is* the code's value
as float16, times 2^-14: exponent and mantissa of e2m1 in the low end of float16's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from serving.moe.mxfp4 import check_scales
from serving.moe.reference import MoEWeights
from serving.moe.spec import GROUP

ROWS, COLUMNS, LANES, WORDS = 16, 64, 32, 4
VALUE_EXPONENT = -14
"""A register holds a code's value times two to this."""

FLOAT16_SCALES = (104, 128)
"""Scales that may multiply an unpacked register in float16 without losing a bit."""

SIGN_BIT = (15, 12, 14, 13)
MAGNITUDE_BIT = (9, 6, 3, 0)
"""Lowest bit of a code's magnitude within its half, by register."""


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """One layer as the kernels read it.

    Tiles [E, N / 16, K / 64, 32, 4] and scales [E, N / 16, K / 64, 8] are int32. Rows of w13 and
    b13 are re-paired: gate i stands in row g of its tile, up i in row g + 8. Router float32 is not
    needed: it stays as the checkpoint has it. Biases are float32.
    """

    router: Tensor
    router_bias: Tensor
    w13: Tensor
    w13_scales: Tensor
    b13: Tensor
    w2: Tensor
    w2_scales: Tensor
    b2: Tensor


def pack(weights: MoEWeights) -> PackedWeights:
    """Lay a layer out for the kernels; an expert at a time, to stay small."""
    pairs = paired_rows(weights.w13.shape[1], device=weights.w13.device)
    return PackedWeights(
        router=weights.router,
        router_bias=weights.router_bias,
        w13=torch.stack([pack_tiles(expert[pairs]) for expert in weights.w13]),
        w13_scales=torch.stack([pack_scales(expert[pairs]) for expert in weights.w13_scales]),
        b13=weights.b13[:, pairs].float(),
        w2=torch.stack([pack_tiles(expert) for expert in weights.w2]),
        w2_scales=torch.stack([pack_scales(expert) for expert in weights.w2_scales]),
        b2=weights.b2.float(),
    )


def paired_rows(rows: int, device: torch.device | str = "cpu") -> Tensor:
    """Return which interleaved row (gate0, up0, ...) stands in each packed row.

    >>> paired_rows(16).tolist()
    [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]
    """
    _check_rows(rows)
    pairs = torch.arange(rows, device=device).reshape(-1, 8, 2)
    return pairs.transpose(1, 2).flatten()


def pack_tiles(codes: Tensor) -> Tensor:
    """Return words [N / 16, K / 64, 32, 4] (int32) of codes [N, K] (uint8, 0 to 15)."""
    _check_rows(codes.shape[0])
    if codes.shape[1] % COLUMNS:
        raise ValueError(f"{codes.shape[1]} columns are not a multiple of {COLUMNS}")
    # row = 16T + 8h + g, column = 64K + 16j + 8q + 2t + b
    parts = codes.reshape(-1, 2, 8, codes.shape[1] // COLUMNS, 4, 2, 4, 2)
    ordered = parts.permute(0, 3, 2, 6, 4, 5, 1, 7).int()  # T, K, g, t, j, q, h, b
    words = ordered.new_zeros(ordered.shape[:5])
    for register in range(4):
        for half in range(2):
            code = ordered[..., register // 2, register % 2, half]
            words |= (code & 7) << (MAGNITUDE_BIT[register] + 16 * half)
            words |= (code >> 3) << (SIGN_BIT[register] + 16 * half)
    return words.flatten(2, 3)


def unpack_tiles(words: Tensor) -> Tensor:
    """Return codes [N, K] of words [N / 16, K / 64, 32, 4]: the inverse of `pack_tiles`."""
    words = words.reshape(*words.shape[:2], 8, 4, WORDS)  # T, K, g, t, j
    codes = [
        (
            ((words >> (MAGNITUDE_BIT[register] + 16 * half)) & 7)
            | ((words >> (SIGN_BIT[register] + 16 * half)) & 1) << 3
        )
        for register in range(4)
        for half in range(2)
    ]
    parts = torch.unflatten(torch.stack(codes, -1), -1, (2, 2, 2))  # T, K, g, t, j, q, h, b
    return parts.permute(0, 6, 2, 1, 4, 5, 3, 7).flatten(3).flatten(0, 2).to(torch.uint8)


def pack_scales(scales: Tensor) -> Tensor:
    """Return words [N / 16, K / 64, 8] (int32) of scales [N, K / 32].

    Byte 2h + c of word g is the scale of row 8h + g, columns 32c to 32c + 31 of the tile: all that
    the four lanes 4g + t need.
    """
    _check_rows(scales.shape[0])
    check_scales(scales)
    per_tile = COLUMNS // GROUP
    parts = scales.reshape(-1, 2, 8, scales.shape[1] // per_tile, per_tile)  # T, h, g, K, c
    ordered = parts.permute(0, 3, 2, 1, 4).flatten(3).int()  # T, K, g, 2h + c
    shifts = torch.tensor([0, 8, 16, 24], dtype=torch.int32, device=scales.device)
    return (ordered << shifts).sum(-1, dtype=torch.int32)


def unpack_scales(words: Tensor) -> Tensor:
    """Return scales [N, K / 32] of words [N / 16, K / 64, 8]: the inverse of `pack_scales`."""
    shifts = torch.tensor([0, 8, 16, 24], dtype=torch.int32, device=words.device)
    parts = torch.unflatten((words.unsqueeze(-1) >> shifts) & 0xFF, -1, (2, 2))  # T, K, g, h, c
    return parts.permute(0, 3, 2, 1, 4).flatten(3).flatten(0, 2).to(torch.uint8)


def prepare_rows(x: Tensor) -> Tensor:
    """Return activations [M, K] with each 64 columns in the order t, j, q, b of the lanes.

    Lane 4g + t then finds its sixteen values of token g in 32 neighbouring bytes (float16).
    """
    parts = x.reshape(len(x), x.shape[1] // COLUMNS, 4, 2, 4, 2)  # j, q, t, b
    return parts.permute(0, 1, 4, 2, 3, 5).reshape(x.shape)


def registers(words: Tensor) -> Tensor:
    """Return what the unpacking instructions of the kernels leave in R0 to R3: [..., 4], int32.

    The kernels' eleven operations, for tests to hold them against `unpack_tiles`.
    """
    both, sign, magnitude = _signed(0x8E008E00), _signed(0x80008000), 0x0E000E00
    return torch.stack(
        (
            words & both,
            (words << 3) & both,
            ((words << 1) & sign) | ((words << 6) & magnitude),
            ((words << 2) & sign) | ((words << 9) & magnitude),
        ),
        dim=-1,
    )


def _signed(bits: int) -> int:
    return bits - (1 << 32)


def _check_rows(rows: int) -> None:
    if rows % ROWS:
        raise ValueError(f"{rows} rows are not a multiple of {ROWS}")
