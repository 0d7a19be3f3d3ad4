"""The door through which people look after jobs and the quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ingest.discover import quote
from ingest.originals import Originals
from knowledge.errors import NotFound, NotNow
from knowledge.models import Job, JobKind, JobState, Principal, Refused
from knowledge.ports import Outbox, Refusals

ADMIN = "admin"


class CatalogJobs:
    """Fills the door `Jobs`; who hands something in looks after it, an administrator after all."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        refusals: Refusals,
        originals: Originals,
        wake: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._refusals = refusals
        self._originals = originals
        self._wake = wake

    def jobs(
        self, principal: Principal, *, states: Iterable[JobState] = (), limit: int = 100
    ) -> list[Job]:
        """List jobs, newest first."""
        return self._outbox.jobs(principal, states=states, limit=limit)

    def job(self, job_id: str, principal: Principal) -> Job:
        """Return a job; raises `NotFound`."""
        return self._outbox.job(job_id, principal)

    def pause(self, job_id: str, principal: Principal) -> Job:
        """Hold a job; the document that is under way is finished. Raises `NotFound`, `NotNow`."""
        job = self._outbox.job(job_id, principal)
        return self._changed(job, principal, self._outbox.pause(job_id), "paused")

    def resume(self, job_id: str, principal: Principal) -> Job:
        """Let a paused job go on; raises `NotFound`, `NotNow`."""
        job = self._outbox.job(job_id, principal)
        return self._changed(job, principal, self._outbox.resume(job_id), "resumed")

    def retry(self, job_id: str, principal: Principal) -> Job:
        """Try a dead, failed or retrying job now; raises `NotFound`, `NotNow`."""
        job = self._outbox.job(job_id, principal)
        if job.kind is JobKind.UPLOAD and not self._has_file(job, principal):
            raise NotNow("the file of this upload is not kept any more; hand it in again")
        return self._changed(job, principal, self._outbox.retry(job_id), "retried")

    def _has_file(self, job: Job, principal: Principal) -> bool:
        return self._originals.has(self._outbox.submission(job.subject, principal).digest)

    def cancel(self, job_id: str, principal: Principal) -> Job:
        """Stop a job; one that has ended stays as it is. Raises `NotFound`.

        What an upload has made visible by then is removed by its worker; a sync keeps what it has
        brought in.
        """
        job = self._outbox.job(job_id, principal)
        reason = f"cancelled by {principal.user}"
        self._outbox.finish(job.id, JobState.CANCELLED, reason=reason)
        if job.kind is JobKind.UPLOAD:
            self._originals.drop([self._outbox.submission(job.subject, principal).digest])
        self._wake()
        return self._outbox.job(job_id, principal)

    def _changed(self, job: Job, principal: Principal, happened: bool, what: str) -> Job:
        """Return the job as it is now; raises `NotNow` where nothing has happened."""
        if not happened:
            outdated = job.state in (JobState.DEAD, JobState.FAILED) and what == "retried"
            why = (
                "a later upload of the same name took its place"
                if outdated
                else (f"it is {job.state.value}")
            )
            raise NotNow(f"this job cannot be {what}: {why}")
        self._wake()
        return self._outbox.job(job.id, principal)

    # --- quarantine -----------------------------------------------------------------------------

    def quarantine(self, principal: Principal, *, limit: int = 100) -> list[Refused]:
        """List what is not tried again, latest first: all for an administrator, else one's own."""
        if not principal.user:
            return []
        within = "" if principal.has_role(ADMIN) else _uploads_of(principal)
        return self._refusals.refused(only_quarantined=True, within=within, limit=limit)

    def free(self, refused_id: str, principal: Principal) -> Refused:
        """Have a quarantined file tried again when it next comes by; raises `NotFound`."""
        found = self._refusals.refused_one(refused_id)
        if not _concerns(found, principal):
            raise NotFound("nothing of this id is refused")
        self._refusals.free(refused_id)
        return self._refusals.refused_one(refused_id)


def _concerns(refused: Refused, principal: Principal) -> bool:
    mine = bool(principal.user) and refused.uri.startswith(_uploads_of(principal))
    return mine or principal.has_role(ADMIN)


def _uploads_of(principal: Principal) -> str:
    """Return how the uris of all that a principal hands in begin (see `upload_source`)."""
    return f"upload:{quote(principal.user)}/"
