"""What a process and all that it started have used, from `/proc`: Linux only."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_PARENT, _CPU, _RESIDENT = 1, slice(11, 15), 21
"""Fields of `/proc/PID/stat` after the name; of the processor also what ended children used."""


@dataclass(slots=True)
class Use:
    """Filled in when the block that is measured ends."""

    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    """Resident memory of all processes added up; what they share counts in each."""


@contextlib.contextmanager
def measured(pid: int) -> Iterator[Use]:
    """Measure what the process `pid` and its descendants use during the block."""
    use, over = Use(), threading.Event()
    looking = threading.Thread(target=_look, args=(pid, use, over), daemon=True)
    cpu, began = cpu_seconds(pid), time.monotonic()
    looking.start()
    try:
        yield use
    finally:
        use.wall, use.cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
        over.set()
        looking.join()


def cpu_seconds(pid: int) -> float:
    """Return the processor time used so far, by those that have ended as well."""
    return sum(int(ticks) for fields in _tree(pid) for ticks in fields[_CPU]) / _TICKS


def _look(pid: int, use: Use, over: threading.Event) -> None:
    while True:
        resident = sum(int(fields[_RESIDENT]) for fields in _tree(pid)) * _PAGE_MB
        use.peak_mb = max(use.peak_mb, resident)
        if over.wait(LOOK_SECONDS):
            return


def _tree(pid: int) -> list[list[str]]:
    """Return the fields of the process and of all that descend from it."""
    every = dict(_processes())
    children: dict[int, list[int]] = defaultdict(list)
    for each, fields in every.items():
        children[int(fields[_PARENT])].append(each)
    tree, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        waiting += children[each]
        tree += [every[each]] if each in every else []
    return tree


def _processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
                yield int(folder.name), stat.rpartition(")")[2].split()


def resident_mb(pid: int | None = None) -> float:
    """Return the resident memory of one process now; None: of this one."""
    stat = Path(f"/proc/{pid or os.getpid()}/stat").read_text().rpartition(")")[2].split()
    return int(stat[_RESIDENT]) * _PAGE_MB
