"""Choosing among candidates, without a device: times come from a formula."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.moe.ogs_flags import starting_point
from serving.moe.spec import BUCKETS, GPT_OSS_20B, GPT_OSS_120B
from serving.moe.tables import Machine, read_table
from serving.moe.tune import (
    decode_candidates,
    flag_candidates,
    halve,
    through_gates,
    wgmma_candidates,
    write_table,
)

HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")
BUNDLED = Path(__file__).parents[2] / ".venv-moe/vllm/0.33.0/vllm/third_party/triton_kernels"
NAMING = """
import sys

def has_triton_kernels():
    import vllm.third_party.triton_kernels as bundled
    sys.modules["triton_kernels"] = bundled
    return True
"""


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Put a vLLM in place whose copy of triton_kernels bears that name in this process only."""
    for package in (tmp_path / "vllm", tmp_path / "vllm/utils", tmp_path / "vllm/third_party"):
        package.mkdir()
        (package / "__init__.py").touch()
    (tmp_path / "vllm/utils/import_utils.py").write_text(NAMING)
    shutil.copytree(BUNDLED, tmp_path / "vllm/third_party/triton_kernels")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [each for each in sys.modules if each.split(".")[0] in ("vllm", "triton_kernels")]:
        del sys.modules[name]


@settings(max_examples=50)
@given(st.lists(st.floats(1, 1000), min_size=1, max_size=40, unique=True))
def test_halving_finds_the_fastest_of_true_times(times: list[float]) -> None:
    best = halve([{"us": time} for time in times], lambda params, _: float(params["us"]))
    assert best == {"us": min(times)}


def test_each_round_drops_half_and_looks_twice_as_long() -> None:
    asked: list[int] = []

    def measure(params: dict[str, Any], repeats: int) -> float:
        asked.append(repeats)
        return float(params["us"])

    halve([{"us": us} for us in range(8)], measure, repeats=1)
    assert asked == [1] * 8 + [2] * 4 + [4] * 2 + [8]


def test_a_candidate_that_cannot_be_measured_is_out() -> None:
    candidates = [{"us": math.nan}, {"us": 5.0}, {"us": math.nan}, {"us": 7.0}]
    assert halve(candidates, lambda params, _: params["us"]) == {"us": 5.0}
    with pytest.raises(ValueError, match="no candidate"):
        halve(candidates[:1], lambda params, _: params["us"])


def test_every_decode_candidate_divides_the_model() -> None:
    for spec in (GPT_OSS_20B, GPT_OSS_120B):
        for tokens in BUCKETS:
            candidates = list(decode_candidates(spec, tokens))
            assert 0 < len(candidates) <= 150
            for cut in candidates:
                assert 360 % (cut["r13"] * cut["nw13"]) == 0
                assert 180 % (cut["r2"] * cut["nw2"]) == 0
                assert 45 % cut["u13"] == 45 % cut["split"] == 45 // cut["split"] % cut["u2"] == 0


def test_every_wgmma_candidate_divides_the_model() -> None:
    for spec in (GPT_OSS_20B, GPT_OSS_120B):
        for tokens in BUCKETS:
            candidates = list(wgmma_candidates(spec, tokens))
            assert candidates
            for cut in candidates:
                assert (
                    5760 % (64 * cut["r13"]) == 2880 % (64 * cut["r2"]) == 45 % cut["stages"] == 0
                )


def test_stock_flags_and_the_starting_point_are_among_the_candidates() -> None:
    for tokens in BUCKETS:
        candidates = list(flag_candidates(GPT_OSS_20B, tokens))
        assert candidates[0] == {"w13": {}, "w2": {}}
        assert len({json.dumps(each, sort_keys=True) for each in candidates}) == len(candidates)


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    plans = [{"m_max": 8, "kernel": "decode_sm90", "params": {"bm": 8}, "us": 3.0}]
    path = write_table(tmp_path / "new", GPT_OSS_20B, HERE, {"plans": plans}, measured=True)
    assert path.name == "nvidia_h200.gpt-oss-20b.json"
    table = read_table(path)
    assert (table.machine, table.spec, table.measured) == (HERE, GPT_OSS_20B, True)
    assert table.plans[0].params == {"bm": 8}


@pytest.mark.moe
def test_flags_are_judged_where_only_vllm_names_the_kernels_that_they_steer(vllm: None) -> None:
    start = starting_point(GPT_OSS_20B, 1)
    stock: dict[str, Any] = {"w13": {}, "w2": {}}
    assert through_gates("gpt-oss-20b", "ogs_flags", [stock, start]) == [start]


@pytest.mark.moe
def test_a_plan_that_cannot_be_compiled_is_out_and_no_other() -> None:
    divides, leaves_a_rest, unheard_of = {"bm": 8}, {"bm": 8, "nw13": 7}, {"bn": 8}
    cuts = [leaves_a_rest, divides, unheard_of]
    assert through_gates("gpt-oss-20b", "decode_sm90", cuts) == [divides]
