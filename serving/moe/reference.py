"""The block as the model's authors define it, slow and plain: what every kernel is held against.

After openai/gpt-oss: a router with a bias, the best four experts, softmax over these four only,
gate and up interleaved, a clamped SwiGLU with `up + 1`, biases on both products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from serving.moe.mxfp4 import dequantise
from serving.moe.spec import GROUP, MoESpec


@dataclass(frozen=True, slots=True)
class MoEWeights:
    """One layer, quantised; rows of `w13` are gate0, up0, gate1, up1, ...

    Shapes: router [E, H] and [E]; codes w13 [E, 2I, H], w2 [E, H, I] (a byte per code); scales the
    same with K / 32 at the end; biases b13 [E, 2I], b2 [E, H].
    """

    router: Tensor
    router_bias: Tensor
    w13: Tensor
    w13_scales: Tensor
    b13: Tensor
    w2: Tensor
    w2_scales: Tensor
    b2: Tensor


@dataclass(frozen=True, slots=True)
class Stages:
    """What the block has computed after each step; M tokens, k experts per token."""

    logits: Tensor  # [M, E]
    ids: Tensor  # [M, k], int64, best first
    shares: Tensor  # [M, k], sum to one
    gate_up: Tensor  # [M, k, 2I], interleaved
    activated: Tensor  # [M, k, I]
    expert_outputs: Tensor  # [M, k, H]
    output: Tensor  # [M, H]


def moe(x: Tensor, weights: MoEWeights, spec: MoESpec, dtype: torch.dtype) -> Stages:
    """Compute the block for tokens [M, H] in float32 or float64, every step in that type."""
    x = x.to(dtype)
    logits, ids, shares = route(x, weights, spec)
    gate_up = _per_expert(x.unsqueeze(1), ids, weights.w13, weights.w13_scales, weights.b13)
    activated = swiglu(gate_up, spec)
    outputs = _per_expert(activated, ids, weights.w2, weights.w2_scales, weights.b2)
    output = (shares.unsqueeze(-1) * outputs).sum(1)
    return Stages(logits, ids, shares, gate_up, activated, outputs, output)


def route(x: Tensor, weights: MoEWeights, spec: MoESpec) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, the chosen experts and their shares."""
    logits = x @ weights.router.to(x.dtype).T + weights.router_bias.to(x.dtype)
    ids, shares = choose(logits, spec.top_k)
    return logits, ids, shares


def choose(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Return the best experts, best first, and their softmax; of equals the lowest id wins."""
    values, ids = torch.sort(logits, dim=-1, descending=True, stable=True)
    return ids[:, :top_k], torch.softmax(values[:, :top_k], dim=-1)


def swiglu(gate_up: Tensor, spec: MoESpec) -> Tensor:
    """Return g * sigmoid(alpha * g) * (u + 1) with g cut off above and u on both sides."""
    gate = gate_up[..., 0::2].clamp(max=spec.limit)
    up = gate_up[..., 1::2].clamp(-spec.limit, spec.limit)
    return gate * torch.sigmoid(spec.alpha * gate) * (up + 1)


def relative_l2(got: Tensor, wanted: Tensor) -> float:
    """Return |got - wanted| / |wanted| in float64; not a number where one of them is not."""
    got, wanted = got.double(), wanted.double()
    size = torch.linalg.vector_norm(wanted)
    if size == 0:
        return float(torch.linalg.vector_norm(got))
    return float(torch.linalg.vector_norm(got - wanted) / size)


def draw_weights(spec: MoESpec, seed: int, device: str = "cpu") -> MoEWeights:
    """Return random weights that a kernel cannot be right on by chance.

    All sixteen codes, scales from 110 to 125, and a router of a realistic spread.
    """
    draw = torch.Generator(device=device).manual_seed(seed)
    experts, hidden, inner = spec.experts, spec.hidden, spec.intermediate

    def bytes_of(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=draw, dtype=torch.uint8, device=device)

    def normal(spread: float, *shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=draw, device=device) * spread
        return drawn.to(torch.bfloat16)

    return MoEWeights(
        router=normal(2.0 / hidden**0.5, experts, hidden),
        router_bias=normal(0.5, experts),
        w13=bytes_of(0, 16, experts, 2 * inner, hidden),
        w13_scales=bytes_of(110, 126, experts, 2 * inner, hidden // GROUP),
        b13=normal(0.5, experts, 2 * inner),
        w2=bytes_of(0, 16, experts, hidden, inner),
        w2_scales=bytes_of(110, 126, experts, hidden, inner // GROUP),
        b2=normal(0.5, experts, hidden),
    )


def _per_expert(x: Tensor, ids: Tensor, codes: Tensor, scales: Tensor, bias: Tensor) -> Tensor:
    """Return x @ W[id]^T + b[id] as [M, k, N]; x is [M, 1, K] or [M, k, K]."""
    x = x.expand(*ids.shape, x.shape[-1])
    out = x.new_zeros(*ids.shape, codes.shape[1])
    for expert in range(len(codes)):  # one expert's weights at a time: float64 is large
        token, place = (ids == expert).nonzero(as_tuple=True)
        if not len(token):
            continue
        weight = dequantise(codes[expert], scales[expert], x.dtype)
        out[token, place] = x[token, place] @ weight.T + bias[expert].to(x.dtype)
    return out
