"""Buckets: the connector against obstore's own stores here, against an S3 server with `-m s3`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx2
import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from ingest.sources.bucket import BucketConnector, open_bucket
from ingest.sources.globs import chooser
from knowledge.errors import SourceUnavailable
from knowledge.models import Feed, Outcome
from knowledge.ports import Connector
from tests.ingest.sources.connector_contract import LIMIT, ConnectorContract, Place
from tests.ingest.world import World, outcomes
from tests.requirements import require
from tests.service import ROOT, free_port

if TYPE_CHECKING:
    from obstore.store import ObjectStore

EVERYTHING = chooser(include=(), exclude=())
MOTO = ROOT / ".venv" / ".s3" / "bin" / "moto_server"


class Bucket(Place):
    base = "s3://bucket/docs"

    def __init__(self, store: ObjectStore) -> None:
        super().__init__()
        self.store = store

    def put(self, path: str, data: bytes) -> None:
        obstore.put(self.store, path, data)

    def delete(self, path: str) -> None:
        obstore.delete(self.store, path)

    def connector(self, wanted: Callable[[str], bool], max_bytes: int) -> Connector:
        return BucketConnector(self.store, self.base, wanted=wanted, max_bytes=max_bytes)


class TestInMemory(ConnectorContract):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        yield Bucket(cast("ObjectStore", MemoryStore()))


class TestOnDisk(ConnectorContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        yield Bucket(cast("ObjectStore", LocalStore(str(tmp_path))))


def test_a_server_that_is_not_there_is_an_error_that_removes_nothing() -> None:
    settings = {"endpoint": f"http://127.0.0.1:{free_port()}", "key": "k", "secret": "s"}
    bucket = open_bucket("s3://bucket", settings, wanted=EVERYTHING, max_bytes=LIMIT)
    with pytest.raises(SourceUnavailable, match="s3://bucket cannot be listed"):
        bucket.list("")


# --- a real S3 server ---------------------------------------------------------------------------


class S3(Bucket):
    """A bucket of a server that speaks S3 over HTTP, with signatures."""

    def __init__(self, endpoint: str) -> None:
        self.settings = {"endpoint": endpoint, "key": "ann", "secret": "hush"}
        given = {"endpoint": endpoint, "access_key_id": "ann", "secret_access_key": "hush"}
        super().__init__(
            cast(
                "ObjectStore",
                S3Store(
                    "bucket", prefix="docs", client_options={"allow_http": True}, **given  # type: ignore[arg-type]
                ),
            )
        )  # fmt: skip

    def connector(self, wanted: Callable[[str], bool], max_bytes: int) -> Connector:
        return open_bucket(self.base, self.settings, wanted=wanted, max_bytes=max_bytes)

    def missing(self) -> Connector:
        return open_bucket("s3://none", self.settings, wanted=EVERYTHING, max_bytes=LIMIT)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    require(MOTO if MOTO.exists() else None, "an S3 server", "make test-bucket")
    port = free_port()
    server = subprocess.Popen(
        [MOTO, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{url}/moto-api/").status_code == 200:
                    break
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def s3(endpoint: str) -> Iterator[S3]:
    assert httpx2.put(f"{endpoint}/bucket").status_code == 200
    yield S3(endpoint)
    assert httpx2.post(f"{endpoint}/moto-api/reset").status_code == 200


@pytest.mark.s3
class TestS3(ConnectorContract):
    @pytest.fixture
    def place(self, s3: S3) -> Iterator[Place]:
        yield s3


@pytest.mark.s3
def test_a_bucket_is_kept_in_sync(world: World, s3: S3) -> None:
    for number in range(1200):  # more than one page of a listing
        s3.put(f"n{number}.md" if number % 400 == 0 else f"skipped/{number}.bin", b"# number")
    s3.put("a.txt", b"the apple text")
    world.connectors["s3://bucket/docs"] = s3.open(exclude=["skipped/"])
    feed: Feed = world.keep("s3://bucket/docs")
    assert outcomes(world.sync_source(feed)) == [Outcome.INDEXED] * 4
    assert world.texts("apple")[0] == "the apple text"
    assert outcomes(world.sync_source(feed)) == [Outcome.UNCHANGED] * 4
    s3.put("new/a.txt", b"the apple text")
    s3.delete("a.txt")
    s3.delete("n0.md")
    assert sorted(outcomes(world.sync_source(feed))) == [
        Outcome.MOVED, Outcome.REMOVED, Outcome.UNCHANGED, Outcome.UNCHANGED
    ]  # fmt: skip
