"""Find the fastest plan for each number of tokens on this machine, and write a table.

    python -m serving.moe.tune --model gpt-oss-20b --out /a/folder      needs a GPU
    python -m serving.moe.tune --dry --out /a/folder                    tiny shapes, on a CPU

Candidates are first held against the gates of their machine code, in a process of its own. The rest
must compute what the oracle does, and are timed by successive halving: all of them shortly, the
better half twice as long, and so on. Large numbers of tokens come first and the table is written
after each: where one has none yet, the plan of the next larger serves, never that of a smaller.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from serving.moe.gates import LEAST_WARPS, plan_faults
from serving.moe.ogs_flags import BLOCKS, starting_point
from serving.moe.reference import MoEWeights
from serving.moe.spec import SPECS, MoESpec
from serving.moe.stages import (
    MOST_ERROR,
    MOST_ERROR_OF_OTHERS,
    Block,
    Gpu,
    Laid,
    Params,
    Sample,
    Stage,
    ask_oracle,
    draw_layer,
    draw_tokens,
    lay_out_ours,
    lay_out_stock,
    rehearse,
)
from serving.moe.tables import SCHEMA, Machine
from serving.moe.vllm_plugin import name_bundled_kernels

LAYERS = 8
"""So many in turn are more than a cache holds."""
LAY_OUT = {"plans": lay_out_ours, "flags": lay_out_stock}
"""The lists of a table, and how a layer is laid out for what they choose."""
STOCK: Params = {"w13": {}, "w2": {}}
Measure = Callable[[Params, int], float]
"""Microseconds of a candidate, taken over so many repeats."""


class NoCandidate(ValueError):
    """None of them could be measured."""


def halve(
    candidates: Sequence[Params], measure: Measure, *, repeats: int = 3
) -> tuple[Params, float]:
    """Return the fastest candidate and its time; each round drops half and looks twice as long.

    A candidate whose measurement is not a number is out.
    """
    left = list(candidates)
    while True:
        timed = [(measure(each, repeats), place) for place, each in enumerate(left)]
        ranked = sorted(pair for pair in timed if not math.isnan(pair[0]))
        if not ranked:
            raise NoCandidate("no candidate could be measured")
        if len(left) == 1:
            return left[0], ranked[0][0]
        best = ranked[: max(1, len(left) // 2)]
        left, repeats = [left[place] for _, place in best], 2 * repeats


def decode_candidates(spec: MoESpec, tokens: int) -> Iterator[Params]:
    """Yield every cut of the decode kernel that divides the model and suits the tokens."""
    sizes = [8, 16] if tokens * spec.top_k > 8 * spec.experts else [8]
    tiles13, tiles2 = 2 * spec.intermediate // 16, spec.hidden // 16
    k13, k2 = spec.hidden // 64, spec.intermediate // 64
    cuts = [(r, nw) for r in (1, 2) for nw in (2, 4, 8)]
    for bm, (r13, nw13), (r2, nw2), split in itertools.product(sizes, cuts, cuts, (1, 3, 5)):
        if tiles13 % (r13 * nw13) or tiles2 % (r2 * nw2) or k2 % split:
            continue
        u13, u2 = _divisor(k13), _divisor(k2 // split)
        yield {
            "bm": bm, "r13": r13, "nw13": nw13, "u13": u13, "r2": r2, "nw2": nw2, "u2": u2,
            "split": split,
        }  # fmt: skip


def wgmma_candidates(spec: MoESpec, tokens: int) -> Iterator[Params]:
    """Yield cuts of the kernel for many tokens per expert: tiles near the mean number of slots."""
    mean = tokens * spec.top_k / spec.experts
    sizes = [size for size in (32, 64, 128) if size <= max(32, 4 * mean) and 8 * size >= mean]
    for bm, r13, r2, stages in itertools.product(sizes or [128], (1, 2), (1,), (3, 5)):
        rest = spec.hidden // 64 % stages or spec.intermediate // 64 % stages
        if not rest and 2 * spec.intermediate % (64 * r13) == 0 == spec.hidden % (64 * r2):
            yield {"bm": bm, "r13": r13, "r2": r2, "stages": stages}


def flag_candidates(spec: MoESpec, tokens: int) -> Iterator[Params]:
    """Yield stock flags, the starting point, and what lies around it, both matrices alike."""
    yield STOCK
    start = starting_point(spec, tokens)
    yield start
    near = BLOCKS.index(start["w13"]["block_m"])
    for block in BLOCKS[max(0, near - 1) : near + 2]:
        for stages, registers in itertools.product((3, 4, 5), (None, 128)):
            params: dict[str, int] = {"block_m": block, "num_stages": stages}
            params |= {"maxnreg": registers} if registers else {}
            if params != start["w13"]:
                yield {"w13": params, "w2": dict(params)}


def gated(model: str, plans: Iterable[Params]) -> list[Params]:
    """Return what may be timed: stock, what has no gates, and what passes them; each asked once."""
    passed: list[Params] = []
    cuts: dict[str, list[Params]] = {}
    for plan in plans:
        kernel, params = plan["kernel"], plan["params"]
        if kernel not in LEAST_WARPS or params == STOCK:
            passed.append(plan)
        elif params not in cuts.setdefault(kernel, []):
            cuts[kernel].append(params)
    for kernel, each in cuts.items():
        print(f"{model}: compiling {len(each)} plans of {kernel}", flush=True)
        passed += _plans(kernel, through_gates(model, kernel, each))
    return passed


def through_gates(model: str, kernel: str, candidates: Sequence[Params]) -> list[Params]:
    """Return the candidates whose machine code has no fault; one compiling process for all."""
    plans = [{"model": model, "kernel": kernel, "params": each} for each in candidates]
    done = subprocess.run(
        [sys.executable, "-m", "serving.moe.gates"],
        input=json.dumps(plans), env=_surroundings(), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    verdicts = json.loads(done.stdout)
    faults = [fault for verdict in verdicts for fault in verdict["faults"]]
    passed = [verdict["plan"]["params"] for verdict in verdicts if not verdict["faults"]]
    if not passed:
        print(f"{model}: no plan of {kernel} passes: {'; '.join(faults[:3])}", flush=True)
    return passed


def _surroundings() -> dict[str, str]:
    """Return the environment of a process that compiles, and can import all that this one can.

    vLLM names its copy of triton_kernels in its own process only. The folder of that copy comes
    last, for others lie beside it.
    """
    handed_on = dict(os.environ)  # noqa: TID251 (nothing is read here but the path)
    handed_on.pop("TRITON_INTERPRET", None)
    path = [handed_on.get("PYTHONPATH", ""), *sys.path]
    if name_bundled_kernels() and (bundled := find_spec("triton_kernels")):
        path += [str(Path(each).parent) for each in bundled.submodule_search_locations or ()]
    return {**handed_on, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def write_table(
    folder: Path,
    spec: MoESpec,
    machine: Machine,
    found: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    measured: bool,
) -> Path:
    """Write `flags` and `plans` as a table; its name says what it is for."""
    told = {
        "schema": SCHEMA, **{name: getattr(machine, name) for name in Machine.__slots__},
        "measured": measured, "date": datetime.now(UTC).date().isoformat(),
        "model": spec.name, "E": spec.experts, "H": spec.hidden, "I": spec.intermediate,
        "layers": spec.layers, "topk": spec.top_k,
        "flags": list(found.get("flags", [])), "plans": list(found.get("plans", [])),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{machine.device.lower().replace(' ', '_')}.{spec.name}.json"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(told, indent=1) + "\n")
    return unfinished.replace(path)


class Layers:
    """A model's layers, drawn and laid out once for all candidates and numbers of tokens."""

    def __init__(self, stage: Stage, lists: Iterable[str]) -> None:
        self._stage, self._count = stage, min(LAYERS, stage.spec.layers)
        self._ends: dict[int, MoEWeights] = {}
        self._laid: dict[str, list[Laid]] = {name: [] for name in lists}
        for number in range(self._count):
            weights, _ = draw_layer(stage, number, 0, "uniform")
            if number in (0, self._count - 1):
                self._ends[number] = weights
            for name, laid in self._laid.items():
                laid.append(LAY_OUT[name](weights, stage.spec))

    def blocks(self, name: str, plan: Params) -> list[Block]:
        """Return all layers with one plan of one list."""
        return [laid(plan) for laid in self._laid[name]]

    def point(self, tokens: int) -> Point:
        """Draw tokens for all layers, and ask the oracle about the first layer and the last."""
        inputs = [draw_tokens(self._stage, number, tokens) for number in range(self._count)]
        samples = {
            number: ask_oracle(inputs[number], weights, self._stage.spec)
            for number, weights in self._ends.items()
        }
        return Point(inputs, samples)


@dataclass(frozen=True, slots=True)
class Point:
    """What goes into the layers, and by number what must come out of some."""

    inputs: list[Tensor]
    samples: dict[int, Sample]

    def fault(self, blocks: Sequence[Block], most: float) -> str:
        """Say what is wrong with the outputs, if anything is.

        Two layers are asked in turn, else what one candidate leaves in memory would be the right
        answer of another that writes nothing.
        """
        errors = [sample.error(blocks[number]) for number, sample in self.samples.items()]
        return "" if all(error <= most for error in errors) else f"errors of {errors}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune one model and write its table."""
    options = _parser().parse_args(arguments)
    stage: Stage = rehearse() if options.dry else Gpu(SPECS[options.model])
    lists = ["plans"] if options.dry or not name_bundled_kernels() else ["plans", "flags"]
    asked = {
        (tokens, name): candidates(stage.spec, tokens, name, dry=options.dry)
        for tokens in sorted(set(options.tokens or stage.buckets), reverse=True)
        for name in lists
    }
    passed = gated(stage.spec.name, itertools.chain(*asked.values()))
    layers, machine = Layers(stage, lists), stage.machine()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in lists}
    for (tokens, name), plans in asked.items():
        entry = _entry(stage, layers, tokens, name, [plan for plan in plans if plan in passed])
        if entry:
            found[name].insert(0, entry)
            path = write_table(options.out, stage.spec, machine, found, measured=not options.dry)
    if not any(found.values()):
        raise SystemExit("no plan is right, or none can run: there is no table")
    print(f"wrote {path}")


def _entry(
    stage: Stage, layers: Layers, tokens: int, name: str, plans: list[Params]
) -> dict[str, Any] | None:
    """Return a table's entry for a number of tokens, or None where no plan can be used."""
    place = f"{stage.spec.name} M={tokens}"
    try:
        best, us = fastest(stage, layers, tokens, name, plans)
    except NoCandidate as error:
        print(f"{place}: {error}, so {name} have no entry", flush=True)
        return None
    print(f"{place}: {best} {us:.1f} us", flush=True)
    return {"m_max": tokens, **best, "us": us}


def fastest(
    stage: Stage, layers: Layers, tokens: int, name: str, plans: list[Params]
) -> tuple[Params, float]:
    """Return the fastest plan that is right, and its microseconds per layer."""
    point = layers.point(tokens)
    most = MOST_ERROR_OF_OTHERS if name == "flags" else MOST_ERROR

    def measure(plan: Params, repeats: int) -> float:
        try:
            blocks = layers.blocks(name, plan)
            if not (fault := point.fault(blocks, most)):
                return min(stage.time(blocks, point.inputs) for _ in range(repeats))
        except plan_faults() as error:
            fault = f"{type(error).__name__}: {error}"
        print(f"{plan} is out: {fault}", flush=True)
        return math.nan

    return halve(plans, measure, repeats=1)


def candidates(spec: MoESpec, tokens: int, name: str, *, dry: bool) -> list[Params]:
    """Return kernels with parameters, to be held against their gates."""
    if dry:
        return _plans("portable", [{"block_m": 16, "block_n": size} for size in (64, 32)])
    if name == "flags":
        return _plans("ogs_flags", flag_candidates(spec, tokens))
    mean = tokens * spec.top_k / spec.experts
    decode = decode_candidates(spec, tokens) if mean <= 32 else ()
    wgmma = wgmma_candidates(spec, tokens) if mean >= 8 else ()
    return _plans("decode_sm90", decode) + _plans("wgmma_sm90", wgmma)


def _plans(kernel: str, cuts: Iterable[Params]) -> list[Params]:
    return [{"kernel": kernel, "params": params} for params in cuts]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="serving.moe.tune", description="Write a table")
    parser.add_argument("--model", choices=sorted(SPECS), default="gpt-oss-20b")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table")
    parser.add_argument("--tokens", type=int, nargs="*", help="only these numbers of tokens")
    parser.add_argument("--dry", action="store_true", help="tiny shapes, no GPU: a rehearsal")
    return parser


def _divisor(number: int) -> int:
    """Return the largest of 5, 3 and 1 that divides a number of K tiles."""
    return next(size for size in (5, 3, 1) if number % size == 0)


if __name__ == "__main__":
    main()
