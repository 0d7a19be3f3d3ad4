"""What a kernel has become: registers, occupancy and instructions, read from its machine code.

Works without a GPU: Triton brings NVIDIA's assembler and disassembler, and compiles for a target
that is merely named. `fake_hopper` changes torch and Triton for the rest of the process: call it in
a process of its own, with `TRITON_INTERPRET` unset.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SM_REGISTERS, SM_SHARED, SM_WARPS, RESERVED_SHARED = 65_536, 233_472, 64, 1_024
MOST_SHARED = 232_448
"""Bytes that one program may ask for on compute capability 9.0."""

INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);")
LABEL = re.compile(r"^\.(L_\w+):")
TARGET = re.compile(r"`\(\.(L_\w+)\)")
RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
TENSOR_CORE = ("HMMA", "HGMMA")


@dataclass(frozen=True, slots=True)
class Report:
    """One compiled kernel."""

    name: str
    warps: int
    registers: int
    stack: int
    local: int
    shared: int
    grid: int
    loop: dict[str, int]  # instructions of the main loop by full name
    program: dict[str, int]  # of the whole kernel

    @property
    def loop_length(self) -> int:
        """Instructions of one turn of the main loop."""
        return sum(self.loop.values())

    @property
    def spills(self) -> bool:
        """Tell whether registers were moved to memory."""
        return bool(self.stack or self.local or self.count("STL", self.program))

    def programs_per_sm(self) -> int:
        """Return how many programs (CTAs) fit on one multiprocessor at a time."""
        by_registers = SM_REGISTERS // (-(-self.registers // 8) * 8 * 32 * self.warps)
        by_shared = SM_SHARED // (self.shared + RESERVED_SHARED)
        return min(by_registers, by_shared, SM_WARPS // self.warps)

    def per_eight_weights(self, weights: int) -> float:
        """Return instructions per 8 weights per lane, if one turn consumes `weights` weights."""
        return self.loop_length * self.warps * 32 / weights * 8

    @staticmethod
    def count(prefix: str, instructions: dict[str, int]) -> int:
        """Count instructions whose name begins so, at a dot: `LDG.E` is no `LDG.E.128`."""
        return sum(n for name, n in instructions.items() if f"{name}.".startswith(f"{prefix}."))

    def tensor_core(self) -> int:
        """Count tensor-core instructions of the main loop."""
        return sum(self.count(prefix, self.loop) for prefix in TENSOR_CORE)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def read(kernel: Any, grid: int = 0) -> Report:
    """Disassemble a kernel that Triton has compiled."""
    tools = _tools()
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(kernel.asm["cubin"])
        usage = _run(tools / "cuobjdump", "--dump-resource-usage", file.name)
        listing = _run(tools / "nvdisasm", "-c", file.name)
    registers, stack, _, local = resources(usage)
    loop, program = main_loop(listing)
    return Report(
        name=kernel.metadata.name,
        warps=kernel.metadata.num_warps,
        registers=registers,
        stack=stack,
        local=local,
        shared=kernel.metadata.shared,
        grid=grid,
        loop=dict(Counter(loop)),
        program=dict(Counter(program)),
    )


def resources(usage: str) -> tuple[int, int, int, int]:
    """Return registers, stack, static shared and local bytes out of cuobjdump's text."""
    found = RESOURCES.search(usage)
    if found is None:
        raise ValueError(f"no resource usage in: {usage[:200]}")
    registers, stack, shared, local = (int(number) for number in found.groups())
    return registers, stack, shared, local


def main_loop(listing: str) -> tuple[list[str], list[str]]:
    """Return the main loop's instructions and those of the whole program, by name.

    The main loop is the longest innermost loop with a tensor-core instruction; the longest
    innermost loop where none has one. A branch to itself, which ends every program, is no loop.
    """
    names, labels, jumps = _parse(listing)
    loops = [
        (labels[target], place + 1)
        for place, target in jumps
        if target in labels and labels[target] < place
    ]
    innermost = [
        (start, end)
        for start, end in loops
        if not any(start <= s and e <= end and (s, e) != (start, end) for s, e in loops)
    ]
    bodies = [names[start:end] for start, end in innermost]
    using = [body for body in bodies if any(name.startswith(TENSOR_CORE) for name in body)]
    return max(using or bodies, key=len, default=[]), names


def fake_hopper() -> None:
    """Make Triton and torch believe in an H200: what is launched gets compiled, nothing runs."""
    import torch
    from triton.runtime.driver import driver

    driver.set_active(_FakeDriver())
    properties = SimpleNamespace(
        name="NVIDIA H200",
        multi_processor_count=132,
        shared_memory_per_block_optin=MOST_SHARED,
        warp_size=32,
        L2_cache_size=50 << 20,
        major=9,
        minor=0,
    )
    pretended = {
        "is_available": lambda: True,
        "current_device": lambda: 0,
        "get_device_capability": lambda *_: (9, 0),
        "get_device_properties": lambda *_: properties,
    }
    for name, answer in pretended.items():
        setattr(torch.cuda, name, answer)
    histogram = torch.histc  # knows no integers on a CPU; triton_kernels gives it some
    torch.histc = lambda values, **named: histogram(values.float(), **named)


def compiled_by(launch: Callable[[], object]) -> list[Report]:
    """Call a function and return what each kernel that it launches is compiled to."""
    from triton.runtime.jit import JITFunction

    reports: list[Report] = []
    run = JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **named: Any) -> Any:
        kernel = run(self, *args, grid=grid, warmup=True, **named)
        sizes = grid(named) if callable(grid) else grid
        reports.append(read(kernel, sizes[0]))
        return kernel

    JITFunction.run = compile_only
    try:
        launch()
    finally:
        JITFunction.run = run
    return reports


class _FakeDriver:
    """What Triton asks its driver before it launches."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")

    def get_device_interface(self) -> Any:
        import torch

        return torch.cuda

    def map_python_to_cpp_type(self, kind: str) -> str:
        return "int"


def _parse(listing: str) -> tuple[list[str], dict[str, int], list[tuple[int, str]]]:
    """Return instruction names in order, the place of each label, and all jumps."""
    names: list[str] = []
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    for line in listing.splitlines():
        if label := LABEL.match(line.strip()):
            labels[label.group(1)] = len(names)
        elif instruction := INSTRUCTION.search(line):
            name, rest = instruction.groups()
            if name.startswith("BRA") and (target := TARGET.search(rest)):
                jumps.append((len(names), target.group(1)))
            names.append(name)
    return names, labels, jumps


def _tools() -> Path:
    import triton

    return Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def _run(program: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - programs that Triton brings
        [str(program), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout
