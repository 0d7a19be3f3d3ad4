"""What a plan's machine code must be like before anyone times it.

    python -m serving.moe.gates < plans.json > verdicts.json

compiles a list of plans for compute capability 9.0, on any machine, and says what is wrong with
each. A process of its own: it makes Triton believe in a GPU. Which Triton it is, and which
`triton_kernels` a plan of flags steers, the Python path decides.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from serving.moe.sass import MOST_SHARED, Report
from serving.moe.spec import SPECS, MoESpec

LEAST_WARPS = {"ogs_flags": 16, "decode_sm90": 8, "wgmma_sm90": 8}
"""Warps per multiprocessor, to hide the latency of memory: two programs of vLLM's kernel. A warp of
the decode kernel has r * u loads of 512 bytes in flight, so half as many do. So they do where tiles
of 128 rows keep the tensor cores busy."""
MOST_PER_EIGHT = {8: 19.0, 16: 22.5}
"""Instructions per 8 weights of the decode loop, by tokens per tile. vLLM's: 28.9 at 16."""
MOST_AT_KNEE = 28.9
"""The same for warpgroup products of up to 64 tokens: vLLM's at 16, above which nothing is won.
With more tokens, tensor cores are the limit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A kernel with its parameters for one model; `kernel` as in a table's entry."""

    model: str
    kernel: str
    params: Mapping[str, Any]

    @property
    def spec(self) -> MoESpec:
        """Return the model's shapes."""
        return SPECS[self.model]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a plan compiled to and why it is out, if it is."""

    plan: Plan
    reports: list[Report]
    faults: list[str]


@dataclass(frozen=True, slots=True)
class Loop:
    """What one turn of a kernel's main loop was planned to be."""

    loads: int = 0
    """Of 16 bytes to registers, weights and tokens; 0: all is copied to shared memory."""
    weights: int = 0
    """Weights that it consumes."""
    most: float | None = None
    """Instructions allowed per 8 of these."""


def judge(plan: Plan) -> Verdict:
    """Compile a plan's kernels and hold them against the gates."""
    least = 8 if _large(plan) else LEAST_WARPS[plan.kernel]
    kernels = {"decode_sm90": _decode, "wgmma_sm90": _wgmma, "ogs_flags": _flags}
    try:
        compiled = kernels[plan.kernel](plan)
    except plan_faults() as error:  # the plan's own: others are judged all the same
        return Verdict(plan, [], [f"{type(error).__name__}: {error}"])
    faults = [
        f"{report.name}: {fault}"
        for report, planned in compiled
        for fault in faults_of(report, planned, least_warps=least)
    ]
    return Verdict(plan, [report for report, _ in compiled], faults)


def faults_of(report: Report, planned: Loop, *, least_warps: int) -> list[str]:
    """Say what is wrong with a kernel."""
    warps = report.programs_per_sm() * report.warps
    rules = {
        "registers are spilled": report.spills,
        f"{report.shared} bytes of shared memory": report.shared > MOST_SHARED,
        f"{warps} warps per multiprocessor": warps < least_warps,
        "no tensor-core instruction in the main loop": not report.tensor_core(),
        "weights do not come by 16 bytes": not _wide(report, planned.loads),
    }
    if planned.most is not None:
        each = report.per_eight_weights(planned.weights)
        rules[f"{each:.1f} instructions per 8 weights, {planned.most} allowed"] = (
            each > planned.most
        )
    return [fault for fault, true in rules.items() if true]


def plan_faults() -> tuple[type[Exception], ...]:
    """Return what is raised where a plan is wrong; what is missing on the machine is no such."""
    known = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
    if find_spec("triton") is None:
        return known
    from triton.errors import TritonError

    return (*known, TritonError)


def main() -> None:
    """Judge the plans on standard input."""
    from serving.moe.sass import fake_hopper

    fake_hopper()
    verdicts = [judge(Plan(**each)) for each in json.load(sys.stdin)]
    json.dump([asdict(verdict) for verdict in verdicts], sys.stdout, indent=1)


def _large(plan: Plan) -> bool:
    blocks = [each.get("block_m", 0) for each in plan.params.values() if isinstance(each, Mapping)]
    return bool(blocks) and min(blocks) >= 128


def _wide(report: Report, loads: int) -> bool:
    """Count them: loads of tokens are as wide, and must not stand for those of weights."""
    if loads:
        return report.count("LDG.E.128", report.loop) >= loads
    return any(name.startswith("LDGSTS.E") and ".128" in name for name in report.loop)


def _decode(plan: Plan) -> list[tuple[Report, Loop]]:
    """Compile both products of the decode kernel; sizes in memory do not matter."""
    from serving.moe.kernels import decode_sm90
    from serving.moe.sass import compiled_by

    cut, spec = decode_sm90.Plan(**plan.params), plan.spec
    cut.check(spec)
    some, weights, tiles = _stand_ins()
    halves = some.half()
    [first] = compiled_by(lambda: decode_sm90.gate_up(halves, weights, spec, tiles, cut))
    [second] = compiled_by(lambda: decode_sm90.down(halves, some, weights, spec, tiles, cut))
    return [
        (first, _decode_loop(cut.bm, rows=cut.r13, warps=cut.nw13, unrolled=cut.u13)),
        (second, _decode_loop(cut.bm, rows=cut.r2, warps=cut.nw2, unrolled=cut.u2)),
    ]


def _decode_loop(bm: int, *, rows: int, warps: int, unrolled: int) -> Loop:
    """For each 64 columns a lane loads 16 bytes of each row tile, and 32 of each 8 tokens."""
    return Loop(
        loads=unrolled * (rows + bm // 4),
        weights=1024 * rows * warps * unrolled,
        most=MOST_PER_EIGHT.get(bm),
    )


def _wgmma(plan: Plan) -> list[tuple[Report, Loop]]:
    """Compile both products of the kernel for many tokens per expert."""
    from serving.moe.kernels import wgmma_sm90
    from serving.moe.sass import compiled_by

    cut, spec = wgmma_sm90.Plan(**plan.params), plan.spec
    cut.check(spec)
    some, weights, tiles = _stand_ins()
    halves = some.half()
    [first] = compiled_by(lambda: wgmma_sm90.gate_up(halves, weights, spec, tiles, cut))
    [second] = compiled_by(lambda: wgmma_sm90.down(halves, some, weights, spec, tiles, cut))
    most = MOST_AT_KNEE if cut.bm <= 64 else None
    return [
        (report, Loop(loads=rows * cut.stages, weights=4096 * rows * cut.stages, most=most))
        for report, rows in ((first, cut.r13), (second, cut.r2))
    ]


def _stand_ins() -> tuple[Any, Any, Any]:
    """Return floats, weights and tiles of the right types; nobody reads them."""
    import torch

    from serving.moe.layout import PackedWeights
    from serving.moe.routing import Tiles

    some, words = torch.zeros(16), torch.zeros(16, dtype=torch.int32)
    weights = PackedWeights(some, some, words, words, some, words, words, some)
    return some, weights, Tiles(words, words, words, words, words)


def _flags(plan: Plan) -> list[tuple[Report, Loop]]:
    """Compile vLLM's kernel as it is launched with a table's flags; four experts stand for all."""
    import torch

    from serving.moe.peers.triton_kernels import load_with
    from serving.moe.reference import draw_weights
    from serving.moe.sass import compiled_by

    spec = replace(plan.spec, experts=plan.spec.top_k)
    block = load_with(plan.params)(draw_weights(spec, seed=0), spec)
    reports = compiled_by(lambda: block(torch.zeros(16, spec.hidden).bfloat16()))
    return [(report, Loop()) for report in reports if "matmul" in report.name]


if __name__ == "__main__":
    main()
