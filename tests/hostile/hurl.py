"""Hands bad files to a service over HTTP, and watches what becomes of each."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.hostile.corrupt import Bad

WAITS = 10
"""So many times its own time a file may wait for others."""
TERMINAL = ("done", "failed", "cancelled")
REFUSED_AT_ONCE = range(400, 500)


@dataclass(slots=True)
class Report:
    """What became of the files, and how long searches took meanwhile and otherwise."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By format and end: a state, the words of a refusal, or a status of HTTP."""
    slowest: list[tuple[float, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    """Seconds of searches while nothing was indexed."""
    busy: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.outcomes.total()} files; violations: {len(self.violations)}"]
        for suffix in sorted({suffix for suffix, _ in self.outcomes}):
            ends = Counter({end: n for (of, end), n in self.outcomes.items() if of == suffix})
            told = ", ".join(f"{end} {count}" for end, count in ends.most_common())
            lines.append(f"  {suffix or 'no suffix'}: {told}")
        slow = ", ".join(f"{name} {seconds:.0f} s" for seconds, name in self._slowest(8))
        lines.append(f"  slowest: {slow}")
        if self.quiet and self.busy:
            lines.append(
                f"  search p50/p99: {_ms(self.quiet, 50):.0f}/{_ms(self.quiet, 99):.0f} ms quiet "
                f"({len(self.quiet)}), {_ms(self.busy, 50):.0f}/{_ms(self.busy, 99):.0f} ms during "
                f"({len(self.busy)})"
            )
        return "\n".join([*lines, *self.violations[:20]])

    def p99_allowed(self) -> float:
        """Return the most milliseconds that the 99th percentile may be during the run."""
        return 1.5 * _ms(self.quiet, 99) + 20

    def p99_during(self) -> float:
        """Return the 99th percentile during the run, in milliseconds."""
        return _ms(self.busy, 99)

    def _slowest(self, count: int) -> list[tuple[float, str]]:
        return sorted(self.slowest, reverse=True)[:count]


def _ms(seconds: Sequence[float], percentile: int) -> float:
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percentile - 1]


def hurl(
    connect: Callable[[], httpx2.Client],
    files: Iterable[Bad],
    report: Report,
    *,
    at_once: int,
    patience: float,
) -> None:
    """Upload all, at most `at_once` of them unfinished.

    Each must end within `patience` seconds of being begun. The worker takes one after the other, so
    it may wait for as many others as are allowed before that.
    """
    waiting = iter(files)
    turn = threading.Lock()

    def work() -> None:
        client = connect()
        while True:
            with turn:
                bad = next(waiting, None)
            if bad is None:
                client.close()
                return
            began = time.monotonic()
            end = _end_of(client, bad, patience, report)
            with turn:
                report.outcomes[bad.format, end] += 1
                report.slowest.append((time.monotonic() - began, bad.name))

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _end_of(client: httpx2.Client, bad: Bad, patience: float, report: Report) -> str:
    """Upload one file and follow it to its end."""
    reply = client.post("/v1/documents", files={"file": (bad.name, bad.data)})
    if reply.status_code in REFUSED_AT_ONCE:
        return f"HTTP {reply.status_code}"
    if reply.status_code != 202:
        report.violations.append(f"{bad.name}: HTTP {reply.status_code} {reply.text[:200]}")
        return f"HTTP {reply.status_code}"
    begun = time.monotonic()
    waits = True
    while time.monotonic() < begun + patience * (WAITS if waits else 1):
        seen = client.get(f"/v1/submissions/{reply.json()['id']}")
        if seen.status_code != 200:
            report.violations.append(f"{bad.name}: HTTP {seen.status_code} {seen.text[:200]}")
            return f"HTTP {seen.status_code}"
        if seen.json()["state"] in TERMINAL:
            return _told(seen.json(), bad, report)
        if waits and seen.json()["state"] == "working":
            begun, waits = time.monotonic(), False
        time.sleep(0.05)
    state = seen.json()["state"]
    report.violations.append(f"{bad.name} is still {state}, {patience:g} s are allowed")
    return "unfinished"


def _told(seen: dict[str, Any], bad: Bad, report: Report) -> str:
    """Say how it ended, in the words of its reason without what is particular to this file."""
    reason = str(seen["reason"])
    if seen["state"] == "done":
        return "indexed" if seen["documents"] else "nothing in it"
    if not reason or "error of this service" in reason or "Traceback" in reason:
        report.violations.append(f"{bad.name} failed without a reason for people: {reason!r}")
    return WORDS.get(next((key for key in WORDS if key in reason), ""), reason[:60])


WORDS = {
    "damaged": "damaged",
    "not a .": "wrong type",
    "binary data": "wrong type",
    "more than 100 times": "bomb",
    "unpacks to more": "bomb",
    "claim more bytes": "bomb",
    "container has more": "bomb",
    "document type": "hostile",
    "leads outside": "hostile",
    "no office program": "hostile",
    "password": "encrypted",
    "encrypted": "encrypted",
    "nested too deeply": "too deep",
    "took longer": "timeout",
    "of memory": "out of memory",
    "crashed": "crashed",
    "is empty": "empty",
    "of text; split": "too much text",
    "pages; split": "too many pages",
    "before 2007": "old format",
    "line 1 ": "bad lines",
    "is not JSON": "bad lines",
}


@contextmanager
def searching(
    connect: Callable[[], httpx2.Client], times: list[float], *, pause: float
) -> Iterator[None]:
    """Search again and again while the block runs, and note how long each search took."""
    over = threading.Event()

    def work() -> None:
        client = connect()
        number = 0
        while not over.wait(pause):
            number += 1
            query = QUERIES[number % len(QUERIES)]
            began = time.perf_counter()
            reply = client.post("/v1/search", json={"query": f"{query} {number}"})
            times.append(time.perf_counter() - began)
            if reply.status_code != 200:
                times.append(float("inf"))
        client.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


QUERIES = (
    "how is travel approved",
    "when are receipts handed in",
    "who closes the window",
    "which formats are read",
    "what is the budget of the coming year",
)


# --- processes and files ------------------------------------------------------------------------


def jailed_children(owner: int) -> list[int]:
    """Return the processes below the parser servers of `owner`: those at work on a file."""
    below = _parents()
    servers = [pid for pid, parent in below.items() if parent == owner and _is_parser(pid)]
    return [pid for pid, parent in below.items() if parent in servers]


def _parents() -> dict[int, int]:
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    return found


def _is_parser(pid: int) -> bool:
    try:
        return b"ingest.parsing.server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def files_below(*folders: Path) -> set[tuple[str, int, int]]:
    """Return path, size and time of change of every file, to be compared with later."""
    found = set()
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not {".git", "__pycache__", ".hypothesis"} & set(path.parts):
                    status = path.stat()
                    found.add((str(path), status.st_size, status.st_mtime_ns))
    return found
