"""A thousand bad files: each ends with a reason, in time, and nobody else notices."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient

from footnote.wiring import House
from ingest.parse import JailedParser
from ingest.parsing.jail import Limits
from knowledge.settings import Settings, TestSettings
from tests.fakes import FakeEmbedder
from tests.hostile.corrupt import Bad, corruptions
from tests.hostile.handmade import handmade
from tests.hostile.hurl import Report, files_below, hurl, jailed_children, searching
from tests.ingest.samples import every_format
from tests.requirements import eval_data
from tests.service import ROOT, serving

SEED = 20261124
NAMES = """
    laughs.docx laughs-odd-part.docx outside.docx slip.docx lying.docx prev-self.pdf tree.pdf
    kids-loop.pdf script.pdf deep.html titles.html comments.eml forwarded.eml deep.jsonl
    surrogates.jsonl infinite.jsonl pdf-and-zip.docx hidden.txt
"""
SMALL = NAMES.split()
SLOW = "to.eml"
"""Takes a minute or more where nobody ends it."""
PATIENCE = 120.0
LARGEST_SEED = 200_000
SLICE = 60


def few() -> list[Bad]:
    made = {bad.name: bad for bad in handmade(heavy=False) if bad.name in (*SMALL, SLOW)}
    assert set(made) == {*SMALL, SLOW}
    return [*made.values(), *corruptions(every_format(), count=22, seed=SEED)]


@contextmanager
def house(folder: Path, seconds: float) -> Iterator[House]:
    """A real service in this process, with fake vectors, and `seconds` for the parser."""
    settings = Settings(_env_file=None, data_dir=folder / "data", port=0, ui_port=0)
    with House(settings) as built:
        built.__dict__["embedder"] = FakeEmbedder()
        limits = Limits(memory_mb=512, seconds=seconds)
        parser = JailedParser(limits=limits, folder=folder / "data")
        built.__dict__["parser"] = parser
        try:
            yield built
        finally:
            parser.close()  # before the worker is waited for: it may be waiting for a file


def throw_few(
    folder: Path, *, seconds: float, bads: Sequence[Bad], patience: float = PATIENCE
) -> Report:
    report = Report()
    with house(folder, seconds) as built:
        app = built.app
        built.start_worker(lambda _: None)

        def connect() -> TestClient:
            return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

        hurl(connect, bads, report, at_once=8, patience=patience)
    print(f"\n{report}")
    return report


def test_each_of_some_bad_files_ends_in_time_and_with_a_reason(tmp_path: Path) -> None:
    bads = few()
    report = throw_few(tmp_path, seconds=1, bads=bads)
    assert report.violations == []
    assert report.outcomes.total() == len(bads)
    assert report.outcomes["eml", "timeout"] >= 1


def test_without_the_time_limit_the_same_test_finds_a_file_without_an_end(tmp_path: Path) -> None:
    bads = [bad for bad in handmade(heavy=False) if bad.name == SLOW]
    report = throw_few(tmp_path, seconds=3600, bads=bads, patience=5)
    assert report.violations != []


@pytest.mark.hostile
@pytest.mark.timeout(7200)
def test_a_thousand_bad_files_stop_nobody(tmp_path: Path) -> None:
    bads = [*corruptions(_good_files(), count=1000, seed=SEED), *handmade(), *_odd_files()]
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    outside = Path("/tmp/footnote-slipped")  # noqa: S108 - where a path in an archive leads
    before = files_below(home, temporary, ROOT)
    report = Report()
    places = {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    with serving(tmp_path / "data", wait=600, **places) as url:
        owner = int(re.findall(r"\d+$", (tmp_path / "data" / "owner.lock").read_text())[0])

        def connect() -> httpx2.Client:
            return httpx2.Client(base_url=url, timeout=60)

        hurl(connect, _examples(), Report(), at_once=1, patience=PATIENCE)
        for start in range(0, len(bads), SLICE):
            with searching(connect, report.quiet, pause=0.02):
                time.sleep(4)
            with searching(connect, report.busy, pause=0.02):
                hurl(connect, bads[start : start + SLICE], report, at_once=3, patience=PATIENCE)
            print(f"\n{report}", flush=True)
        left = time.monotonic()
        while jailed_children(owner) and time.monotonic() - left < 30:
            time.sleep(0.1)
        emptied = time.monotonic() - left
        assert httpx2.get(f"{url}/v1/health").status_code == 200
    print(f"  pool empty after {emptied:.1f} s, p99 allowed {report.p99_allowed():.0f} ms")
    assert report.violations == []
    assert emptied <= 5
    assert files_below(home, temporary, ROOT) == before
    assert not outside.exists()
    assert report.p99_during() <= report.p99_allowed()


def _good_files() -> dict[str, bytes]:
    """One of each format, the examples, and the smaller of the office files where they are."""
    files = every_format() | {
        path.name: path.read_bytes() for path in (ROOT / "examples").iterdir()
    }
    folder = TestSettings().eval_data
    if folder is not None:
        suffixes = {Path(name).suffix for name in files} - {".gz"}
        for path in sorted(eval_data("office-samples").rglob("*")):
            if path.suffix in suffixes and path.stat().st_size <= LARGEST_SEED:
                files[path.name] = path.read_bytes()
    return files


def _odd_files() -> Iterator[Bad]:
    if TestSettings().eval_data is not None:
        for path in sorted(eval_data("odd-files").rglob("*")):
            if path.is_file():
                yield Bad(path.name, path.read_bytes(), "odd")


def _examples() -> Iterator[Bad]:
    for path in sorted((ROOT / "examples").iterdir()):
        yield Bad(path.name, path.read_bytes(), "good")
