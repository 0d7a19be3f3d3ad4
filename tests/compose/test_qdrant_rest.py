"""The Qdrant adapter over a real socket, against the test server; and what that server refuses."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx2
import pytest

from knowledge.errors import IndexUnavailable
from knowledge.index.qdrant import QdrantIndex
from tests.compose.qdrant_rest import qdrant_server
from tests.knowledge.index_contract import DIMENSION, IndexContract, point

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
