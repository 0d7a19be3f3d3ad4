"""Footnote and its peers as ways to ingest files and find pages, each in processes of its own."""

from __future__ import annotations

import contextlib
import json
import random
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from footnote.client import ServiceDesk
from footnote.owner import announced
from knowledge.embedding import weights
from knowledge.settings import OFFLINE
from tests.quality import evidence
from tests.quality.evidence import Page
from tests.quality.mix import Batch
from tests.quality.processes import Use, cpu_seconds, measured
from tests.requirements import require
from tests.service import PATHS, ROOT, service

OURS = "footnote"
PEERS = {"llama-index": "llama-index", "unstructured": "unstructured-store"}
"""The environment in `.venv-peers` of each."""
SECONDS = 1800.0
"""How long a peer may take for one request, by the clock."""
LIMIT = 100
"""Pieces asked for, so that there are ten pages among them."""
_RESAMPLES = 10_000


class System(Protocol):
    """One way to ingest and search, already started."""

    name: str
    pid: int

    def ingest(self, batch: Batch) -> dict[str, int]:
        """Make files findable; return how many pieces with text each gave, by its name."""

    def pages(self, query: str) -> list[Page]:
        """Return the pages found, best first."""


@dataclass(slots=True)
class Tally:
    """What one system has used so far."""

    start: Use = field(default_factory=Use)
    batches: list[Use] = field(default_factory=list)
    pieces: dict[str, int] = field(default_factory=dict)

    def ingest(self, system: System, batch: Batch) -> None:
        """Have a batch ingested, and measure it."""
        with measured(system.pid) as use:
            self.pieces |= system.ingest(batch)
        self.batches.append(use)

    @property
    def wall(self) -> float:
        """Seconds by the clock, of all batches."""
        return sum(use.wall for use in self.batches)

    @property
    def cpu(self) -> float:
        """Processor seconds, of all batches."""
        return sum(use.cpu for use in self.batches)

    @property
    def peak_mb(self) -> float:
        """The most memory at any time."""
        return max(use.peak_mb for use in self.batches)


# --- Footnote -----------------------------------------------------------------------------------


class Ours:
    """`footnote serve`, asked for what `footnote ingest FOLDER` asks it for."""

    name = OURS

    def __init__(self, data: Path, pid: int) -> None:
        self.pid = pid
        here = announced(data)
        assert here is not None
        self.desk = ServiceDesk(here)

    def ingest(self, batch: Batch) -> dict[str, int]:
        """Ingest the folder."""
        pieces = dict.fromkeys((path.name for path in batch.files), 0)
        for event in self.desk.ingest([batch.folder], collection="bench"):
            name = Path(event["uri"].partition("#")[0]).name
            pieces[name] = pieces.get(name, 0) + event["chunks"]
        return pieces

    def pages(self, query: str) -> list[Page]:
        """Search as `footnote search` does."""
        found = self.desk.search(query, collection="bench", limit=LIMIT)["passages"]
        return evidence.pages(found)


@contextlib.contextmanager
def ours(data: Path, tally: Tally) -> Iterator[Ours]:
    """Start `footnote serve` on an empty data folder; what that used goes into `tally`."""
    began = time.monotonic()
    with service(data, wait=300) as (_, process):
        system = Ours(data, process.pid)
        tally.start = Use(time.monotonic() - began, cpu_seconds(process.pid))
        with contextlib.closing(system.desk):
            yield system


# --- the others ---------------------------------------------------------------------------------


class Peer:
    """One of `scripts/ingest_peers.py`, over its standard input and output."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    def ingest(self, batch: Batch) -> dict[str, int]:
        """Ingest the files."""
        found = self.ask({"ingest": [str(path) for path in batch.files]})["pieces"]
        return {Path(path).name: count for path, count in found.items()}

    def pages(self, query: str) -> list[Page]:
        """Search by meaning."""
        found = self.ask({"search": query, "limit": LIMIT})["pages"]
        return list(dict.fromkeys((name, page) for name, page in found))

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer; a peer that has ended is a fault of the bench."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next line that it says."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
        line = self._process.stdout.readline() if ready else ""
        assert line, f"{self.name} gave no answer:\n{self._log.read_text()[-3000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def peer(name: str, folder: Path, tally: Tally) -> Iterator[Peer]:
    """Start a peer with an empty store; what that used goes into `tally`."""
    python = ROOT / ".venv-peers" / PEERS[name] / "bin" / "python"
    require(python.exists(), f"the peer {name}", f"python scripts/peers_env.py {PEERS[name]}")
    log = folder.with_suffix(".log")
    model, _ = weights.find(None)
    script = ROOT / "scripts" / "ingest_peers.py"
    quiet = [f"{key}={value}" for key, value in _environment().items()]
    began = time.monotonic()
    with log.open("w") as errors:
        process = subprocess.Popen(
            ["env", *quiet, str(python), str(script), name, str(model), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        system = Peer(name, process, log)
        system.answer()
        tally.start = Use(time.monotonic() - began, cpu_seconds(process.pid))
        yield system
    finally:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    """Keep a peer on this machine; how many threads it takes is left to its libraries."""
    return {**OFFLINE, "UNSTRUCTURED_DISABLE_NOTICE": "1", "PYTHONPATH": PATHS}


# --- ratios -------------------------------------------------------------------------------------


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float, float]:
    """Return how many times longer theirs took, and the 95 % interval over batches.

    The interval is that of drawing the batches anew with replacement.
    """
    pairs = list(zip(theirs, ours, strict=True))
    chance = random.Random(0)
    drawn = sorted(_ratio(chance.choices(pairs, k=len(pairs))) for _ in range(_RESAMPLES))
    return _ratio(pairs), drawn[_RESAMPLES // 40], drawn[-_RESAMPLES // 40]


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(theirs for theirs, _ in pairs) / sum(ours for _, ours in pairs)
