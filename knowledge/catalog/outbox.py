"""The durable list of uploads: taken by one worker at a time, and by another if that one dies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from knowledge.catalog.database import Database, now
from knowledge.catalog.rows import SUBMISSION_COLUMNS, AnyRow, to_submission
from knowledge.catalog.schema import documents, submission_documents, submissions
from knowledge.errors import NotFound
from knowledge.models import Principal, Submission, SubmissionState

ADMIN = "admin"
_RECEIVED = SubmissionState.RECEIVED.value
_WORKING = SubmissionState.WORKING.value
_OPEN = submissions.c.state.in_((_RECEIVED, _WORKING))

_earlier = submissions.alias("earlier")
_PRECEDED = exists().where(
    _earlier.c.state.in_((_RECEIVED, _WORKING)),
    _earlier.c.submitted_by == submissions.c.submitted_by,
    _earlier.c.name == submissions.c.name,
    _earlier.c.collection == submissions.c.collection,
    tuple_(_earlier.c.received_at, _earlier.c.id)
    < tuple_(submissions.c.received_at, submissions.c.id),
)
_of_digest = submissions.c.digest == bindparam("digest")
_UNFINISHED = exists().where(_of_digest, _OPEN)
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
    """Uploads on their way: a row is written before anyone is told that the file was taken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, submission: Submission) -> None:
        """Store it, durable on return."""
        row = {
            "id": submission.id,
            "name": submission.name,
            "digest": submission.digest,
            "size": submission.size,
            "collection": submission.collection,
            "access": sorted(submission.access),
            "submitted_by": submission.submitted_by,
            "state": submission.state.value,
            "reason": submission.reason,
            "attempts": submission.attempts,
            "received_at": submission.received_at or now(),
            "worker": "",
        }
        with self._database.writing() as connection:
            connection.execute(insert(submissions), row)
            _replace_documents(connection, submission.id, submission.document_ids)

    def claim(self, worker: str, *, lease: timedelta) -> Submission | None:
        """Take the oldest received one, or one whose lease ran out; None when there is nothing.

        An upload waits for earlier unfinished ones of the same name, collection and person. The
        least often tried comes first: a file that kills its worker cannot hold up the others.
        """
        moment = now()
        ran_out = (submissions.c.state == _WORKING) & (submissions.c.lease_until <= moment)
        waiting = (
            select(submissions.c.id)
            .where(or_(submissions.c.state == _RECEIVED, ran_out), ~_PRECEDED)
            .order_by(submissions.c.attempts, submissions.c.received_at, submissions.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as connection:
            found = connection.scalar(waiting)
            if found is None:
                return None
            connection.execute(
                update(submissions)
                .where(submissions.c.id == found)
                .values(
                    state=_WORKING,
                    worker=worker,
                    lease_until=moment + lease,
                    attempts=submissions.c.attempts + 1,
                )
            )
            return _load(connection, submissions.c.id == found)[0]

    def renew(self, submission_id: str, worker: str, *, lease: timedelta) -> bool:
        """Prolong the lease; False when it was cancelled, finished or taken by another worker."""
        mine = (
            update(submissions)
            .where(
                submissions.c.id == submission_id,
                submissions.c.worker == worker,
                submissions.c.state == _WORKING,
            )
            .values(lease_until=now() + lease)
        )
        with self._database.writing() as connection:
            return connection.execute(mine).rowcount == 1

    def hand_back(self, submission_id: str) -> None:
        """Give up a claim without having tried; the attempt does not count."""
        claimed = (submissions.c.id == submission_id) & (submissions.c.attempts > 0)
        with self._database.writing() as connection:
            _release(connection, claimed, attempts=submissions.c.attempts - 1)

    def release(self) -> int:
        """Give up all claims, which count as attempts; return how many.

        Only for a worker known to be the only one.
        """
        with self._database.writing() as connection:
            return _release(connection)

    def finish(
        self, submission_id: str, state: SubmissionState, *, reason: str, documents: Sequence[str]
    ) -> None:
        """Write how it ended; what has ended already stays as it is.

        `RECEIVED` hands it back for another attempt.
        """
        ended = (
            update(submissions)
            .where(submissions.c.id == submission_id, _OPEN)
            .values(state=state.value, reason=reason, worker="", lease_until=None)
        )
        with self._database.writing() as connection:
            if connection.execute(ended).rowcount:
                _replace_documents(connection, submission_id, documents)

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

    def wanted(self, digest: str) -> bool:
        """Say whether an unfinished upload, or one with a live document, rests on these bytes."""
        given = {"digest": digest}
        with self._database.reading() as connection:
            return bool(connection.scalar(select(or_(_UNFINISHED, _LIVE)), given))


def _release(connection: Connection, *which: ColumnElement[bool], **values: Any) -> int:  # noqa: ANN401 - column values
    return connection.execute(
        update(submissions)
        .where(submissions.c.state == _WORKING, *which)
        .values(state=_RECEIVED, worker="", lease_until=None, **values)
    ).rowcount


def _load(connection: Connection, which: ColumnElement[bool], limit: int = 1) -> list[Submission]:
    """Return submissions, newest first, each with its documents."""
    rows = connection.execute(
        select(*SUBMISSION_COLUMNS)
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


def _replace_documents(
    connection: Connection, submission_id: str, document_ids: Sequence[str]
) -> None:
    connection.execute(
        delete(submission_documents).where(submission_documents.c.submission_id == submission_id)
    )
    if document_ids:
        rows = [
            {"submission_id": submission_id, "ordinal": ordinal, "document_id": document_id}
            for ordinal, document_id in enumerate(document_ids)
        ]
        connection.execute(insert(submission_documents), rows)
