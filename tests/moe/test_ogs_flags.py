"""Flags change where a table says so, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from serving.moe.ogs_flags import BLOCKS, change, starting_point, which_matrix, why_wrong, wrap
from serving.moe.spec import BUCKETS, GPT_OSS_20B, GPT_OSS_120B
from serving.moe.tables import Entry

ROUTING = SimpleNamespace(n_expts_tot=32, n_expts_act=4)
PARAMS = {"w13": {"block_m": 32, "maxnreg": 128}, "w2": {"num_stages": 5}}
ENTRIES = (Entry(16, {"w13": {}, "w2": {}}), Entry(64, PARAMS))


@dataclass
class Flags:
    """As triton_kernels' OptFlags, what we look at."""

    block_m: int = 16
    block_n: int = 256
    block_k: int = 128
    num_warps: int = 8
    num_stages: int = 4
    group_m: int = 8
    split_k: int = 1
    is_persistent: bool = False
    fused_scatter: bool = False
    target_kernel_kwargs: dict[str, int] = field(default_factory=dict)


def stock(
    out_dtype: Any,
    lhs_dtype: Any,
    rhs_dtype: Any,
    precision_config: Any,
    m: int,
    n: int,
    k: int,
    routing_data: Any,
    can_use_persistent_tma: bool,
    can_use_fused_scatter: bool,
    epilogue_effective_itemsize: Any,
) -> Flags:
    return precision_config or Flags()


def ask(m: int, n: int, k: int, routing: Any = ROUTING, flags: Flags | None = None) -> Flags:
    choose = wrap(stock, GPT_OSS_20B, ENTRIES)
    told: Flags = choose(None, None, None, flags, m, n, k, routing, False, False, None)
    return told


def test_a_table_changes_each_matrix_by_its_bucket() -> None:
    assert ask(4 * 16, 5760, 2880) == Flags()
    assert ask(4 * 17, 5760, 2880) == Flags(block_m=32, target_kernel_kwargs={"maxnreg": 128})
    assert ask(4 * 17, 2880, 2880) == Flags(num_stages=5)
    assert ask(4 * 9999, 2880, 2880) == Flags(num_stages=5)


def test_named_arguments_are_understood_too() -> None:
    choose = wrap(stock, GPT_OSS_20B, ENTRIES)
    told = choose(None, None, None, None, 100, n=2880, k=2880, routing_data=ROUTING,
                  can_use_persistent_tma=False, can_use_fused_scatter=False,
                  epilogue_effective_itemsize=None)  # fmt: skip
    assert told == Flags(num_stages=5)


@pytest.mark.parametrize(
    ("n", "k", "routing"),
    [
        pytest.param(4096, 2880, ROUTING, id="another-shape"),
        pytest.param(2880, 2880, None, id="a-dense-product"),
        pytest.param(2880, 2880, SimpleNamespace(n_expts_tot=128, n_expts_act=4), id="120b"),
        pytest.param(2880, 2880, SimpleNamespace(n_expts_tot=32, n_expts_act=2), id="top-2"),
    ],
)
def test_another_product_keeps_its_flags(n: int, k: int, routing: Any) -> None:
    assert ask(100, n, k, routing) == Flags()
    assert which_matrix(GPT_OSS_20B, n, k, routing) is None


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(Flags(block_n=128, num_warps=4), id="another-order-of-scales"),
        pytest.param(Flags(is_persistent=True), id="persistent"),
        pytest.param(Flags(split_k=2), id="split"),
        pytest.param(Flags(fused_scatter=True), id="scatter"),
        pytest.param(Flags(target_kernel_kwargs={"maxnreg": 64}), id="already-changed"),
    ],
)
def test_what_stock_chose_differently_is_left_alone(chosen: Flags) -> None:
    assert ask(100, 2880, 2880, flags=chosen) is chosen


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"block_n": 128}, id="fixed-by-the-layout"),
        pytest.param({"block_m": 48}, id="no-tile-list-for-it"),
        pytest.param({"surprise": 1}, id="unknown"),
    ],
)
def test_flags_that_cannot_be_set_are_an_error(params: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        change(Flags(), params)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({"w2": {}}, "w13 for 64 tokens has no flags", id="one-matrix-only"),
        pytest.param({"block_m": 16, "num_stages": 4}, "w13 for 64", id="both-at-once"),
        pytest.param({"w13": {}, "w2": {"block_n": 128}}, "w2 for 64", id="fixed-by-the-layout"),
        pytest.param({"w13": {"block_m": 48}, "w2": {}}, "'block_m': 48", id="no-tile-list-for-it"),
    ],
)
def test_what_would_be_an_error_while_serving_is_found_before(
    params: dict[str, Any], reason: str
) -> None:
    assert why_wrong(ENTRIES) is None
    assert reason in str(why_wrong((*ENTRIES, Entry(64, params))))


def test_a_starting_point_is_legal_for_every_bucket() -> None:
    for spec in (GPT_OSS_20B, GPT_OSS_120B):
        for tokens in BUCKETS:
            for params in starting_point(spec, tokens).values():
                assert change(Flags(), params).block_m in BLOCKS


def test_a_starting_point_spares_second_tiles() -> None:
    def block(tokens: int) -> int:
        return starting_point(GPT_OSS_20B, tokens)["w13"]["block_m"]

    assert [block(tokens) for tokens in (1, 64, 128, 256, 512)] == [16, 16, 32, 64, 64]
    assert replace(Flags(), block_m=block(8192)).block_m == 128
