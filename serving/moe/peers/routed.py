"""Routing as vLLM does it before experts that want ids: one product and one fused kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from serving.moe.mxfp4 import pack_nibbles
from serving.moe.reference import MoEWeights
from serving.moe.spec import MoESpec


def router_of(weights: MoEWeights, spec: MoESpec) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the router: from tokens to ids (int32) and shares (float32), both [M, k]."""
    from vllm.model_executor.layers.fused_moe.router.fused_topk_router import fused_topk

    router, bias = weights.router, weights.router_bias  # not the layer: its codes may be freed

    def route(x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.nn.functional.linear(x, router, bias)
        shares, ids, _ = fused_topk(x, logits, spec.top_k, renormalize=True)
        return ids, shares

    return route


def nibbles(codes: Tensor) -> Tensor:
    """Return codes [E, N, K] as the checkpoint has them, two in a byte: [E, N, K / 2]."""
    return pack_nibbles(codes).flatten(-2)
