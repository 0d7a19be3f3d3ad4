"""How much memory a large honest file takes: 50 megabytes, 900 dense pages with pictures."""

from __future__ import annotations

import io
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.hostile.hurl import jailed_children
from tests.service import command

PAGES = 900
BYTES = 50_000_000
LINES = 46
SIDE = 120
"""Points of noise that no filter makes smaller, on each side of a page's picture."""
PARSER_MB, WORKER_MB = 1000, 1500
SENTENCE = """
    the annual review of travel, housing and energy costs was approved by the board after the
    figures of each department had been compared with those of the year before and explained
"""
WORDS = SENTENCE.split()


def large_pdf() -> bytes:
    chance = random.Random(50)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=1)
    for page in range(1, PAGES + 1):
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(60, 790, f"Chapter {page}: the review of department {page % 40}")
        canvas.setFont("Helvetica", 10)
        for line in range(LINES):
            words = " ".join(chance.choices(WORDS, k=13))
            canvas.drawString(60, 765 - 13 * line, f"{words} {chance.randint(1000, 9999)}")
        canvas.drawImage(_noise(chance), 60, 20, 110, 110)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _noise(chance: random.Random) -> ImageReader:
    from PIL import Image

    pixels = chance.randbytes(3 * SIDE * SIDE)
    return ImageReader(Image.frombytes("RGB", (SIDE, SIDE), pixels))


@pytest.mark.hostile
@pytest.mark.timeout(3600)
def test_a_large_pdf_stays_within_its_memory(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "large.pdf"
    path.parent.mkdir()
    path.write_bytes(large_pdf())
    assert path.stat().st_size >= BYTES
    parser, worker = peaks_mb(command(tmp_path / "data", "ingest", str(path)))
    size = path.stat().st_size / 1e6
    print(f"\n{size:.0f} MB, {PAGES} pages: parser {parser:.0f} MB, worker {worker:.0f} MB at most")
    assert parser <= PARSER_MB
    assert worker <= WORKER_MB


def peaks_mb(line: list[str]) -> tuple[float, float]:
    """Run a command to its end; return the peak resident memory of its parser and of itself."""
    parser = worker = 0.0
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            worker = max(worker, _peak_mb(process.pid))
            handlers = jailed_children(process.pid)
            jailed = [child for handler in handlers for child in _children(handler)]
            parser = max([parser, *map(_peak_mb, [*handlers, *jailed])])
            time.sleep(0.02)
        assert process.stdout is not None
        said = process.stdout.read().decode()
    assert process.returncode == 0, said
    assert parser > 0, "the parser was never seen"
    return parser, worker


def _children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def _peak_mb(pid: int) -> float:
    """Return the high-water mark of the resident memory; `env` has become our program by then."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
