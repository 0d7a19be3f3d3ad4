"""The durable list of uploads; how far each has come stands in its job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, exists, insert, or_, select

from knowledge.catalog.database import Database, now
from knowledge.catalog.jobs import ADMIN, OPEN, replace_documents, store_job
from knowledge.catalog.rows import SUBMISSION_COLUMNS, AnyRow, to_submission
from knowledge.catalog.schema import documents, jobs, submission_documents, submissions
from knowledge.errors import NotFound
from knowledge.models import (
    Job,
    JobKind,
    JobState,
    Lane,
    Principal,
    Submission,
    SubmissionState,
    derive_id,
)

LARGE_BYTES = 8 * 2**20
"""Files above it queue by themselves: they take long, and nobody waits for them at the screen."""
_STATES = {
    SubmissionState.RECEIVED: JobState.WAITING,
    SubmissionState.WORKING: JobState.RUNNING,
    SubmissionState.DONE: JobState.DONE,
    SubmissionState.FAILED: JobState.FAILED,
    SubmissionState.CANCELLED: JobState.CANCELLED,
}
_of_digest = submissions.c.digest == bindparam("digest")
_UNFINISHED = exists().where(
    _of_digest, jobs.c.id == submissions.c.id, jobs.c.state.in_((*OPEN, JobState.DEAD.value))
)
_later = submissions.alias("later")
_later_documents = submission_documents.alias("later_documents")
_REPLACED = exists().where(
    _later_documents.c.document_id == documents.c.id,
    _later.c.id == _later_documents.c.submission_id,
    _later.c.digest != submissions.c.digest,
    _later.c.received_at > submissions.c.received_at,
)
_LIVE = exists().where(
    _of_digest,
    submission_documents.c.submission_id == submissions.c.id,
    documents.c.id == submission_documents.c.document_id,
    documents.c.live_revision.is_not(None),
    ~_REPLACED.correlate(documents, submissions),
)


class SqlOutbox:
    """Uploads: the row and its job are written before anyone is told that the file was taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, submission: Submission) -> None:
        """Store it and its job, durable on return."""
        received_at = submission.received_at or now()
        row = {
            "id": submission.id,
            "name": submission.name,
            "digest": submission.digest,
            "size": submission.size,
            "collection": submission.collection,
            "access": sorted(submission.access),
            "submitted_by": submission.submitted_by,
            "received_at": received_at,
            "tags": sorted(submission.tags),
        }
        with self._database.writing() as connection:
            connection.execute(insert(submissions), row)
            store_job(connection, _job(submission, received_at), turn=_turn(submission))
            replace_documents(connection, submission.id, submission.document_ids)

    def submission(self, submission_id: str, principal: Principal) -> Submission:
        """Return one that this principal handed in (an `admin` sees all); raises `NotFound`."""
        which = submissions.c.id == submission_id
        if not principal.has_role(ADMIN):
            which &= submissions.c.submitted_by == principal.user
        with self._database.reading() as connection:
            found = _load(connection, which) if principal.user else []
        if not found:
            raise NotFound("there is no such upload")
        return found[0]

    def submissions(self, principal: Principal, *, limit: int = 100) -> list[Submission]:
        """List what this principal handed in, newest first."""
        if not principal.user:
            return []
        with self._database.reading() as connection:
            return _load(connection, submissions.c.submitted_by == principal.user, limit)

    def unfinished(self, digest: str) -> list[Submission]:
        """List the uploads of these bytes that have not ended."""
        with self._database.reading() as connection:
            return _load(
                connection, (submissions.c.digest == digest) & jobs.c.state.in_(OPEN), limit=10_000
            )

    def wanted(self, digest: str) -> bool:
        """Say whether an unfinished upload, or one with a live document, rests on these bytes."""
        given = {"digest": digest}
        with self._database.reading() as connection:
            return bool(connection.scalar(select(or_(_UNFINISHED, _LIVE)), given))


def _load(connection: Connection, which: ColumnElement[bool], limit: int = 1) -> list[Submission]:
    """Return submissions, newest first, each with its documents."""
    rows = connection.execute(
        select(*SUBMISSION_COLUMNS)
        .join_from(submissions, jobs, jobs.c.id == submissions.c.id)
        .where(which)
        .order_by(submissions.c.received_at.desc(), submissions.c.id)
        .limit(limit)
    ).all()
    became = _documents_of(connection, rows)
    return [to_submission(row, became[row.id]) for row in rows]


def _documents_of(connection: Connection, rows: Sequence[AnyRow]) -> dict[str, list[str]]:
    became: dict[str, list[str]] = {row.id: [] for row in rows}
    statement = (
        select(submission_documents.c.submission_id, submission_documents.c.document_id)
        .where(submission_documents.c.submission_id.in_(became))
        .order_by(submission_documents.c.submission_id, submission_documents.c.ordinal)
    )
    for submission_id, document_id in connection.execute(statement):
        became[submission_id].append(document_id)
    return became


def _job(submission: Submission, created_at: datetime) -> Job:
    return Job(
        id=submission.id,
        kind=JobKind.UPLOAD,
        subject=submission.id,
        name=submission.name,
        owner=submission.submitted_by,
        state=_STATES[submission.state],
        reason=submission.reason,
        lane=Lane.LARGE if submission.size > LARGE_BYTES else Lane.QUICK,
        attempts=submission.attempts,
        created_at=created_at,
    )


def _turn(submission: Submission) -> str:
    """Uploads of one name by one person to one collection are versions of one document."""
    return derive_id("upload", submission.collection, submission.submitted_by, submission.name)
