"""Measure the block beside others in one run, and say what fraction of the floor each reaches.

    python -m serving.moe.bench --model gpt-oss-20b --out result.json     needs a GPU
    python -m serving.moe.bench --dry --out result.json                   a rehearsal on a CPU

First the device's own ceilings, then for each number of tokens and each routing ours beside each
peer, forth and back, both checked against the oracle in the same run; what is wrong enters no
ratio, and if that is ours the exit status is 1. Peers are vLLM's default, the same with our flags,
Marlin and Humming; the result says which cannot run here, and why. Plans and flags come from a
table that fits this machine; `--tables` names a folder of them. Only useful bytes and operations
count, those of the experts that were really drawn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from serving.moe.gates import plan_faults
from serving.moe.ogs_flags import starting_point
from serving.moe.peers import missing
from serving.moe.reference import MoEWeights, route
from serving.moe.spec import SPECS, MoESpec
from serving.moe.stages import (
    MOST_ERROR,
    MOST_ERROR_OF_OTHERS,
    ROUTINGS,
    Block,
    Ceilings,
    Gpu,
    Load,
    Sample,
    Stage,
    ask_oracle,
    draw_layer,
    load_ours,
    load_stub,
    rehearse,
)
from serving.moe.tables import COMMITTED, Entry, entry_for, find_flags, find_plans, read_tables
from serving.moe.vllm_plugin import name_bundled_kernels

OURS = "ours"
PEERS = ("vllm-default", "flags", "marlin", "humming")
PEER_FAULTS = (AttributeError, ImportError, OSError)
"""What a peer may raise besides a plan's faults where it cannot run; the others are measured."""


FEW = 8
"""Slots per expert up to which the decode kernel stands for ours where no table fits."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How to load a block, and what has to be told of it."""

    load: Load
    kernel: str
    params: Mapping[str, Any] = field(default_factory=dict)
    table: str = ""  # which one has the parameters; none has those that tuning starts from


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tables have for this machine, and which do, or why none does."""

    plans: tuple[Entry, ...]
    plans_from: str
    flags: tuple[Entry, ...]
    flags_from: str


@dataclass(frozen=True, slots=True)
class Row:
    """One contender at one point, measured in turn with another."""

    name: str
    beside: str
    kernel: str
    params: Mapping[str, Any]
    table: str
    tokens: int
    routing: str
    us: float
    spread: float  # slowest minus fastest repeat
    floor_us: float
    fraction: float
    error: float  # relative L2 against float64
    right: bool
    repeats_bitwise: bool


def measure(
    stage: Stage,
    pair: Mapping[str, Contender],
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
    for name, who in pair.items():
        us, (error, again) = statistics.median(times[name]), _check(stage, point, name)
        row = Row(
            name=name, beside=next((other for other in pair if other != name), ""),
            kernel=who.kernel, params=who.params, table=who.table, tokens=tokens, routing=routing,
            us=us, spread=max(times[name]) - min(times[name]), floor_us=point.floor,
            fraction=point.floor / us, error=error, right=_is_right(name, error),
            repeats_bitwise=again,
        )  # fmt: skip
        rows.append(row)
    return rows


@dataclass(frozen=True, slots=True)
class _Point:
    """All layers of a pair, what goes in, and what the first must give."""

    chains: dict[str, list[Block]]
    inputs: list[Tensor]
    floor: float
    first: Sample


def _lay_out(
    stage: Stage, pair: Mapping[str, Contender], ceilings: Ceilings, tokens: int, routing: str,
    layers: int,
) -> _Point:  # fmt: skip
    """Draw a layer after the other; two in the order of a kernel each are kept, no third.

    That is what fits into memory: gpt-oss-120b has 61 GB of experts.
    """
    chains: dict[str, list[Block]] = {name: [] for name in pair}
    inputs, floors, samples = [], [], []
    for number in range(layers):
        weights, x = draw_layer(stage, number, tokens, routing)
        if number == 0:
            samples.append(ask_oracle(x, weights, stage.spec))
        for name, who in pair.items():
            chains[name].append(who.load(weights, stage.spec))
        inputs.append(x)
        floors.append(_floor(stage.spec, weights, x, ceilings))
    return _Point(chains, inputs, statistics.mean(floors), samples[0])


def _check(stage: Stage, point: _Point, name: str) -> tuple[float, bool]:
    """Return the error of the first layer, and whether each replay is bitwise the same."""
    block, x = point.chains[name][0], point.inputs[0]
    first = block(x)
    again = all(torch.equal(first, block(x)) for _ in range(stage.replays))
    return point.first.error(block), again


def _is_right(name: str, error: float) -> bool:
    return error <= (MOST_ERROR if name == OURS else MOST_ERROR_OF_OTHERS)


def pairs(
    ours: Contender, peers: Mapping[str, Contender], left_out: Collection[str]
) -> list[dict[str, Contender]]:
    """Return ours beside each peer that can run, or ours alone where none can."""
    beside = {name: peer for name, peer in peers.items() if name not in left_out}
    return [{OURS: ours, name: peer} for name, peer in beside.items()] or [{OURS: ours}]


def ratio_to_best_peer(rows: Sequence[Row], ours: str) -> dict[str, float]:
    """Return best peer's time over ours for each point `tokens/routing`; above 1 we are faster.

    Each peer is held against what ours took beside it. Rows that are wrong do not count.
    """
    right = [row for row in rows if row.right]
    mine = {(row.tokens, row.routing, row.beside): row.us for row in right if row.name == ours}
    ratios: dict[str, list[float]] = {}
    for row in right:
        if row.name != ours and (us := mine.get((row.tokens, row.routing, row.name))):
            ratios.setdefault(f"{row.tokens}/{row.routing}", []).append(row.us / us)
    return {point: min(found) for point, found in ratios.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and write its result."""
    options = _parser().parse_args(arguments)
    stage: Stage = rehearse() if options.dry else Gpu(SPECS[options.model])
    ceilings = stage.ceilings()
    layers = options.layers or stage.spec.layers
    rows: list[Row] = []
    tables = read_tables(COMMITTED, *options.tables)
    machine, spec = stage.machine(), stage.spec
    tuned = Tuned(*find_plans(tables, machine, spec), *find_flags(tables, machine, spec))
    print(f"plans: {tuned.plans_from}\nflags: {tuned.flags_from}", flush=True)
    left_out = {} if options.dry else _left_out(stage)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", flush=True)
    for tokens in options.tokens or stage.buckets:
        ours, peers = _rehearsed() if options.dry else contenders(spec, tuned, tokens)
        for routing, pair in itertools.product(ROUTINGS, pairs(ours, peers, left_out)):
            point = measure(stage, pair, ceilings, tokens=tokens, routing=routing, layers=layers)
            rows += point
            for row in point:
                print(_line(row), flush=True)
    ratios = ratio_to_best_peer(rows, OURS)
    for place, ratio in ratios.items():
        print(f"{place}: the best peer takes {ratio:.2f} times as long as ours", flush=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(), "machine": asdict(machine),
        "torch": torch.__version__, "model": stage.spec.name, "layers": layers,
        "rehearsal": options.dry, "ceilings": asdict(ceilings),
        "plans": tuned.plans_from, "flags": tuned.flags_from, "left_out": left_out,
        "rows": [asdict(row) for row in rows],
        "best_peer_over_ours": ratios,
    }  # fmt: skip
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {options.out}")
    if not all(row.right for row in rows if row.name == OURS):
        raise SystemExit("ours is wrong: see above")


def contenders(spec: MoESpec, tuned: Tuned, tokens: int) -> tuple[Contender, dict[str, Contender]]:
    """Return ours and all peers, with what was tuned or with what tuning starts from."""
    plan = entry_for(tuned.plans, tokens) or untuned(spec, tokens)
    table = tuned.plans_from if tuned.plans else ""
    ours = Contender(load_ours(plan.kernel, plan.params), plan.kernel, plan.params, table)
    if flags := entry_for(tuned.flags, tokens):
        peers = _peers(flags.params, tuned.flags_from)
    else:
        peers = _peers(starting_point(spec, tokens))
    return ours, {name: peer for name, (_, peer) in peers.items()}


def _rehearsed() -> tuple[Contender, dict[str, Contender]]:
    portable = Contender(load_ours("portable", {}), "portable")
    return portable, dict.fromkeys(PEERS, Contender(load_stub, "stub"))


def untuned(spec: MoESpec, tokens: int) -> Entry:
    """Return what stands for ours where no table fits: tiles of twice the mean number of slots."""
    mean = tokens * spec.top_k / spec.experts
    if mean <= FEW:
        return Entry(tokens, {}, "decode_sm90")
    block = next((size for size in (32, 64) if 2 * mean <= size), 128)
    return Entry(tokens, {"bm": block}, "wgmma_sm90")


def _peers(flags: Mapping[str, Any], table: str = "") -> dict[str, tuple[Sequence[str], Contender]]:
    """Return what each peer needs, and what it is."""
    from serving.moe.peers import humming, marlin, triton_kernels

    tuned = Contender(triton_kernels.load_with(flags), "triton_kernels", flags, table)
    found = (
        (triton_kernels.NEEDS, Contender(triton_kernels.load, "triton_kernels")),
        (triton_kernels.NEEDS, tuned),
        (marlin.NEEDS, Contender(marlin.load, "marlin")),
        (humming.NEEDS, Contender(humming.load, "humming")),
    )
    return dict(zip(PEERS, found, strict=True))


def _left_out(stage: Stage) -> dict[str, str]:
    """Try each peer on one token; return why not, for those that cannot run here."""
    name_bundled_kernels()
    reasons = {
        name: missing(needs) or _trial(stage, peer.load)
        for name, (needs, peer) in _peers(starting_point(stage.spec, 1)).items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _trial(stage: Stage, load: Load) -> str:
    """Compute one token of one layer; return what went wrong, if anything did."""
    weights, x = draw_layer(stage, 0, 1, "uniform")
    faults: tuple[type[Exception], ...] = (*PEER_FAULTS, *plan_faults())
    try:
        load(weights, stage.spec)(x)
    except faults as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _floor(spec: MoESpec, weights: MoEWeights, x: Tensor, ceilings: Ceilings) -> float:
    """Return a layer's floor in microseconds, by the experts drawn in it."""
    drawn = len(set(route(x.float(), weights, spec)[1].flatten().tolist()))
    floor = spec.floor(len(x), bandwidth=ceilings.bandwidth, flops=ceilings.flops, experts=drawn)
    return floor * 1e6


def _line(row: Row) -> str:
    doubts = {"is WRONG": not row.right, "does NOT repeat bitwise": not row.repeats_bitwise}
    told = [
        f"M={row.tokens} {row.routing} {row.name}: {row.us:.1f} us",
        f"{row.fraction:.2f} of the floor",
        f"error {row.error:.1e}",
        *(doubt for doubt, true in doubts.items() if true),
    ]
    return ", ".join(told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serving.moe.bench")
    parser.add_argument("--model", choices=sorted(SPECS), default="gpt-oss-20b")
    parser.add_argument("--out", type=Path, required=True, help="file for the result, JSON")
    parser.add_argument(
        "--tables", type=_folder, action="append", default=[], help="what was tuned"
    )
    parser.add_argument("--tokens", type=int, nargs="*", help="only these numbers of tokens")
    parser.add_argument("--layers", type=int, help="fewer layers than the model has, to fit memory")
    parser.add_argument("--dry", action="store_true", help="a toy model on a CPU: a rehearsal")
    return parser


def _folder(given: str) -> Path:
    if not Path(given).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {given}")
    return Path(given)


if __name__ == "__main__":
    main()
