"""The vector store inside this process: Qdrant Edge. The only file that knows `qdrant_edge`.

Edge holds the interpreter lock while it works, so calls are kept short, and `optimize()`, which
takes seconds to minutes, is never called here: unindexed segments answer in milliseconds up to
100,000 points.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge

from knowledge.access import AccessFilter
from knowledge.disk import DISK_FULL, TO_ADD_MB, TO_REMOVE_MB, require_room
from knowledge.errors import ConfigurationError, IndexUnavailable, OwnedElsewhere
from knowledge.index import shape
from knowledge.models import Document, Embedding, Hit, Point, SparseVector

_BATCH = 256
_FLUSH_AFTER = 5_000
"""Changed points after which the log is folded into the segments: a pause of some 50 ms."""


class EdgeIndex:
    """Implements the `Index` door on a folder that one process owns; safe to share between threads.

    Raises `ConfigurationError` for a folder made with another dimension, `OwnedElsewhere` when
    another process has it open.
    """

    def __init__(self, folder: Path, *, dimension: int, fusion: shape.Fusion = shape.EVEN) -> None:
        self._fusion = fusion
        self._shard = _open(folder, dimension)
        self._folder = folder
        self._log = folder / "wal"
        self._unflushed = 0

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points; on the disk, not only in the operating system's memory, on return."""
        for batch in shape.batches(points, _BATCH):
            operation = edge.UpdateOperation.upsert_points([_edge_point(p) for p in batch])
            self._update(operation, room_mb=TO_ADD_MB)
        self._settle(len(points))

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return the dense vectors of the points that are there, as far as they are."""
        found: dict[str, tuple[float, ...]] = {}
        for batch in shape.batches(chunk_ids, _BATCH):
            with _edge_errors("read"):
                records = self._shard.retrieve(list(batch), False, [shape.DENSE])
            found.update((str(each.id), shape.dense(each.vector)) for each in records)
        return found

    def search(self, embedding: Embedding, access: AccessFilter, *, limit: int) -> list[Hit]:
        """Search both vectors under the same filter and fuse the two lists by rank."""
        lists = self.search_each(embedding, access, limit=shape.depth(limit))
        return shape.fused(lists, self._fusion, limit)

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        """Search by meaning and by words, each under the same filter."""
        allowed = _allowed(access)
        found = [self._nearest(query, allowed, limit) for query in _queries(embedding)]
        return found[0], found[1] if len(found) > 1 else []

    def _nearest(self, query: edge.Query, allowed: edge.Filter, limit: int) -> list[Hit]:
        request = edge.QueryRequest(
            limit=limit + shape.TIES,
            query=query,
            filter=allowed,
            with_payload=False,  # it would take half of the time
        )
        with _edge_errors("search"):
            found = self._shard.query(request)
        return shape.best((shape.hit(each.id, each.score) for each in found), limit)

    def count(self, revision_id: str | None = None) -> int:
        """Return how many points of a revision, or in all, are stored."""
        which = None if revision_id is None else _matching(shape.REVISION, [revision_id])
        with _edge_errors("count"):
            return self._shard.count(edge.CountRequest(exact=True, filter=which))

    def delete(self, revision_ids: Sequence[str]) -> None:
        """Delete all points of the revisions; absent ones are no error."""
        for batch in shape.batches(revision_ids, _BATCH):
            matching = _matching(shape.REVISION, list(batch))
            self._update(edge.UpdateOperation.delete_points_by_filter(matching))
        self._settle(1)

    def relabel(self, *documents: Document) -> None:
        """Give all points of documents what filters go by as it is now."""
        for document in documents:
            matching = _matching(shape.DOCUMENT, [document.id])
            labels = shape.labels(document)
            self._update(edge.UpdateOperation.set_payload_by_filter(matching, labels))
        self._settle(len(documents))

    def close(self) -> None:
        """Write everything to disk and let go of the folder; calling it twice is no error."""
        with _edge_errors("close"):
            self._shard.close()

    def _update(self, operation: edge.UpdateOperation, room_mb: int = TO_REMOVE_MB) -> None:
        with _edge_errors("update"):
            require_room(self._folder, room_mb)
            self._shard.update(operation)

    def _settle(self, changes: int) -> None:
        """Bring the log to the disk. Edge's own flush would do, but it stops all other threads."""
        with _edge_errors("write"):
            for file in self._log.iterdir():
                _sync(file)
            self._unflushed += changes
            if self._unflushed >= _FLUSH_AFTER:
                self._unflushed = 0
                self._shard.flush()


def drop(folder: Path) -> None:
    """Delete what is stored in a folder, also half made or half deleted; nobody has it open."""
    for each in (folder, _aside(folder)):
        shutil.rmtree(each, ignore_errors=True)


def _sync(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    except FileNotFoundError:
        return  # folded into the segments by another thread meanwhile
    except IsADirectoryError:
        return  # what Edge writes aside and moves into place, left by a process that was killed


def _open(folder: Path, dimension: int) -> edge.EdgeShard:
    config = edge.EdgeConfig(
        vectors={shape.DENSE: edge.EdgeVectorParams(dimension, edge.Distance.Cosine)},
        # No IDF modifier: the store would count hidden documents too.
        sparse_vectors={shape.SPARSE: edge.EdgeSparseVectorParams()},
    )
    with _edge_errors("open", folder=folder):
        if not (folder / "segments").is_dir():
            require_room(folder, TO_ADD_MB)
            _create(folder, config)
        require_room(folder, TO_REMOVE_MB)
        shard = edge.EdgeShard.load(str(folder), config)
        _index_fields(shard)
        return shard


def _create(folder: Path, config: edge.EdgeConfig) -> None:
    """Make an empty store aside and move it into place: a crash leaves all of it or nothing."""
    aside = _aside(folder)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    shard = edge.EdgeShard.create(str(aside), config)
    _index_fields(shard)
    shard.close()
    aside.rename(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.new")


def _index_fields(shard: edge.EdgeShard) -> None:
    """Index the fields that filters use, unless they are; those of older stores may lack some."""
    kinds = dict.fromkeys(shape.FILTERED, edge.PayloadSchemaType.Keyword)
    kinds |= dict.fromkeys(shape.RANGED, edge.PayloadSchemaType.Float)
    there = shard.info().payload_schema
    for field, kind in kinds.items():
        if field not in there:
            shard.update(edge.UpdateOperation.create_field_index(field, kind))


def _edge_point(point: Point) -> edge.Point:
    vector: dict[str, edge.NamedVector] = {shape.DENSE: list(point.embedding.dense)}
    if point.embedding.sparse.indices:
        vector[shape.SPARSE] = _edge_sparse(point.embedding.sparse)
    return edge.Point(point.chunk_id, dict(vector), shape.payload(point))


def _edge_sparse(sparse: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(list(sparse.indices), list(sparse.values))


def _queries(embedding: Embedding) -> Iterator[edge.Query]:
    yield edge.Query.Nearest(list(embedding.dense), using=shape.DENSE)
    if embedding.sparse.indices:
        yield edge.Query.Nearest(_edge_sparse(embedding.sparse), using=shape.SPARSE)


def _allowed(access: AccessFilter) -> edge.Filter:
    must: list[edge.ConditionType] = [
        edge.FieldCondition(field, match=edge.MatchAny(words))
        for field, words in shape.narrowing(access)
    ]
    if dates := shape.dates(access):
        must.append(
            edge.FieldCondition(shape.DATE, range=edge.RangeFloat(gte=dates[0], lt=dates[1]))
        )
    return edge.Filter(must=must)


def _matching(field: str, values: list[str]) -> edge.Filter:
    return edge.Filter(must=[edge.FieldCondition(field, match=edge.MatchAny(values))])


@contextmanager
def _edge_errors(action: str, *, folder: Path | None = None) -> Iterator[None]:
    """Translate; Edge raises a bare `Exception` for all faults of its own, so no subclass is."""
    advice = f"; if {folder} is damaged, delete it: it is made again" if folder else ""
    try:
        yield
    except OSError as error:
        said: object = error
        if error.errno in DISK_FULL:
            said, advice = error.strerror, f"; make room on the disk of {folder or error.filename}"
        raise IndexUnavailable(f"the index could not {action}: {said}{advice}") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        message = str(error)
        if folder is not None and "WouldBlock" in message:
            raise OwnedElsewhere(f"another process has the index in {folder} open") from error
        if folder is not None and "ncompatible config" in message:
            raise ConfigurationError(
                f"the index in {folder} was made with another embedding model ({message}); "
                "delete that folder: the index is made again from the catalog"
            ) from error
        raise IndexUnavailable(f"the index could not {action}: {message}{advice}") from error
