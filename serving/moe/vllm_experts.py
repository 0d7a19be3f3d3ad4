"""Our kernels as vLLM's experts of gpt-oss: what stands in for vLLM's own classes, and when.

vLLM looks a quantisation's configuration up by name, and a later registration under the same name
wins; the configuration makes the method, the method lays out the weights and names the experts.
Each of ours inherits from vLLM's and does as that does unless plans fit this machine and model. The
choice falls when the model is built, and is final when its weights have been laid out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from serving.moe.dispatch import KERNELS, Dispatcher
from serving.moe.layout import FLOAT16_SCALES, PackedWeights, pack, unpack_scales
from serving.moe.mxfp4 import unpack_nibbles
from serving.moe.reference import MoEWeights
from serving.moe.spec import GROUP, SPECS, MoESpec
from serving.moe.tables import Entry

LOG = logging.getLogger("vllm.footnote_moe")
NAME = "gpt_oss_mxfp4"

FindPlans = Callable[[MoESpec], tuple[tuple[Entry, ...], str]]


def register_experts(find_plans: FindPlans) -> str | None:
    """Register a configuration whose method takes our kernels where plans fit; return why not."""
    try:
        from vllm.model_executor.layers.fused_moe.config import mxfp4_w4a16_moe_quant_config
        from vllm.model_executor.layers.fused_moe.experts.gpt_oss_triton_kernels_moe import (
            OAITritonMxfp4ExpertsMonolithic,
        )
        from vllm.model_executor.layers.fused_moe.oracle.mxfp4 import make_mxfp4_moe_kernel
        from vllm.model_executor.layers.quantization import register_quantization_config
        from vllm.model_executor.layers.quantization.mxfp4 import (
            GptOssMxfp4Config,
            GptOssMxfp4MoEMethod,
        )
    except ImportError as error:
        return f"this vLLM has no place for experts of ours ({error})"
    makers = Makers(
        make_experts(OAITritonMxfp4ExpertsMonolithic),
        make_mxfp4_moe_kernel,
        mxfp4_w4a16_moe_quant_config,
    )
    method = make_method(GptOssMxfp4MoEMethod, makers, find_plans)
    config = make_config(GptOssMxfp4Config, GptOssMxfp4MoEMethod, method)
    register_quantization_config(NAME)(config)
    return None


@dataclass(frozen=True, slots=True)
class Makers:
    """What a method needs to set our kernels up: a class of ours, and two functions of vLLM's."""

    experts: type[Any]
    kernel: Callable[..., Any]
    quant_config: Callable[..., Any]


def make_config(stock: type[Any], stock_method: type[Any], method: type[Any]) -> type[Any]:
    """Return vLLM's configuration, in which our method takes the place of its own."""

    class FootnoteMxfp4Config(stock):  # type: ignore[misc]
        def get_quant_method(self, layer: Any, prefix: str) -> Any:
            made = super().get_quant_method(layer, prefix)
            return method(layer.moe_config) if type(made) is stock_method else made

    return FootnoteMxfp4Config


def make_method(stock: type[Any], makers: Makers, find_plans: FindPlans) -> type[Any]:
    """Return vLLM's method, which lays the weights out for our kernels if plans fit."""

    class FootnoteMxfp4MoEMethod(stock):  # type: ignore[misc]
        def __init__(self, moe: Any) -> None:
            super().__init__(moe)
            self.footnote = _dispatcher(moe, find_plans)

        def _setup_kernel(
            self, layer: Any, w13: Tensor, w2: Tensor, w13_scale: Tensor, w2_scale: Tensor,
            w13_bias: Tensor | None = None, w2_bias: Tensor | None = None,
        ) -> None:  # fmt: skip
            if self.footnote is None or w13_bias is None or w2_bias is None:
                super()._setup_kernel(layer, w13, w2, w13_scale, w2_scale, w13_bias, w2_bias)
                return
            spec = self.footnote.spec
            packed = pack_checkpoint(w13, w2, w13_scale, w2_scale, w13_bias, w2_bias, spec)
            if not can_compute(self.footnote, packed):
                LOG.info("MoE experts of a layer as vLLM has them: its scales leave float16")
                super()._setup_kernel(layer, w13, w2, w13_scale, w2_scale, w13_bias, w2_bias)
                return
            for name in ("w13", "w2"):
                _replace(layer, f"{name}_weight", getattr(packed, name))
                _replace(layer, f"{name}_weight_scale", getattr(packed, f"{name}_scales"))
            self.experts_cls = makers.experts
            self.moe_quant_config = makers.quant_config(
                packed.w13_scales, packed.w2_scales, packed.b13, packed.b2
            )
            self.moe_kernel = makers.kernel(
                moe_quant_config=self.moe_quant_config,
                moe_config=self.moe,
                mxfp4_backend=self.mxfp4_backend,
                experts_cls=makers.experts,
                routing_tables=layer._expert_routing_tables(),
            )
            self.moe_kernel.fused_experts.take(self.footnote, packed)

    return FootnoteMxfp4MoEMethod


def make_experts(stock: type[Any]) -> type[Any]:
    """Return vLLM's Triton experts, which support what ours do, with our computation."""

    class FootnoteExperts(stock):  # type: ignore[misc]
        def take(self, dispatcher: Dispatcher, packed: PackedWeights) -> None:
            self.footnote, self.packed = dispatcher, packed

        def apply(
            self, hidden_states: Tensor, w1: Tensor, w2: Tensor, router_logits: Tensor,
            *_: Any, **__: Any,
        ) -> Tensor:  # fmt: skip
            return self.footnote(hidden_states, self.packed, hidden_states.dtype, router_logits)

    return FootnoteExperts


def can_compute(dispatcher: Dispatcher, packed: PackedWeights) -> bool:
    """Tell whether all plans may be used on these weights; looks at the scales, so only at load."""
    if all(entry.kernel != "wgmma_sm90" for entry in dispatcher.plans):
        return True
    low, high = FLOAT16_SCALES
    return all(
        bool(((scales >= low) & (scales <= high)).all())
        for words in (packed.w13_scales, packed.w2_scales)
        for scales in map(unpack_scales, words)
    )


def _dispatcher(moe: Any, find_plans: FindPlans) -> Dispatcher | None:
    """Return what computes this model's experts, or None to leave them to vLLM; says why."""
    spec, told = spec_of(moe)
    plans: tuple[Entry, ...] = ()
    if spec is not None:
        plans, told = find_plans(spec)
    if unknown := sorted({entry.kernel for entry in plans} - KERNELS.keys()):
        plans, told = (), f"no kernel is called {unknown[0]}"
    if spec is None or not plans:
        LOG.info("MoE experts as vLLM has them: %s", told)
        return None
    LOG.info("MoE experts of %s from %s", spec.name, told)
    return Dispatcher(spec, plans)


def _replace(layer: Any, name: str, tensor: Tensor) -> None:
    setattr(layer, name, torch.nn.Parameter(tensor, requires_grad=False))


def spec_of(moe: Any) -> tuple[MoESpec | None, str]:
    """Return the model that a configuration of vLLM's describes, or why it is none of ours."""
    parallel = moe.moe_parallel_config
    if parallel.tp_size > 1 or parallel.ep_size > 1 or parallel.dp_size > 1:
        return None, "one GPU per model only"
    if getattr(moe, "is_lora_enabled", False):
        return None, "no LoRA"
    for spec in SPECS.values():
        sizes = (moe.num_experts, moe.experts_per_token, moe.hidden_dim)
        if sizes == (spec.experts, spec.top_k, spec.hidden):
            return spec, ""
    return None, f"{moe.num_experts} experts of {moe.hidden_dim} features are no gpt-oss"


def pack_checkpoint(
    w13: Tensor, w2: Tensor, s13: Tensor, s2: Tensor, b13: Tensor, b2: Tensor, spec: MoESpec
) -> PackedWeights:
    """Lay out weights as vLLM has loaded them: nibbles [E, N, K / 2], scales [E, N, K / 32]."""
    rows13, rows2 = 2 * spec.intermediate, spec.hidden
    weights = MoEWeights(
        router=b13.new_zeros(0), router_bias=b13.new_zeros(0),  # vLLM keeps the router itself
        w13=_codes(w13, rows13, spec.hidden), w13_scales=s13[:, :rows13, : spec.hidden // GROUP],
        b13=b13[:, :rows13],
        w2=_codes(w2, rows2, spec.intermediate),
        w2_scales=s2[:, :rows2, : spec.intermediate // GROUP],
        b2=b2[:, :rows2],
    )  # fmt: skip
    return pack(weights)


def _codes(nibbles: Tensor, rows: int, columns: int) -> Tensor:
    """Return codes [E, N, K]; what vLLM has padded beyond is left out."""
    kept = nibbles[:, :rows, : columns // 2]
    return unpack_nibbles(kept.reshape(*kept.shape[:2], -1, GROUP // 2))
