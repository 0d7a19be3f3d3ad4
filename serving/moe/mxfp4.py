"""MXFP4: four-bit floating-point codes (e2m1) in groups of 32 that share a power of two (e8m0).

The format of OCP's "Microscaling Formats (MX) Specification" 1.0, and of gpt-oss' checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor

from serving.moe.spec import GROUP

E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Magnitudes of the codes 0 to 7; bit 3 is the sign."""
LARGEST_EXPONENT = 2
"""Of e2m1: the largest magnitude is 1.5 * 2^2."""
BIAS = 127
NOT_A_SCALE = 255


def unpack_nibbles(blocks: Tensor) -> Tensor:
    """Spread a checkpoint's bytes [..., G, 16] into codes [..., 32 * G]; low nibble first."""
    low, high = blocks & 0xF, blocks >> 4
    return torch.stack((low, high), dim=-1).flatten(-3)


def pack_nibbles(codes: Tensor) -> Tensor:
    """Put codes [..., K] into a checkpoint's bytes [..., K / 32, 16]."""
    pairs = torch.unflatten(codes, -1, (-1, GROUP // 2, 2))
    return pairs[..., 0] | (pairs[..., 1] << 4)


def code_values(codes: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the number that each code stands for; exact in every floating-point type."""
    table = torch.tensor([*E2M1, *(-value for value in E2M1)], dtype=dtype, device=codes.device)
    return table[codes.long()]


def scale_values(scales: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return 2^(s - 127) for each byte s; exact in float64, float32 and bfloat16.

    The byte 255 means "not a number": a checkpoint that holds one is refused with a ValueError.
    """
    check_scales(scales)
    powers = [2.0 ** (scale - BIAS) for scale in range(NOT_A_SCALE)]
    table = torch.tensor(powers, dtype=torch.float64, device=scales.device)
    return table[scales.long()].to(dtype)


def check_scales(scales: Tensor) -> None:
    """Refuse scales that are not numbers."""
    if bool((scales == NOT_A_SCALE).any()):
        raise ValueError("a scale of 255 is not a number")


def dequantise(codes: Tensor, scales: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return weights [..., K] of codes [..., K] and scales [..., K / 32].

    Exact in float64; float32 overflows from a scale of 253 on and rounds nothing below it.
    """
    values = torch.unflatten(code_values(codes, dtype), -1, (-1, GROUP))
    return (values * scale_values(scales, dtype).unsqueeze(-1)).flatten(-2)


def quantise(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return codes and scales nearest to weights [..., K], as the MX specification rounds.

    The scale is the largest power of two in the group divided by that of the code's range; codes
    round to nearest, ties to even, and saturate at 6.
    """
    groups = torch.unflatten(weights.double(), -1, (-1, GROUP))
    largest = groups.abs().amax(-1)
    exponent = torch.frexp(largest).exponent.long() - 1 - LARGEST_EXPONENT
    exponent = torch.where(largest > 0, exponent, torch.full_like(exponent, -BIAS))
    scales = (exponent + BIAS).clamp(0, NOT_A_SCALE - 1).to(torch.uint8)
    scaled = groups / scale_values(scales).unsqueeze(-1)
    return _nearest_code(scaled).flatten(-2), scales


def _nearest_code(values: Tensor) -> Tensor:
    """Round to e2m1. A tie goes to the code with an even last bit, as the nearest even number."""
    magnitudes = torch.tensor(E2M1, dtype=values.dtype, device=values.device)
    middles = (magnitudes[1:] + magnitudes[:-1]) / 2
    magnitude = values.abs()
    above = torch.bucketize(magnitude, middles)  # a middle itself counts as below it
    at_middle = (magnitude == middles[above.clamp(max=len(middles) - 1)]) & (above % 2 == 1)
    codes = above + at_middle
    return (codes + 8 * torch.signbit(values)).to(torch.uint8)
