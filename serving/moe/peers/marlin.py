"""Marlin, vLLM's kernels for any GPU since Turing: what InferenceX pins gpt-oss to on an H200.

It wants multiples of 256 features and 128 neurons, so gpt-oss is padded from 2880 to 3072 and 2944,
as vLLM does; the input is padded in each call. Its wheel holds MXFP4 for Hopper as PTX only, so the
first call compiles for some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from serving.moe.peers.routed import nibbles, router_of
from serving.moe.reference import MoEWeights
from serving.moe.spec import GROUP, MoESpec

NEEDS = ("vllm",)
HIDDEN, NEURONS = 256, 128
"""What sizes must be multiples of."""


def load(weights: MoEWeights, spec: MoESpec) -> Callable[[Tensor], Tensor]:
    """Lay the weights out as vLLM does for this backend and return the block."""
    from vllm.model_executor.layers.fused_moe.activation import MoEActivation
    from vllm.model_executor.layers.fused_moe.experts.marlin_moe import fused_marlin_moe
    from vllm.model_executor.layers.quantization.utils.marlin_utils_fp4 import (
        prepare_moe_mxfp4_layer_for_marlin,
    )
    from vllm.scalar_type import scalar_types

    route, wider = router_of(weights, spec), -spec.hidden % HIDDEN
    w13, w2, s13, s2, b13, b2 = prepare_moe_mxfp4_layer_for_marlin(
        SimpleNamespace(params_dtype=torch.bfloat16), *padded(weights, spec)
    )

    def block(x: Tensor) -> Tensor:
        ids, shares = route(x)
        y: Tensor = fused_marlin_moe(
            torch.nn.functional.pad(x, (0, wider)), w13, w2, b13, b2, s13, s2, shares, ids,
            quant_type_id=scalar_types.float4_e2m1f.id, activation=MoEActivation.SWIGLUOAI,
        )  # fmt: skip
        return y[:, : spec.hidden]

    return block


def padded(weights: MoEWeights, spec: MoESpec) -> tuple[Tensor, ...]:
    """Return w13, w2, their scales and biases, with zeros up to the sizes that Marlin wants.

    Gate and up of a neuron that is not there are 0, so is its activation, and it adds nothing.
    """
    wider, more = -spec.hidden % HIDDEN, -spec.intermediate % NEURONS
    pad = torch.nn.functional.pad
    return (
        pad(nibbles(weights.w13), (0, wider // 2, 0, 2 * more)),
        pad(nibbles(weights.w2), (0, more // 2, 0, wider)),
        pad(weights.w13_scales, (0, wider // GROUP, 0, 2 * more)),
        pad(weights.w2_scales, (0, more // GROUP, 0, wider)),
        pad(weights.b13, (0, 2 * more)),
        pad(weights.b2, (0, wider)),
    )
