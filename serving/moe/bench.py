"""Measure the block beside others in one run, and say what fraction of the floor each reaches.

    python -m serving.moe.bench --model gpt-oss-20b --out result.json     needs a GPU
    python -m serving.moe.bench --dry --out result.json                   a rehearsal on a CPU

First the device's own ceilings, then for each number of tokens and each routing all contenders in
turn, forth and back, each checked against the oracle in the same run. Only useful bytes and
operations count, those of the experts that were really drawn.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from serving.moe.dispatch import find_plans
from serving.moe.ogs_flags import starting_point
from serving.moe.reference import MoEWeights, moe, relative_l2, route
from serving.moe.spec import SPECS, MoESpec
from serving.moe.stages import (
    ROUTINGS,
    Ceilings,
    Gpu,
    Load,
    Rehearsal,
    Stage,
    draw_layers,
    load_ours,
    load_stub,
)
from serving.moe.tables import COMMITTED, entry_for, read_tables
from serving.moe.vllm_plugin import name_bundled_kernels

CHECKED = 4
"""Tokens of the first layer that are held against the oracle; it is slow."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one point."""

    name: str
    tokens: int
    routing: str
    us: float
    spread: float  # slowest minus fastest repeat
    floor_us: float
    fraction: float
    error: float  # relative L2 against float64
    repeats_bitwise: bool


def measure(
    stage: Stage,
    contenders: Mapping[str, Load],
    ceilings: Ceilings,
    *,
    tokens: int,
    routing: str,
    layers: int,
) -> list[Row]:
    """Time all contenders at one point, interleaved A B B A so that drift hits them alike."""
    weights, inputs = draw_layers(stage, layers, tokens, routing)
    blocks = {
        name: [load(each, stage.spec) for each in weights] for name, load in contenders.items()
    }
    times: dict[str, list[float]] = {name: [] for name in blocks}
    for _ in range(stage.repeats):
        for name in (*blocks, *reversed(blocks)):
            times[name].append(stage.time(blocks[name], inputs))
    floor = _floor(stage.spec, weights, inputs, ceilings)
    wanted = moe(inputs[0][:CHECKED], weights[0], stage.spec, torch.float64).output
    rows = []
    for name, chain in blocks.items():
        first, second = chain[0](inputs[0]), chain[0](inputs[0])
        us = statistics.median(times[name])
        rows.append(
            Row(
                name,
                tokens,
                routing,
                us,
                max(times[name]) - min(times[name]),
                floor,
                floor / us,
                relative_l2(first[:CHECKED], wanted),
                torch.equal(first, second),
            )
        )
    return rows


def ratio_to_best_peer(rows: Sequence[Row], ours: str) -> dict[str, float]:
    """Return best peer's time over ours for each point `tokens/routing`; above 1 we are faster."""
    points: dict[str, dict[str, float]] = {}
    for row in rows:
        points.setdefault(f"{row.tokens}/{row.routing}", {})[row.name] = row.us
    return {
        point: min(us for name, us in times.items() if name != ours) / times[ours]
        for point, times in points.items()
        if ours in times and len(times) > 1
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write its result."""
    options = _parser().parse_args(arguments)
    stage: Stage = Rehearsal() if options.dry else Gpu(SPECS[options.model])
    ceilings = stage.ceilings()
    layers = options.layers or stage.spec.layers
    rows: list[Row] = []
    for tokens in options.tokens or stage.buckets:
        contenders = _contenders(stage, tokens, dry=options.dry)
        for routing in ROUTINGS:
            point = measure(
                stage, contenders, ceilings, tokens=tokens, routing=routing, layers=layers
            )
            rows += point
            for row in point:
                print(_line(row), flush=True)
    told = {
        "date": datetime.now(UTC).date().isoformat(), "machine": asdict(stage.machine()),
        "torch": torch.__version__, "model": stage.spec.name, "layers": layers,
        "rehearsal": options.dry, "ceilings": asdict(ceilings),
        "rows": [asdict(row) for row in rows],
        "best_peer_over_ours": ratio_to_best_peer(rows, "ours"),
    }  # fmt: skip
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print(f"wrote {options.out}")


def _contenders(stage: Stage, tokens: int, *, dry: bool) -> dict[str, Load]:
    """Return ours by the table that fits this machine, and whatever peers can be imported."""
    if dry:
        return {"ours": load_ours("portable", {}), "stub": load_stub}
    plans, _ = find_plans(read_tables(COMMITTED), stage.machine(), stage.spec)
    entry = entry_for(plans, tokens)
    kernel, params = (entry.kernel, entry.params) if entry else ("decode_sm90", {})
    found: dict[str, Load] = {"ours": load_ours(kernel, params)}
    if name_bundled_kernels():
        from serving.moe.peers import triton_kernels

        flags = starting_point(stage.spec, tokens)
        found |= {"vllm-default": triton_kernels.load, "flags": triton_kernels.load_with(flags)}
    return found


def _floor(
    spec: MoESpec, weights: Sequence[MoEWeights], inputs: Sequence[Tensor], ceilings: Ceilings
) -> float:
    """Return the mean floor of the layers in microseconds, by the experts drawn in each."""
    floors = []
    for each, x in zip(weights, inputs, strict=True):
        ids = route(x.float(), each, spec)[1]
        drawn = len(set(ids.flatten().tolist()))
        floors.append(
            spec.floor(len(x), bandwidth=ceilings.bandwidth, flops=ceilings.flops, experts=drawn)
        )
    return statistics.mean(floors) * 1e6


def _line(row: Row) -> str:
    return (
        f"M={row.tokens} {row.routing} {row.name}: {row.us:.1f} us, {row.fraction:.2f} of the "
        f"floor, error {row.error:.1e}{'' if row.repeats_bitwise else ', does NOT repeat bitwise'}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serving.moe.bench")
    parser.add_argument("--model", choices=sorted(SPECS), default="gpt-oss-20b")
    parser.add_argument("--out", type=Path, required=True, help="file for the result, JSON")
    parser.add_argument("--tokens", type=int, nargs="*", help="only these numbers of tokens")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has, to fit memory")
    parser.add_argument("--dry", action="store_true", help="a toy model on a CPU: a rehearsal")
    return parser


if __name__ == "__main__":
    main()
