"""Our experts in vLLM's place, with vLLM's classes played by small ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from serving.moe.dispatch import KERNELS, Logits
from serving.moe.layout import PackedWeights, pack
from serving.moe.mxfp4 import pack_nibbles
from serving.moe.reference import draw_weights
from serving.moe.spec import TINY, MoESpec
from serving.moe.tables import Entry
from serving.moe.vllm_experts import (
    Makers,
    make_config,
    make_experts,
    make_method,
    pack_checkpoint,
    spec_of,
)

PLANS = (Entry(64, {"bm": 8}, "noted"),)
ALONE = SimpleNamespace(tp_size=1, ep_size=1, dp_size=1)


def moe_config(**changes: Any) -> Any:
    told = {
        "num_experts": TINY.experts,
        "experts_per_token": TINY.top_k,
        "hidden_dim": TINY.hidden,
        "moe_parallel_config": ALONE,
        "is_lora_enabled": False,
    }
    return SimpleNamespace(**told | changes)


class Method:
    """As vLLM's method, what we inherit."""

    def __init__(self, moe: Any) -> None:
        self.moe, self.mxfp4_backend, self.moe_kernel = moe, "TRITON", None
        self.stock_setups = 0

    def _setup_kernel(self, layer: Any, *tensors: Any) -> None:
        self.stock_setups += 1


class Config:
    """As vLLM's configuration: it makes methods for layers of experts only."""

    def get_quant_method(self, layer: Any, prefix: str) -> Any:
        return Method(layer.moe_config) if hasattr(layer, "moe_config") else None


class Experts:
    """As vLLM's experts."""


class Layer:
    moe_config = moe_config()

    def _expert_routing_tables(self) -> None:
        return None


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Make `noted` a kernel that remembers what it was asked and gives zeros."""
    asked: list[Any] = []

    def kernel(
        x: Tensor, weights: PackedWeights, spec: MoESpec, params: Mapping[str, Any],
        out: torch.dtype, logits: Logits,
    ) -> Tensor:  # fmt: skip
        asked.append((weights, params, logits))
        return torch.zeros_like(x, dtype=out)

    monkeypatch.setitem(KERNELS, "noted", kernel)
    return asked


def build(plans: tuple[Entry, ...] = PLANS, moe: Any = None) -> Any:
    def kernel(**told: Any) -> Any:
        return SimpleNamespace(fused_experts=told["experts_cls"](), told=told)

    makers = Makers(make_experts(Experts), kernel, lambda *scales: scales)
    method = make_method(Method, makers, lambda spec: (plans, "h200.json"))
    layer = Layer()
    layer.moe_config = moe or moe_config()
    return make_config(Config, Method, method)().get_quant_method(layer, "")


def checkpoint() -> dict[str, Tensor]:
    drawn = draw_weights(TINY, seed=9)
    return {
        "w13": pack_nibbles(drawn.w13).flatten(-2), "w2": pack_nibbles(drawn.w2).flatten(-2),
        "w13_scale": drawn.w13_scales, "w2_scale": drawn.w2_scales,
        "w13_bias": drawn.b13, "w2_bias": drawn.b2,
    }  # fmt: skip


def test_weights_are_laid_out_as_the_kernels_want_them_without_vllm_s_padding() -> None:
    told = {
        name: torch.nn.functional.pad(tensor, (0, 4, 0, 16)[: 2 * (tensor.dim() - 1)])
        for name, tensor in checkpoint().items()
    }
    got = pack_checkpoint(
        told["w13"], told["w2"], told["w13_scale"], told["w2_scale"], told["w13_bias"],
        told["w2_bias"], TINY,
    )  # fmt: skip
    wanted = pack(draw_weights(TINY, seed=9))
    for field in fields(PackedWeights):
        if not field.name.startswith("router"):
            assert torch.equal(getattr(got, field.name), getattr(wanted, field.name)), field.name


def test_with_fitting_plans_our_experts_compute(noted: list[Any]) -> None:
    method, layer = build(), Layer()
    method._setup_kernel(layer, **checkpoint())
    assert method.stock_setups == 0
    logits = torch.randn(3, TINY.experts, generator=torch.Generator().manual_seed(0)).bfloat16()
    x = torch.ones(3, TINY.hidden).bfloat16()
    output = method.moe_kernel.fused_experts.apply(x, None, None, logits, "swigluoai", 8)
    assert output.dtype == torch.bfloat16
    ((weights, params, given),) = noted
    assert params == {"bm": 8}
    assert given is logits
    assert torch.equal(layer.w13_weight, weights.w13)  # type: ignore[attr-defined]
    assert layer.w2_weight_scale.dtype == torch.int32  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("plans", "changes", "reason"),
    [
        pytest.param((), {}, "h200.json", id="no-plan"),
        pytest.param((Entry(8, {}, "unheard-of"),), {}, "unheard-of", id="unknown-kernel"),
        pytest.param(PLANS, {"num_experts": 9}, "no gpt-oss", id="another-model"),
        pytest.param(PLANS, {"is_lora_enabled": True}, "LoRA", id="lora"),
        pytest.param(
            PLANS,
            {"moe_parallel_config": SimpleNamespace(tp_size=2, ep_size=1, dp_size=1)},
            "one GPU",
            id="two-gpus",
        ),
    ],
)
def test_otherwise_vllm_s_experts_compute_and_one_line_says_why(
    noted: list[Any],
    caplog: pytest.LogCaptureFixture,
    plans: tuple[Entry, ...],
    changes: dict[str, Any],
    reason: str,
) -> None:
    with caplog.at_level(logging.INFO):
        method = build(plans, moe_config(**changes))
        method._setup_kernel(Layer(), **checkpoint())
    assert method.stock_setups == 1
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("MoE experts as vLLM has them")
    assert reason in line


@pytest.mark.parametrize(("scale", "ours"), [(103, False), (104, True), (128, True), (129, False)])
def test_scales_beyond_float16_are_left_to_vllm(
    noted: list[Any], monkeypatch: pytest.MonkeyPatch, scale: int, ours: bool
) -> None:
    monkeypatch.setitem(KERNELS, "wgmma_sm90", KERNELS["noted"])
    method = build((Entry(64, {}, "wgmma_sm90"),))
    told = checkpoint()
    told["w2_scale"][3, 5, 1] = scale
    method._setup_kernel(Layer(), **told)
    assert method.stock_setups == (0 if ours else 1)


def test_other_layers_keep_what_vllm_makes_for_them() -> None:
    config = make_config(Config, Method, Method)()
    assert config.get_quant_method(SimpleNamespace(), "") is None


def test_both_sizes_of_gpt_oss_are_known() -> None:
    for experts, name in ((32, "gpt-oss-20b"), (128, "gpt-oss-120b")):
        spec, _ = spec_of(moe_config(num_experts=experts, hidden_dim=2880))
        assert spec is not None
        assert spec.name == name
