"""Our kernels as vLLM's experts of gpt-oss: what stands in for vLLM's own classes, and when.

vLLM looks a quantisation's configuration up by name, and a later registration under the same name
wins; the configuration makes the method, the method lays out the weights and names the experts.
Each of ours inherits from vLLM's and does as that does unless plans fit this machine and model, and
vLLM itself chose the one class of experts for which ours stand in: whoever asks for another backend
gets it. The choice falls when the model is built, and is final when its weights are laid out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from serving.moe.dispatch import Dispatcher, why_unfit
from serving.moe.layout import FLOAT16_SCALES, PackedWeights, pack, unpack_scales
from serving.moe.mxfp4 import unpack_nibbles
from serving.moe.reference import MoEWeights
from serving.moe.spec import GPT_OSS_20B, GPT_OSS_120B, GROUP, MoESpec
from serving.moe.switches import say_once
from serving.moe.tables import Entry

NAME = "gpt_oss_mxfp4"
MODELS = (GPT_OSS_20B, GPT_OSS_120B)
ACTIVATION = "swigluoai"
"""What vLLM calls the clamped SwiGLU whose gate and up rows take turns."""

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
        OAITritonMxfp4ExpertsMonolithic,
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
    """What a method needs to set our kernels up: vLLM's class, ours for it, and two functions."""

    stock: type[Any]
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
            self.footnote = _dispatcher(moe, self.experts_cls, makers.stock, find_plans)

        def _setup_kernel(
            self, layer: Any, w13: Tensor, w2: Tensor, w13_scale: Tensor, w2_scale: Tensor,
            w13_bias: Tensor | None = None, w2_bias: Tensor | None = None,
        ) -> None:  # fmt: skip
            given = {
                "w13": w13, "w2": w2, "w13_scale": w13_scale, "w2_scale": w2_scale,
                "w13_bias": w13_bias, "w2_bias": w2_bias,
            }  # fmt: skip
            packed = None if self.footnote is None else pack_for(self.footnote, given)
            if packed is None:
                super()._setup_kernel(layer, **given)
            else:
                self._set_ours_up(layer, packed)

        def _set_ours_up(self, layer: Any, packed: PackedWeights) -> None:
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
            spec = self.footnote.spec
            if hidden_states.shape[1:] != (spec.hidden,):  # our kernels take that for granted
                raise ValueError(f"{tuple(hidden_states.shape)} are no tokens of {spec.name}")
            x = hidden_states.contiguous()
            return self.footnote(x, self.packed, x.dtype, router_logits)

    return FootnoteExperts


def pack_for(dispatcher: Dispatcher, given: Mapping[str, Tensor | None]) -> PackedWeights | None:
    """Lay a layer out for our kernels, or return None to leave it to vLLM; says why."""
    try:
        check_shapes(given, dispatcher.spec)
        packed = pack_checkpoint(given)
    except ValueError as error:  # another shape, or a scale that is no number
        told = str(error)
    else:
        if can_compute(dispatcher, packed):
            return packed
        told = "its scales leave float16"
    say_once(f"MoE experts of a layer as vLLM has them: {told}")
    return None


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


def _dispatcher(
    moe: Any, chosen: type[Any] | None, stock: type[Any], find_plans: FindPlans
) -> Dispatcher | None:
    """Return what computes this model's experts, or None to leave them to vLLM; says why."""
    spec, told = spec_of(moe)
    if spec is not None and chosen is not stock:
        spec, told = None, f"it chose {getattr(chosen, '__name__', chosen)}"
    plans: tuple[Entry, ...] = ()
    if spec is not None:
        plans, told = find_plans(spec)
        if unfit := [wrong for plan in plans if (wrong := why_unfit(plan, spec))]:
            plans, told = (), f"{told}: {unfit[0]}"
    if spec is None or not plans:
        say_once(f"MoE experts as vLLM has them: {told}")
        return None
    say_once(f"MoE experts of {spec.name} from {told}")
    return Dispatcher(spec, plans)


def _replace(layer: Any, name: str, tensor: Tensor) -> None:
    setattr(layer, name, torch.nn.Parameter(tensor, requires_grad=False))


def spec_of(moe: Any) -> tuple[MoESpec | None, str]:
    """Return the model that a configuration of vLLM's describes, or why it is none of ours."""
    parallel = moe.moe_parallel_config
    if parallel.tp_size > 1 or parallel.ep_size > 1 or parallel.dp_size > 1:
        return None, "one GPU per model only"
    if parallel.enable_eplb:
        return None, "no experts that move"
    if getattr(moe, "is_lora_enabled", False):
        return None, "no LoRA"
    if moe.activation.value != ACTIVATION:
        return None, f"{moe.activation.value} is not the activation of gpt-oss"
    sizes = (moe.num_experts, moe.experts_per_token, moe.hidden_dim, moe.intermediate_size)
    for spec in MODELS:
        if sizes == (spec.experts, spec.top_k, spec.hidden, spec.intermediate):
            return spec, ""
    told = f"{moe.num_experts} experts of {moe.hidden_dim} and {moe.intermediate_size} features"
    return None, f"{told} are no gpt-oss"


def check_shapes(given: Mapping[str, Tensor | None], spec: MoESpec) -> None:
    """Refuse a tensor that is missing or of another shape: some backends pad what they load."""
    experts, hidden, inner = spec.experts, spec.hidden, spec.intermediate
    wanted = {
        "w13": (experts, 2 * inner, hidden // 2), "w2": (experts, hidden, inner // 2),
        "w13_scale": (experts, 2 * inner, hidden // GROUP),
        "w2_scale": (experts, hidden, inner // GROUP),
        "w13_bias": (experts, 2 * inner), "w2_bias": (experts, hidden),
    }  # fmt: skip
    for name, shape in wanted.items():
        tensor = given[name]
        found = None if tensor is None else tuple(tensor.shape)
        if found != shape:
            raise ValueError(f"its {name} is {found}, not {shape}")


def pack_checkpoint(given: Mapping[str, Any]) -> PackedWeights:
    """Lay out weights as vLLM has loaded them: nibbles [E, N, K / 2], scales [E, N, K / 32]."""
    none = given["w13_bias"].new_zeros(0)  # vLLM keeps the router itself
    weights = MoEWeights(
        router=none, router_bias=none,
        w13=_codes(given["w13"]), w13_scales=given["w13_scale"], b13=given["w13_bias"],
        w2=_codes(given["w2"]), w2_scales=given["w2_scale"], b2=given["w2_bias"],
    )  # fmt: skip
    return pack(weights)


def _codes(nibbles: Tensor) -> Tensor:
    """Return codes [E, N, K] of nibbles [E, N, K / 2]."""
    return unpack_nibbles(torch.unflatten(nibbles, -1, (-1, GROUP // 2)))
