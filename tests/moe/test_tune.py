"""Choosing among candidates, without a device: times come from a formula."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from serving.engine.launch import PINNED
from serving.moe import stages, tune
from serving.moe.dispatch import KERNELS
from serving.moe.layout import PackedWeights, pack
from serving.moe.ogs_flags import starting_point
from serving.moe.peers import triton_kernels
from serving.moe.reference import MoEWeights, moe, relative_l2
from serving.moe.spec import BUCKETS, GPT_OSS_20B, GPT_OSS_120B
from serving.moe.stages import (
    MOST_ERROR,
    MOST_ERROR_OF_OTHERS,
    ROUTINGS,
    TOY,
    Block,
    Params,
    Rehearsal,
    ask_oracle,
    draw_layer,
    lay_out_stock,
    load_stub,
)
from serving.moe.tables import Machine, Table, read_table
from serving.moe.tune import (
    STOCK,
    Point,
    decode_candidates,
    flag_candidates,
    gated,
    halve,
    main,
    through_gates,
    wgmma_candidates,
    write_table,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Conversion of an array:DeprecationWarning"  # Triton's interpreter
)
HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")
ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / ".venv-moe/vllm" / PINNED / "vllm/third_party/triton_kernels"
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
    assert best == ({"us": min(times)}, min(times))


def test_each_round_drops_half_and_looks_twice_as_long() -> None:
    asked: list[int] = []

    def measure(params: dict[str, Any], repeats: int) -> float:
        asked.append(repeats)
        return float(params["us"])

    halve([{"us": us} for us in range(8)], measure, repeats=1)
    assert asked == [1] * 8 + [2] * 4 + [4] * 2 + [8]


def test_a_candidate_that_cannot_be_measured_is_out() -> None:
    candidates = [{"us": math.nan}, {"us": 5.0}, {"us": math.nan}, {"us": 7.0}]
    assert halve(candidates, lambda params, _: params["us"]) == ({"us": 5.0}, 5.0)
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


def test_each_plan_is_compiled_once_and_stock_is_asked_whatever_it_compiles_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Params] = []

    def gates(model: str, kernel: str, cuts: list[Params]) -> list[Params]:
        asked.extend(cuts)
        return cuts[:1]

    monkeypatch.setattr(tune, "through_gates", gates)
    ours: list[Params] = [{"kernel": "decode_sm90", "params": {"bm": size}} for size in (8, 16)]
    stock: Params = {"kernel": "ogs_flags", "params": STOCK}
    free: Params = {"kernel": "portable", "params": {}}
    assert gated("gpt-oss-20b", [*ours, stock, *ours, free]) == [stock, free, ours[0]]
    assert asked == [{"bm": 8}, {"bm": 16}]


def test_the_oracle_is_asked_about_both_ends_and_the_last_tile() -> None:
    weights, x = draw_layer(Rehearsal(), 0, 40, "uniform")
    sample = ask_oracle(x, weights, TOY)
    ids = moe(x, weights, TOY, torch.float64).ids
    in_last_tile = (ids == ids.max()).any(1).nonzero()[-1]
    assert {0, int(in_last_tile), 39} <= set(sample.places)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_logits_rounded_as_vllm_rounds_them_are_not_held_against_a_kernel(routing: str) -> None:
    weights, x = draw_layer(Rehearsal(), 0, 5, routing)
    sample = ask_oracle(x, weights, TOY)
    logits = torch.nn.functional.linear(x, weights.router, weights.router_bias)

    def rounding(x: Tensor) -> Tensor:
        whole = moe(x, weights, TOY, torch.float64)
        shares = torch.softmax(logits.double().gather(1, whole.ids), 1).bfloat16().double()
        return (shares.unsqueeze(-1) * whole.expert_outputs).sum(1).bfloat16()

    assert sample.error(rounding) <= MOST_ERROR_OF_OTHERS
    assert sample.error(load_stub(weights, TOY)) <= 1e-5
    assert sample.error(lambda x: rounding(x) * 1.01) > MOST_ERROR_OF_OTHERS
    assert not sample.error(lambda x: x * math.nan) <= MOST_ERROR_OF_OTHERS
    if routing == "worst":  # the control: these logits are large
        assert relative_l2(rounding(x)[sample.places], sample.wanted[0]) > MOST_ERROR_OF_OTHERS


def test_what_one_candidate_left_in_memory_is_no_answer_of_another() -> None:
    layers = [draw_layer(Rehearsal(), number, 3, "uniform") for number in (0, 1)]
    samples = {number: ask_oracle(x, each, TOY) for number, (each, x) in enumerate(layers)}
    memory: list[Tensor] = []

    def honest(block: Block) -> Block:
        def run(x: Tensor) -> Tensor:
            memory[:] = [block(x)]
            return memory[0]

        return run

    right = [honest(load_stub(weights, TOY)) for weights, _ in layers]
    idle: list[Block] = [lambda _: memory[0]] * 2
    for asked, caught in ((samples, True), ({0: samples[0]}, False)):  # the latter is the control
        point = Point([], asked)
        assert not point.fault(right, MOST_ERROR)
        assert bool(point.fault(idle, MOST_ERROR)) is caught


def test_vllms_kernel_is_laid_out_once_for_all_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[Params] = []

    def load_with(flags: Params) -> stages.Load:
        def block(x: Tensor) -> Tensor:
            launched.append(dict(flags))
            return x

        return lambda weights, spec: block

    monkeypatch.setattr(triton_kernels, "load_with", load_with)
    weights, x = draw_layer(Rehearsal(), 0, 1, "uniform")
    laid, start = lay_out_stock(weights, TOY), starting_point(TOY, 1)
    blocks = [laid({"kernel": "ogs_flags", "params": params}) for params in (STOCK, start)]
    for block in (*blocks, blocks[0]):
        block(x)
    assert launched == [STOCK, start, STOCK]


def rehearse(folder: Path, *tokens: int) -> Table:
    main(["--dry", "--tokens", *map(str, tokens), "--out", str(folder)])
    return read_table(folder / "rehearsal.toy.json")


@pytest.mark.moe
def test_a_candidate_that_is_wrong_or_fails_loses_however_fast_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from triton.runtime.errors import OutOfResources

    def spoiled(x: Tensor, *_: Any) -> Tensor:
        return torch.zeros_like(x)

    def failing(*_: Any) -> Tensor:
        raise OutOfResources(300_000, 232_448, "shared memory")

    monkeypatch.setitem(KERNELS, "spoiled", spoiled)
    monkeypatch.setitem(KERNELS, "failing", failing)
    plans: list[Params] = [
        {"kernel": name, "params": {}} for name in ("spoiled", "portable", "failing")
    ]
    monkeypatch.setattr(tune, "candidates", lambda *_, **__: plans)
    assert [plan.kernel for plan in rehearse(tmp_path, 3).plans] == ["portable"]
    said = capsys.readouterr().out
    assert "errors of [1.0, 1.0]" in said
    assert "OutOfResources: out of resource: shared memory" in said
    del plans[1]
    with pytest.raises(SystemExit, match="no plan is right"):
        rehearse(tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()


@pytest.mark.moe
def test_layers_are_packed_once_and_what_was_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[MoEWeights] = []

    def packing(weights: MoEWeights) -> PackedWeights:
        packed.append(weights)
        return pack(weights)

    portable = KERNELS["portable"]

    def killed(x: Tensor, *more: Any) -> Tensor:
        if len(x) == 1:
            raise KeyboardInterrupt
        return portable(x, *more)

    monkeypatch.setattr(stages, "pack", packing)
    monkeypatch.setitem(KERNELS, "portable", killed)
    with pytest.raises(KeyboardInterrupt):
        rehearse(tmp_path, 1, 3, 2)
    table = read_table(tmp_path / "rehearsal.toy.json")
    assert [plan.m_max for plan in table.plans] == [2, 3]
    assert len(packed) == TOY.layers


@pytest.mark.moe
def test_the_command_line_rehearses_the_tuner(tmp_path: Path) -> None:
    """Of two environments: Footnote's command line, and before it on the path Triton."""
    triton = Path(torch.__file__).parents[1]
    done = subprocess.run(
        [ROOT / ".venv/bin/python", "-m", "footnote", "engine", "tune", "--dry", "--out", tmp_path],
        env={
            "PYTHONPATH": f"{ROOT}:{triton}",
            "PATH": os.defpath,
            "HOME": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    table = read_table(tmp_path / "rehearsal.toy.json")
    assert [plan.m_max for plan in table.plans] == [1, 3]
