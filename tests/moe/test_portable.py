"""The portable kernels under Triton's interpreter against the oracle, on tiny shapes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from serving.moe.layout import PackedWeights, pack
from serving.moe.reference import MoEWeights, draw_weights, moe, relative_l2, swiglu
from serving.moe.routing import make_tiles
from serving.moe.spec import TINY

pytestmark = [
    pytest.mark.moe,
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # Triton's
    pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning"),
]

TOKENS = pytest.mark.parametrize("tokens", [0, 1, 3, 5])


@pytest.fixture(scope="module")
def kernels() -> Any:
    from serving.moe.kernels import portable

    return portable


@pytest.fixture(scope="module")
def weights() -> MoEWeights:
    return draw_weights(TINY, seed=11)


@pytest.fixture(scope="module")
def packed(weights: MoEWeights) -> PackedWeights:
    return pack(weights)


def draw_tokens(tokens: int, seed: int = 3) -> torch.Tensor:
    """As after a norm: numbers that bfloat16 and float16 both hold."""
    drawn = torch.randn(tokens, TINY.hidden, generator=torch.Generator().manual_seed(seed)) * 2
    return drawn.bfloat16().float()


@TOKENS
def test_the_router_agrees_with_the_oracle(
    kernels: Any, weights: MoEWeights, packed: PackedWeights, tokens: int
) -> None:
    x = draw_tokens(tokens)
    ids, shares = kernels.route(x, packed, TINY)
    wanted = moe(x, weights, TINY, torch.float64)
    assert torch.equal(ids.long(), wanted.ids)
    assert torch.allclose(shares.double(), wanted.shares, atol=1e-6, rtol=0)


@TOKENS
def test_experts_are_chosen_by_logits_that_are_given(
    kernels: Any, packed: PackedWeights, tokens: int
) -> None:
    drawn = torch.Generator().manual_seed(tokens)
    wide = torch.randn(tokens, TINY.experts + 5, generator=drawn)
    logits = wide[:, : TINY.experts]  # rows lie further apart than they are long
    ids, shares = kernels.route(draw_tokens(tokens), packed, TINY, logits)
    values, wanted = torch.topk(logits, TINY.top_k)
    assert torch.equal(ids.long(), wanted)
    assert torch.allclose(shares, torch.softmax(values, -1), atol=1e-6, rtol=0)
    x = draw_tokens(tokens)
    own = x @ packed.router.float().T + packed.router_bias.float()
    given = kernels.moe(x, packed, TINY, out_dtype=torch.float32, logits=own)
    assert torch.allclose(given, kernels.moe(x, packed, TINY, out_dtype=torch.float32), rtol=1e-4)


def test_the_router_takes_the_lowest_of_equal_experts(kernels: Any, packed: PackedWeights) -> None:
    same = replace(
        packed,
        router=torch.zeros_like(packed.router),
        router_bias=torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0, 0.0, 1.0, 1.0]),
    )
    ids, shares = kernels.route(draw_tokens(1), same, TINY)
    assert ids.tolist() == [[1, 3, 0, 2]]
    assert shares.sum().item() == pytest.approx(1)


@TOKENS
def test_both_products_are_exact_to_a_hundred_thousandth(
    kernels: Any, weights: MoEWeights, packed: PackedWeights, tokens: int
) -> None:
    x = draw_tokens(tokens)
    wanted = moe(x, weights, TINY, torch.float64)
    tiles = make_tiles(wanted.ids.int(), experts=TINY.experts, block=16)
    got = kernels.gate_up(x, packed, TINY, tiles, kernels.Plan(), dtype=torch.float32)
    sorted_slots = wanted.activated.flatten(0, 1)[tiles.slots.long()]
    assert relative_l2(got, sorted_slots) <= 1e-5
    halves = got.half()  # what the second product is given
    y = kernels.down(halves, wanted.shares.float(), packed, TINY, tiles, kernels.Plan())
    exact = torch.zeros(4 * tokens, TINY.intermediate, dtype=torch.float64)
    exact[tiles.slots.long()] = halves.double()
    assert relative_l2(y, _slow_down(exact, weights, wanted.ids, wanted.shares)) <= 1e-5


@TOKENS
def test_the_block_is_exact_to_a_thousandth(
    kernels: Any, weights: MoEWeights, packed: PackedWeights, tokens: int
) -> None:
    x = draw_tokens(tokens)
    got = kernels.moe(x, packed, TINY, out_dtype=torch.float32)
    assert got.shape == x.shape
    assert relative_l2(got, moe(x, weights, TINY, torch.float64).output) <= 1e-3


@pytest.mark.parametrize(
    "favoured",
    [
        pytest.param([(2, 5, 6, 7)] * 5, id="all-tokens-to-the-same-experts"),
        pytest.param([(0, 1, 2, 3), (4, 5, 6, 7)], id="one-token-per-expert"),
    ],
)
def test_skewed_routing_is_computed_alike(
    kernels: Any,
    weights: MoEWeights,
    packed: PackedWeights,
    favoured: list[tuple[int, ...]],
) -> None:
    x = draw_tokens(len(favoured))
    router = torch.zeros_like(packed.router, dtype=torch.float32)
    x[:, : len(favoured)] = torch.eye(len(favoured))
    for token, experts in enumerate(favoured):
        router[list(experts), token] = torch.tensor([4.0, 3.5, 3.0, 2.5])
    zero = torch.zeros(TINY.experts)
    steered = replace(weights, router=router, router_bias=zero)
    wanted = moe(x, steered, TINY, torch.float64)
    assert wanted.ids.tolist() == [list(experts) for experts in favoured]
    got = kernels.moe(
        x, replace(packed, router=router, router_bias=zero), TINY, out_dtype=torch.float32
    )
    assert relative_l2(got, wanted.output) <= 1e-3


def test_both_clamps_were_hit(weights: MoEWeights) -> None:
    gate_up = moe(draw_tokens(5), weights, TINY, torch.float64).gate_up
    unclamped = swiglu(gate_up, replace(TINY, limit=math.inf))
    assert relative_l2(swiglu(gate_up, TINY), unclamped) > 0.1
    assert (gate_up[..., 0::2] > 7).any()
    assert (gate_up[..., 1::2] < -7).any()
    assert (gate_up[..., 1::2] > 7).any()


@pytest.mark.parametrize("scale", [129, 132])
def test_large_scales_are_right(kernels: Any, weights: MoEWeights, scale: int) -> None:
    """Tokens are as small as weights are large, which float16 takes no further than this."""
    scales = torch.full_like(weights.w13_scales, scale)
    large = replace(weights, w13_scales=scales, b13=torch.zeros_like(weights.b13))
    x = draw_tokens(2) * 2.0 ** (120 - scale)
    wanted = moe(x, large, TINY, torch.float64)
    tiles = make_tiles(wanted.ids.int(), experts=TINY.experts, block=16)
    got = kernels.gate_up(x, pack(large), TINY, tiles, kernels.Plan(), dtype=torch.float32)
    assert relative_l2(got, wanted.activated.flatten(0, 1)[tiles.slots.long()]) <= 1e-5


def test_the_smallest_scales_are_right(kernels: Any, weights: MoEWeights) -> None:
    scales = weights.w13_scales.clone()
    scales[:, 0::4], scales[:, 1::4] = 0, 1
    scales[:, 2::4, :] = 90
    extreme = replace(weights, w13_scales=scales, b13=torch.zeros_like(weights.b13))
    x = draw_tokens(2) * 64
    wanted = moe(x, extreme, TINY, torch.float64)
    tiles = make_tiles(wanted.ids.int(), experts=TINY.experts, block=16)
    got = kernels.gate_up(x, pack(extreme), TINY, tiles, kernels.Plan(), dtype=torch.float32)
    assert relative_l2(got, wanted.activated.flatten(0, 1)[tiles.slots.long()]) <= 1e-5


def test_no_poison_is_left_and_none_is_swallowed(
    kernels: Any, packed: PackedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = torch.empty

    def poisoned(*shape: int, **kind: Any) -> torch.Tensor:
        made = empty(*shape, **kind)
        return made.fill_(math.nan if made.is_floating_point() else -1)

    monkeypatch.setattr(torch, "empty", poisoned)
    x = draw_tokens(3)
    assert kernels.moe(x, packed, TINY, out_dtype=torch.float32).isfinite().all()
    x[1, 7] = math.nan
    y = kernels.moe(x, packed, TINY, out_dtype=torch.float32)
    assert y[1].isnan().all()
    assert y[[0, 2]].isfinite().all()


def test_results_repeat_and_do_not_depend_on_the_company(
    kernels: Any, packed: PackedWeights
) -> None:
    x = draw_tokens(3)
    once = kernels.moe(x, packed, TINY, out_dtype=torch.float32)
    assert torch.equal(once, kernels.moe(x, packed, TINY, out_dtype=torch.float32))
    order = torch.tensor([2, 0, 1])
    shuffled = kernels.moe(x[order], packed, TINY, out_dtype=torch.float32)
    assert torch.equal(once[order], shuffled)


def test_a_permuted_expert_is_noticed(
    kernels: Any, weights: MoEWeights, packed: PackedWeights
) -> None:
    x = draw_tokens(3)
    wrong = replace(packed, w2=packed.w2.roll(1, 0))
    got = kernels.moe(x, wrong, TINY, out_dtype=torch.float32)
    assert relative_l2(got, moe(x, weights, TINY, torch.float64).output) > 0.5


def _slow_down(
    activated: torch.Tensor, weights: MoEWeights, ids: torch.Tensor, shares: torch.Tensor
) -> torch.Tensor:
    from serving.moe.mxfp4 import dequantise

    flat = ids.flatten().tolist()
    rows = [
        activated[slot] @ dequantise(weights.w2[expert], weights.w2_scales[expert]).T
        + weights.b2[expert].double()
        for slot, expert in enumerate(flat)
    ]
    outputs = torch.stack(rows) if rows else activated.new_zeros(0, TINY.hidden)
    return outputs * shares.flatten().unsqueeze(1)
