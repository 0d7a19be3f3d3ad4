"""Readers of PDF files, each in a process and an environment of its own, asked file by file."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.requirements import require
from tests.service import ROOT

SECONDS = 1800.0
"""How long a reader may take for one file, by the clock."""

VENVS = {
    "unstructured": "unstructured",
    "pdfplumber": "pdfplumber",
    "pdfplumber-text": "pdfplumber",
    "docling-parse": "docling-parse",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a reader made of a page: its text in reading order, its tables as rows of cells."""

    text: str
    tables: Sequence[Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader made of a file; no pages at all when it failed."""

    pages: Sequence[Page]
    cpu: float
    """Processor seconds, of all its threads."""
    peak_mb: float = 0.0


class Reader:
    """One reader, kept running between files and started again after a crash."""

    def __init__(self, name: str, results: Path) -> None:
        self.name = name
        self._results = results / name
        self._results.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[str] | None = None

    def read(self, pdf: Path, pages: Sequence[int] | None = None) -> Reading:
        """Read a file, or some of its pages (counted from 0); what was read stays on disk."""
        out = self._results / f"{pdf.stem}.json"
        out.unlink(missing_ok=True)
        answer = self._ask({"pdf": str(pdf), "out": str(out), "pages": pages})
        if answer is None:
            return Reading([], 0.0)
        return Reading(stored(out), answer["cpu"], answer["peak_mb"])

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        process = self._process = self._process or _start(self.name)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], SECONDS)
            if ready and (line := process.stdout.readline()):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self.close()
        return None


def stored(path: Path) -> list[Page]:
    """Return what a reader left on disk; nothing when it left nothing."""
    if not path.exists():
        return []
    return [Page(**page) for page in json.loads(path.read_text("utf-8"))]


@contextlib.contextmanager
def running(names: Sequence[str], results: Path) -> Iterator[list[Reader]]:
    """Yield the readers, and end their processes."""
    readers = [Reader(name, results) for name in names]
    try:
        yield readers
    finally:
        for reader in readers:
            reader.close()


def _start(name: str) -> subprocess.Popen[str]:
    quiet = ["DO_NOT_TRACK=1", "UNSTRUCTURED_DISABLE_NOTICE=1", f"PYTHONPATH={ROOT}"]
    script = str(ROOT / "scripts" / "pdf_readers.py")
    return subprocess.Popen(
        ["env", *quiet, str(_python(name)), script, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _python(name: str) -> Path:
    if name not in VENVS:
        return Path(sys.executable)
    python = ROOT / ".venv-peers" / VENVS[name] / "bin" / "python"
    require(python.exists(), f"the reader {name}", "python scripts/peers_env.py")
    return python
