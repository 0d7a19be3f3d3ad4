"""Benchmark and tuner from end to end on a CPU: a toy model, interpreted; no speed is proved."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from serving.moe import tune
from serving.moe.bench import Tuned, contenders, main, untuned
from serving.moe.dispatch import KERNELS
from serving.moe.ogs_flags import starting_point
from serving.moe.spec import BUCKETS, GPT_OSS_20B, GPT_OSS_120B
from serving.moe.stages import Ceilings, Rehearsal
from serving.moe.tables import FOR_PLANS, Entry, Machine, Table, find_flags, read_table, why_not

pytestmark = pytest.mark.filterwarnings(
    "ignore:Conversion of an array:DeprecationWarning"  # Triton's interpreter
)
HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")
PLANS = (Entry(8, {"bm": 8}, "decode_sm90"), Entry(8192, {"bm": 128}, "wgmma_sm90"))
FLAGS = (Entry(64, {"w13": {}, "w2": {"maxnreg": 128}}),)
TABLE = Table("h200.json", HERE, GPT_OSS_20B, True, FLAGS, PLANS)


def test_what_was_tuned_is_what_is_measured() -> None:
    ours, peers = contenders(GPT_OSS_20B, Tuned(PLANS, "h200.json", FLAGS, "h200.json"), 256)
    assert (ours.kernel, ours.params, ours.table) == ("wgmma_sm90", {"bm": 128}, "h200.json")
    assert (peers["flags"].params, peers["flags"].table) == (FLAGS[0].params, "h200.json")


def test_without_a_table_both_start_where_tuning_starts() -> None:
    nothing = Tuned((), "no table", (), "no table")
    for tokens, kernel in ((1, "decode_sm90"), (64, "decode_sm90"), (8192, "wgmma_sm90")):
        ours, peers = contenders(GPT_OSS_20B, nothing, tokens)
        assert (ours.kernel, ours.table) == (kernel, "")
        assert peers["flags"].params == starting_point(GPT_OSS_20B, tokens)
        assert peers["flags"].table == ""


def test_flags_come_from_the_first_table_that_fits() -> None:
    other = replace(TABLE, name="h100.json", machine=replace(HERE, device="NVIDIA H100"))
    empty = replace(TABLE, name="plans.json", flags=())
    assert find_flags([other, empty, TABLE], HERE, GPT_OSS_20B) == (FLAGS, "h200.json")
    flags, told = find_flags([other, TABLE], HERE, GPT_OSS_120B)
    assert flags == ()
    assert "h100.json: device is NVIDIA H200" in told
    assert "h200.json: it is for gpt-oss-20b" in told


@pytest.mark.moe
def test_what_stands_for_ours_without_a_table_divides_the_model() -> None:
    for spec, tokens in itertools.product((GPT_OSS_20B, GPT_OSS_120B), BUCKETS):
        plan = untuned(spec, tokens)
        import_module(f"serving.moe.kernels.{plan.kernel}").Plan(**plan.params).check(spec)


@pytest.mark.moe
def test_where_ours_is_wrong_the_benchmark_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    portable = KERNELS["portable"]
    monkeypatch.setitem(KERNELS, "portable", lambda *args: portable(*args) * 1.01)
    out = tmp_path / "result.json"
    with pytest.raises(SystemExit, match="ours is wrong"):
        main(["--dry", "--tokens", "1", "--layers", "1", "--out", str(out)])
    told = json.loads(out.read_text())
    assert {row["right"] for row in told["rows"] if row["name"] == "ours"} == {False}
    assert {row["right"] for row in told["rows"] if row["name"] != "ours"} == {True}
    assert told["best_peer_over_ours"] == {}
    assert "error 1.0e-02, is WRONG" in capsys.readouterr().out


def test_a_folder_of_tables_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "missing")
    with pytest.raises(SystemExit):
        main(["--dry", "--tables", missing, "--out", str(tmp_path / "result.json")])
    assert f"there is no folder {missing}" in capsys.readouterr().err


@pytest.mark.moe
def test_a_rehearsal_of_the_benchmark_writes_checked_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_memory = Ceilings(bandwidth=1e6, flops=1e18)
    monkeypatch.setattr(Rehearsal, "ceilings", lambda _: slow_memory)
    out = tmp_path / "result.json"
    tables = tmp_path / "tables"
    tune.main(["--dry", "--tokens", "3", "--out", str(tables)])
    main(["--dry", "--tables", str(tables), "--tokens", "3", "--layers", "1", "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["rehearsal"] is True
    assert "rehearsal.toy.json: it is a starting point" in told["plans"]
    assert len(told["rows"]) == 24
    peers = {row["name"] for row in told["rows"]} - {"ours"}
    assert peers == {"vllm-default", "flags", "marlin", "humming"}
    assert {row["beside"] for row in told["rows"] if row["name"] == "ours"} == peers
    rows = {(row["name"], row["routing"]): row for row in told["rows"]}
    for row in told["rows"]:
        assert row["error"] <= 1e-3
        assert row["repeats_bitwise"]
        assert row["right"]
        assert row["kernel"] == ("portable" if row["name"] == "ours" else "stub")
        assert row["fraction"] == pytest.approx(row["floor_us"] / row["us"])
    assert rows["ours", "worst"]["floor_us"] < rows["ours", "uniform"]["floor_us"]
    assert set(told["best_peer_over_ours"]) == {"3/uniform", "3/zipf", "3/worst"}


@pytest.mark.moe
def test_a_rehearsal_of_the_tuner_writes_a_table_that_no_machine_takes(tmp_path: Path) -> None:
    tune.main(["--dry", "--tokens", "1", "--out", str(tmp_path)])
    table = read_table(tmp_path / "rehearsal.toy.json")
    assert table.plans[0].kernel == "portable"
    assert "not a measurement" in str(why_not(table, table.machine, FOR_PLANS))
