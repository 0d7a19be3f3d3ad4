"""Bring files and folders of this machine up to date: added, changed, unchanged, removed.

All files of the machine are one source per collection, and a document is named by its path. So it
does not matter whether a folder is ingested by itself, as part of a larger one, or file by file:
nothing is stored twice, and what has vanished is noticed by whoever looks there next.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest.discover import Found, discover, file_path, holds_lines
from ingest.pipeline import File, Known, Pipeline, remove_documents
from ingest.recover import clean, copy_access, freeze
from knowledge.models import EVERYONE, IngestEvent, Outcome, Source, derive_id
from knowledge.ports import Index, Ledger

MEGABYTE = 1_000_000


class FolderSync:
    """Ingests files by path; every document it brings may be read by `access`."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        ledger: Ledger,
        index: Index,
        max_bytes: int = 200 * MEGABYTE,
        access: frozenset[str] = frozenset({EVERYONE}),
    ) -> None:
        self._pipeline = pipeline
        self._ledger = ledger
        self._index = index
        self._max_bytes = max_bytes
        self._access = access

    def sync(self, paths: Sequence[Path], *, collection: str) -> Iterator[IngestEvent]:
        """Yield one event per document, each after its effect is durable.

        A file that can no longer be read keeps the document it was before. A vanished one is
        removed, unless a folder above it could not be listed. Raises `NotFound` before anything
        is done when one of the paths does not exist.
        """
        found = [each for path in paths for each in discover(path, max_bytes=self._max_bytes)]
        visit = _Visit(
            source=files_source(collection),
            tops=[path.expanduser().resolve() for path in paths],
            found={each.uri: each for each in found},
            present=frozenset(each.path for each in found),
            unlisted=tuple(each.path for each in found if each.code == "unlisted"),
        )
        return self._run(visit)

    def _run(self, visit: _Visit) -> Iterator[IngestEvent]:
        self._ledger.ensure_source(visit.source)
        visit.held = held_documents(self._ledger, visit.source)
        visit.notes = frozenset(self._ledger.rejections(visit.source.id))
        visit.total = len(visit.found)
        for event in self._events(visit):
            if event.outcome is Outcome.REJECTED:
                visit.refused.add(event.uri)
            visit.done += 1
            visit.total = max(visit.total, visit.done)
            yield replace(event, done=visit.done, total=visit.total)
        self._ledger.accept(visit.source.id, list(filter(visit.settled, visit.notes)))
        clean(self._ledger, self._index)
        copy_access(self._ledger, self._index)
        freeze(self._ledger)

    def _events(self, visit: _Visit) -> Iterator[IngestEvent]:
        for each in visit.found.values():
            if each.code:
                yield self._refuse(visit, each)
        for event in self._pipeline.ingest(self._files(visit)):
            yield event
            yield from self._unread(visit)
        yield from self._unread(visit)
        yield from self._remove_vanished(visit)

    def _files(self, visit: _Visit) -> Iterator[File]:
        """Read one file after the other, when its turn comes."""
        for each in visit.found.values():
            if each.code:
                continue
            try:
                data = each.path.read_bytes()
            except OSError as error:
                reason = f"it cannot be read: {error.strerror}"
                visit.unread.append(replace(each, code="unreadable", reason=reason))
                continue
            lines = holds_lines(each.path.name)
            if lines:
                visit.total += max(_count_lines(data, most=self._max_bytes * 10) - 1, 0)
            yield File(
                source=visit.source,
                uri=each.uri,
                name=each.path.name,
                data=data,
                access=self._access,
                media_type=each.media_type,
                holds_lines=lines,
                known=visit.held.get(each.path, {}),
            )

    def _unread(self, visit: _Visit) -> Iterator[IngestEvent]:
        while visit.unread:
            yield self._refuse(visit, visit.unread.pop(0))

    def _refuse(self, visit: _Visit, each: Found) -> IngestEvent:
        self._ledger.reject(visit.source.id, each.uri, code=each.code, reason=each.reason)
        return IngestEvent(each.uri, Outcome.REJECTED, reason=each.reason, code=each.code)

    def _remove_vanished(self, visit: _Visit) -> Iterator[IngestEvent]:
        """Remove what was below the visited paths and is there no more."""
        for path, documents in visit.held.items():
            if visit.misses(path):
                yield from remove_documents(self._ledger, documents)


@dataclass(slots=True)
class _Visit:
    """One run over some paths: what was found there, and what was there before."""

    source: Source
    tops: list[Path]
    found: dict[str, Found]
    present: frozenset[Path]
    unlisted: tuple[Path, ...]
    """Folders whose contents could not be seen."""
    held: dict[Path, dict[str, Known]] = field(default_factory=dict)
    notes: frozenset[str] = frozenset()
    """What was refused by earlier visits, by uri."""
    refused: set[str] = field(default_factory=set)
    unread: list[Found] = field(default_factory=list)
    done: int = 0
    total: int = 0

    def misses(self, path: Path) -> bool:
        """Say whether the file was to be seen by this visit, and was not."""
        if path in self.present or any(path.is_relative_to(gap) for gap in self.unlisted):
            return False
        return any(path.is_relative_to(top) for top in self.tops)

    def settled(self, uri: str) -> bool:
        """Say whether what a note is about was looked at again, and found good or gone."""
        path = file_path(uri)
        return uri not in self.refused and (path in self.present or self.misses(path))


def files_source(collection: str) -> Source:
    """Return the source that all files of this machine belong to, in one collection."""
    return Source(derive_id("files", collection), kind="folder", uri="/", collection=collection)


def held_documents(ledger: Ledger, source: Source) -> dict[Path, dict[str, Known]]:
    """Return the live documents of a source, grouped by the file they came from."""
    known = ledger.known(source.id)
    held: defaultdict[Path, dict[str, Known]] = defaultdict(dict)
    for uri, document_id in ledger.by_uri(source.id).items():
        if document_id in known:
            held[file_path(uri)][document_id] = Known(uri, *known[document_id])
    return dict(held)


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
