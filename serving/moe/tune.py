"""Find the fastest plan for each number of tokens on this machine, and write a table.

    python -m serving.moe.tune --model gpt-oss-20b --out /a/folder      needs a GPU
    python -m serving.moe.tune --dry --out /a/folder                    tiny shapes, on a CPU

Candidates are first held against the gates of their machine code, in a process of its own; the rest
are timed by successive halving: all of them shortly, the better half twice as long, and so on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

from serving.moe.ogs_flags import BLOCKS, starting_point
from serving.moe.reference import MoEWeights
from serving.moe.spec import SPECS, MoESpec
from serving.moe.stages import Gpu, Load, Rehearsal, Stage, draw_layer, load_ours
from serving.moe.tables import SCHEMA, Machine
from serving.moe.vllm_plugin import name_bundled_kernels

Params = dict[str, Any]
Measure = Callable[[Params, int], float]
"""Microseconds of a candidate, taken over so many repeats."""


def halve(candidates: Sequence[Params], measure: Measure, *, repeats: int = 3) -> Params:
    """Return the fastest candidate; each round drops the slower half and repeats twice as often.

    A candidate whose measurement is not a number is out.
    """
    left = list(candidates)
    while True:
        timed = [(measure(each, repeats), place) for place, each in enumerate(left)]
        ranked = [left[place] for time, place in sorted(timed) if time == time]
        if not ranked:
            raise ValueError("no candidate could be measured")
        if len(left) == 1:
            return ranked[0]
        left, repeats = ranked[: max(1, len(left) // 2)], 2 * repeats


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
    yield {"w13": {}, "w2": {}}
    start = starting_point(spec, tokens)
    yield start
    near = BLOCKS.index(start["w13"]["block_m"])
    for block in BLOCKS[max(0, near - 1) : near + 2]:
        for stages, registers in itertools.product((3, 4, 5), (None, 128)):
            params: dict[str, int] = {"block_m": block, "num_stages": stages}
            params |= {"maxnreg": registers} if registers else {}
            if params != start["w13"]:
                yield {"w13": params, "w2": dict(params)}


def through_gates(model: str, kernel: str, candidates: Sequence[Params]) -> list[Params]:
    """Return the candidates whose machine code has no fault; one compiling process for all."""
    plans = [{"model": model, "kernel": kernel, "params": each} for each in candidates]
    done = subprocess.run(
        [sys.executable, "-m", "serving.moe.gates"],
        input=json.dumps(plans), env=_surroundings(), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    verdicts = json.loads(done.stdout)
    return [verdict["plan"]["params"] for verdict in verdicts if not verdict["faults"]]


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
    path.write_text(json.dumps(told, indent=1) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune one model and write its table."""
    options = _parser().parse_args(arguments)
    stage: Stage = Rehearsal() if options.dry else Gpu(SPECS[options.model])
    lists = ["plans"] if options.dry or not name_bundled_kernels() else ["plans", "flags"]
    found: dict[str, list[dict[str, Any]]] = {each: [] for each in lists}
    for tokens in options.tokens or stage.buckets:
        count = min(8, stage.spec.layers)
        drawn = [draw_layer(stage, number, tokens, "uniform") for number in range(count)]
        weights, inputs = [layer for layer, _ in drawn], [x for _, x in drawn]
        for name in lists:
            candidates = _candidates(stage.spec, tokens, name, dry=options.dry)
            best, us = _best(stage, candidates, weights, inputs)
            found[name].append({"m_max": tokens, **best, "us": us})
            print(f"{stage.spec.name} M={tokens}: {best} {us:.1f} us", flush=True)
    machine = stage.machine()
    path = write_table(options.out, stage.spec, machine, found, measured=not options.dry)
    print(f"wrote {path}")


def _best(
    stage: Stage, candidates: list[Params], weights: list[MoEWeights], inputs: list[Tensor]
) -> tuple[Params, float]:
    """Return the fastest candidate and its microseconds."""

    def measure(plan: Params, repeats: int) -> float:
        blocks = [_load(plan)(each, stage.spec) for each in weights]
        return min(stage.time(blocks, inputs) for _ in range(repeats))

    best = halve(candidates, measure, repeats=1)
    return best, measure(best, stage.repeats)


def _candidates(spec: MoESpec, tokens: int, name: str, *, dry: bool) -> list[Params]:
    """Return kernels with parameters that passed the gates."""
    if dry:
        cuts = [{"block_m": 16, "block_n": size} for size in (64, 32)]
        return [{"kernel": "portable", "params": cut} for cut in cuts]
    if name == "flags":
        stock, *others = flag_candidates(spec, tokens)
        passed = through_gates(spec.name, "ogs_flags", others)  # stock is always asked
        return [{"kernel": "ogs_flags", "params": params} for params in (stock, *passed)]
    mean = tokens * spec.top_k / spec.experts
    drawn = {
        "decode_sm90": list(decode_candidates(spec, tokens)) if mean <= 32 else [],
        "wgmma_sm90": list(wgmma_candidates(spec, tokens)) if mean >= 8 else [],
    }
    return [
        {"kernel": kernel, "params": params}
        for kernel, cuts in drawn.items()
        if cuts
        for params in through_gates(spec.name, kernel, cuts)
    ]


def _load(plan: Params) -> Load:
    if plan["kernel"] == "ogs_flags":
        from serving.moe.peers.triton_kernels import load_with

        return load_with(plan["params"])
    return load_ours(plan["kernel"], plan["params"])


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
