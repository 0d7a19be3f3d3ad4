"""The loop that turns uploads into documents: claim, ingest, finish, and tidy up when idle."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from ingest.discover import holds_lines, media_type, quote
from ingest.originals import Originals
from ingest.pipeline import UPLOADED_BY, File, Known, Pipeline, remove_documents
from ingest.recover import clean, copy_access, freeze, recover
from ingest.visit import held_documents
from knowledge.errors import (
    CatalogUnavailable,
    IndexUnavailable,
    IngestError,
    NotFound,
    ParserFailed,
)
from knowledge.models import (
    IngestEvent,
    Outcome,
    Principal,
    Source,
    Submission,
    SubmissionState,
    derive_id,
)
from knowledge.ports import Index, Ledger, Outbox

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""An upload that stopped the worker so often is refused."""
LEASE = timedelta(minutes=2)
"""Renewed while the work goes on; after it another worker takes over."""
PAUSE_SECONDS = 5.0
TIDY_SECONDS = 300.0
SWEEP_SECONDS = 6 * 3600.0

MOST_REASONS = 5

_LOOK_SECONDS = 0.5
_WORKER = Principal(user="worker", roles=frozenset({"admin"}))
# A fault of ours in one upload must not keep the others waiting; it is logged in full.
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a worker is."""

    lease: timedelta = LEASE
    attempts: int = ATTEMPTS
    pause_seconds: float = PAUSE_SECONDS
    """How often it looks for work that it was not woken for, and waits when a store is down."""
    tidy_seconds: float = TIDY_SECONDS
    sweep_seconds: float = SWEEP_SECONDS
    """How often files that nothing rests on are looked for: each one is asked after."""


class Worker:
    """Works through the uploads; several may share one catalog."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        ledger: Ledger,
        index: Index,
        originals: Originals,
        pipeline: Pipeline,
        pace: Pace | None = None,
        name: str = "",
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._index = index
        self._originals = originals
        self._pipeline = pipeline
        self._pace = pace or Pace()
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._woken = threading.Event()
        self._tidied_at = self._swept_at = float("-inf")

    def wake(self) -> None:
        """Say that there is something to do; may be called from any thread."""
        self._woken.set()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what is unfinished then is handed back.

        A store or parser that does not answer is waited for.
        """
        while not stop.is_set():
            self._woken.clear()
            try:
                worked = self.work_one(stop)
                self._tidy(idle=not worked)
            except (CatalogUnavailable, IndexUnavailable, ParserFailed) as error:
                log.warning("ingestion waits: %s", error)
                worked = False
            except _FAULTS:
                log.exception("ingestion goes on after a fault")
                worked = False
            if not worked:
                self._rest(stop)

    def work_one(self, stop: threading.Event | None = None) -> bool:
        """Ingest one upload if there is one; say whether there was."""
        submission = self._outbox.claim(self._name, lease=self._pace.lease)
        if submission is None:
            return False
        if submission.attempts > self._pace.attempts:
            stopped = (
                f"it stopped the worker {submission.attempts - 1} times; it is not tried again"
            )
            self._finish(submission, _Result(refusals=[stopped]))
        else:
            self._ingest(submission, stop or threading.Event())
        return True

    def _ingest(self, submission: Submission, stop: threading.Event) -> None:
        result = _Result()
        lost = threading.Event()
        try:
            with self._holding(submission, lost):
                self._fill(result, submission, (lost, stop))
        except (CatalogUnavailable, IndexUnavailable, ParserFailed):  # not the file's fault
            with suppress(CatalogUnavailable):
                self._outbox.hand_back(submission.id)
            raise
        except (IngestError, NotFound) as refusal:
            result.refusals.append(str(refusal))
        except _FAULTS:
            log.exception("upload %s failed", submission.id)
            result.refusals.append("an error of this service, which its log describes")
        if not result.interrupted:
            self._finish(submission, result)
        elif lost.is_set():
            self._take_back_if_cancelled(submission, result)
        else:
            self._outbox.hand_back(submission.id)

    def _fill(
        self, result: _Result, submission: Submission, ends: tuple[threading.Event, ...]
    ) -> None:
        """Ingest the file and note in `result` what became of it, until one of `ends` is set."""
        source = upload_source(submission)
        self._ledger.ensure_source(source)
        held = held_documents(self._ledger, source)
        known = {key: each for documents in held.values() for key, each in documents.items()}
        result.former = {each.digest for each in known.values()}
        for event in self._pipeline.ingest([self._file(submission, source, known)]):
            result.add(event)
            result.interrupted = any(end.is_set() for end in ends)
            if result.interrupted:
                return

    def _file(self, submission: Submission, source: Source, known: dict[str, Known]) -> File:
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
        )

    def _finish(self, submission: Submission, result: _Result) -> None:
        """Write how it ended, and let go of files that nothing rests on any more."""
        self._outbox.finish(
            submission.id, result.state, reason=result.reason, documents=result.documents
        )
        self._take_back_if_cancelled(submission, result)
        self._originals.drop({submission.digest, *result.former})

    def _take_back_if_cancelled(self, submission: Submission, result: _Result) -> None:
        """Make invisible what became visible of an upload before we learned of its end."""
        state = self._outbox.submission(submission.id, _WORKER).state
        if state is SubmissionState.CANCELLED:
            remove_documents(self._ledger, result.indexed)
            clean(self._ledger, self._index)

    @contextmanager
    def _holding(self, submission: Submission, lost: threading.Event) -> Iterator[None]:
        """Renew the lease while the block runs; set `lost` once it is another's, or cancelled."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self._pace.lease.total_seconds() / 4) and not lost.is_set():
                with suppress(CatalogUnavailable):
                    if not self._outbox.renew(submission.id, self._name, lease=self._pace.lease):
                        lost.set()

        beating = threading.Thread(target=renew, name="lease", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def _tidy(self, *, idle: bool) -> None:
        """Put right what was left behind, now and then; bring statistics up to date when idle."""
        if time.monotonic() - self._tidied_at > self._pace.tidy_seconds:
            recover(self._ledger, self._index, self._outbox, exclusive=False)
            self._tidied_at = time.monotonic()
        elif idle:
            copy_access(self._ledger, self._index)
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


@dataclass(slots=True)
class _Result:
    """What became of an upload."""

    indexed: dict[str, Known] = field(default_factory=dict)
    """Documents that this run made visible."""
    documents: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    former: set[str] = field(default_factory=set)
    """Digests of what was live before."""
    interrupted: bool = False

    def add(self, event: IngestEvent) -> None:
        """Note one event of the pipeline."""
        if event.outcome is Outcome.REJECTED:
            self.refusals.append(event.reason)
        elif event.document_id is not None and event.outcome is not Outcome.REMOVED:
            self.documents.append(event.document_id)
            if event.reason:
                self.notes.append(event.reason)
            if event.outcome is not Outcome.UNCHANGED:
                self.indexed[event.document_id] = Known(event.uri, "", "")

    @property
    def state(self) -> SubmissionState:
        """Done when anything of it is a document now; an empty file of lines is done, too."""
        failed = self.refusals and not self.documents
        return SubmissionState.FAILED if failed else SubmissionState.DONE

    @property
    def reason(self) -> str:
        """Say what was not indexed and why, at most a few of many."""
        told = [*self.refusals, *self.notes]
        more = f"; and {len(told) - MOST_REASONS} more" if len(told) > MOST_REASONS else ""
        return "; ".join(told[:MOST_REASONS]) + more


def upload_source(submission: Submission) -> Source:
    """Return the source of all uploads of one name by one person to one collection.

    So a later one becomes a new revision of the same document, and nobody can replace what
    somebody else handed in under the same name.
    """
    who, name = submission.submitted_by, submission.name
    identity = derive_id("upload", submission.collection, who, name)
    uri = f"upload:{quote(who)}/{quote(name)}"
    return Source(identity, kind="upload", uri=uri, collection=submission.collection)
