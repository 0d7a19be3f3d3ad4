"""vLLM's default on Hopper: `triton_kernels` 3.5.1, as vLLM's wheel bundles it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from serving.moe.ogs_flags import wrap
from serving.moe.peers.routed import nibbles
from serving.moe.reference import MoEWeights
from serving.moe.spec import MoESpec
from serving.moe.tables import Entry

NEEDS = ("triton_kernels",)
Params = Mapping[str, Mapping[str, int]]
WARPS = 8
"""As vLLM lays out the scales; fixes tiles of 256 columns."""


def load_with(flags: Params) -> Callable[[MoEWeights, MoESpec], Callable[[Tensor], Tensor]]:
    """Return how to load the block with a table's flags for both matrices."""

    def load_tuned(weights: MoEWeights, spec: MoESpec) -> Callable[[Tensor], Tensor]:
        from triton_kernels import matmul_ogs

        block, stock = load(weights, spec), matmul_ogs.make_opt_flags
        tuned = wrap(stock, spec, (Entry(1, flags),))

        def tuned_block(x: Tensor) -> Tensor:
            matmul_ogs.make_opt_flags = tuned
            try:
                return block(x)
            finally:
                matmul_ogs.make_opt_flags = stock

        return tuned_block

    return load_tuned


def load(weights: MoEWeights, spec: MoESpec) -> Callable[[Tensor], Tensor]:
    """Lay the weights out as vLLM does and return the block: router, routing, two products."""
    from triton_kernels import matmul_ogs, swiglu
    from triton_kernels.matmul_ogs_details import opt_flags
    from triton_kernels.routing import routing, routing_torch

    opt_flags.update_opt_flags_constraints({"split_k": 1})  # as vLLM
    w13, precision13 = _swizzle(weights.w13, weights.w13_scales)
    w2, precision2 = _swizzle(weights.w2, weights.w2_scales)
    b13, b2 = weights.b13.float(), weights.b2.float()
    router, router_bias = weights.router, weights.router_bias  # not the layer: its codes go
    activation = matmul_ogs.FusedActivation(
        matmul_ogs.FnSpecs("swiglu", swiglu.swiglu_fn, ("alpha", "limit")),
        (spec.alpha, spec.limit),
        2,
    )

    def block(x: Tensor) -> Tensor:
        logits = torch.nn.functional.linear(x, router, router_bias)
        choose = routing if x.is_cuda else routing_torch  # the latter where nothing may run
        data, gather, scatter = choose(logits.float(), spec.top_k)
        h = matmul_ogs.matmul_ogs(
            x, w13, b13, data, gather_indx=gather, precision_config=precision13,
            fused_activation=activation,
        )  # fmt: skip
        y: Tensor = matmul_ogs.matmul_ogs(
            h, w2, b2, data, scatter_indx=scatter, precision_config=precision2,
            gammas=data.gate_scal,
        )  # fmt: skip
        return y

    return block


def _swizzle(codes: Tensor, scales: Tensor) -> tuple[Any, Any]:
    """Return weights and precision in the order that the kernel wants on this device."""
    from triton_kernels.matmul_ogs import FlexCtx, PrecisionConfig
    from triton_kernels.numerics import InFlexData
    from triton_kernels.tensor import FP4, convert_layout, wrap_torch_tensor
    from triton_kernels.tensor_details import layout

    value_layout, values = layout.make_default_matmul_mxfp4_w_layout(mx_axis=1)
    scale_layout, options = layout.make_default_matmul_mxfp4_w_scale_layout(
        mx_axis=1, num_warps=WARPS
    )
    packed = nibbles(codes)
    padded = torch.nn.functional.pad(scales, (0, -scales.shape[-1] % 4))
    weight = convert_layout(
        wrap_torch_tensor(packed.transpose(-2, -1), dtype=FP4), value_layout, **values
    )
    scale = convert_layout(wrap_torch_tensor(padded.transpose(-2, -1)), scale_layout, **options)
    precision = PrecisionConfig(weight_scale=scale, flex_ctx=FlexCtx(rhs_data=InFlexData()))
    return weight, precision
