"""Which plan a number of tokens gets, and that finding out asks nothing of a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from serving.moe.dispatch import KERNELS, Dispatcher, Logits, why_unfit
from serving.moe.layout import PackedWeights, pack
from serving.moe.reference import draw_weights
from serving.moe.routing import make_tiles
from serving.moe.spec import GPT_OSS_20B, GPT_OSS_120B, MoESpec
from serving.moe.tables import Entry, Machine, Table, find_plans

HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")
PLANS = (Entry(8, {"bm": 8}, "fast"), Entry(64, {}, "unheard-of"))
TABLE = Table("h200.json", HERE, GPT_OSS_20B, True, (), PLANS)
SMALL = MoESpec("small", experts=4, hidden=64, intermediate=64, layers=1)


class Counting:
    """A kernel that only notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(
        self, x: Tensor, weights: PackedWeights, spec: MoESpec, params: Mapping[str, Any],
        out: torch.dtype, logits: Logits,
    ) -> Tensor:  # fmt: skip
        self.asked.append(dict(params))
        return x.to(out)


def test_the_plan_of_the_bucket_is_run() -> None:
    fast, plain = Counting(), Counting()
    run = Dispatcher(SMALL, PLANS, {"fast": fast, "portable": plain})
    weights = pack(draw_weights(SMALL, seed=0))
    for tokens in (0, 1, 8):
        assert run(torch.zeros(tokens, 64), weights).shape == (tokens, 64)
    assert fast.asked == [{"bm": 8}] * 3
    assert plain.asked == []


def test_without_a_plan_that_we_can_run_the_fallback_runs() -> None:
    assert Dispatcher(SMALL, PLANS).choose(9).kernel == "portable"
    assert Dispatcher(SMALL, (), fallback="stock").choose(1).kernel == "stock"


def test_plans_come_from_the_table_of_this_machine_and_model() -> None:
    assert find_plans([TABLE], HERE, GPT_OSS_20B) == (PLANS, "h200.json")


@pytest.mark.parametrize(
    ("machine", "spec", "reason"),
    [
        pytest.param(replace(HERE, device="NVIDIA H100"), GPT_OSS_20B, "device", id="device"),
        pytest.param(replace(HERE, kernels="cccc"), GPT_OSS_20B, "kernels", id="sources"),
        pytest.param(HERE, GPT_OSS_120B, "it is for gpt-oss-20b", id="model"),
        pytest.param(HERE, replace(GPT_OSS_20B, hidden=64), "it is for", id="renamed-model"),
    ],
)
def test_another_machine_or_model_gets_no_plan_but_a_reason(
    machine: Machine, spec: MoESpec, reason: str
) -> None:
    plans, told = find_plans([TABLE], machine, spec)
    assert plans == ()
    assert reason in told
    assert find_plans([], machine, spec) == ((), "no table")


@pytest.mark.moe
@pytest.mark.parametrize(
    ("kernel", "params", "reason"),
    [
        pytest.param("decode_sm90", {"bn": 8}, "bn", id="unknown-number"),
        pytest.param("decode_sm90", {"u13": 4}, "does not divide gpt-oss-20b", id="rest"),
        pytest.param("wgmma_sm90", {"bm": 8}, "does not divide gpt-oss-20b", id="few-rows"),
        pytest.param("wgmma_sm90", {"stages": 0}, "by zero", id="nothing"),
        pytest.param("wgmma_sm90", {"stages": "3"}, "str", id="in-words"),
        pytest.param("unheard-of", {}, "no kernel is called unheard-of", id="unheard-of"),
    ],
)
def test_a_plan_that_would_be_an_error_while_serving_is_found_before(
    kernel: str, params: dict[str, Any], reason: str
) -> None:
    for known in KERNELS:
        assert why_unfit(Entry(64, {}, known), GPT_OSS_20B) is None
    assert reason in str(why_unfit(Entry(64, params, kernel), GPT_OSS_20B))


def test_routing_never_waits_for_the_device() -> None:
    """A tensor on the device `meta` has no values: asking it for one is an error."""
    ids = torch.empty(5, 4, dtype=torch.int32, device="meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        ids[0, 0].item()  # the control
    tiles = make_tiles(ids, experts=8, block=16, largest_first=True)
    assert tiles.expert.shape == (8,)
