"""What each kind of job does: its documents, one event each, and what is left to do at its end."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from ingest.discover import holds_lines, media_type
from ingest.originals import Originals, upload_source
from ingest.pipeline import UPLOADED_BY, File, Ingestion, Known
from ingest.recover import clean
from ingest.visit import held_documents
from knowledge.models import (
    IngestEvent,
    Job,
    JobState,
    Outcome,
    Principal,
    Source,
    Submission,
)
from knowledge.ports import Index, Ledger, Outbox, SourceSync

MOST_REASONS = 5

_WORKER = Principal(user="worker", roles=frozenset({"admin"}))


@dataclass(slots=True)
class Result:
    """What became of a job so far."""

    documents: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    former: set[str] = field(default_factory=set)
    """Digests of what was live before."""
    done: int = 0
    total: int = 0

    def add(self, event: IngestEvent) -> None:
        """Note one event of the pipeline."""
        self.done += 1
        self.total = max(self.total, event.total, self.done)
        if event.outcome is Outcome.REJECTED:
            self.refusals.append(event.reason)
        elif event.document_id is not None and event.outcome is not Outcome.REMOVED:
            self.documents.append(event.document_id)
            if event.reason:
                self.notes.append(event.reason)

    @property
    def state(self) -> JobState:
        """Done when anything of it is a document now; an empty file of lines is done, too."""
        return JobState.FAILED if self.refusals and not self.documents else JobState.DONE

    @property
    def reason(self) -> str:
        """Say what was not indexed and why, at most a few of many."""
        told = [*self.refusals, *self.notes]
        more = f"; and {len(told) - MOST_REASONS} more" if len(told) > MOST_REASONS else ""
        return "; ".join(told[:MOST_REASONS]) + more


class Work(Protocol):
    """What one kind of job does; can be done over from any place."""

    def events(self, job: Job, result: Result) -> Generator[IngestEvent, None, None]:
        """Do it; each event follows its durable effect."""

    def settle(self, job: Job, result: Result) -> None:
        """Tidy up after a run that has ended, been cancelled, or been overtaken."""


class UploadWork:
    """Makes a file that was handed in answerable."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        ledger: Ledger,
        index: Index,
        originals: Originals,
        pipeline: Ingestion,
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._index = index
        self._originals = originals
        self._pipeline = pipeline

    def events(self, job: Job, result: Result) -> Generator[IngestEvent, None, None]:
        """Ingest the file."""
        submission = self._outbox.submission(job.subject, _WORKER)
        source = upload_source(submission)
        self._ledger.ensure_source(source)
        held = held_documents(self._ledger, source)
        known = {key: each for documents in held.values() for key, each in documents.items()}
        result.former = {each.digest for each in known.values()}
        yield from self._pipeline.ingest([self._file(job, submission, source, known)])

    def _file(
        self, job: Job, submission: Submission, source: Source, known: dict[str, Known]
    ) -> File:
        return File(
            source=source,
            uri=source.uri,
            name=submission.name,
            data=self._originals.read(submission.digest),
            access=submission.access,
            media_type=media_type(submission.name),
            holds_lines=holds_lines(submission.name),
            known=known,
            sets_access=True,
            metadata={UPLOADED_BY: submission.submitted_by},
            job=job.id,
            tags=submission.tags,
            modified_at=submission.received_at,
        )

    def settle(self, job: Job, result: Result) -> None:
        """Let go of files that nothing rests on any more.

        Of a cancelled upload, first make invisible what had become visible before we learned of it,
        in this run or in one that was killed.
        """
        state = self._outbox.job(job.id, _WORKER).state
        submission = self._outbox.submission(job.subject, _WORKER)
        if state is JobState.CANCELLED:
            self._take_back(job, upload_source(submission))
        if state.final:
            self._originals.drop({submission.digest, *result.former})

    def _take_back(self, job: Job, source: Source) -> None:
        with self._ledger.transaction():
            for document_id in self._ledger.brought(source.id, job.id):
                self._ledger.remove(document_id)
        clean(self._ledger, self._index)


class SyncWork:
    """Brings a source up to date."""

    def __init__(self, sources: SourceSync) -> None:
        self._sources = sources

    def events(self, job: Job, result: Result) -> Generator[IngestEvent, None, None]:
        """Sync the source."""
        yield from self._sources.sync_source(job.subject)

    def settle(self, job: Job, result: Result) -> None:
        """Leave everything: a sync that ends early is carried on by the next."""
