from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient

from knowledge import disk
from knowledge.access import AccessFilter
from knowledge.errors import ConfigurationError, IndexUnavailable, OwnedElsewhere
from knowledge.index import shape
from knowledge.index.edge import EdgeIndex
from knowledge.index.qdrant import QdrantIndex
from knowledge.index.shape import Fusion
from knowledge.models import EVERYONE
from knowledge.ports import Index
from knowledge.settings import ROOT, TestSettings
from tests.fakes import FakeIndex
from tests.knowledge.index_contract import (
    DIMENSION,
    FILTERED,
    LABELS,
    IndexContract,
    assert_same_ranking,
    embedding,
    everyone,
    labelled,
    point,
)

SERVER = TestSettings().test_qdrant_url

# The stand-in has no payload indexes; the server has.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


class TestFakeIndex(IndexContract):
    @pytest.fixture
    def index(self) -> FakeIndex:
        return FakeIndex()


class TestEdgeIndex(IndexContract):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[EdgeIndex]:
        index = EdgeIndex(tmp_path / "index", dimension=DIMENSION)
        yield index
        index.close()


class TestQdrantIndexInMemory(IndexContract):
    @pytest.fixture
    def index(self) -> Iterator[QdrantIndex]:
        index = QdrantIndex(QdrantClient(":memory:"), collection="test", dimension=DIMENSION)
        yield index
        index.close()


class TestQdrantIndexOnAServer(IndexContract):
    __test__ = bool(SERVER)

    @pytest.fixture
    def index(self) -> Iterator[QdrantIndex]:
        name = f"footnote-test-{uuid4()}"
        index = QdrantIndex.connect(SERVER, "", collection=name, dimension=DIMENSION)
        yield index
        index.close()
        client = QdrantClient(url=SERVER)
        client.delete_collection(name)
        client.close()


@pytest.mark.skipif(not SERVER, reason="unconfirmed on a server: set FOOTNOTE_TEST_QDRANT_URL")
def test_the_server_is_new_enough_to_be_told_how_to_fuse() -> None:
    client = QdrantClient(url=SERVER)
    major, minor = client.info().version.split(".")[:2]
    assert (int(major), int(minor)) >= (1, 16)
    client.close()


@pytest.mark.parametrize("fusion", [Fusion(), Fusion(k=10, words=0.5), Fusion(k=30, words=2.0)])
def test_both_stores_rank_alike_however_they_fuse(tmp_path: Path, fusion: Fusion) -> None:
    edge = EdgeIndex(tmp_path, dimension=DIMENSION, fusion=fusion)
    client = QdrantClient(":memory:")
    server = QdrantIndex(client, collection="test", dimension=DIMENSION, fusion=fusion)
    twin = FakeIndex(k=fusion.k, words=fusion.words)
    points = [point(f"p{i}") for i in range(120)]
    for index in (edge, server, twin):
        index.upsert(points)
    for query in range(10):
        asked = embedding(("q", query))
        expected = twin.search(asked, everyone, limit=30)
        assert_same_ranking(edge.search(asked, everyone, limit=30), expected)
        assert_same_ranking(server.search(asked, everyone, limit=30), expected)
    edge.close()
    server.close()


def test_a_reopened_folder_has_all_points_and_rights(tmp_path: Path) -> None:
    first = EdgeIndex(tmp_path, dimension=DIMENSION)
    first.upsert([point("kept"), point("secret", document="d2"), point("gone", revision="r2")])
    first.relabel(labelled("d2", []))
    first.delete(["r2"])
    before = first.search(embedding("kept"), everyone, limit=10)
    first.close()
    first.close()
    again = EdgeIndex(tmp_path, dimension=DIMENSION)
    assert again.search(embedding("kept"), everyone, limit=10) == before
    assert len(before) == 1
    assert again.count("r1") == 2
    again.close()


def test_a_folder_of_another_dimension_says_to_delete_it(tmp_path: Path) -> None:
    EdgeIndex(tmp_path, dimension=DIMENSION).close()
    with pytest.raises(ConfigurationError, match="delete that folder"):
        EdgeIndex(tmp_path, dimension=DIMENSION + 1)


def test_a_folder_that_is_open_elsewhere_is_refused(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    with pytest.raises(OwnedElsewhere):
        EdgeIndex(tmp_path, dimension=DIMENSION)
    index.close()
    EdgeIndex(tmp_path, dimension=DIMENSION).close()


def test_a_crash_while_the_folder_is_made_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "index.new" / "segments").mkdir(parents=True)
    (tmp_path / "index").mkdir()
    index = EdgeIndex(tmp_path / "index", dimension=DIMENSION)
    index.upsert([point("p")])
    assert index.count("r1") == 1
    assert not (tmp_path / "index.new").exists()
    index.close()


def test_what_a_killed_process_left_aside_does_not_keep_others_from_writing(
    tmp_path: Path,
) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    (tmp_path / "wal" / ".atomicwriteAbCdEf").mkdir()
    index.upsert([point("a")])
    index.close()
    again = EdgeIndex(tmp_path, dimension=DIMENSION)
    assert again.count() == 1
    again.close()


def test_a_disk_that_is_nearly_full_takes_removals_and_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    first = point("a")
    index.upsert([first])
    monkeypatch.setattr(disk, "free_bytes", lambda _: disk.TO_ADD_MB * 2**20 - 1)
    with pytest.raises(IndexUnavailable, match="disk is full: fewer than 64 MB are free; make"):
        index.upsert([point("b")])
    index.delete([first.revision_id])
    assert index.count() == 0
    index.close()
    monkeypatch.setattr(disk, "free_bytes", lambda _: disk.TO_REMOVE_MB * 2**20 - 1)
    with pytest.raises(IndexUnavailable, match="could not open: the disk is full"):
        EdgeIndex(tmp_path, dimension=DIMENSION)


def test_a_damaged_folder_is_reported_not_emptied(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    index.upsert([point("p")])
    index.close()
    for file in tmp_path.glob("segments/*/segment.json"):
        file.write_text("{")
    with pytest.raises(IndexUnavailable, match="delete it"):
        EdgeIndex(tmp_path, dimension=DIMENSION)


def test_a_closed_index_says_that_it_is_unavailable(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    index.close()
    with pytest.raises(IndexUnavailable):
        index.search(embedding("q"), everyone, limit=1)
    with pytest.raises(IndexUnavailable):
        index.upsert([point("p")])


WRITER = f"""
import sys
from pathlib import Path
from knowledge.index.edge import EdgeIndex
from tests.knowledge.index_contract import point
index = EdgeIndex(Path(sys.argv[1]), dimension={DIMENSION})
for number in range(10_000):
    index.upsert([point(f"p{{number}}-{{i}}") for i in range(5)])
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 23])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(acknowledged):
        writer.stdout.readline()
    writer.kill()
    lines = acknowledged + len(writer.stdout.read().splitlines())
    writer.wait()
    writer.stdout.close()
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    stored = index.count("r1")
    assert 5 * lines <= stored <= 5 * (lines + 1)
    assert len(index.search(embedding("q"), everyone, limit=1000)) == stored
    index.close()


def test_threads_may_search_while_others_write(tmp_path: Path) -> None:
    index = EdgeIndex(tmp_path, dimension=DIMENSION)
    index.upsert([point(f"p{i}") for i in range(200)])

    def search(_: int) -> set[int]:
        return {len(index.search(embedding("q"), everyone, limit=50)) for _ in range(40)}

    def write(writer: int) -> None:
        for i in range(8):
            index.upsert([point(f"w{writer}-{i}", revision=f"w{writer}")])
            index.relabel(labelled("d9", [str(i)]))
        index.delete([f"w{writer}"])

    with ThreadPoolExecutor(5) as threads:
        searches = threads.map(search, range(3))
        assert list(threads.map(write, range(2))) == [None, None]
        assert list(searches) == [{50}, {50}, {50}]
    assert [index.count(revision) for revision in ("r1", "w0", "w1")] == [200, 0, 0]
    index.close()


def test_a_store_of_an_earlier_version_learns_what_filters_go_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points have no such labels: they fit no filter until they are given theirs."""
    client = QdrantClient(":memory:")
    new = (shape.FILTERED, shape.RANGED)
    monkeypatch.setattr(shape, "FILTERED", new[0][:4])
    monkeypatch.setattr(shape, "RANGED", ())
    with monkeypatch.context() as former:
        former.setattr(shape, "labels", lambda of: {shape.ACCESS: sorted(of.access)})
        EdgeIndex(tmp_path, dimension=DIMENSION).close()
        stores = _both(tmp_path, client)
        for index in stores:
            index.upsert([point("p", **LABELS), point("other", document="d2", **LABELS)])
        stores[0].close()
    for name, fields in zip(("FILTERED", "RANGED"), new, strict=True):
        monkeypatch.setattr(shape, name, fields)
    for index in _both(tmp_path, client):
        for asked, found in FILTERED:
            access = AccessFilter(frozenset({EVERYONE}), filters=asked)
            assert index.search(embedding("p"), access, limit=10) == []
            index.relabel(labelled("d1", [EVERYONE], **LABELS))
            assert len(index.search(embedding("p"), access, limit=10)) == int(found)
            index.relabel(labelled("d1", [EVERYONE]))
        assert len(index.search(embedding("p"), everyone, limit=10)) == 2
        index.close()


def _both(folder: Path, client: QdrantClient) -> list[Index]:
    return [
        EdgeIndex(folder, dimension=DIMENSION),
        QdrantIndex(client, collection="test", dimension=DIMENSION),
    ]


def test_a_qdrant_collection_is_made_once_and_kept() -> None:
    client = QdrantClient(":memory:")
    QdrantIndex(client, collection="test", dimension=DIMENSION).upsert([point("p")])
    assert QdrantIndex(client, collection="test", dimension=DIMENSION).count("r1") == 1
    client.close()


def test_a_qdrant_collection_of_another_dimension_says_to_rebuild() -> None:
    client = QdrantClient(":memory:")
    QdrantIndex(client, collection="test", dimension=DIMENSION)
    with pytest.raises(ConfigurationError, match="footnote rebuild"):
        QdrantIndex(client, collection="test", dimension=DIMENSION + 1)
    client.close()


def test_a_qdrant_server_that_does_not_answer_is_unavailable() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(IndexUnavailable, match="does not answer"):
            QdrantIndex.connect(url, "", collection="test", dimension=DIMENSION)
