"""The keeper of jobs: queues what is ready, does each once, writes how it ended, and tidies up.

What is to be done stands in the catalog; an engine decides when and where it is done. A run that
comes late, twice or after a cancellation finds in the catalog that nothing is left to do.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from ingest.originals import Originals
from ingest.pipeline import Ingestion
from ingest.recover import copy_labels, freeze, recover
from ingest.work import Result, SyncWork, UploadWork, Work
from knowledge.errors import (
    FAULTS,
    CatalogUnavailable,
    FootnoteError,
    IndexUnavailable,
    ParserFailed,
    SourceBusy,
    SourceUnavailable,
)
from knowledge.models import Job, JobKind, JobState, Lane, derive_id
from knowledge.ports import Engine, Index, Ledger, Named, Outbox, SourceSync

log = logging.getLogger(__name__)

STOPS = 2
"""A job that stopped its worker so often is given up."""
TRIES = 60
"""Of a job whose stores do not answer, over about half a day."""
LEASE = timedelta(minutes=2)
"""Renewed while the work goes on; after it another worker takes over."""
PAUSE_SECONDS = 2.0
FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 900.0
TIDY_SECONDS = 300.0
SWEEP_SECONDS = 6 * 3600.0
SOURCES_SECONDS = 10.0
KEPT = timedelta(days=7)
"""How long finished syncs, and the engine's own notes, are kept."""

_LOOK_SECONDS = 0.5
_NOTE_SECONDS = 1.0
_GIVE_WAY_SECONDS = 30.0
_AWAY = (CatalogUnavailable, IndexUnavailable, ParserFailed, SourceBusy, SourceUnavailable)
"""No fault of what the job was given."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a worker is."""

    lease: timedelta = LEASE
    attempts: int = STOPS
    tries: int = TRIES
    retry_seconds: float = FIRST_RETRY_SECONDS
    """Until the first retry; each further one waits twice as long, up to a quarter of an hour."""
    pause_seconds: float = PAUSE_SECONDS
    """How often it looks for work that it was not woken for."""
    tidy_seconds: float = TIDY_SECONDS
    sweep_seconds: float = SWEEP_SECONDS
    """How often files that nothing rests on are looked for: each one is asked after."""

    def until_retry(self, attempts: int) -> timedelta:
        """Return how long to wait after so many attempts.

        >>> [Pace(retry_seconds=2).until_retry(n).seconds for n in (1, 2, 3, 20)]
        [2, 4, 8, 900]
        """
        seconds = self.retry_seconds * 2.0 ** min(attempts - 1, 30)
        return timedelta(seconds=min(seconds, LONGEST_RETRY_SECONDS))


class Worker:
    """Does jobs; several may share one catalog, and one may do several jobs at once."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        ledger: Ledger,
        index: Index,
        originals: Originals,
        pipeline: Ingestion,
        pace: Pace | None = None,
        name: str = "",
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._index = index
        self._originals = originals
        self._sources: SourceSync | None = None
        self._chores: list[Callable[[], None]] = []
        uploads = UploadWork(
            outbox=outbox, ledger=ledger, index=index, originals=originals, pipeline=pipeline
        )
        self._works: dict[JobKind, Work] = {JobKind.UPLOAD: uploads}
        self._pace = pace or Pace()
        self._name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._woken = threading.Event()
        self._stop = threading.Event()
        self._counting = threading.Lock()
        self._under_way: list[Lane] = []
        self._owed: dict[str, Callable[[], None]] = {}
        """How jobs ended, to be written as soon as the catalog takes a word again."""
        self._tidied_at = self._swept_at = self._asked_sources_at = float("-inf")

    def watch(self, sources: SourceSync) -> None:
        """Also keep these sources up to date, each when its time has come."""
        self._sources = sources
        self._works[JobKind.SYNC] = SyncWork(sources)

    def also(self, chore: Callable[[], None]) -> None:
        """Do this too, whenever it tidies up."""
        self._chores.append(chore)

    def wake(self) -> None:
        """Say that there is something to do; may be called from any thread."""
        self._woken.set()

    def run(self, stop: threading.Event, engine: Engine) -> None:
        """Keep jobs going until `stop` is set; what is unfinished then is handed back."""
        self._stop = stop
        engine.start(self.perform)
        try:
            while not stop.is_set():
                self._woken.clear()
                try:
                    self.queue(engine)
                    self._tidy(engine)
                except (CatalogUnavailable, IndexUnavailable) as error:
                    log.warning("jobs wait: %s", error)
                except FAULTS:
                    log.exception("jobs go on after a fault")
                self._rest(stop)
        finally:
            stop.set()  # an interruption did not: nothing more is begun
            engine.stop()

    def queue(self, engine: Engine) -> None:
        """Hand to the engine what is ready; it takes each run once, however often it is handed."""
        self._write_what_is_owed()
        self._outbox.expire()
        self._take_back()
        self._add_syncs()
        for lane in Lane:
            for lost in engine.queue(self._outbox.ready(lane), stale=self._pace.lease):
                self._outbox.requeue(lost)

    def perform(self, job_id: str, run: int) -> None:
        """Do one run of a job, unless the catalog says that it is over; for the engine to call."""
        try:
            begun = not self._stop.is_set() and self._outbox.begin(
                job_id, self._name, lease=self._pace.lease, run=run
            )
        except CatalogUnavailable as error:
            log.warning("a job waits: %s", error)
            return
        if begun:
            self._do(begun, self._stop)
            self.wake()

    def work_one(self, stop: threading.Event | None = None) -> bool:
        """Do one job in this thread, without an engine; say whether there was one to begin."""
        self._write_what_is_owed()
        self._take_back()
        self._add_syncs()
        job = self._outbox.claim(self._name, lease=self._pace.lease)
        if job is not None:
            self._do(job, stop or threading.Event())
        return job is not None

    # --- one job --------------------------------------------------------------------------------

    def _do(self, job: Job, stop: threading.Event) -> None:
        if job.stops >= self._pace.attempts:
            reason = f"it stopped the worker {job.stops} times; it is not tried again by itself"
            self._owe(job, partial(self._outbox.finish, job.id, JobState.DEAD, reason=reason))
            return
        with self._counted(job.lane):
            self._carry_out(job, self._works[job.kind], stop)

    def _carry_out(self, job: Job, work: Work, stop: threading.Event) -> None:
        result, lost = Result(total=1), threading.Event()
        try:
            with self._holding(job, lost):
                whole = self._fill(result, job, work, (lost, stop))
        except _AWAY as error:
            self._owe(job, self._try_later(job, str(error)))
            return
        except FootnoteError as refusal:
            result.refusals.append(str(refusal))
            whole = True
        except FAULTS:
            log.exception("job %s (%s) failed", job.id, job.name)
            result.refusals.append("an error of this service, which its log describes")
            whole = True
        end = self._ended if whole else self._interrupted
        self._owe(job, partial(end, job, work, result))

    def _fill(
        self, result: Result, job: Job, work: Work, ends: tuple[threading.Event, ...]
    ) -> bool:
        """Do the work and note in `result` what became of it; False when one of `ends` was set."""
        noted_at = time.monotonic()
        with closing(work.events(job, result)) as events:
            for event in events:
                result.add(event)
                if time.monotonic() - noted_at > _NOTE_SECONDS:
                    noted_at = time.monotonic()
                    self._renew(job, ends[0], (result.done, result.total))
                if job.lane is Lane.BULK:
                    self._give_way(ends)
                if any(end.is_set() for end in ends):
                    return False
        return True

    def _give_way(self, ends: tuple[threading.Event, ...]) -> None:
        """Let an upload that somebody waits for go first, but not for ever."""
        until = time.monotonic() + _GIVE_WAY_SECONDS
        while Lane.QUICK in self._under_way and time.monotonic() < until:
            if any(end.wait(0.05) for end in ends):
                return

    def _ended(self, job: Job, work: Work, result: Result) -> None:
        progress = (result.done, max(result.total, result.done))
        self._outbox.renew(job.id, self._name, lease=self._pace.lease, progress=progress)
        became = result.documents if job.kind is JobKind.UPLOAD else ()  # of a sync: too many
        self._outbox.finish(job.id, result.state, reason=result.reason, documents=became)
        work.settle(job, result)
        self._outbox.hand_back(job.id, self._name)

    def _interrupted(self, job: Job, work: Work, result: Result) -> None:
        """Leave a job that was paused, cancelled or taken over, or that has to wait for a start."""
        work.settle(job, result)
        self._outbox.hand_back(job.id, self._name)

    def _try_later(self, job: Job, reason: str) -> Callable[[], None]:
        if job.attempts >= self._pace.tries:
            given_up = f"given up after {job.attempts} attempts; the last one said: {reason}"
            return partial(self._outbox.finish, job.id, JobState.DEAD, reason=given_up)
        until = datetime.now(UTC) + self._pace.until_retry(job.attempts)
        return partial(self._outbox.postpone, job.id, self._name, until=until, reason=reason)

    def _owe(self, job: Job, write: Callable[[], None]) -> None:
        """Write how a job ended, now or as soon as the catalog and the index answer."""
        self._owed[job.id] = write
        with suppress(CatalogUnavailable, IndexUnavailable):
            self._write_what_is_owed()

    def _write_what_is_owed(self) -> None:
        for job_id in list(self._owed):
            write = self._owed.pop(job_id, _nothing)  # another thread may be at it
            try:
                write()
            except (CatalogUnavailable, IndexUnavailable):
                self._owed[job_id] = write
                raise
            except FAULTS:
                log.exception("the end of job %s was not tidy", job_id)

    @contextmanager
    def _holding(self, job: Job, lost: threading.Event) -> Iterator[None]:
        """Renew the lease while the block runs; set `lost` once it is another's, or held up."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self._pace.lease.total_seconds() / 4) and not lost.is_set():
                with suppress(CatalogUnavailable):
                    self._renew(job, lost)

        beating = threading.Thread(target=renew, name="lease", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def _renew(
        self, job: Job, lost: threading.Event, progress: tuple[int, int] | None = None
    ) -> None:
        lease = self._pace.lease
        if not self._outbox.renew(job.id, self._name, lease=lease, progress=progress):
            lost.set()

    @contextmanager
    def _counted(self, lane: Lane) -> Iterator[None]:
        with self._counting:
            self._under_way.append(lane)
        try:
            yield
        finally:
            with self._counting:
                self._under_way.remove(lane)

    # --- between jobs ---------------------------------------------------------------------------

    def _take_back(self) -> None:
        """Undo cancelled uploads whose worker was killed, or that were cancelled between runs."""
        for job in self._outbox.take_over(self._name, lease=self._pace.lease):
            work = self._works[job.kind]
            self._owe(job, partial(self._interrupted, job, work, Result()))

    def _add_syncs(self) -> None:
        """Make a job of each source whose time has come, unless it has one already."""
        if self._sources is None or time.monotonic() - self._asked_sources_at < SOURCES_SECONDS:
            return
        self._asked_sources_at = time.monotonic()
        for source in self._sources.due(datetime.now(UTC)):
            self._outbox.add_job(sync_job(source), turn=derive_id("sync", source.id))

    def _tidy(self, engine: Engine) -> None:
        """Put right what was left behind, now and then; bring statistics up to date when idle."""
        if time.monotonic() - self._tidied_at > self._pace.tidy_seconds:
            recover(self._ledger, self._index, self._outbox, exclusive=False)
            before = datetime.now(UTC) - KEPT
            self._outbox.forget_syncs(before=before)
            engine.forget(before=before)
            for chore in self._chores:
                chore()
            self._tidied_at = time.monotonic()
        elif not self._under_way:
            copy_labels(self._ledger, self._index)
            freeze(self._ledger)
            self._sweep()

    def _sweep(self) -> None:
        if time.monotonic() - self._swept_at > self._pace.sweep_seconds:
            self._originals.sweep()
            self._swept_at = time.monotonic()

    def _rest(self, stop: threading.Event) -> None:
        """Wait for something to do."""
        until = time.monotonic() + self._pace.pause_seconds
        while not stop.is_set() and time.monotonic() < until:
            if self._woken.wait(min(_LOOK_SECONDS, self._pace.pause_seconds)):
                return


def _nothing() -> None:
    """Owe nothing."""


def sync_job(source: Named) -> Job:
    """Return a new job that brings a source up to date."""
    identity = str(uuid.uuid4())
    return Job(identity, JobKind.SYNC, source.id, source.name, owner="", lane=Lane.BULK)
