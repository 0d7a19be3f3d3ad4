"""The files that were handed in, kept as they came for as long as something rests on them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import BinaryIO

from ingest.discover import quote
from knowledge.errors import NotFound
from knowledge.models import Source, Submission, derive_id
from knowledge.ports import Blobs, Ledger

SETTLED_SECONDS = 3600
"""A file younger than this may be on its way in, and is not swept."""


class Originals:
    """Keeps and drops files so that one arriving while its twin is dropped is never lost.

    The same bytes are kept once, whoever handed them in. So before anything is dropped the catalog
    is asked, and asked again afterwards; and whoever keeps a file looks for it after noting down
    that it is wanted. One of the two sees the other, in one process or in several.
    """

    def __init__(self, blobs: Blobs, ledger: Ledger) -> None:
        self._blobs = blobs
        self._ledger = ledger

    def keep(self, stream: BinaryIO, *, limit: int, note: Callable[[str, int], None]) -> None:
        """Store the stream, then call `note(digest, size)`, which writes down that it is wanted.

        Raises `TooLarge`, and notes nothing, above `limit` bytes.
        """
        start = stream.tell() if stream.seekable() else 0
        digest, size = self._blobs.put(stream, limit=limit)
        note(digest, size)
        if not self._blobs.has(digest):
            stream.seek(start)
            self._blobs.put(stream, limit=limit)

    def read(self, digest: str) -> bytes:
        """Return the bytes; raises `NotFound`."""
        return self._blobs.read(digest)

    def has(self, digest: str) -> bool:
        """Say whether the bytes are there."""
        return self._blobs.has(digest)

    def drop(self, digests: Iterable[str]) -> None:
        """Delete those that nothing rests on any more; absent ones are no error."""
        for digest in set(digests):
            if self._blobs.has(digest) and not self._ledger.wanted(digest):
                self._delete(digest)

    def sweep(self) -> None:
        """Drop whatever nothing rests on, such as files of lines whose documents are all gone."""
        self.drop(self._blobs.untouched(seconds=SETTLED_SECONDS))

    def _delete(self, digest: str) -> None:
        try:
            data = self._blobs.read(digest)
        except NotFound:  # another process was quicker
            return
        self._blobs.delete(digest)
        if self._ledger.wanted(digest):
            self._blobs.put(io.BytesIO(data), limit=len(data), even_if_full=True)


def upload_source(submission: Submission) -> Source:
    """Return the source of all uploads of one name by one person to one collection.

    So a later one becomes a new revision of the same document, and nobody can replace what
    somebody else handed in under the same name.
    """
    who, name = submission.submitted_by, submission.name
    identity = derive_id("upload", submission.collection, who, name)
    uri = f"upload:{quote(who)}/{quote(name)}"
    return Source(identity, kind="upload", uri=uri, collection=submission.collection)
