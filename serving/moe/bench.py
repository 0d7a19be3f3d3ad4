"""Measure the block beside others in one run, and say what fraction of the floor each reaches.

    python -m serving.moe.bench --model gpt-oss-20b --out result.json     needs a GPU
    python -m serving.moe.bench --dry --out result.json                   a rehearsal on a CPU

First the device's own ceilings, then for each number of tokens and each routing ours beside each
peer, forth and back, both checked against the oracle in the same run. Peers are vLLM's default, the
same with our flags, Marlin and Humming; the result says which cannot run here, and why. Only useful
bytes and operations count, those of the experts that were really drawn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from serving.moe.dispatch import find_plans
from serving.moe.ogs_flags import starting_point
from serving.moe.peers import missing
from serving.moe.reference import MoEWeights, moe, relative_l2, route
from serving.moe.spec import SPECS, MoESpec
from serving.moe.stages import (
    ROUTINGS,
    Block,
    Ceilings,
    Gpu,
    Load,
    Rehearsal,
    Stage,
    draw_layer,
    load_ours,
    load_stub,
)
from serving.moe.tables import COMMITTED, entry_for, read_tables
from serving.moe.vllm_plugin import name_bundled_kernels

CHECKED = 4
"""Tokens of the first layer that are held against the oracle; it is slow."""


PEERS = ("vllm-default", "flags", "marlin", "humming")
PEER_FAULTS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What a peer may raise where it cannot run; the others are measured all the same."""


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one point, measured in turn with another."""

    name: str
    beside: str
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
    pair: Mapping[str, Load],
    ceilings: Ceilings,
    *,
    tokens: int,
    routing: str,
    layers: int,
) -> list[Row]:
    """Time a pair at one point, interleaved A B B A so that drift hits both alike."""
    point = _lay_out(stage, pair, ceilings, tokens, routing, layers)
    times: dict[str, list[float]] = {name: [] for name in pair}
    for _ in range(stage.repeats):
        for name in (*pair, *reversed(list(pair))):
            times[name].append(stage.time(point.chains[name], point.inputs))
    rows = []
    for name in pair:
        us, (error, again) = statistics.median(times[name]), _check(stage, point, name)
        beside = next((other for other in pair if other != name), "")
        spread = max(times[name]) - min(times[name])
        row = Row(
            name, beside, tokens, routing, us, spread, point.floor, point.floor / us, error, again
        )
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class _Point:
    """All layers of a pair, what goes in, and what the first must give."""

    chains: dict[str, list[Block]]
    inputs: list[Tensor]
    floor: float
    wanted: Tensor


def _lay_out(
    stage: Stage, pair: Mapping[str, Load], ceilings: Ceilings, tokens: int, routing: str,
    layers: int,
) -> _Point:  # fmt: skip
    """Draw a layer after the other; two in the order of a kernel each are kept, no third.

    That is what fits into memory: gpt-oss-120b has 61 GB of experts.
    """
    chains: dict[str, list[Block]] = {name: [] for name in pair}
    inputs, floors, wanted = [], [], torch.empty(0)
    for number in range(layers):
        weights, x = draw_layer(stage, number, tokens, routing)
        if number == 0:
            wanted = moe(x[:CHECKED], weights, stage.spec, torch.float64).output
        for name, load in pair.items():
            chains[name].append(load(weights, stage.spec))
        inputs.append(x)
        floors.append(_floor(stage.spec, weights, x, ceilings))
    return _Point(chains, inputs, statistics.mean(floors), wanted)


def _check(stage: Stage, point: _Point, name: str) -> tuple[float, bool]:
    """Return the error of the first layer, and whether each replay is bitwise the same."""
    block, x = point.chains[name][0], point.inputs[0]
    first = block(x)
    again = all(torch.equal(first, block(x)) for _ in range(stage.replays))
    return relative_l2(first[:CHECKED], point.wanted), again


def pairs(
    ours: Load, peers: Mapping[str, Load], left_out: Collection[str]
) -> list[dict[str, Load]]:
    """Return ours beside each peer that can run, or ours alone where none can."""
    beside = {name: load for name, load in peers.items() if name not in left_out}
    return [{"ours": ours, name: load} for name, load in beside.items()] or [{"ours": ours}]


def ratio_to_best_peer(rows: Sequence[Row], ours: str) -> dict[str, float]:
    """Return best peer's time over ours for each point `tokens/routing`; above 1 we are faster.

    Each peer is held against what ours took beside it.
    """
    mine = {(row.tokens, row.routing, row.beside): row.us for row in rows if row.name == ours}
    ratios: dict[str, list[float]] = {}
    for row in rows:
        if row.name != ours and (us := mine.get((row.tokens, row.routing, row.name))):
            ratios.setdefault(f"{row.tokens}/{row.routing}", []).append(row.us / us)
    return {point: min(found) for point, found in ratios.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write its result."""
    options = _parser().parse_args(arguments)
    stage: Stage = Rehearsal() if options.dry else Gpu(SPECS[options.model])
    ceilings = stage.ceilings()
    layers = options.layers or stage.spec.layers
    rows: list[Row] = []
    left_out = {} if options.dry else _left_out(stage)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", flush=True)
    for tokens in options.tokens or stage.buckets:
        ours, peers = _contenders(stage, tokens, dry=options.dry)
        for routing, pair in itertools.product(ROUTINGS, pairs(ours, peers, left_out)):
            point = measure(stage, pair, ceilings, tokens=tokens, routing=routing, layers=layers)
            rows += point
            for row in point:
                print(_line(row), flush=True)
    ratios = ratio_to_best_peer(rows, "ours")
    for place, ratio in ratios.items():
        print(f"{place}: the best peer takes {ratio:.2f} times as long as ours", flush=True)
    told = {
        "date": datetime.now(UTC).date().isoformat(), "machine": asdict(stage.machine()),
        "torch": torch.__version__, "model": stage.spec.name, "layers": layers,
        "rehearsal": options.dry, "ceilings": asdict(ceilings),
        "left_out": left_out,
        "rows": [asdict(row) for row in rows],
        "best_peer_over_ours": ratios,
    }  # fmt: skip
    options.out.write_text(json.dumps(told, indent=1) + "\n")
    print(f"wrote {options.out}")


def _contenders(stage: Stage, tokens: int, *, dry: bool) -> tuple[Load, dict[str, Load]]:
    """Return ours, by the table that fits this machine, and all peers."""
    if dry:
        return load_ours("portable", {}), dict.fromkeys(PEERS, load_stub)
    plans, _ = find_plans(read_tables(COMMITTED), stage.machine(), stage.spec)
    entry = entry_for(plans, tokens)
    kernel, params = (entry.kernel, entry.params) if entry else ("decode_sm90", {})
    peers = {name: load for name, (_, load) in _peers(stage.spec, tokens).items()}
    return load_ours(kernel, params), peers


def _peers(spec: MoESpec, tokens: int) -> dict[str, tuple[Sequence[str], Load]]:
    """Return what each peer needs, and how to load it."""
    from serving.moe.peers import humming, marlin, triton_kernels

    tuned = triton_kernels.load_with(starting_point(spec, tokens))
    found = (
        (triton_kernels.NEEDS, triton_kernels.load),
        (triton_kernels.NEEDS, tuned),
        (marlin.NEEDS, marlin.load),
        (humming.NEEDS, humming.load),
    )
    return dict(zip(PEERS, found, strict=True))


def _left_out(stage: Stage) -> dict[str, str]:
    """Try each peer on one token; return why not, for those that cannot run here."""
    name_bundled_kernels()
    reasons = {
        name: missing(needs) or _trial(stage, load)
        for name, (needs, load) in _peers(stage.spec, 1).items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _trial(stage: Stage, load: Load) -> str:
    """Compute one token of one layer; return what went wrong, if anything did."""
    weights, x = draw_layer(stage, 0, 1, "uniform")
    try:
        load(weights, stage.spec)(x)
    except PEER_FAULTS as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _floor(spec: MoESpec, weights: MoEWeights, x: Tensor, ceilings: Ceilings) -> float:
    """Return a layer's floor in microseconds, by the experts drawn in it."""
    drawn = len(set(route(x.float(), weights, spec)[1].flatten().tolist()))
    floor = spec.floor(len(x), bandwidth=ceilings.bandwidth, flops=ceilings.flops, experts=drawn)
    return floor * 1e6


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
