"""The door through which serving reaches ingestion: uploads, removals, rights, local folders."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import BinaryIO

from ingest.discover import file_path, media_type
from ingest.originals import Originals, upload_source
from ingest.pipeline import document_id as derive_document_id
from ingest.recover import clean, copy_labels
from ingest.sync import FolderSync
from knowledge.errors import AccessDenied, IndexUnavailable, NotFound, Unsupported
from knowledge.models import IngestEvent, JobState, Principal, Submission
from knowledge.ports import Index, Ledger, Outbox
from knowledge.text import clean as clean_text

LONGEST_NAME = 255


class CatalogIntake:
    """Fills the door `Intake` with the catalog's list of uploads; a worker does the rest.

    `wake` is called when there is something new to do.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        ledger: Ledger,
        index: Index,
        originals: Originals,
        folders: FolderSync,
        max_bytes: int,
        wake: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._index = index
        self._originals = originals
        self._folders = folders
        self._max_bytes = max_bytes
        self._wake = wake

    def submit(
        self,
        stream: BinaryIO,
        *,
        name: str,
        collection: str,
        access: frozenset[str],
        by: Principal,
        tags: frozenset[str] = frozenset(),
    ) -> Submission:
        """Take a file in: its bytes are on the disk, then its row, then this returns.

        The same person's later upload of the same name to the same collection becomes a new
        revision of the same document, and brings its own access list. Raises `TooLarge`,
        `Unsupported`, and `AccessDenied` when nobody hands it in or nobody could read it.
        """
        if not by.user or not access:
            raise AccessDenied("an upload needs somebody who hands it in and may read it")
        name = _plain_name(name)
        media_type(name)
        taken: list[Submission] = []

        def note(digest: str, size: int) -> None:
            submission = Submission(
                id=str(uuid.uuid4()),
                name=name,
                digest=digest,
                size=size,
                collection=collection,
                access=access,
                submitted_by=by.user,
                received_at=datetime.now(UTC),
                tags=tags,
            )
            self._outbox.submit(submission)
            taken.append(submission)

        self._originals.keep(stream, limit=self._max_bytes, note=note)
        self._wake()
        return taken[0]

    def status(self, submission_id: str, principal: Principal) -> Submission:
        """Say where an upload stands; raises `NotFound`."""
        return self._outbox.submission(submission_id, principal)

    def recent(self, principal: Principal) -> list[Submission]:
        """List this principal's latest uploads, newest first."""
        return self._outbox.submissions(principal)

    def cancel(self, submission_id: str, principal: Principal) -> Submission:
        """Stop an upload that is not yet done; raises `NotFound`.

        What the worker has made of it by then is removed by the worker; one that is done stays.
        """
        submission = self._outbox.submission(submission_id, principal)
        reason = f"cancelled by {principal.user}"
        self._outbox.finish(submission.id, JobState.CANCELLED, reason=reason)
        self._originals.drop([submission.digest])
        self._wake()
        return self._outbox.submission(submission_id, principal)

    def remove(self, document_id: str) -> None:
        """Make a document invisible at once and clean up; raises `NotFound`.

        A file that is still in an ingested folder comes back with the next ingest of that folder.
        """
        digest = self._ledger.digest(document_id)
        if digest is None:
            raise NotFound("there is no such document")
        self._end_uploads(document_id, digest)
        if not self._ledger.remove(document_id):
            raise NotFound("there is no such document")
        with suppress(IndexUnavailable):  # nobody sees it any more; the worker cleans up later
            clean(self._ledger, self._index)
        self._originals.drop([digest])

    def _end_uploads(self, document_id: str, digest: str) -> None:
        """End the upload it came from if a crash left that unfinished: it would bring it back."""
        for upload in self._outbox.unfinished(digest):
            source = upload_source(upload)
            if document_id == derive_document_id(source, source.uri):
                reason = "its document was removed"
                self._outbox.finish(upload.id, JobState.CANCELLED, reason=reason, documents=())

    def set_access(self, document_id: str, access: frozenset[str]) -> None:
        """Set who may read a document, effective at once; raises `NotFound`.

        The catalog obeys first; the index, which only narrows the search, learns it afterwards.
        """
        if not self._ledger.set_access(document_id, access):
            raise NotFound("there is no such document")
        with suppress(IndexUnavailable):  # the catalog obeys already; the worker copies it later
            copy_labels(self._ledger, self._index)

    def set_tags(self, document_id: str, tags: frozenset[str]) -> None:
        """Set the tags of a document, effective at once; raises `NotFound`."""
        if not self._ledger.set_tags(document_id, tags):
            raise NotFound("there is no such document")
        with suppress(IndexUnavailable):  # it is not found by a new tag until the worker copies it
            copy_labels(self._ledger, self._index)

    def sync(
        self, paths: Sequence[Path], *, collection: str, tags: frozenset[str] = frozenset()
    ) -> Iterator[IngestEvent]:
        """Bring files and folders of this machine up to date, one event per document."""
        return self._folders.sync(paths, collection=collection, tags=tags)

    def content(self, digest: str) -> bytes:
        """Return the original bytes of a revision; raises `NotFound`.

        Uploads are kept. Files of local folders are not copied: they are read where they lie, and
        count only while they still are what was ingested.
        """
        try:
            return self._originals.read(digest)
        except NotFound:
            for uri in self._ledger.uris(digest):
                data = self._read_local(uri)
                if data is not None and hashlib.sha256(data).hexdigest() == digest:
                    return data
            raise

    def _read_local(self, uri: str) -> bytes | None:
        path = file_path(uri)
        try:
            if not path.is_absolute() or path.stat().st_size > self._max_bytes:
                return None
            return path.read_bytes()
        except OSError:  # moved, deleted, or no longer readable: no longer the original
            return None


def _plain_name(name: str) -> str:
    """Return the file's own name: no folders of either kind, nothing invisible, of sane length."""
    plain = PureWindowsPath(clean_text(name)).name
    printable = "".join(char for char in plain if char.isprintable()).strip()
    if not printable:
        raise Unsupported("the file has no name, which says what format it has")
    return printable[-LONGEST_NAME:]
