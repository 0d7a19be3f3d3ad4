"""The oracle against a second one that shares no line with it: loops over numbers."""

from __future__ import annotations

import math

import pytest
import torch

from serving.moe.mxfp4 import dequantise
from serving.moe.reference import (
    MoEWeights,
    Stages,
    choose,
    draw_weights,
    moe,
    relative_l2,
    swiglu,
)
from serving.moe.spec import MoESpec

SMALL = MoESpec("small", experts=6, hidden=64, intermediate=32, layers=1)


@pytest.fixture(scope="module")
def weights() -> MoEWeights:
    return draw_weights(SMALL, seed=1)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.randn(3, SMALL.hidden, generator=torch.Generator().manual_seed(2)) * 3


def test_the_block_agrees_with_loops_over_numbers(weights: MoEWeights, x: torch.Tensor) -> None:
    stages = moe(x, weights, SMALL, torch.float64)
    for token, row in enumerate(x.double().tolist()):
        wanted = _slow_token(row, weights)
        assert stages.output[token].tolist() == pytest.approx(wanted, rel=1e-10, abs=1e-10)


def test_both_clamps_are_hit_by_these_weights(weights: MoEWeights, x: torch.Tensor) -> None:
    gate_up = moe(x, weights, SMALL, torch.float64).gate_up
    gate, up = gate_up[..., 0::2], gate_up[..., 1::2]
    assert (gate > 7).any()
    assert (up > 7).any()
    assert (up < -7).any()


def test_float32_is_near_float64(weights: MoEWeights, x: torch.Tensor) -> None:
    single = moe(x, weights, SMALL, torch.float32).output
    assert 0 < relative_l2(single, moe(x, weights, SMALL, torch.float64).output) < 1e-6


def test_no_token_is_no_output(weights: MoEWeights) -> None:
    stages = moe(torch.zeros(0, SMALL.hidden), weights, SMALL, torch.float32)
    assert stages.output.shape == (0, SMALL.hidden)


def test_what_is_not_a_number_stays_so(weights: MoEWeights, x: torch.Tensor) -> None:
    broken = x.clone()
    broken[1, 5] = math.nan
    output = moe(broken, weights, SMALL, torch.float32).output
    assert output[1].isnan().all()
    assert output[[0, 2]].isfinite().all()


def test_of_equal_logits_the_lowest_id_wins() -> None:
    ids, shares = choose(torch.tensor([[1.0, 3.0, 1.0, 1.0, 3.0, 1.0]]), 4)
    assert ids.tolist() == [[1, 4, 0, 2]]
    assert shares.sum().item() == pytest.approx(1)


def test_an_activation_is_at_most_56() -> None:
    huge = torch.tensor([1e9, 1e9, -1e9, 1e9, 1e9, -1e9], dtype=torch.float64)
    assert swiglu(huge, SMALL).tolist() == pytest.approx([56.0, 0.0, -42.0], rel=1e-5)


def test_each_stage_has_the_shape_it_says(weights: MoEWeights, x: torch.Tensor) -> None:
    stages = moe(x, weights, SMALL, torch.float32)
    shapes = {name: tuple(getattr(stages, name).shape) for name in Stages.__slots__}
    assert shapes == {
        "logits": (3, 6),
        "ids": (3, 4),
        "shares": (3, 4),
        "gate_up": (3, 4, 64),
        "activated": (3, 4, 32),
        "expert_outputs": (3, 4, 64),
        "output": (3, 64),
    }


def _slow_token(x: list[float], weights: MoEWeights) -> list[float]:
    router = weights.router.double().tolist()
    bias = weights.router_bias.double().tolist()
    logits = [_dot(row, x) + b for row, b in zip(router, bias, strict=True)]
    chosen = sorted(range(len(logits)), key=lambda expert: (-logits[expert], expert))[:4]
    powers = [math.exp(logits[expert] - logits[chosen[0]]) for expert in chosen]
    output = [0.0] * len(x)
    for expert, power in zip(chosen, powers, strict=True):
        w13 = dequantise(weights.w13[expert], weights.w13_scales[expert]).tolist()
        h = [
            _dot(row, x) + b
            for row, b in zip(w13, weights.b13[expert].double().tolist(), strict=True)
        ]
        a = [_slow_swiglu(h[i], h[i + 1]) for i in range(0, len(h), 2)]
        w2 = dequantise(weights.w2[expert], weights.w2_scales[expert]).tolist()
        for place, row in enumerate(w2):
            value = _dot(row, a) + float(weights.b2[expert, place])
            output[place] += power / sum(powers) * value
    return output


def _slow_swiglu(gate: float, up: float) -> float:
    gate, up = min(gate, 7), max(-7, min(up, 7))
    return gate / (1 + math.exp(-1.702 * gate)) * (up + 1)


def _dot(left: list[float], right: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))
