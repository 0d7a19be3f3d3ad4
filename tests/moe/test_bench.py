"""Benchmark and tuner from end to end on a CPU: a toy model, interpreted; no speed is proved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.moe,
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),  # Triton's
]


def test_a_rehearsal_of_the_benchmark_writes_checked_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving.moe.bench import main
    from serving.moe.stages import Ceilings, Rehearsal

    slow_memory = Ceilings(bandwidth=1e6, flops=1e18)
    monkeypatch.setattr(Rehearsal, "ceilings", lambda _: slow_memory)
    out = tmp_path / "result.json"
    main(["--dry", "--tokens", "3", "--layers", "1", "--out", str(out)])
    told = json.loads(out.read_text())
    assert told["rehearsal"] is True
    assert len(told["rows"]) == 24
    peers = {row["name"] for row in told["rows"]} - {"ours"}
    assert peers == {"vllm-default", "flags", "marlin", "humming"}
    assert {row["beside"] for row in told["rows"] if row["name"] == "ours"} == peers
    rows = {(row["name"], row["routing"]): row for row in told["rows"]}
    for row in told["rows"]:
        assert row["error"] <= 1e-3
        assert row["repeats_bitwise"]
        assert row["fraction"] == pytest.approx(row["floor_us"] / row["us"])
    assert rows["ours", "worst"]["floor_us"] < rows["ours", "uniform"]["floor_us"]
    assert set(told["best_peer_over_ours"]) == {"3/uniform", "3/zipf", "3/worst"}


def test_a_rehearsal_of_the_tuner_writes_a_table_that_no_machine_takes(tmp_path: Path) -> None:
    from serving.moe.tables import FOR_PLANS, read_table, why_not
    from serving.moe.tune import main

    main(["--dry", "--tokens", "1", "--out", str(tmp_path)])
    table = read_table(tmp_path / "rehearsal.toy.json")
    assert table.plans[0].kernel == "portable"
    assert "not a measurement" in str(why_not(table, table.machine, FOR_PLANS))
