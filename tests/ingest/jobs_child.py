"""A process that does jobs and is killed at named places, life after life, over the same data.

All lives are forked from one process that has loaded the libraries and opened nothing.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from ingest.durable import DbosEngine
from ingest.intake import CatalogIntake
from ingest.jobs import CatalogJobs
from ingest.originals import Originals
from ingest.pipeline import Pipeline, Sizes
from ingest.recover import recover
from ingest.sync import FolderSync
from ingest.work import Result
from ingest.worker import Pace, Worker
from knowledge.blobs import FolderBlobs
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import IndexUnavailable
from knowledge.models import EVERYONE, Job, JobState, Parsed, Point, Principal
from knowledge.ports import VectorSpace
from knowledge.sparse import Bm25Encoder
from tests.fakes import FakeEmbedder, FakeIndex
from tests.ingest.world import OpenParser

ANN = Principal("ann")
ADMIN = Principal("root", roles=frozenset({"admin"}))
PLACES = (
    "accepted", "queued", "running", "upserted", "switched", "ended", "retrying", "paused",
    "cancelled", "cancelled late",
)  # fmt: skip
"""Where a life ends by kill -9; `cancelled` is in the middle of a job that was just cancelled,
`cancelled late` the same after its document has become visible."""
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Life:
    """What one process does until it is killed, or all jobs are over."""

    folder: str
    place: str = ""
    """One of `PLACES`; empty: it lives until all jobs are over."""
    uploads: tuple[tuple[str, str], ...] = ()
    """Name and text."""
    database: str = ""
    """URL of a PostgreSQL database; empty: SQLite files in the folder, with one owner."""
    name: str = "owner"
    kind: str = "sound"
    """`forgetful` writes that a job is done before it is; `careless` does whatever it is told;
    `trusting` believes that whoever worked on a cancelled job has tidied up after it."""
    together: int = 1
    """Processes that begin to work at the same moment, this one included."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class FolderIndex(FakeIndex):
    """An index on the disk, as far as counting goes: a file per revision."""

    down = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def upsert(self, points: Sequence[Point]) -> None:
        if self.down:
            raise IndexUnavailable("nobody answers")
        for revision, count in Counter(point.revision_id for point in points).items():
            (self._folder / revision).write_text(str(count))

    def count(self, revision_id: str | None = None) -> int:
        file = self._folder / (revision_id or "none")
        return int(file.read_text()) if file.exists() else 0

    def delete(self, revision_ids: Sequence[str]) -> None:
        for revision_id in revision_ids:
            (self._folder / revision_id).unlink(missing_ok=True)

    def set_access(self, document_id: str, access: frozenset[str]) -> None:
        pass


class HookedParser(OpenParser):
    """Calls back before it parses."""

    def __init__(self, hook: Callable[[], None]) -> None:
        super().__init__()
        self._hook = hook

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        self._hook()
        time.sleep(0.02)
        return super().parse(data, name=name)


class LoggingCatalog(SqlCatalog):
    """Writes down which job was begun; `kind` takes away what protects."""

    log = -1
    rounds = 0
    """How often the worker has looked for what was left behind."""
    kind = "sound"
    who = ""

    def begin(
        self, job_id: str, worker: str, *, lease: timedelta, run: int | None = None
    ) -> Job | None:
        if self.kind == "careless":
            begun: Job | None = self.job(job_id, ADMIN)
        else:
            begun = super().begin(job_id, worker, lease=lease, run=run)
        if begun is not None:
            os.write(self.log, f"{job_id} {self.who}\n".encode())
            if self.kind == "forgetful":
                self.finish(job_id, JobState.DONE, reason="")
        return begun

    def take_over(self, worker: str, *, lease: timedelta) -> list[Job]:
        self.rounds += 1
        return [] if self.kind == "trusting" else super().take_over(worker, lease=lease)


class Alive:
    """One installation at work."""

    def __init__(self, life: Life) -> None:
        folder = Path(life.folder)
        self._life = life
        self.catalog = LoggingCatalog.open(life.database or f"sqlite:///{folder / 'c.sqlite'}")
        self.catalog.log = os.open(folder / "begun", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.catalog.kind = life.kind
        self.catalog.who = life.name
        self.index = FolderIndex(folder / "index")
        self.index.down = life.place == "retrying"
        originals = Originals(FolderBlobs(folder / "blobs"), self.catalog)
        pipeline = Pipeline(
            parser=HookedParser(self._parsing),
            space=VectorSpace(FakeEmbedder(dimension=8), Bm25Encoder(), self.index),
            ledger=self.catalog,
            sizes=Sizes(chunk_tokens=32, group_documents=1),
            passed=self._passed,
        )
        self.worker = Worker(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=originals,
            pipeline=pipeline,
            # it is the world that stops this worker, not its files
            pace=Pace(attempts=1_000, pause_seconds=0.2, retry_seconds=0.1),
        )
        self.intake = CatalogIntake(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=originals,
            folders=FolderSync(pipeline=pipeline, ledger=self.catalog, index=self.index),
            max_bytes=1_000_000,
            wake=self.worker.wake,
        )
        self.jobs = CatalogJobs(
            outbox=self.catalog,
            refusals=self.catalog,
            originals=originals,
            wake=self.worker.wake,
        )
        if life.place == "ended":
            self.worker._works["upload"].settle = self._settling  # type: ignore[index,method-assign]

    def live(self) -> None:
        """Take uploads in and do jobs until all are over, or until killed."""
        if not self._life.database:
            recover(self.catalog, self.index, self.catalog, exclusive=True)
        for job in self.catalog.jobs(ADMIN, states=[JobState.PAUSED]):
            self.jobs.resume(job.id, ANN)
        for name, text in self._life.uploads:
            stream = io.BytesIO(text.encode())
            everyone = frozenset({EVERYONE})
            taken = self.intake.submit(
                stream, name=name, collection="main", access=everyone, by=ANN
            )
        if self._life.place == "paused":
            self.jobs.pause(taken.id, ANN)
        if self._life.place == "accepted":
            die()
        if self._life.place == "queued":
            self.worker.perform = lambda job_id, run: die()  # type: ignore[method-assign]
        self._work()

    def _work(self) -> None:
        stop = threading.Event()
        engine = DbosEngine(self._engine_url(), name=self._life.name)
        working = threading.Thread(target=self.worker.run, args=(stop, engine))
        self._await_others()
        working.start()
        deadline = time.monotonic() + PATIENCE
        while not self._over() and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        self.worker.wake()
        working.join()

    def _await_others(self) -> None:
        """Wait until all are as far: on a busy machine one would have done everything by then."""
        folder = Path(self._life.folder)
        (folder / f"{self._life.name}.here").touch()
        deadline = time.monotonic() + PATIENCE
        while len(list(folder.glob("*.here"))) < self._life.together:
            assert time.monotonic() < deadline, "the others did not come"
            time.sleep(0.01)

    def _engine_url(self) -> str:
        if self._life.database and self._life.kind == "sound":
            return f"postgresql+psycopg://{self._life.database.partition('://')[2]}"
        return f"sqlite:///{Path(self._life.folder) / f'jobs-{self._life.name}.sqlite'}"

    def _over(self) -> bool:
        """Say whether all jobs are; the place of a kill may be a state that one of them is in."""
        found = self.catalog.jobs(ADMIN, limit=1000)
        states = {job.state for job in found}
        if self._life.place == "retrying" and JobState.RETRYING in states:
            die()
        going_on = {state for state in states if not state.final}
        if self._life.place == "paused" and going_on == {JobState.PAUSED}:
            die()
        looked = self._life.place or self.catalog.rounds > 1  # what it found is put right by then
        return not going_on and bool(looked)

    def _parsing(self) -> None:
        if self._life.place == "running":
            die()
        if self._life.place == "cancelled":
            self._cancel()

    def _passed(self, state: str) -> None:
        if state == self._life.place:
            die()
        if (state, self._life.place) == ("switched", "cancelled late"):
            self._cancel()

    def _cancel(self) -> None:
        (job, *_) = self.catalog.jobs(ANN, states=[JobState.RUNNING])
        self.jobs.cancel(job.id, ANN)
        die()

    def _settling(self, job: Job, result: Result) -> None:
        die()


def encode(lives: Sequence[Life]) -> str:
    return json.dumps([asdict(life) for life in lives])


def main() -> None:
    """Live each life in a process of its own, one after the other; print how each ended."""
    for fields in json.loads(sys.argv[1]):
        fields["uploads"] = tuple((name, text) for name, text in fields["uploads"])
        pid = os.fork()
        if pid == 0:
            Alive(Life(**fields)).live()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"place": fields["place"], "status": status}), flush=True)


if __name__ == "__main__":
    main()
