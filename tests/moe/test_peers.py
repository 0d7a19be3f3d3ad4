"""What Marlin and Humming are handed, by stand-ins that compute what they were handed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from serving.moe.bench import PEERS, Contender, Row, _left_out, pairs, ratio_to_best_peer
from serving.moe.mxfp4 import dequantise, unpack_nibbles
from serving.moe.peers import humming, marlin, missing
from serving.moe.reference import draw_weights, moe, relative_l2, swiglu
from serving.moe.spec import MoESpec
from serving.moe.stages import Rehearsal

SMALL = MoESpec("small", experts=5, hidden=192, intermediate=64, layers=1)
FUSED = "vllm.model_executor.layers.fused_moe"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts a module with attributes where an import finds it."""

    def put(name: str, **attributes: Any) -> None:
        parts = name.split(".")
        for end in range(1, len(parts)):
            parent = ".".join(parts[:end])
            if parent not in sys.modules:
                monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        module = ModuleType(name)
        for key, value in attributes.items():
            setattr(module, key, value)
        monkeypatch.setitem(sys.modules, name, module)

    put(f"{FUSED}.router.fused_topk_router", fused_topk=fused_topk)
    put(
        f"{FUSED}.activation",
        MoEActivation=SimpleNamespace(SWIGLUOAI="swigluoai"),
        apply_moe_activation=activate,
    )
    return put


def fused_topk(
    x: Tensor, logits: Tensor, topk: int, renormalize: bool
) -> tuple[Tensor, Tensor, Tensor]:
    shares, ids = torch.softmax(logits.float(), -1).topk(topk)
    assert renormalize
    return shares / shares.sum(-1, keepdim=True), ids.int(), ids


def activate(activation: str, out: Tensor, h: Tensor) -> None:
    assert activation == "swigluoai"
    out.copy_(swiglu(h.double(), SMALL).to(out))


def unfolded(nibbles: Tensor, scales: Tensor) -> Tensor:
    codes = unpack_nibbles(nibbles.reshape(*nibbles.shape[:2], -1, 16))
    return dequantise(codes, scales)


def tokens() -> Tensor:
    return torch.randn(3, SMALL.hidden, generator=torch.Generator().manual_seed(1)).bfloat16()


def test_marlin_is_handed_the_layer_padded_and_gives_its_output(modules: Any) -> None:
    def prepare(layer: Any, *tensors: Tensor) -> Sequence[Tensor]:
        assert layer.params_dtype == torch.bfloat16
        w13, w2, s13, s2, b13, b2 = tensors
        assert (w13.shape, w2.shape) == ((5, 256, 128), (5, 256, 64))
        return unfolded(w13, s13), unfolded(w2, s2), s13, s2, b13.double(), b2.double()

    def fused(
        x: Tensor, w1: Tensor, w2: Tensor, bias1: Tensor, bias2: Tensor, s1: Tensor, s2: Tensor,
        shares: Tensor, ids: Tensor, *, quant_type_id: int, activation: str,
    ) -> Tensor:  # fmt: skip
        assert (quant_type_id, activation) == (99, "swigluoai")
        wide = replace(SMALL, hidden=256, intermediate=128)
        y = torch.zeros(len(x), 256, dtype=torch.float64)
        for m, k in [(m, k) for m in range(len(x)) for k in range(SMALL.top_k)]:
            e = int(ids[m, k])
            a = swiglu(x[m].double() @ w1[e].T + bias1[e], wide)
            y[m] += shares[m, k].double() * (a @ w2[e].T + bias2[e])
        return y

    modules(f"{FUSED}.experts.marlin_moe", fused_marlin_moe=fused)
    modules(
        "vllm.model_executor.layers.quantization.utils.marlin_utils_fp4",
        prepare_moe_mxfp4_layer_for_marlin=prepare,
    )
    modules("vllm.scalar_type", scalar_types=SimpleNamespace(float4_e2m1f=SimpleNamespace(id=99)))
    weights, x = draw_weights(SMALL, seed=2), tokens()
    got = marlin.load(weights, SMALL)(x)
    assert got.shape == x.shape
    assert relative_l2(got, moe(x, weights, SMALL, torch.float64).output) <= 1e-2  # its router


def test_humming_is_handed_both_products_and_gives_the_block(modules: Any) -> None:
    class Layer:
        """A product of Humming's: rows chosen by `sorted_ids`, which here are experts by slot."""

        def __init__(self, **told: Any) -> None:
            assert told["weight_config"] == {"quant_method": "gpt_oss_mxfp4"}
            assert told["has_bias"] is True
            self.told = told

        def load_from_tensors(self, tensors: dict[str, Tensor]) -> None:
            self.w = unfolded(tensors["weight"], tensors["weight_scale"])
            self.b = tensors["bias"].double()
            assert self.w.shape[1:] == (self.told["shape_n"], self.told["shape_k"])

        def transform(self) -> None:
            self.ready = True

        def __call__(
            self, x: Tensor, *, outputs: Tensor, sorted_ids: Tensor, top_k: int, **more: Any
        ) -> None:
            assert self.ready
            assert json.loads(more["compute_config"])["gemm_type"] == "indexed"
            assert json.loads(more["tuning_config"]) == [[0, 8, {"block_shape": [16]}]]
            assert more["valid_shape_m"] == len(sorted_ids)
            for slot, expert in enumerate(sorted_ids.tolist()):
                y = x[slot // top_k].double() @ self.w[expert].T + self.b[expert]
                outputs[slot] = y.to(outputs)

    def align(ids: Tensor, rows: int, experts: int, *, ignore_invalid_experts: bool) -> Any:
        assert (rows, experts, ignore_invalid_experts) == (64, 5, True)
        return ids.flatten(), ids, ids

    def summed(*, inputs: Tensor, topk_weights: Tensor, topk_ids: Tensor) -> Tensor:
        return (inputs.double() * topk_weights[..., None]).sum(1)

    tuned = SimpleNamespace(
        get_default_tuning_configs=lambda layer, gemm_type: [(0, 8, {"block_shape": [16]})]
    )
    modules("humming.layer", HummingLayer=Layer, HummingMethod=tuned)
    modules(f"{FUSED}.moe_align_block_size", moe_align_block_size=align)
    modules(f"{FUSED}.moe_fused_mul_sum", moe_fused_mul_sum=summed)
    weights, x = draw_weights(SMALL, seed=2), tokens()
    got = humming.load(weights, SMALL)(x)
    assert relative_l2(got, moe(x, weights, SMALL, torch.float64).output) <= 2e-2  # in bfloat16


def test_rows_per_tile_are_those_of_the_entry_that_covers_the_slots() -> None:
    tuned = [(0, 16, {"block_shape": [8]}), (16, 64, {"block_shape": [32]})]
    assert [humming.rows_per_tile(tuned, slots) for slots in (1, 16, 17, 64, 65)] == [
        8, 8, 32, 32, 64,
    ]  # fmt: skip


def test_padding_for_marlin_adds_nothing() -> None:
    weights = draw_weights(SMALL, seed=3)
    w13, w2, s13, s2, b13, b2 = marlin.padded(weights, SMALL)
    assert torch.equal(
        unfolded(w13, s13)[:, :128, :192], dequantise(weights.w13, weights.w13_scales)
    )
    assert not unfolded(w13, s13)[:, 128:].any()
    assert not unfolded(w13, s13)[:, :, 192:].any()
    assert not unfolded(w2, s2)[:, 192:].any()
    assert not unfolded(w2, s2)[:, :, 64:].any()
    assert not b13[:, 128:].any()
    assert not b2[:, 192:].any()


def test_without_vllm_each_peer_says_so() -> None:
    assert missing(["torch", "no_such_thing"]) == "no_such_thing is not installed here"
    assert missing(["torch"]) == ""
    reasons = _left_out(Rehearsal())
    assert reasons.keys() == set(PEERS)
    assert reasons["marlin"] == "vllm is not installed here"
    assert "humming" in reasons["humming"]


def test_a_peer_that_breaks_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marlin, "NEEDS", ())
    monkeypatch.setattr(marlin, "load", lambda *_: (_ for _ in ()).throw(RuntimeError("no PTX")))
    assert _left_out(Rehearsal())["marlin"] == "RuntimeError: no PTX"


def test_ours_is_measured_beside_each_peer_or_alone() -> None:
    def load(*_: Any) -> Any:
        return None

    ours, peers = Contender(load, "portable"), dict.fromkeys(PEERS, Contender(load, "stub"))
    beside = pairs(ours, peers, {"marlin"})
    assert [set(each) for each in beside] == [
        {"ours", "vllm-default"}, {"ours", "flags"}, {"ours", "humming"},
    ]  # fmt: skip
    assert pairs(ours, peers, PEERS) == [{"ours": ours}]


def test_the_ratio_is_to_the_best_right_peer_and_to_what_we_took_beside_it() -> None:
    def row(name: str, beside: str, us: float, tokens: int = 1, *, right: bool = True) -> Row:
        return Row(
            name=name, beside=beside, kernel="", params={}, table="", tokens=tokens,
            routing="uniform", us=us, spread=0.0, floor_us=1.0, fraction=1.0 / us, error=0.0,
            right=right, repeats_bitwise=True,
        )  # fmt: skip

    rows = [
        row("ours", "marlin", 10), row("marlin", "ours", 12),
        row("ours", "humming", 20), row("humming", "ours", 22),
        row("ours", "marlin", 5, tokens=8), row("marlin", "ours", 4, tokens=8),
    ]  # fmt: skip
    wrong = [
        row("ours", "flags", 10), row("flags", "ours", 1, right=False),
        row("ours", "humming", 1, tokens=8, right=False), row("humming", "ours", 2, tokens=8),
    ]  # fmt: skip
    assert ratio_to_best_peer([*rows, *wrong], "ours") == {
        "1/uniform": pytest.approx(1.1), "8/uniform": pytest.approx(0.8),
    }  # fmt: skip
