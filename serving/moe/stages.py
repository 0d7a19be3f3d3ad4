"""Where a measurement takes place: a GPU, or a rehearsal of everything on a CPU.

A stage knows how to draw layers, to time a chain of blocks and to say what the device can do at
best. The rehearsal interprets the portable kernels on a toy model and stands stubs in for peers: it
proves the path of a measurement, never a speed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from serving.moe.dispatch import KERNELS
from serving.moe.layout import pack
from serving.moe.reference import MoEWeights, draw_weights, moe, relative_l2, route
from serving.moe.spec import BUCKETS, MoESpec
from serving.moe.tables import Machine, own_digest

Block = Callable[[Tensor], Tensor]
Load = Callable[[MoEWeights, MoESpec], Block]
Params = dict[str, Any]
Laid = Callable[[Params], Block]
"""A layer in a kernel's order: from a plan, that is a kernel with its parameters, to the block."""
MOST_ERROR, MOST_ERROR_OF_OTHERS = 2e-3, 5e-3
"""Of the block, relative L2: ours keep float16 in between and round once, others bfloat16."""
ROUTINGS = ("uniform", "zipf", "worst")
TOY = MoESpec("toy", experts=6, hidden=64, intermediate=64, layers=2)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device reached in this very run: bytes and operations per second."""

    bandwidth: float
    flops: float


class Stage(Protocol):
    """A place to measure."""

    spec: MoESpec
    buckets: tuple[int, ...]
    device: str
    repeats: int
    replays: int

    def ceilings(self) -> Ceilings:
        """Measure what no kernel can beat."""

    def time(self, blocks: Sequence[Block], inputs: Sequence[Tensor]) -> float:
        """Return microseconds per layer of a chain of blocks."""

    def machine(self) -> Machine:
        """Say what a table made here is valid for."""


def draw_layer(stage: Stage, number: int, tokens: int, routing: str) -> tuple[MoEWeights, Tensor]:
    """Return a layer and its tokens, every number another: it is the seed.

    The router's bias makes the routing: none for uniform, falling logarithmically for Zipf's law,
    towering over everything for the worst case, in which all tokens go to the same experts.
    """
    weights = draw_weights(stage.spec, seed=number, device=stage.device)
    bias = _bias(routing, stage.spec, number).to(weights.router_bias)
    return replace(weights, router_bias=bias), draw_tokens(stage, number, tokens)


def draw_tokens(stage: Stage, number: int, tokens: int) -> Tensor:
    """Return what goes into a layer."""
    draw = torch.Generator(device=stage.device).manual_seed(1000 + number)
    x = torch.randn(tokens, stage.spec.hidden, generator=draw, device=stage.device)
    return x.bfloat16()


@dataclass(frozen=True, slots=True)
class Sample:
    """What goes into a layer, and what must come out for some of the tokens."""

    x: Tensor
    places: list[int]
    wanted: tuple[Tensor, Tensor]

    def error(self, block: Block) -> float:
        """Return how far a block is from the oracle; not a number where its output is not."""
        got = block(self.x)[self.places]
        return min(relative_l2(got, wanted) for wanted in self.wanted)


def ask_oracle(x: Tensor, weights: MoEWeights, spec: MoESpec) -> Sample:
    """Sample the ends, the middle and the last tile; with exact logits, and with rounded ones.

    vLLM rounds logits to bfloat16 before any kernel has them. That alone moves an output by half a
    percent, by far more where logits are large, and is no fault of the kernel.
    """
    ids = route(x.float(), weights, spec)[1]
    last_tile = int((ids == ids.max()).any(1).nonzero()[-1])
    places = sorted({0, len(x) // 2, last_tile, len(x) - 1})
    exact = moe(x[places], weights, spec, torch.float64).output
    logits = torch.nn.functional.linear(x, weights.router, weights.router_bias)
    blind = replace(weights, router=torch.zeros_like(weights.router))
    rounded = [
        moe(x[[place]], replace(blind, router_bias=logits[place]), spec, torch.float64).output
        for place in places
    ]
    return Sample(x, places, (exact, torch.cat(rounded)))


class Rehearsal:
    """A CPU, Triton's interpreter, and a toy model."""

    spec: MoESpec = TOY
    buckets: tuple[int, ...] = (1, 3)
    device: str = "cpu"
    repeats: int = 1
    replays: int = 1

    def ceilings(self) -> Ceilings:
        """Time a copy and a product, as on a GPU but small."""
        data, square = torch.ones(1 << 20), torch.ones(128, 128)
        copied = _seconds(lambda: data.clone())
        multiplied = _seconds(lambda: square @ square)
        return Ceilings(2 * 4 * len(data) / copied, 2 * 128**3 / multiplied)

    def time(self, blocks: Sequence[Block], inputs: Sequence[Tensor]) -> float:
        """Return microseconds per layer by the clock on the wall."""
        start = time.perf_counter()
        for block, x in zip(blocks, inputs, strict=True):
            block(x)
        return (time.perf_counter() - start) / len(blocks) * 1e6

    def machine(self) -> Machine:
        """Say that nothing made here is valid anywhere."""
        import triton

        return Machine("rehearsal", 0, triton.__version__, "", own_digest())


def rehearse() -> Rehearsal:
    """Return a rehearsal, with Triton told to interpret; so before anything imports it."""
    os.environ["TRITON_INTERPRET"] = "1"  # noqa: TID251 (written, not read)
    return Rehearsal()


class Gpu:
    """The GPU that is there: one CUDA graph over all layers, weights cold, launches included."""

    device: str = "cuda"
    repeats: int = 5
    replays: int = 30

    def __init__(self, spec: MoESpec, buckets: tuple[int, ...] = BUCKETS) -> None:
        self.spec, self.buckets = spec, buckets

    def ceilings(self) -> Ceilings:
        """Time copying and reading 8 GB and multiplying two 8192 x 8192 matrices."""
        data = torch.ones(1 << 32, dtype=torch.bfloat16, device="cuda")
        other = torch.empty_like(data)
        size = data.numel() * data.element_size()
        copied = self._event_seconds(lambda: other.copy_(data))
        read = self._event_seconds(lambda: data.view(torch.int32).sum())
        a = torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda")
        multiplied = self._event_seconds(lambda: a @ a)
        return Ceilings(max(2 * size / copied, size / read), 2 * 8192**3 / multiplied)

    def time(self, blocks: Sequence[Block], inputs: Sequence[Tensor]) -> float:
        """Return the median microseconds per layer over the replays of one graph."""
        chain = list(zip(blocks, inputs, strict=True))
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            for block, x in chain:  # compiles and allocates before the capture
                block(x)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            kept = [block(x) for block, x in chain]
        seconds = self._event_seconds(graph.replay, self.replays)
        del kept
        return seconds / len(chain) * 1e6

    def machine(self) -> Machine:
        """Ask the device, Triton, and the kernels."""
        from serving.moe.vllm_plugin import this_machine

        return this_machine()

    @staticmethod
    def _event_seconds(run: Callable[[], object], times: int = 10) -> float:
        taken: list[float] = []
        for _ in range(times + 2):
            start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            start.record()
            run()
            end.record()
            end.synchronize()
            taken.append(start.elapsed_time(end) / 1e3)
        return statistics.median(taken[2:])


def load_stub(weights: MoEWeights, spec: MoESpec) -> Block:
    """Stand in for a peer in a rehearsal: the oracle itself."""
    return lambda x: moe(x, weights, spec, torch.float32).output


def load_ours(kernel: str, params: Mapping[str, Any]) -> Load:
    """Return how to load one of our kernels with one plan."""
    plan = {"kernel": kernel, "params": params}
    return lambda weights, spec: lay_out_ours(weights, spec)(plan)


def lay_out_ours(weights: MoEWeights, spec: MoESpec) -> Laid:
    """Pack a layer once for all plans of all our kernels."""
    packed = pack(weights)
    out = torch.bfloat16 if packed.w13.is_cuda else torch.float32  # the interpreter truncates

    def with_plan(plan: Params) -> Block:
        run, params = KERNELS[plan["kernel"]], plan["params"]
        return lambda x: run(x, packed, spec, params, out, None)

    return with_plan


def lay_out_stock(weights: MoEWeights, spec: MoESpec) -> Laid:
    """Lay a layer out once for vLLM's kernel, which looks its flags up whenever it is launched."""
    from serving.moe.peers.triton_kernels import load_with

    flags: dict[str, Mapping[str, int]] = {}
    block = load_with(flags)(weights, spec)

    def with_plan(plan: Params) -> Block:
        def run(x: Tensor) -> Tensor:
            flags.update(plan["params"])
            return block(x)

        return run

    return with_plan


def _bias(routing: str, spec: MoESpec, seed: int) -> Tensor:
    order = torch.randperm(spec.experts, generator=torch.Generator().manual_seed(seed)) + 1.0
    if routing == "uniform":
        return torch.zeros(spec.experts)
    if routing == "zipf":
        return -order.log()
    return torch.where(order <= spec.top_k, 100.0 - order, 0.0)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
