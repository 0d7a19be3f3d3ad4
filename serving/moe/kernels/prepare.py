"""Activations as the Hopper kernels read them: float16, each 64 columns in the order of the lanes.

Plain Triton, so that the interpreter proves it; its twin is `layout.prepare_rows`.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def prepare(x: Tensor) -> Tensor:
    """Return float16 rows [M, K] of rows [M, K]; exact where 2^-14 <= |x| <= 65504 in bfloat16."""
    out = torch.empty(x.shape, dtype=torch.float16, device=x.device)
    if len(x):
        _prepare[(len(x), x.shape[1] // 64)](x, out, x.shape[1])
    return out


@triton.jit
def _prepare(x, out, K):
    """64 columns of one row: place 16t + 4j + 2q + b takes column 16j + 8q + 2t + b."""
    place = tl.arange(0, 64)
    column = place // 4 % 4 * 16 + place // 2 % 2 * 8 + place // 16 * 2 + place % 2
    start = tl.program_id(0).to(tl.int64) * K + tl.program_id(1) * 64
    value = tl.load(x + start + column).to(tl.float32)
    tl.store(out + start + place, value.to(tl.float16))
