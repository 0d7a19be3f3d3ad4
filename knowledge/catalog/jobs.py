"""The durable list of jobs: each is begun by one worker at a time, in the order of its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from knowledge.catalog.database import Database, now
from knowledge.catalog.schema import jobs, submission_documents
from knowledge.errors import NotFound
from knowledge.models import Job, JobKind, JobState, Lane, Principal

ADMIN = "admin"
OPEN = tuple(state.value for state in JobState if not state.final)
"""An open job holds up later ones of its turn."""
_NOBODY = "nobody"
"""The worker of a job that was cancelled between two runs: somebody has to tidy up after it."""
_USELESS = (JobState.CANCELLED.value, JobState.FAILED.value, JobState.DEAD.value)

_COLUMNS = tuple(
    jobs.c[name]
    for name in (
        "id", "kind", "subject", "name", "owner", "state", "reason", "lane", "attempts", "stops",
        "run", "done", "total", "created_at", "started_at", "finished_at", "next_at",
    )
)  # fmt: skip
_IN_ORDER = tuple_(jobs.c.created_at, jobs.c.id)

_earlier = jobs.alias("earlier")
_later = jobs.alias("later")
_OVERTAKEN = exists().where(
    _later.c.state.not_in(_USELESS),
    _later.c.turn == jobs.c.turn,
    tuple_(_later.c.created_at, _later.c.id) > _IN_ORDER,
)


class SqlJobs:
    """Jobs by id; only the holder of a lease works on one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_job(self, job: Job, *, turn: str) -> bool:
        """Store a job, durable on return; False, and nothing stored, while its turn has another."""
        taken = select(jobs.c.id).where(jobs.c.turn == turn, jobs.c.state.in_(OPEN)).limit(1)
        with self._database.writing() as connection:
            if connection.scalar(taken) is not None:
                return False
            store_job(connection, job, turn=turn)
        return True

    # --- for workers ----------------------------------------------------------------------------

    def ready(self, lane: Lane, *, limit: int = 50) -> list[Job]:
        """Return what is to be queued, oldest first: waiting or to be retried, and next in turn."""
        which = (
            jobs.c.lane == lane.value,
            _is(JobState.WAITING, JobState.RETRYING),
            _is_free(now()),
            ~_preceded(now()),
        )
        statement = select(*_COLUMNS).where(*which).order_by(jobs.c.created_at, jobs.c.id)
        with self._database.reading() as connection:
            return [_to_job(row) for row in connection.execute(statement.limit(limit))]

    def begin(
        self, job_id: str, worker: str, *, lease: timedelta, run: int | None = None
    ) -> Job | None:
        """Take a job; None when it is not its turn, is another's, has ended, or `run` is over."""
        which = jobs.c.id == job_id
        if run is not None:
            which &= jobs.c.run == run
        with self._database.writing() as connection:
            return _begin(connection, which, worker, lease)

    def claim(self, worker: str, *, lease: timedelta) -> Job | None:
        """Take the oldest job that can be begun; None when there is nothing.

        The least often tried comes first: one that kills its worker cannot hold up the others.
        """
        first = (
            select(jobs.c.id)
            .where(_can_begin(now()), ~_preceded(now()))
            .order_by(jobs.c.attempts, jobs.c.created_at, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as connection:
            found = connection.scalar(first)
            return found and _begin(connection, jobs.c.id == found, worker, lease)

    def renew(
        self,
        job_id: str,
        worker: str,
        *,
        lease: timedelta,
        progress: tuple[int, int] | None = None,
    ) -> bool:
        """Prolong the lease and note (done, total); False when the job is this worker's no more."""
        values: dict[str, Any] = {"lease_until": now() + lease}
        if progress is not None:
            values |= {"done": progress[0], "total": progress[1]}
        return self._set(job_id, _is(JobState.RUNNING), jobs.c.worker == worker, **values)

    def hand_back(self, job_id: str, worker: str) -> None:
        """Let go of a job that is not to blame; the attempt does not count."""
        held = jobs.c.worker == worker
        again = {"state": JobState.WAITING.value, "run": jobs.c.run + 1}
        with self._database.writing():
            fewer = jobs.c.attempts - 1
            self._set(job_id, held, _is(JobState.RUNNING), attempts=fewer, **again, **_NOBODYS)
            self._set(job_id, held, **_NOBODYS)

    def postpone(self, job_id: str, worker: str, *, until: datetime, reason: str) -> None:
        """Let go of a job that needs what does not answer now."""
        held = jobs.c.worker == worker
        later = {"state": JobState.RETRYING.value, "next_at": until, "run": jobs.c.run + 1}
        with self._database.writing():
            self._set(job_id, held, _is(JobState.RUNNING), reason=reason, **later, **_NOBODYS)
            self._set(job_id, held, **_NOBODYS)

    def release(self) -> int:
        """End all claims, which count as stops of a worker; return how many.

        Only for a worker known to be the only one.
        """
        return self._free(jobs.c.worker != "")

    def expire(self) -> int:
        """End the claims whose lease ran out, which count as stops; return how many."""
        return self._free(jobs.c.lease_until <= now())

    def _free(self, which: ColumnElement[bool]) -> int:
        with self._database.writing() as connection:
            stopped = update(jobs).where(which, _is(JobState.RUNNING))
            values = {"state": JobState.WAITING.value, "stops": jobs.c.stops + 1, **_NOBODYS}
            count = connection.execute(stopped.values(**values)).rowcount
            left = update(jobs).where(which, _UNTIDY)
            connection.execute(left.values(lease_until=now()))
            connection.execute(update(jobs).where(which, ~_UNTIDY).values(**_NOBODYS))
        return count

    def take_over(self, worker: str, *, lease: timedelta) -> list[Job]:
        """Return cancelled uploads that have run and that nobody tidied up after: now `worker`'s.

        They hold up later jobs of their turn until they are handed back.
        """
        left = update(jobs).where(_UNTIDY, jobs.c.lease_until <= now())
        taken = left.values(worker=worker, lease_until=now() + lease).returning(*_COLUMNS)
        with self._database.writing() as connection:
            return [_to_job(row) for row in connection.execute(taken)]

    def finish(
        self, job_id: str, state: JobState, *, reason: str, documents: Sequence[str] = ()
    ) -> None:
        """Write how it ended, and what an upload became; what has ended already stays as it is."""
        values = {"state": state.value, "reason": reason, "finished_at": now(), "next_at": None}
        # who works on a cancelled one still has to notice, and somebody has to tidy up after it
        values |= _left(now()) if state is JobState.CANCELLED else _NOBODYS
        with self._database.writing() as connection:
            if self._set(job_id, jobs.c.state.in_(OPEN), **values):
                replace_documents(connection, job_id, documents)

    def requeue(self, job_id: str) -> None:
        """Count up the run of a job that waits, since its present one will never come."""
        self._set(job_id, _is(JobState.WAITING, JobState.RETRYING), run=jobs.c.run + 1)

    # --- for people -----------------------------------------------------------------------------

    def pause(self, job_id: str) -> bool:
        """Hold a job that is not final; False otherwise. What its worker finishes meanwhile counts.

        It goes on holding up later jobs of its turn.
        """
        state = _is(JobState.WAITING, JobState.RETRYING, JobState.RUNNING)
        return self._set(job_id, state, state=JobState.PAUSED.value)

    def resume(self, job_id: str) -> bool:
        """Queue a paused job again; False otherwise."""
        return self._set(job_id, _is(JobState.PAUSED), **_AGAIN)

    def retry(self, job_id: str) -> bool:
        """Queue a dead, failed or retrying job now; False for others, and where it is outdated.

        An upload is outdated when a later one of the same name is on its way or has come.
        """
        retried = _is(JobState.DEAD, JobState.FAILED, JobState.RETRYING)
        fresh = {"attempts": 0, "stops": 0, "reason": "", "finished_at": None}
        return self._set(job_id, retried, ~_OVERTAKEN, **_AGAIN, **fresh)

    def job(self, job_id: str, principal: Principal) -> Job:
        """Return a job of this principal's (an `admin` sees all); raises `NotFound`."""
        found = self._jobs(principal, (jobs.c.id == job_id,), limit=1)
        if not found:
            raise NotFound("there is no such job")
        return found[0]

    def jobs(
        self,
        principal: Principal,
        *,
        states: Iterable[JobState] = (),
        limit: int = 100,
    ) -> list[Job]:
        """List a principal's jobs (an `admin` sees all) in any of `states`, newest first."""
        wanted = [state.value for state in states]
        which = (jobs.c.state.in_(wanted),) if wanted else ()
        return self._jobs(principal, which, limit=limit)

    def job_counts(self) -> dict[str, int]:
        """Count the jobs by state, whosever they are."""
        statement = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def forget_syncs(self, *, before: datetime) -> None:
        """Drop the finished syncs of long ago; uploads are kept as long as their submissions."""
        old = (jobs.c.kind == JobKind.SYNC.value) & (jobs.c.finished_at < before)
        with self._database.writing() as connection:
            connection.execute(delete(jobs).where(old))

    def _jobs(
        self, principal: Principal, which: Sequence[ColumnElement[bool]], *, limit: int
    ) -> list[Job]:
        if not principal.user:
            return []
        if not principal.has_role(ADMIN):
            which = (*which, jobs.c.owner == principal.user)
        statement = select(*_COLUMNS).where(*which).order_by(jobs.c.created_at.desc(), jobs.c.id)
        with self._database.reading() as connection:
            return [_to_job(row) for row in connection.execute(statement.limit(limit))]

    def _set(self, job_id: str, *which: ColumnElement[bool], **values: Any) -> bool:  # noqa: ANN401
        statement = update(jobs).where(jobs.c.id == job_id, *which).values(**values)
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1


_NOBODYS: Mapping[str, Any] = {"worker": "", "lease_until": None}
_MOMENT = jobs.c.lease_until.type
_IS_UPLOAD = jobs.c.kind == JobKind.UPLOAD.value
_BETWEEN_RUNS = _IS_UPLOAD & (jobs.c.worker == "") & jobs.c.started_at.is_not(None)
_UNTIDY = _IS_UPLOAD & (jobs.c.state == JobState.CANCELLED.value) & (jobs.c.worker != "")
_AGAIN: Mapping[str, Any] = {
    "state": JobState.WAITING.value,
    "next_at": None,
    "run": jobs.c.run + 1,
}


def store_job(connection: Connection, job: Job, *, turn: str) -> None:
    """Insert a job, within the transaction that stores its subject."""
    row = {column.name: getattr(job, column.name) for column in _COLUMNS}
    row |= {"kind": job.kind.value, "state": job.state.value, "lane": job.lane.value}
    row |= {"created_at": job.created_at or now(), "turn": turn, **_NOBODYS}
    connection.execute(insert(jobs), row)


def replace_documents(
    connection: Connection, submission_id: str, document_ids: Sequence[str]
) -> None:
    """Note which documents an upload became, in order."""
    connection.execute(
        delete(submission_documents).where(submission_documents.c.submission_id == submission_id)
    )
    if document_ids:
        rows = [
            {"submission_id": submission_id, "ordinal": ordinal, "document_id": document_id}
            for ordinal, document_id in enumerate(document_ids)
        ]
        connection.execute(insert(submission_documents), rows)


def _begin(
    connection: Connection, which: ColumnElement[bool], worker: str, lease: timedelta
) -> Job | None:
    moment = now()
    stopped = (jobs.c.state == JobState.RUNNING.value, jobs.c.stops + 1)
    begun = (
        update(jobs)
        .where(which, _can_begin(moment), ~_preceded(moment))
        .values(
            state=JobState.RUNNING.value,
            worker=worker,
            lease_until=moment + lease,
            attempts=jobs.c.attempts + 1,
            stops=case(stopped, else_=jobs.c.stops),
            started_at=func.coalesce(jobs.c.started_at, moment),
            next_at=None,
            reason="",
        )
        .returning(*_COLUMNS)
    )
    row = connection.execute(begun).one_or_none()
    return None if row is None else _to_job(row)


def _left(moment: datetime) -> dict[str, Any]:
    """Return how a cancelled job is left: to its worker, or to whoever looks for such next."""
    return {
        "worker": case((_BETWEEN_RUNS, _NOBODY), else_=jobs.c.worker),
        "lease_until": case((_BETWEEN_RUNS, literal(moment, _MOMENT)), else_=jobs.c.lease_until),
    }


def _can_begin(moment: datetime) -> ColumnElement[bool]:
    waits = or_(_is(JobState.WAITING), and_(_is(JobState.RETRYING), jobs.c.next_at <= moment))
    ran_out = _is(JobState.RUNNING) & (jobs.c.lease_until <= moment)
    return or_(and_(waits, _is_free(moment)), ran_out)


def _preceded(moment: datetime) -> ColumnElement[bool]:
    """An earlier job of the same turn is open, or ended, but not yet let go and tidied up."""
    return exists().where(
        or_(_earlier.c.state.in_(OPEN), _earlier.c.worker != ""),
        _earlier.c.turn == jobs.c.turn,
        tuple_(_earlier.c.created_at, _earlier.c.id) < _IN_ORDER,
    )


def _is_free(moment: datetime) -> ColumnElement[bool]:
    """A job that was paused or cancelled is its worker's until that one has noticed."""
    return or_(jobs.c.worker == "", jobs.c.lease_until <= moment)


def _is(*states: JobState) -> ColumnElement[bool]:
    return jobs.c.state.in_([state.value for state in states])


def _to_job(row: Any) -> Job:  # noqa: ANN401 - a row of `_COLUMNS`
    values = row._asdict()
    kinds = {"kind": JobKind(row.kind), "state": JobState(row.state), "lane": Lane(row.lane)}
    return Job(**values | kinds)
