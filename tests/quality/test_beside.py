"""Search while documents come in: what each costs the other, in a real `footnote serve`.

`make bench-beside` prints the figures. The service holds SciFact; what comes in are pieces of
annual reports, once as a folder that is ingested and once as uploads. Each round starts from a
copy of the same data folder, with nothing of the pieces known.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pypdfium2
import pytest

from footnote.client import ServiceDesk
from footnote.owner import announced
from tests.quality import beir, corpora, mix
from tests.quality.load import Ask, Taken, asking
from tests.quality.mix import Batch
from tests.requirements import eval_data
from tests.service import ROOT, footnote, service

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3600)]

CLIENTS, RATE = 4, 10.0
"""Ten searches a second, from four people."""
IDLE_SECONDS = 30.0
ROUNDS = 2
PIECES, PAGES = 6, 10
"""At most so many pieces of each of the fifteen reports, of so many pages."""
ENDED_BADLY = {"failed", "cancelled", "dead"}


@dataclass(slots=True)
class Sides:
    """What was measured, over all rounds."""

    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    """Seconds that all documents took while nobody searched."""
    beside: list[float] = field(default_factory=list)

    @property
    def kept(self) -> float:
        """Which share of its unloaded rate the ingest keeps."""
        return sum(self.alone) / sum(self.beside)


def ingest_folder(url: str, data: Path, batch: Batch) -> None:
    """Do what `footnote ingest FOLDER` does beside a service."""
    here = announced(data)
    assert here is not None
    with closing(ServiceDesk(here)) as desk:
        outcomes = [each["outcome"] for each in desk.ingest([batch.folder], collection="new")]
    assert outcomes == ["indexed"] * len(batch.files)


def upload_all(url: str, data: Path, batch: Batch) -> None:
    """Hand in one file after the other, and wait until all are indexed."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        waiting = [_upload(client, path) for path in batch.files]
        while waiting:
            state = client.get(waiting[0]).json()["state"]
            assert state not in ENDED_BADLY
            if state == "done":
                waiting.pop(0)
            else:
                time.sleep(0.2)


def _upload(client: httpx2.Client, path: Path) -> str:
    with path.open("rb") as file:
        reply = client.post("/v1/documents", files={"file": (path.name, file)})
    assert reply.status_code == 202, reply.text
    return str(reply.json()["status_url"])


@pytest.mark.parametrize("way", [ingest_folder, upload_all], ids=lambda way: way.__name__)
def test_both_at_once(
    way: Callable[[str, Path, Batch], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = beir.load(corpora.folder("scifact"), qrels="train")
    corpus, batch = _corpus(judged), _pieces(tmp_path)
    texts, sides = list(judged.queries.values()), Sides()
    for turn in range(ROUNDS):
        for beside in (False, True) if turn % 2 == 0 else (True, False):
            with _fresh(corpus, tmp_path / f"{turn}-{beside}") as (url, data):
                sides.idle += _idle(url, texts).seconds
                began = time.monotonic()
                if beside:
                    with _searching(url, texts) as taken:
                        way(url, data, batch)
                    sides.busy += taken.seconds
                    sides.beside.append(time.monotonic() - began)
                else:
                    way(url, data, batch)
                    sides.alone.append(time.monotonic() - began)
    with capsys.disabled():
        _print(way.__name__, batch, sides)
    idle, busy = Taken(sides.idle), Taken(sides.busy)
    assert busy.ms(95) <= 2 * idle.ms(95) + 20
    assert sides.kept >= 0.5


def _corpus(judged: beir.Set) -> Path:
    data = ROOT / "build" / "quality" / judged.name
    done = footnote(data, "ingest", str(judged.corpus), "--collection", judged.name, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    return data


def _pieces(folder: Path) -> Batch:
    """Cut pieces of pages that follow each other out of all reports, at even distances."""
    cuts = folder / "cuts"
    cuts.mkdir()
    made = []
    for pdf in sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf")):
        with pypdfium2.PdfDocument(pdf) as document:
            pages = len(document)
        count = min(PIECES, pages // PAGES)
        for number in range(count):
            first = 1 + number * (pages // count)
            path = cuts / f"{pdf.stem}-{number}.pdf"
            made.append(mix.cut(pdf, path, range(first, first + PAGES), 0).path)
    return mix.gathered(made, folder / "pieces")


@contextmanager
def _fresh(corpus: Path, data: Path) -> Iterator[tuple[str, Path]]:
    """Serve a copy of the corpus, and throw it away after."""
    shutil.copytree(corpus, data)
    try:
        with service(data, wait=300) as (url, _):
            yield url, data
    finally:
        shutil.rmtree(data)


def _idle(url: str, texts: Sequence[str]) -> Taken:
    """Measure searches alone; the first ones warm up."""
    with _searching(url, texts):
        time.sleep(min(5.0, IDLE_SECONDS))
    with _searching(url, texts[50:]) as taken:
        time.sleep(IDLE_SECONDS)
    return taken


def _searching(url: str, texts: Sequence[str]) -> AbstractContextManager[Taken]:
    @contextmanager
    def client() -> Iterator[Ask]:
        with httpx2.Client(base_url=url, timeout=60) as connection:

            def ask(text: str) -> None:
                reply = connection.post("/v1/search", json={"query": text, "limit": 10})
                assert reply.status_code == 200, reply.text

            yield ask

    return asking(client, texts, clients=CLIENTS, rate=RATE)


def _print(way: str, batch: Batch, sides: Sides) -> None:
    files = len(batch.files)
    alone, beside = (files * len(each) / sum(each) for each in (sides.alone, sides.beside))
    print(f"\n{way}: {files} documents, {batch.pages} pages, {ROUNDS} rounds")
    print(f"searching alone, {RATE:.0f} a second from {CLIENTS} clients: {Taken(sides.idle)}")
    print(f"while documents come in:                    {Taken(sides.busy)}")
    print(f"documents a second: {alone:.2f} alone, {beside:.2f} while searching ({sides.kept:.0%})")
