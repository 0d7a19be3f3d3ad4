"""Machine code of our plans, compiled for an absent H200 by the Tritons of three vLLMs."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.engine.launch import PINNED
from serving.moe.ogs_flags import starting_point
from serving.moe.spec import SPECS
from serving.moe.tables import COMMITTED, read_tables

pytestmark = pytest.mark.moe

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-moe"
TRITONS = ["3.6.0", "3.8.0"]
EACH = pytest.mark.parametrize("triton", TRITONS)

DECODE: list[dict[str, Any]] = [
    {"bm": 8},
    {"bm": 8, "r13": 2, "nw13": 4, "r2": 2, "nw2": 2, "split": 3},
    {"bm": 16, "r13": 2, "nw13": 2, "r2": 2, "nw2": 2},
]
WGMMA: list[dict[str, Any]] = [
    {"bm": 32, "r13": 2, "stages": 5},
    {"bm": 64, "r13": 2, "stages": 3},
    {"bm": 128, "r13": 2, "stages": 3},
]
POINTS = (1, 128, 256, 1024)
REFUSED = {
    ("3.8.0", 32): {"registers are spilled"},  # both fit in Triton 3.6
    ("3.8.0", 64): {"registers are spilled"},
}
"""Starting points that a gate takes out, by Triton and rows per tile; the tuner asks the gates."""


def plans() -> list[dict[str, Any]]:
    decode = [
        {"model": "gpt-oss-20b", "kernel": "decode_sm90", "params": params} for params in DECODE
    ]
    flags = [
        {
            "model": "gpt-oss-20b",
            "kernel": "ogs_flags",
            "params": starting_point(SPECS["gpt-oss-20b"], tokens),
        }
        for tokens in POINTS
    ]
    wide = [{"model": "gpt-oss-20b", "kernel": "wgmma_sm90", "params": each} for each in WGMMA]
    stock = {"model": "gpt-oss-20b", "kernel": "ogs_flags", "params": {"w13": {}, "w2": {}}}
    committed = [
        {"model": table.spec.name, "kernel": kernel, "params": dict(entry.params)}
        for table in read_tables(COMMITTED)
        for kernel, entry in [
            *(("ogs_flags", entry) for entry in table.flags),
            *((entry.kernel, entry) for entry in table.plans),
        ]
    ]
    return [*decode, *wide, *flags, stock, *committed]


@functools.cache
def verdicts(triton: str) -> list[dict[str, Any]]:
    """Compile all plans in a process of its own: one minute of a CPU."""
    peers = VENV / "vllm" / PINNED / "vllm" / "third_party"
    path: list[Path] = [ROOT, peers]
    if triton != TRITONS[0]:
        path.insert(0, VENV / f"triton-{triton}")
    environment = {
        "PYTHONPATH": ":".join(map(str, path)),
        "PATH": os.defpath,
        "TRITON_CACHE_DIR": str(VENV / "cache" / triton),
    }
    done = subprocess.run(
        [sys.executable, "-m", "serving.moe.gates"],
        input=json.dumps(plans()),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


@EACH
@pytest.mark.timeout(1500)
def test_every_plan_passes_its_gates(triton: str) -> None:
    told = verdicts(triton)
    _print(triton, told)
    for each in told:
        block = each["plan"]["params"].get("w13", {"block_m": 0}).get("block_m", 0)
        known = set(REFUSED.get((triton, block), ()))
        faults = {fault.partition(": ")[2] for fault in each["faults"]}
        if each["plan"]["params"].get("w13") != {}:
            assert faults == known, each["plan"]


@EACH
@pytest.mark.timeout(1500)
def test_stock_flags_leave_half_a_multiprocessor_idle(triton: str) -> None:
    """The control: what the tuned flags are for, and the gates see it."""
    told = [each for each in verdicts(triton) if each["plan"]["params"].get("w13") == {}]
    assert all(any("8 warps" in fault for fault in stock["faults"]) for stock in told)
    assert told


@EACH
@pytest.mark.timeout(1500)
def test_the_decode_kernel_keeps_its_promises(triton: str) -> None:
    for each in verdicts(triton):
        if each["plan"]["kernel"] != "decode_sm90":
            continue
        for report in each["reports"]:
            assert report["shared"] == 0
            assert not [name for name in report["loop"] if name.startswith(("SHFL", "LDS", "BAR"))]


@EACH
@pytest.mark.timeout(1500)
def test_many_tokens_are_multiplied_by_warpgroups(triton: str) -> None:
    told = [each for each in verdicts(triton) if each["plan"]["kernel"] == "wgmma_sm90"]
    assert len(told) == len(WGMMA)
    for report in (report for each in told for report in each["reports"]):
        assert any(name.startswith("HGMMA") for name in report["loop"])
        assert not [name for name in report["loop"] if name.startswith(("SHFL", "PRMT"))]


def _print(triton: str, told: list[dict[str, Any]]) -> None:
    for each in told:
        for report in each["reports"]:
            print(
                f"triton {triton} {json.dumps(each['plan']['params'])} {report['name']}: "
                f"{report['registers']} registers, {report['shared']} B shared, "
                f"{sum(report['loop'].values())} instructions in the loop; "
                f"{'; '.join(each['faults']) or 'passes'}"
            )
