"""The vector store as a server: Qdrant. The only file that knows `qdrant_client`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from knowledge.access import AccessFilter
from knowledge.errors import ConfigurationError, IndexUnavailable
from knowledge.index import shape
from knowledge.models import Document, Embedding, Hit, Point, SparseVector

_BATCH = 256
_SECONDS = 30
_CONFLICT = 409
_OVERSAMPLING = 2.0


@dataclass(frozen=True, slots=True)
class Layout:
    """How a server lays a collection out: told when the collection is made, never after."""

    shards: int = 1
    replicas: int = 1
    quantization: Literal["none", "int8", "binary"] = "none"
    on_disk: bool = False


class QdrantIndex:
    """Implements the `Index` door on one collection of a server, made when it is absent.

    Raises `ConfigurationError` for a collection made with another dimension.
    """

    def __init__(
        self,
        client: QdrantClient,
        *,
        collection: str,
        dimension: int,
        fusion: shape.Fusion = shape.EVEN,
        layout: Layout | None = None,
    ) -> None:
        self._fusion = fusion
        self._client = client
        self._collection = collection
        self._layout = layout or Layout()
        with _qdrant_errors("open"):
            _ensure(client, collection, dimension, self._layout)

    @classmethod
    def connect(
        cls,
        url: str,
        api_key: str,
        *,
        collection: str,
        dimension: int,
        fusion: shape.Fusion = shape.EVEN,
        layout: Layout | None = None,
    ) -> QdrantIndex:
        """Connect to the server at `url`; an empty `api_key` sends none."""
        client = QdrantClient(
            url=url, api_key=api_key or None, timeout=_SECONDS, check_compatibility=False
        )
        return cls(client, collection=collection, dimension=dimension, fusion=fusion, layout=layout)

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points; the server has applied them on return."""
        with _qdrant_errors("upsert"):
            for batch in shape.batches(points, _BATCH):
                self._client.upsert(self._collection, [_record(p) for p in batch], wait=True)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return the dense vectors of the points that are there, as far as they are."""
        found: dict[str, tuple[float, ...]] = {}
        with _qdrant_errors("read"):
            for batch in shape.batches(chunk_ids, _BATCH):
                records = self._client.retrieve(
                    self._collection, list(batch), with_payload=False, with_vectors=[shape.DENSE]
                )
                found.update((str(each.id), shape.dense(each.vector)) for each in records)
        return found

    def search(self, embedding: Embedding, access: AccessFilter, *, limit: int) -> list[Hit]:
        """Search both vectors under the same filter and fuse the two lists by rank."""
        lists = self.search_each(embedding, access, limit=shape.depth(limit))
        return shape.fused(lists, self._fusion, limit)

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        """Search by meaning and by words, each under the same filter, in one request."""
        allowed = _allowed(access)
        requests = [
            models.QueryRequest(
                query=query,
                using=name,
                filter=allowed,
                limit=limit + shape.TIES,
                with_payload=False,
                params=_precision(name, self._layout),
            )
            for name, query in _queries(embedding)
        ]
        with _qdrant_errors("search"):
            replies = self._client.query_batch_points(self._collection, requests)
        found = [
            shape.best((shape.hit(each.id, each.score) for each in reply.points), limit)
            for reply in replies
        ]
        return found[0], found[1] if len(found) > 1 else []

    def count(self, revision_id: str | None = None) -> int:
        """Return how many points of a revision, or in all, are stored."""
        which = None if revision_id is None else _matching(shape.REVISION, [revision_id])
        with _qdrant_errors("count"):
            return self._client.count(self._collection, count_filter=which, exact=True).count

    def delete(self, revision_ids: Sequence[str]) -> None:
        """Delete all points of the revisions; absent ones are no error."""
        with _qdrant_errors("delete"):
            for batch in shape.batches(revision_ids, _BATCH):
                matching = models.FilterSelector(filter=_matching(shape.REVISION, list(batch)))
                self._client.delete(self._collection, matching, wait=True)

    def relabel(self, *documents: Document) -> None:
        """Give all points of documents what filters go by as it is now."""
        with _qdrant_errors("relabel"):
            for document in documents:
                matching = _matching(shape.DOCUMENT, [document.id])
                self._client.set_payload(
                    self._collection, shape.labels(document), points=matching, wait=True
                )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def drop(url: str, api_key: str, collection: str) -> None:
    """Delete a collection of the server at `url`; an absent one is no error."""
    client = QdrantClient(
        url=url, api_key=api_key or None, timeout=_SECONDS, check_compatibility=False
    )
    with _qdrant_errors("delete"):
        client.delete_collection(collection)
    client.close()


def _ensure(client: QdrantClient, collection: str, dimension: int, layout: Layout) -> None:
    if not client.collection_exists(collection):
        _create(client, collection, dimension, layout)
    found = client.get_collection(collection)
    vectors = found.config.params.vectors
    dense = vectors.get(shape.DENSE) if isinstance(vectors, dict) else None
    if dense is None or dense.size != dimension or not found.config.params.sparse_vectors:
        raise ConfigurationError(
            f"the Qdrant collection {collection!r} was made for another embedding model; "
            "delete it, or set FOOTNOTE_QDRANT_COLLECTION to a new name; then: footnote rebuild"
        )
    kinds = dict.fromkeys(shape.FILTERED, models.PayloadSchemaType.KEYWORD)
    kinds |= dict.fromkeys(shape.RANGED, models.PayloadSchemaType.FLOAT)
    for field, kind in kinds.items():
        if field not in found.payload_schema:
            client.create_payload_index(collection, field, kind)


def _create(client: QdrantClient, collection: str, dimension: int, layout: Layout) -> None:
    on_disk = layout.on_disk or None
    dense = models.VectorParams(size=dimension, distance=models.Distance.COSINE, on_disk=on_disk)
    # No IDF modifier: the store would count hidden documents too.
    sparse = models.SparseVectorParams(index=on_disk and models.SparseIndexParams(on_disk=on_disk))
    try:
        client.create_collection(
            collection,
            vectors_config={shape.DENSE: dense},
            sparse_vectors_config={shape.SPARSE: sparse},
            shard_number=layout.shards,
            replication_factor=layout.replicas,
            on_disk_payload=on_disk,
            quantization_config=_quantization(layout),
        )
    except UnexpectedResponse as error:
        if error.status_code != _CONFLICT:  # another process made it at the same moment
            raise


def _quantization(layout: Layout) -> models.QuantizationConfig | None:
    """Return how vectors are rounded; the rounded ones stay in memory."""
    if layout.quantization == "int8":
        kind = models.ScalarType.INT8
        scalar = models.ScalarQuantizationConfig(type=kind, quantile=0.99, always_ram=True)
        return models.ScalarQuantization(scalar=scalar)
    if layout.quantization == "binary":
        return models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True))
    return None


def _precision(name: str, layout: Layout) -> models.SearchParams | None:
    """Have twice as many found by rounded vectors as wanted, and scored by the exact ones."""
    if name != shape.DENSE or layout.quantization == "none":
        return None
    rescored = models.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLING)
    return models.SearchParams(quantization=rescored)


def _record(point: Point) -> models.PointStruct:
    vector: dict[str, models.Vector] = {shape.DENSE: list(point.embedding.dense)}
    if point.embedding.sparse.indices:
        vector[shape.SPARSE] = _sparse(point.embedding.sparse)
    return models.PointStruct(id=point.chunk_id, vector=vector, payload=shape.payload(point))


def _sparse(sparse: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(sparse.indices), values=list(sparse.values))


def _queries(embedding: Embedding) -> Iterator[tuple[str, list[float] | models.SparseVector]]:
    yield shape.DENSE, list(embedding.dense)
    if embedding.sparse.indices:
        yield shape.SPARSE, _sparse(embedding.sparse)


def _allowed(access: AccessFilter) -> models.Filter:
    must: list[models.Condition] = [
        models.FieldCondition(key=field, match=models.MatchAny(any=words))
        for field, words in shape.narrowing(access)
    ]
    if dates := shape.dates(access):
        within = models.Range(gte=dates[0], lt=dates[1])
        must.append(models.FieldCondition(key=shape.DATE, range=within))
    return models.Filter(must=must)


def _matching(field: str, values: list[str]) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=field, match=models.MatchAny(any=values))])


@contextmanager
def _qdrant_errors(action: str) -> Iterator[None]:
    try:
        yield
    except ResponseHandlingException as error:
        raise IndexUnavailable(f"Qdrant does not answer ({action}): {error.source}") from error
    except (ApiException, QdrantException) as error:
        raise IndexUnavailable(f"Qdrant could not {action}: {error}") from error
