"""Jobs in durable queues, by DBOS: the only file that knows it.

Each run of a job is a workflow with an id of its own, so handing it over twice starts it once. Its
only step does the job; where the process dies in it, the run is queued again at the next start, or
by another process as soon as the catalog has seen the lease run out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions
from sqlalchemy.exc import DBAPIError

from knowledge.errors import CatalogUnavailable
from knowledge.models import Job, Lane

AT_ONCE: Mapping[Lane, int] = {Lane.QUICK: 2, Lane.LARGE: 1, Lane.BULK: 1}
"""Jobs of each lane that one process does at the same time."""
RECOVERIES = 20
"""A run that took its process down so often is left alone; the catalog gives up long before."""
POLL_SECONDS: Mapping[Lane, float] = {Lane.QUICK: 0.5, Lane.LARGE: 2.0, Lane.BULK: 2.0}

_WORKFLOW = "footnote.job"
_ENDED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}
_BATCH = 500


class DbosEngine:
    """Runs jobs in threads of this process; one engine per process at a time."""

    def __init__(self, url: str, *, name: str) -> None:
        """Prepare; `url` is SQLAlchemy's, `name` the same again after a crash, and nobody else's.

        A name that never comes back is fine, too: then other processes take over what is left.
        """
        self._url = url
        self._name = name

    def start(self, perform: Callable[[str, int], None]) -> None:
        """Begin to do what is queued, and what a former process of this name left unfinished.

        Raises `CatalogUnavailable` where nothing can be read or written.
        """
        _Running.perform = perform
        if self._url.startswith("sqlite:///"):
            _create_private(Path(self._url.removeprefix("sqlite:///")))
        try:
            DBOS(config=self._config())
            DBOS.launch()
            self._register()
        except DBAPIError as error:
            self.stop()
            raise CatalogUnavailable(f"the store of jobs does not answer: {error.orig}") from error

    def _register(self) -> None:
        for lane, at_once in AT_ONCE.items():
            DBOS.register_queue(
                _queue(lane),
                worker_concurrency=at_once,
                polling_interval_sec=POLL_SECONDS[lane],
                on_conflict="always_update",
            )

    def _config(self) -> DBOSConfig:
        """Name everything that has a default which reports, prints or pickles."""
        return DBOSConfig(
            name="footnote",
            system_database_url=self._url,
            sys_db_pool_size=5,
            executor_id=self._name,
            application_version="1",  # of what is stored; runs must survive an upgrade
            serializer=DBOSPortableJSONSerializer(),
            enable_otlp=False,
            log_level="WARNING",
            use_listen_notify=False,
            scheduler_polling_interval_sec=3600.0,
        )

    def queue(self, jobs: Sequence[Job], *, stale: timedelta) -> list[str]:
        """Queue one run of each job; return the ids of those whose run has ended without effect.

        A run that began longer than `stale` ago while its job still waits lost its process.
        """
        if not jobs:
            return []
        ids = [_run_id(job) for job in jobs]
        found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False)
        status = {each.workflow_id: each for each in found}
        before = (time.time() - stale.total_seconds()) * 1000
        ended = []
        for job, run_id in zip(jobs, ids, strict=True):
            known = status.get(run_id)
            if known is None:
                _enqueue(job, run_id)
            elif known.status in _ENDED:
                ended.append(job.id)
            elif known.status == "PENDING" and (known.dequeued_at or 0) < before:
                DBOS.resume_workflow(run_id, queue_name=_queue(job.lane))
        return ended

    def forget(self, *, before: datetime) -> None:
        """Drop the notes of runs that ended before."""
        moment = before.astimezone(UTC).isoformat()
        while ended := DBOS.list_workflows(
            completed_before=moment, limit=_BATCH, load_input=False, load_output=False
        ):
            DBOS.delete_workflows([each.workflow_id for each in ended])

    def stop(self) -> None:
        """Wait for what is under way, then end all threads."""
        with _Running.changed:
            _Running.changed.wait_for(lambda: _Running.count == 0)
        DBOS.destroy(workflow_completion_timeout_sec=0)


class _Running:
    """What this process's engine does: workflows are functions of a module, not of an object."""

    perform: Callable[[str, int], None]
    changed = threading.Condition()
    count = 0


@DBOS.step(name="perform")
def _perform(job_id: str, run: int) -> None:
    with _Running.changed:
        _Running.count += 1
    try:
        _Running.perform(job_id, run)
    finally:
        with _Running.changed:
            _Running.count -= 1
            _Running.changed.notify_all()


@DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=RECOVERIES)
def _job(job_id: str, run: int) -> None:
    _perform(job_id, run)


def _enqueue(job: Job, run_id: str) -> None:
    options: EnqueueOptions = {
        "workflow_name": _WORKFLOW,
        "queue_name": _queue(job.lane),
        "workflow_id": run_id,
    }
    if job.next_at is not None:
        wait = (job.next_at - datetime.now(UTC)).total_seconds()
        options["delay_seconds"] = max(wait, 0.0)
    DBOS.enqueue_workflow_with_options(options, job.id, job.run)


def _run_id(job: Job) -> str:
    return f"{job.id}.{job.run}"


def _queue(lane: Lane) -> str:
    return f"footnote-{lane.value}"


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
