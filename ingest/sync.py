"""A source is brought up to date: the story of sync.

List what is there, compare it with what is held, skip what has not changed without reading it,
ingest what has, follow what has moved, remove what has gone. Only what a listing could have shown
and did not show is removed; a source that cannot be listed loses nothing, and one that has lost
most of its items at once is asked about first.

All files of the machine are one source per collection, and a document is named by the path it was
first seen at. So it does not matter whether a folder is ingested by itself, as part of a larger
one, or file by file: nothing is stored twice, and what has vanished is noticed by whoever looks
there next.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ingest.discover import holds_lines
from ingest.pipeline import File, Ingestion, remove_documents
from ingest.recover import clean, copy_labels, freeze
from ingest.sources.folder import FolderConnector
from ingest.visit import Place, Reading, Visit, by_item, held_documents, item_uri, reads_anew
from knowledge.errors import IngestError
from knowledge.models import EVERYONE, IngestEvent, Item, Outcome, Source, derive_id
from knowledge.ports import Index, Ledger

MEGABYTE = 1_000_000
BATCH = 200
"""Items whose state is written down together, and removed together."""


class Sync:
    """Brings the documents of a place up to date with what lies there."""

    def __init__(
        self, *, pipeline: Ingestion, ledger: Ledger, index: Index, max_bytes: int
    ) -> None:
        self._pipeline = pipeline
        self._ledger = ledger
        self._index = index
        self._max_bytes = max_bytes

    def visit(self, place: Place) -> Visit:
        """List the place and compare; raises `SourceUnavailable` or `NotFound` before all else."""
        listing = place.connector.list(place.cursor)
        self._ledger.ensure_source(place.source)
        visit = Visit(
            place=place,
            listing=listing,
            found={item.uri: item for item in listing.items},
            held=held_documents(self._ledger, place.source),
            kept=self._ledger.items(place.source.id),
            notes=by_item(self._ledger.rejections(place.source.id)),
            versions=self._pipeline.versions,
        )
        visit.compare()
        return visit

    def run(self, visit: Visit) -> Iterator[IngestEvent]:
        """Yield one event per document, each after its effect is durable.

        An item that can no longer be read keeps the document it was before.
        """
        visit.total = len(visit.found)
        try:
            for event in self._events(visit):
                visit.done += 1
                visit.total = max(visit.total, visit.done)
                yield replace(event, done=visit.done, total=visit.total)
        finally:
            self._remember(visit)
        self._ledger.accept(visit.place.source.id, visit.settled_notes())
        self.tidy()

    def tidy(self) -> None:
        """Clean away what is gone, and bring rights and statistics up to date."""
        clean(self._ledger, self._index)
        copy_labels(self._ledger, self._index)
        freeze(self._ledger)

    def _events(self, visit: Visit) -> Iterator[IngestEvent]:
        for item in visit.left_out:
            yield self._refuse(visit, item.uri, code=item.code, reason=item.reason)
        for item in visit.unchanged:
            yield from visit.as_before(item)
        self._remember(visit)
        for event in self._pipeline.ingest(self._files(visit)):
            yield self._noted(visit, event)
            yield from visit.drain()
        yield from visit.drain()
        self._note_lines(visit)
        yield from self._remove_vanished(visit)

    def plan(self, visit: Visit) -> Iterator[IngestEvent]:
        """Yield what `run` would do, as far as a listing tells, and do nothing.

        What looks changed may turn out not to be, and what looks gone may have moved.
        """
        for item in visit.left_out:
            yield IngestEvent(item.uri, Outcome.REJECTED, reason=item.reason, code=item.code)
        for item in visit.unchanged:
            yield IngestEvent(item.uri, Outcome.UNCHANGED)
        for item in visit.changed:
            reason = "it may have changed" if item.uri in visit.held else "it is new"
            yield IngestEvent(item.uri, Outcome.INDEXED, reason=reason, code="planned")
        if visit.is_suspicious():
            yield visit.held_back_event()
        else:
            for uri in visit.vanished:
                yield IngestEvent(uri, Outcome.REMOVED, reason="it is gone", code="planned")

    # --- what is new or changed -----------------------------------------------------------------

    def _files(self, visit: Visit) -> Iterator[File]:
        """Read one item after the other, when its turn comes."""
        for item in visit.changed:
            try:
                data = visit.place.connector.read(item, limit=self._max_bytes)
            except IngestError as refusal:
                event = self._refuse(visit, item.uri, code=refusal.code, reason=str(refusal))
                visit.aside.append(event)
                continue
            digest = hashlib.sha256(data).hexdigest()
            if former := visit.former(item, digest):
                self._move(visit, former, item, digest)
                if not reads_anew(former, item):
                    continue
            visit.reading[item.uri] = Reading(item, digest)
            yield self._file(visit, item, data)

    def _file(self, visit: Visit, item: Item, data: bytes) -> File:
        lines = holds_lines(item.name)
        if lines:
            visit.total += max(_count_lines(data, most=self._max_bytes * 10) - 1, 0)
        known = visit.held.get(item.uri, {})
        if item.uri in visit.moved:  # its name has changed, which stands in for a title
            known = {key: each._replace(digest="") for key, each in known.items()}
        return File(
            source=visit.place.source,
            uri=item.uri,
            name=item.name,
            data=data,
            access=visit.place.access,
            media_type=item.media_type,
            holds_lines=lines,
            known=known,
            seed=visit.seed(item.uri),
            metadata=item.metadata,
            tags=visit.place.tags,
            modified_at=item.modified_at,
        )

    def _noted(self, visit: Visit, event: IngestEvent) -> IngestEvent:
        """Write down what has become of an item so far; of a file of lines only in the end.

        An item of several documents that a crash cuts short is remembered with too few, and so read
        again.
        """
        uri = item_uri(event.uri)
        if event.outcome is Outcome.REJECTED:
            visit.refused.add(event.uri)
        reading = visit.reading.get(uri)
        if reading is None:
            return event
        reading.add(event)
        if not holds_lines(reading.item.name):
            self._settle(visit, reading)
        former = visit.moved.get(uri)
        if former is not None and event.outcome is Outcome.INDEXED:
            return replace(event, outcome=Outcome.MOVED, reason=f"from {former}")
        return event

    def _note_lines(self, visit: Visit) -> None:
        for reading in visit.reading.values():
            if holds_lines(reading.item.name):
                self._settle(visit, reading)

    def _settle(self, visit: Visit, reading: Reading) -> None:
        visit.to_remember[reading.item.uri] = visit.keep(reading)
        if len(visit.to_remember) >= BATCH:
            self._remember(visit)

    def _remember(self, visit: Visit) -> None:
        if visit.to_remember:
            self._ledger.keep_items(visit.place.source.id, list(visit.to_remember.values()))
            visit.to_remember.clear()

    def _refuse(self, visit: Visit, uri: str, *, code: str, reason: str) -> IngestEvent:
        visit.refused.add(uri)
        self._ledger.reject(visit.place.source.id, uri, code=code, reason=reason)
        return IngestEvent(uri, Outcome.REJECTED, reason=reason, code=code)

    # --- what has moved, what has gone ----------------------------------------------------------

    def _move(self, visit: Visit, former: str, item: Item, digest: str) -> None:
        """Let the documents of a vanished item go on at the place where the same bytes came up."""
        documents = visit.vanished.pop(former)
        moved = {
            key: known._replace(uri=item.uri + known.uri.removeprefix(former))
            for key, known in documents.items()
        }
        kept = visit.keep_moved(former, item, digest)
        self._remember(visit)
        uris = {key: known.uri for key, known in moved.items()}
        self._ledger.move_item(visit.place.source.id, former, kept, uris)
        visit.take_over(former, kept, moved)
        if not reads_anew(former, item):
            reason = f"from {former}"
            visit.aside += [
                IngestEvent(each.uri, Outcome.MOVED, key, reason=reason)
                for key, each in moved.items()
            ]

    def _remove_vanished(self, visit: Visit) -> Iterator[IngestEvent]:
        """Remove what the place was to show and does not show any more."""
        if visit.is_suspicious():
            visit.held_back = len(visit.vanished)
            yield visit.held_back_event()
            return
        vanished = list(visit.vanished)
        for start in range(0, len(vanished), BATCH):
            uris = vanished[start : start + BATCH]
            documents = {key: each for uri in uris for key, each in visit.vanished[uri].items()}
            with self._ledger.transaction():
                events = remove_documents(self._ledger, documents)
                self._ledger.drop_items(visit.place.source.id, uris)
            yield from events


class FolderSync:
    """Ingests files of this machine by path; every document it brings may be read by `access`."""

    def __init__(
        self,
        *,
        pipeline: Ingestion,
        ledger: Ledger,
        index: Index,
        max_bytes: int = 200 * MEGABYTE,
        access: frozenset[str] = frozenset({EVERYONE}),
    ) -> None:
        self._sync = Sync(pipeline=pipeline, ledger=ledger, index=index, max_bytes=max_bytes)
        self._max_bytes = max_bytes
        self._access = access

    def sync(
        self, paths: Sequence[Path], *, collection: str, tags: frozenset[str] = frozenset()
    ) -> Iterator[IngestEvent]:
        """Yield one event per document, each after its effect is durable.

        A file that can no longer be read keeps the document it was before. A vanished one is
        removed, unless a folder above it could not be listed. Raises `NotFound` before anything
        is done when one of the paths does not exist.
        """
        folders = FolderConnector(paths, max_bytes=self._max_bytes)
        place = Place(files_source(collection), folders, access=self._access, tags=tags)
        return self._sync.run(self._sync.visit(place))


def files_source(collection: str) -> Source:
    """Return the source that all files of this machine belong to, in one collection."""
    return Source(derive_id("files", collection), kind="folder", uri="/", collection=collection)


def _count_lines(data: bytes, *, most: int) -> int:
    """Count the lines, for the sake of progress; give up where the unpacked data gets long."""
    if not data.startswith(b"\x1f\x8b"):
        return data.count(b"\n") + (not data.endswith(b"\n"))
    lines = size = 0
    piece = b""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
            while size < most and (chunk := unpacked.read(MEGABYTE)):
                piece = chunk
                size += len(piece)
                lines += piece.count(b"\n")
    except (OSError, EOFError, zlib.error):
        return 1  # the parser will say what is wrong with it
    return lines + (not piece.endswith(b"\n"))
