"""Our experts in vLLM's place, with vLLM's classes played by small ones."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from serving.moe import vllm_experts
from serving.moe.dispatch import KERNELS, Logits
from serving.moe.layout import PackedWeights, pack
from serving.moe.mxfp4 import pack_nibbles
from serving.moe.reference import draw_weights
from serving.moe.spec import TINY, MoESpec
from serving.moe.switches import say_once
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


def parallel(**changes: Any) -> Any:
    return SimpleNamespace(
        **{"tp_size": 1, "ep_size": 1, "dp_size": 1, "enable_eplb": False} | changes
    )


def moe_config(**changes: Any) -> Any:
    told = {
        "num_experts": TINY.experts,
        "experts_per_token": TINY.top_k,
        "hidden_dim": TINY.hidden,
        "intermediate_size": TINY.intermediate,
        "activation": SimpleNamespace(value="swigluoai"),
        "moe_parallel_config": parallel(),
        "is_lora_enabled": False,
    }
    return SimpleNamespace(**told | changes)


class Method:
    """As vLLM's method, what we inherit."""

    def __init__(self, moe: Any) -> None:
        self.moe, self.mxfp4_backend, self.moe_kernel = moe, "TRITON", None
        self.experts_cls: type[Any] | None = getattr(moe, "chosen", Experts)
        self.stock_setups = 0

    def _setup_kernel(
        self, layer: Any, w13: Tensor, w2: Tensor, w13_scale: Tensor, w2_scale: Tensor,
        w13_bias: Tensor | None = None, w2_bias: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.stock_setups += 1


class Config:
    """As vLLM's configuration: it makes methods for layers of experts only."""

    def get_quant_method(self, layer: Any, prefix: str) -> Any:
        return Method(layer.moe_config) if hasattr(layer, "moe_config") else None


class Experts:
    """As vLLM's experts that ours stand in for."""


class MarlinExperts:
    """As what vLLM chooses where it is told to."""


class Layer:
    moe_config = moe_config()

    def _expert_routing_tables(self) -> None:
        return None


class Kernel(ModuleType):
    """As a module of ours, what is looked at before serving."""

    @dataclass
    class Plan:
        bm: int = 8

        def check(self, spec: MoESpec) -> None:
            if self.bm != 8:
                raise ValueError(f"{self.bm} does not divide {spec.name}")


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    say_once.cache_clear()


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Make the toy a model of ours, and `noted` a kernel that remembers and gives zeros."""
    monkeypatch.setattr(vllm_experts, "MODELS", (TINY,))
    for name in ("noted", "wgmma_sm90"):  # the real one needs Triton
        monkeypatch.setitem(sys.modules, f"serving.moe.kernels.{name}", Kernel(name))
    asked: list[Any] = []

    def kernel(
        x: Tensor, weights: PackedWeights, spec: MoESpec, params: Mapping[str, Any],
        out: torch.dtype, logits: Logits,
    ) -> Tensor:  # fmt: skip
        asked.append((x, weights, params, logits))
        return torch.zeros_like(x, dtype=out)

    monkeypatch.setitem(KERNELS, "noted", kernel)
    return asked


def build(plans: tuple[Entry, ...] = PLANS, moe: Any = None) -> Any:
    def kernel(**told: Any) -> Any:
        return SimpleNamespace(fused_experts=told["experts_cls"](), told=told)

    makers = Makers(Experts, make_experts(Experts), kernel, lambda *scales: scales)
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


def padded(tensors: dict[str, Tensor], name: str, columns: int) -> dict[str, Tensor]:
    return tensors | {name: torch.nn.functional.pad(tensors[name], (0, columns))}


def test_weights_are_laid_out_as_the_kernels_want_them() -> None:
    got, wanted = pack_checkpoint(checkpoint()), pack(draw_weights(TINY, seed=9))
    for field in fields(PackedWeights):
        if not field.name.startswith("router"):
            assert torch.equal(getattr(got, field.name), getattr(wanted, field.name)), field.name


def test_with_fitting_plans_our_experts_compute(noted: list[Any]) -> None:
    method, layer = build(), Layer()
    method._setup_kernel(layer, **checkpoint())
    assert method.stock_setups == 0
    logits = torch.randn(3, TINY.experts, generator=torch.Generator().manual_seed(0)).bfloat16()
    x = torch.arange(3 * TINY.hidden).reshape(TINY.hidden, 3).t().bfloat16()
    output = method.moe_kernel.fused_experts.apply(x, None, None, logits, "swigluoai", 8)
    assert output.dtype == torch.bfloat16
    ((asked, weights, params, given),) = noted
    assert asked.is_contiguous()
    assert torch.equal(asked, x)
    assert params == {"bm": 8}
    assert given is logits
    assert torch.equal(layer.w13_weight, weights.w13)  # type: ignore[attr-defined]
    assert layer.w2_weight_scale.dtype == torch.int32  # type: ignore[attr-defined]


def test_of_two_layers_alike_one_line_tells(
    noted: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(KERNELS, "wgmma_sm90", KERNELS["noted"])
    given = checkpoint()
    given["w2_scale"][0] = 1
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            build((Entry(64, {}, "wgmma_sm90"),))._setup_kernel(Layer(), **given)
    assert [record.getMessage() for record in caplog.records] == [
        "MoE experts of tiny from h200.json",
        "MoE experts of a layer as vLLM has them: its scales leave float16",
    ]


def test_rows_of_another_length_are_an_error_not_another_answer(noted: list[Any]) -> None:
    method = build()
    method._setup_kernel(Layer(), **checkpoint())
    x = torch.ones(3, TINY.hidden + 64).bfloat16()
    with pytest.raises(ValueError, match="no tokens of tiny"):
        method.moe_kernel.fused_experts.apply(x, None, None, torch.zeros(3, TINY.experts))
    assert noted == []


@pytest.mark.parametrize(
    ("plans", "changes", "reason"),
    [
        pytest.param((), {}, "h200.json", id="no-plan"),
        pytest.param((Entry(8, {}, "unheard-of"),), {}, "unheard-of", id="unknown-kernel"),
        pytest.param(
            (*PLANS, Entry(128, {"bm": 7}, "noted")),
            {},
            "h200.json: noted for 128 tokens: 7",
            id="a-plan-with-a-rest",
        ),
        pytest.param((Entry(8, {"bn": 8}, "noted"),), {}, "bn", id="a-plan-with-an-unknown-number"),
        pytest.param(PLANS, {"num_experts": 9}, "no gpt-oss", id="another-model"),
        pytest.param(PLANS, {"is_lora_enabled": True}, "LoRA", id="lora"),
        pytest.param(
            PLANS,
            {"moe_parallel_config": parallel(tp_size=2)},
            "one GPU",
            id="two-gpus",
        ),
        pytest.param(
            PLANS,
            {"moe_parallel_config": parallel(enable_eplb=True)},
            "experts that move",
            id="balanced-experts",
        ),
        pytest.param(PLANS, {"chosen": MarlinExperts}, "MarlinExperts", id="another-backend"),
        pytest.param(PLANS, {"chosen": None}, "it chose None", id="no-backend"),
        pytest.param(
            PLANS, {"intermediate_size": 192}, "192 features", id="another-intermediate-size"
        ),
        pytest.param(
            PLANS, {"activation": SimpleNamespace(value="silu")}, "silu", id="another-activation"
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


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param(padded(checkpoint(), "w13", 32), "its w13 is", id="padded-hidden-size"),
        pytest.param(padded(checkpoint(), "w2", 32), "its w2 is", id="padded-intermediate-size"),
        pytest.param(padded(checkpoint(), "w13_scale", 2), "its w13_scale is", id="scales"),
        pytest.param(checkpoint() | {"w2_bias": None}, "its w2_bias is None", id="no-bias"),
        pytest.param(
            checkpoint() | {"w2_scale": torch.full_like(checkpoint()["w2_scale"], 255)},
            "a scale of 255 is not a number",
            id="no-number",
        ),
    ],
)
def test_a_layer_that_cannot_be_laid_out_is_left_to_vllm(
    noted: list[Any], caplog: pytest.LogCaptureFixture, given: dict[str, Any], reason: str
) -> None:
    method = build()
    with caplog.at_level(logging.INFO):
        method._setup_kernel(Layer(), **given)
    assert method.stock_setups == 1
    assert reason in caplog.text


def test_other_layers_keep_what_vllm_makes_for_them() -> None:
    config = make_config(Config, Method, Method)()
    assert config.get_quant_method(SimpleNamespace(), "") is None


def test_both_sizes_of_gpt_oss_are_known_and_the_toy_is_not() -> None:
    for experts, name in ((32, "gpt-oss-20b"), (128, "gpt-oss-120b")):
        spec, _ = spec_of(moe_config(num_experts=experts, hidden_dim=2880, intermediate_size=2880))
        assert spec is not None
        assert spec.name == name
    assert spec_of(moe_config())[0] is None
