"""The process that is killed: it does what its job says, and tells what it has promised.

Every line it writes is one system call, so a line that the parent reads was given before the kill:
`done` with an ingest event, `accepted` with an upload's id, `removed` with a document's uri are
promises; `begun` names the operation that comes now; `refused` what was not done, and why.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import true

from footnote.generations import Reindexer
from footnote.spaces import Spaces
from ingest.intake import CatalogIntake
from ingest.originals import Originals
from ingest.pipeline import (
    File,
    Following,
    Pipeline,
    Sizes,
    _Flight,
    _points,
    versions_at_hand,
)
from ingest.recover import clean, recover
from ingest.sync import FolderSync
from ingest.worker import Pace, Worker
from knowledge.blobs import FolderBlobs
from knowledge.catalog import generations
from knowledge.catalog.store import SqlCatalog
from knowledge.disk import DISK_FULL
from knowledge.errors import CatalogUnavailable, ConfigurationError, IndexUnavailable, NotFound
from knowledge.index import edge
from knowledge.index.edge import EdgeIndex
from knowledge.index.family import IndexFamily
from knowledge.models import (
    DEFAULT_COLLECTION,
    EVERYONE,
    Generation,
    GenerationState,
    IngestEvent,
    Outcome,
    Point,
    Principal,
)
from knowledge.settings import Settings
from knowledge.sparse import Bm25Encoder
from tests.fakes import FakeEmbedder
from tests.ingest.world import OpenParser

ANN = Principal("ann")
CHUNK_TOKENS = (32, 40, 60)
"""One of them makes a generation; the live one tells how its documents must be cut."""
DIMENSION = 16
STATES = ("received", "parsed", "embedded", "upserting", "upserted", "switched", "cleaning")
"""Named places to be killed at; `upserting` is between two halves of the points of a group."""
REINDEX_STATES = ("building", "gate", "switch", "clearing")
"""Those of a re-index: any step of a revision that will stand by, before and after the verdict is
written, in the transaction that switches and right after it, before and after a folder is gone."""


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
    removals: tuple[str, ...] = ()
    """The uris of documents to be removed for good."""
    operations: tuple[str, ...] = ("hand in", "remove", "sync", "work")
    """In this order; see `OPERATIONS`."""
    wish: str = "build"
    """What a re-index does: `build` goes on with what was begun, `anew` gives that up and begins
    over, `discard` gives one up, `back` returns to the former one."""
    kind: str = "sound"
    """`hasty` makes visible before it upserts; `boastful` promises before it has done anything;
    `forgetful` never deletes a point; `greedy` does not look how much of the disk is left; `eager`
    takes a generation that was begun for one that is complete."""


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


class ForgetfulIndex(TornIndex):
    """A control: what is dead is forgotten by the catalog, and stays in the index."""

    def delete(self, revision_ids: Sequence[str]) -> None:
        pass


class Killer:
    """Kills this process when a state is reached for the n-th time."""

    def __init__(self, state: str, nth: int) -> None:
        self._state = state
        self._left = nth

    def __call__(self, state: str) -> None:
        self._left -= state == self._state
        if self._left == 0 and self._state:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedCatalog(SqlCatalog):
    """Says when a new generation is judged and when it becomes live."""

    passed: Callable[[str], None] = staticmethod(lambda _: None)

    def measured(self, number: int, *, before: float, after: float) -> None:
        self.passed("gate")
        super().measured(number, before=before, after=after)
        self.passed("gate")

    def switch_generation(self, number: int) -> int:
        with self.transaction():
            behind = super().switch_generation(number)
            if not behind:
                self.passed("switch")
        if not behind:
            self.passed("switch")
        return behind


class HastyPipeline(Pipeline):
    """A control: the same steps, with visibility switched before the points are there."""

    def _index_group(self, flight: _Flight) -> Iterator[IngestEvent]:
        live = self._advance(flight.parsed, self._switch, "switched")
        for work in live:
            document = work.draft.document
            yield IngestEvent(document.uri, Outcome.INDEXED, document.id, len(work.chunks))
        dense = flight.dense.result()
        self._passed("embedded")
        self._upsert(live, {work.revision_id: list(_points(work, dense)) for work in live})
        self._passed("upserted")
        clean(self._ledger, self._index, self._passed)


class BoastfulPipeline(Pipeline):
    """A control: it says that a file is done before it begins."""

    def ingest(self, files: Iterable[File]) -> Iterator[IngestEvent]:
        for file in files:
            yield IngestEvent(file.uri, Outcome.INDEXED)
            for _ in super().ingest([file]):
                pass


PIPELINES = {"hasty": HastyPipeline, "boastful": BoastfulPipeline}


class Child:
    """One installation at work."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._promises = os.open(job.promises, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        data = Path(job.data)
        self._passed = Killer(job.state, job.nth)
        self._catalog = WatchedCatalog.open(f"sqlite:///{data / 'catalog.sqlite'}")
        self._catalog.passed = self._passed
        self._begun = self._catalog.generation(GenerationState.BUILDING)
        if job.kind == "eager" and self._begun:
            vars(generations)["_stands_by"] = lambda _: true()  # in this child only
        self._parser = OpenParser()
        self._sparse = Bm25Encoder()
        self._spaces = self._make_spaces(data)
        self._index = self._spaces.live().index
        self._index.count("none")  # opens it, while nobody fills the disk
        pipeline = Following(lambda: self._pipeline(self._spaces.live_generation(), self._passed))
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

    def _make_spaces(self, data: Path) -> Spaces:
        index = ForgetfulIndex if self._job.kind == "forgetful" else TornIndex
        embedder = FakeEmbedder(dimension=DIMENSION)
        settings = Settings(data_dir=data, chunk_tokens=self._chunk_tokens())

        def drop(number: int) -> None:
            folder = index_folder(data, number)
            if folder.exists():
                self._passed("clearing")
                edge.drop(folder)
                self._passed("clearing")

        return Spaces(
            settings,
            self._catalog,
            self._sparse,
            load=lambda _: embedder,
            beside=lambda same, _: same,
            versions=lambda _: versions_at_hand(
                self._parser.version, settings.chunk_tokens, embedder, self._sparse
            ),
            family=IndexFamily(
                self._catalog.generations,
                lambda generation: index(index_folder(data, generation.number), self._passed),
                drop,
            ),
        )

    def _chunk_tokens(self) -> int:
        """Return what the next generation is made with: what was begun, or else something new."""
        if self._begun and self._job.wish == "build":
            return self._begun.chunk_tokens
        live = self._catalog.generation(GenerationState.LIVE)
        taken = {each.chunk_tokens for each in (live, self._begun) if each}
        return next(each for each in CHUNK_TOKENS if each not in taken)

    def _pipeline(self, generation: Generation, passed: Callable[[str], None]) -> Pipeline:
        return PIPELINES.get(self._job.kind, Pipeline)(
            parser=self._parser,
            space=self._spaces.for_documents(generation),
            ledger=self._catalog,
            sizes=Sizes(chunk_tokens=generation.chunk_tokens, group_documents=4),
            passed=passed,
            versions=generation.versions,
        )

    def run(self) -> None:
        self._try("recover", self._recover)
        for name in self._job.operations:
            self._try(name, partial(OPERATIONS[name], self))
        self._try("close", self._index.close)
        self._catalog.close()
        self._promise({"finished": True})

    def _try(self, name: str, operation: Callable[[], None]) -> None:
        """Carry out one operation; say so when a store does not take it, as the service would."""
        self._promise({"begun": name})
        try:
            operation()
        except (CatalogUnavailable, IndexUnavailable) as error:
            self._promise({"refused": name, "why": str(error)})
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._promise({"refused": name, "why": os.strerror(errno.ENOSPC)})

    def _recover(self) -> None:
        recover(self._catalog, self._index, self._catalog, exclusive=True)
        self._spaces.family.prune(ahead=1)

    def _sync(self) -> None:
        for event in self._intake.sync([Path(self._job.docs)], collection=DEFAULT_COLLECTION):
            self._promise({"done": event.uri, "outcome": event.outcome.value})

    def _remove(self) -> None:
        wanted = set(self._job.removals)
        for document in self._catalog.documents(ANN, collection=None, after=None, limit=10_000):
            if document.uri in wanted:
                with suppress(NotFound):
                    self._intake.remove(document.id)
                self._promise({"removed": document.uri})

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

    def _reindex(self) -> None:
        golden = self._write_golden()
        reindexer = Reindexer(
            self._catalog,
            self._spaces,
            pipeline_of=lambda each: self._pipeline(each, lambda _: self._passed("building")),
            parser=self._parser,
            content=self._intake.content,
        )
        with suppress(ConfigurationError):  # there is nothing to give up, or to go back to
            for _ in reindexer.run(
                {"anew": "build"}.get(self._job.wish, self._job.wish), golden=golden, loss=1.0
            ):
                pass

    def _write_golden(self) -> Path:
        """Ask for the first word of a few documents that are live now."""
        golden = Path(self._job.data) / "golden.jsonl"
        documents = self._catalog.documents(ANN, collection=None, after=None, limit=5)
        golden.write_text(
            "".join(
                json.dumps({"query": self._first_word(each.id), "uri": each.uri}) + "\n"
                for each in documents
            )
        )
        return golden

    def _first_word(self, document_id: str) -> str:
        return self._catalog.revision(document_id, ANN).text.split()[0]

    def _promise(self, line: dict[str, object]) -> None:
        os.write(self._promises, (json.dumps(line) + "\n").encode())


OPERATIONS = {
    "hand in": Child._hand_in,
    "re-index": Child._reindex,
    "remove": Child._remove,
    "sync": Child._sync,
    "work": Child._work,
}
"""What a job may consist of; a further way to change what is indexed gets its line here."""


def index_folder(data: Path, number: int) -> Path:
    """Return where the index of a generation lies."""
    return data / "index" / str(number)


# --- the nursery --------------------------------------------------------------------------------


def main() -> None:
    """Fork a child for each order on stdin, and say its process id and then how it ended.

    All is imported but nothing opened before, so a child costs a tenth of a fresh process.
    """
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_child(order)
        _say(pid)
        _say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _be_the_child(order: dict[str, Any]) -> NoReturn:
    status = 1
    try:
        os.dup2(os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        faulthandler.enable(file=2)
        _arm(order["call"], order["calls"])
        if order["job"]["kind"] == "greedy":
            vars(edge)["require_room"] = lambda *_: None  # in this child only
        Child(_job(order["job"])).run()
        status = 0
    except (CatalogUnavailable, ConfigurationError, IndexUnavailable) as error:
        os.write(2, str(error).encode())
    finally:
        if sys.exception() is not None:
            traceback.print_exc()
        _count(order["calls"])
        os._exit(status)


def _job(fields: dict[str, Any]) -> Job:
    fields["uploads"] = tuple((name, text) for name, text in fields["uploads"])
    for several in ("removals", "operations"):
        fields[several] = tuple(fields[several])
    return Job(**fields)


def _arm(call: int, log: str) -> None:
    """Have `calls.c` count, and kill at this call if it is one, where that is loaded."""
    if log:
        ctypes.CDLL(None).kill_at_call(ctypes.c_long(call), log.encode())


def _count(log: str) -> None:
    if log:
        Path(log).write_text(f"{ctypes.CDLL(None).calls_made()}")


if __name__ == "__main__":
    main()
