"""Humming, kernels compiled at run time by NVRTC: before Marlin in vLLM 0.33's order on Hopper.

Used by its own layers, with vLLM's routing, activation and sum between them, in the order of vLLM's
`HummingIndexedExperts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from serving.moe.peers.routed import nibbles, router_of
from serving.moe.reference import MoEWeights
from serving.moe.spec import MoESpec

NEEDS = ("humming", "vllm")
GEMM = "indexed"
COMPUTE = json.dumps({"use_batch_invariant": False, "use_f16_accum": False, "gemm_type": GEMM})
DEFAULT_ROWS = 64
"""Rows per tile where no entry of its tuning covers the number of slots, as in vLLM."""


def load(weights: MoEWeights, spec: MoESpec) -> Callable[[Tensor], Tensor]:
    """Let Humming lay out the weights and return the block."""
    from vllm.model_executor.layers.fused_moe.activation import MoEActivation, apply_moe_activation
    from vllm.model_executor.layers.fused_moe.moe_align_block_size import moe_align_block_size
    from vllm.model_executor.layers.fused_moe.moe_fused_mul_sum import moe_fused_mul_sum

    route = router_of(weights, spec)
    first, tuned13 = _layer(weights.w13, weights.w13_scales, weights.b13)
    second, tuned2 = _layer(weights.w2, weights.w2_scales, weights.b2)
    told13, told2 = json.dumps(tuned13), json.dumps(tuned2)

    def block(x: Tensor) -> Tensor:
        ids, shares = route(x)
        slots = ids.numel()
        order, experts, count = moe_align_block_size(
            ids, rows_per_tile(tuned13, slots), spec.experts, ignore_invalid_experts=True
        )
        shared = {
            "sorted_ids": order, "expert_ids": experts, "num_tokens_padded": count,
            "compute_config": COMPUTE, "valid_shape_m": slots,
        }  # fmt: skip
        h = x.new_empty(slots, 2 * spec.intermediate)
        first(x, outputs=h, top_k=spec.top_k, tuning_config=told13, **shared)
        a = x.new_empty(slots, spec.intermediate)
        apply_moe_activation(MoEActivation.SWIGLUOAI, a, h)
        y = x.new_empty(slots, spec.hidden)
        second(a, outputs=y, top_k=1, tuning_config=told2, **shared)
        out: Tensor = moe_fused_mul_sum(
            inputs=y.view(len(x), spec.top_k, -1), topk_weights=shares, topk_ids=ids
        )
        return out

    return block


def rows_per_tile(tuned: list[Any], slots: int) -> int:
    """Return the rows of the entry (above, up to, configuration) that covers the slots."""
    for above, up_to, config in tuned:
        if above < slots <= up_to:
            return int(config["block_shape"][0])
    return DEFAULT_ROWS


def _layer(codes: Tensor, scales: Tensor, bias: Tensor) -> tuple[Any, list[Any]]:
    """Return one product as a module, and its tuning for each number of rows."""
    from humming.layer import HummingLayer, HummingMethod

    experts, rows, columns = codes.shape
    with torch.device(codes.device):  # where it makes its parameters
        layer = HummingLayer(
            shape_n=rows, shape_k=columns, weight_config={"quant_method": "gpt_oss_mxfp4"},
            num_experts=experts, has_bias=True, torch_dtype=torch.bfloat16,
        )  # fmt: skip
    layer.load_from_tensors(
        {"weight": nibbles(codes), "weight_scale": scales, "bias": bias.bfloat16()}
    )
    layer.transform()
    return layer, HummingMethod.get_default_tuning_configs(layer, gemm_type=GEMM)
