"""The process that is killed: it ingests a folder and some uploads, and says what it has promised.

Every line it writes is a promise: `done` with an ingest event, `accepted` with an upload's id. It
is one system call, so a line that the parent reads was given before the kill.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from ingest.intake import CatalogIntake
from ingest.originals import Originals
from ingest.pipeline import File, Pipeline, Sizes
from ingest.recover import clean, recover
from ingest.sync import FolderSync
from ingest.worker import Pace, Worker
from knowledge.blobs import FolderBlobs
from knowledge.catalog.store import SqlCatalog
from knowledge.index.edge import EdgeIndex
from knowledge.models import (
    DEFAULT_COLLECTION,
    EVERYONE,
    IngestEvent,
    Outcome,
    Point,
    Principal,
    RevisionState,
)
from knowledge.ports import VectorSpace
from knowledge.sparse import Bm25Encoder
from tests.fakes import FakeEmbedder
from tests.ingest.world import OpenParser

ANN = Principal("ann")
CHUNK_TOKENS = 32
DIMENSION = 16
STATES = ("received", "parsed", "embedded", "upserting", "upserted", "switched", "cleaning")
"""Named places to be killed at; `upserting` is between two halves of the points of a group."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one run is to do, and where it ends."""

    data: str
    docs: str
    promises: str
    state: str = ""
    """Killed when this state is reached for the `nth` time; empty: runs to its end."""
    nth: int = 1
    uploads: tuple[tuple[str, str], ...] = ()
    """Name and text."""
    uploads_first: bool = False
    kind: str = "sound"
    """`hasty` makes visible before it upserts; `boastful` promises before it has done anything."""


class TornIndex(EdgeIndex):
    """Upserts in two halves, so that a kill can come in between."""

    def __init__(self, folder: Path, passed: Killer) -> None:
        super().__init__(folder, dimension=DIMENSION)
        self._passed = passed

    def upsert(self, points: Sequence[Point]) -> None:
        half = len(points) // 2
        super().upsert(points[:half])
        self._passed("upserting")
        super().upsert(points[half:])


class Killer:
    """Kills this process when a state is reached for the n-th time."""

    def __init__(self, state: str, nth: int) -> None:
        self._state = state
        self._left = nth

    def __call__(self, state: str) -> None:
        self._left -= state == self._state
        if self._left == 0 and self._state:
            os.kill(os.getpid(), signal.SIGKILL)


class HastyPipeline(Pipeline):
    """A control: the same steps, with visibility switched before the points are there."""

    def _index_group(self, drafts: Sequence[object]) -> Iterator[IngestEvent]:
        works = self._receive(drafts)  # type: ignore[arg-type]
        parsed = self._advance(works, self._store_parsed, RevisionState.PARSED)
        live = self._advance(parsed, self._switch, "switched")
        for work in live:
            document = work.draft.document
            yield IngestEvent(document.uri, Outcome.INDEXED, document.id, len(work.chunks))
        points = self._embed(live)
        self._passed("embedded")
        self._upsert(live, points)
        self._passed("upserted")
        clean(self._ledger, self._index, self._passed)


class BoastfulPipeline(Pipeline):
    """A control: it says that a file is done before it begins."""

    def ingest(self, files: Iterable[File]) -> Iterator[IngestEvent]:
        for file in files:
            yield IngestEvent(file.uri, Outcome.INDEXED)
            for _ in super().ingest([file]):
                pass


PIPELINES = {"sound": Pipeline, "hasty": HastyPipeline, "boastful": BoastfulPipeline}


class Child:
    """One installation at work."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._promises = os.open(job.promises, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        data = Path(job.data)
        passed = Killer(job.state, job.nth)
        self._catalog = SqlCatalog.open(f"sqlite:///{data / 'catalog.sqlite'}")
        self._index = TornIndex(data / "index", passed)
        pipeline = PIPELINES[job.kind](
            parser=OpenParser(),
            space=VectorSpace(FakeEmbedder(dimension=DIMENSION), Bm25Encoder(), self._index),
            ledger=self._catalog,
            sizes=Sizes(chunk_tokens=CHUNK_TOKENS, group_documents=4),
            passed=passed,
        )
        originals = Originals(FolderBlobs(data / "blobs"), self._catalog)
        self._worker = Worker(
            outbox=self._catalog,
            ledger=self._catalog,
            index=self._index,
            originals=originals,
            pipeline=pipeline,
            # it is the world that stops this worker, not its files
            pace=Pace(lease=timedelta(minutes=5), attempts=1_000_000),
        )
        self._intake = CatalogIntake(
            outbox=self._catalog,
            ledger=self._catalog,
            index=self._index,
            originals=originals,
            folders=FolderSync(pipeline=pipeline, ledger=self._catalog, index=self._index),
            max_bytes=1_000_000,
            wake=lambda: None,
        )

    def run(self) -> None:
        recover(self._catalog, self._index, self._catalog, exclusive=True)
        self._hand_in()
        if self._job.uploads_first:
            self._work()
        for event in self._intake.sync([Path(self._job.docs)], collection=DEFAULT_COLLECTION):
            self._promise({"done": event.uri, "outcome": event.outcome.value})
        self._work()
        self._index.close()
        self._catalog.close()
        self._promise({"finished": True})

    def _hand_in(self) -> None:
        for name, text in self._job.uploads:
            if self._job.kind == "boastful":
                self._promise({"accepted": "one that was never written down", "name": name})
            taken = self._intake.submit(
                io.BytesIO(text.encode()),
                name=name,
                collection=DEFAULT_COLLECTION,
                access=frozenset({EVERYONE}),
                by=ANN,
            )
            self._promise({"accepted": taken.id, "name": name})

    def _work(self) -> None:
        while self._worker.work_one():
            pass

    def _promise(self, line: dict[str, object]) -> None:
        os.write(self._promises, (json.dumps(line) + "\n").encode())


def encode(job: Job) -> str:
    return json.dumps(asdict(job))


def main() -> None:
    fields = json.loads(sys.argv[1])
    fields["uploads"] = tuple((name, text) for name, text in fields["uploads"])
    Child(Job(**fields)).run()


if __name__ == "__main__":
    main()
