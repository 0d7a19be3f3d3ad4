"""The Qdrant adapter over a real socket, against the test server; and what that server refuses."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from knowledge.errors import IndexUnavailable
from knowledge.index.qdrant import Layout, QdrantIndex
from tests.compose.qdrant_rest import Json, qdrant_server
from tests.knowledge.index_contract import DIMENSION, IndexContract, embedding, everyone, point

KEY = "a-key-of-the-store"

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with qdrant_server(KEY) as url:
        yield url


class TestQdrantIndexOverASocket(IndexContract):
    @pytest.fixture
    def index(self, url: str) -> Iterator[QdrantIndex]:
        index = QdrantIndex.connect(url, KEY, collection=str(uuid4()), dimension=DIMENSION)
        yield index
        index.close()


def test_a_second_process_finds_the_collection_as_it_is(url: str) -> None:
    first = QdrantIndex.connect(url, KEY, collection="shared", dimension=DIMENSION)
    first.upsert([point("p")])
    second = QdrantIndex.connect(url, KEY, collection="shared", dimension=DIMENSION)
    assert second.count("r1") == 1
    first.close()
    second.close()


PLAIN = {"vectors": {"dense": {"size": 8, "distance": "Cosine"}}, "sparse_vectors": {"sparse": {}}}


@pytest.mark.parametrize(
    ("layout", "made", "asked"),
    [
        pytest.param(Layout(), {"shard_number": 1, "replication_factor": 1}, None, id="plain"),
        pytest.param(
            Layout(shards=6, replicas=2, quantization="int8", on_disk=True),
            {
                "vectors": {"dense": {"size": 8, "distance": "Cosine", "on_disk": True}},
                "sparse_vectors": {"sparse": {"index": {"on_disk": True}}},
                "shard_number": 6,
                "replication_factor": 2,
                "on_disk_payload": True,
                "quantization_config": {
                    "scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}
                },
            },
            {"quantization": {"rescore": True, "oversampling": 2.0}},
            id="int8 on disk",
        ),
        pytest.param(
            Layout(quantization="binary"),
            {
                "shard_number": 1,
                "replication_factor": 1,
                "quantization_config": {"binary": {"always_ram": True}},
            },
            {"quantization": {"rescore": True, "oversampling": 2.0}},
            id="binary",
        ),
    ],
)
def test_a_server_is_told_how_to_lay_a_collection_out(
    layout: Layout, made: dict[str, object], asked: dict[str, object] | None
) -> None:
    heard: list[tuple[str, str, Json]] = []
    with qdrant_server(heard=heard) as url:
        index = QdrantIndex.connect(url, "", collection="c", dimension=DIMENSION, layout=layout)
        index.upsert([point("p")])
        assert index.search_each(embedding("q"), everyone, limit=3)
        index.close()
    (creation,) = (body for way, path, body in heard if (way, path) == ("PUT", "/collections/c"))
    assert creation == PLAIN | made
    (batch,) = (body["searches"] for _, path, body in heard if path.endswith("/query/batch"))
    assert [each.get("params") for each in batch] == [asked, *[None] * (len(batch) - 1)]


def test_a_wrong_key_is_refused(url: str) -> None:
    with pytest.raises(IndexUnavailable, match="401"):
        QdrantIndex.connect(url, "another", collection="test", dimension=DIMENSION)


def test_readiness_needs_no_key(url: str) -> None:
    assert httpx2.get(f"{url}/readyz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("GET", "/collections/none", None, 404, id="unknown collection"),
        pytest.param("POST", "/collections/none/facet", {}, 501, id="unknown operation"),
        pytest.param("PUT", "/collections/new", {"shards": 2}, 400, id="unknown field"),
        pytest.param("PUT", "/collections/new", {"vectors": 7}, 400, id="malformed"),
    ],
)
def test_what_it_does_not_know_is_an_error(
    url: str, method: str, path: str, body: object, status: int
) -> None:
    response = httpx2.request(method, url + path, json=body, headers={"api-key": KEY})
    assert response.status_code == status
