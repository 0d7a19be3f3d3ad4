"""The index is disposable: whatever it loses comes back from the catalog, and nothing else."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ingest import rebuild as module
from ingest.pipeline import Sizes
from ingest.rebuild import Missing, missing, rebuild
from knowledge.access import AccessFilter
from knowledge.errors import IndexUnavailable
from knowledge.index.edge import EdgeIndex
from knowledge.models import (
    EVERYONE,
    Document,
    Embedding,
    Outcome,
    Point,
    Principal,
    SparseVector,
    derive_id,
)
from knowledge.settings import ROOT
from tests.catalogs import FOLDER, document, prepare
from tests.fakes import FakeEmbedder, FakeIndex
from tests.ingest.world import ANN, OpenParser, World, outcomes

WORDS = ["zebra", "lion", "budget", "leave", "travel", "spring", "herd", "hotel", "receipt", "café"]
QUERIES = [*WORDS, "which zebra is x5y0z3?", "document 7"]


class Embedder(FakeEmbedder):
    """Remembers what it was asked to embed; `then` is called with each batch."""

    def __init__(self, *, dimension: int = 64) -> None:
        super().__init__(dimension=dimension)
        self.texts: list[str] = []
        self.then: Callable[[], object] = int

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        vectors = super().embed(texts)
        self.texts += texts
        self.then()
        return vectors


class Site(World):
    """A world whose index can be lost, with documents in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, index=EdgeIndex(folder / "index", dimension=64))
        self.folder = folder
        self._embed_with(Embedder())
        for number in range(8):
            self.ingest(f"{number}.md", text(number))
        lines = [{"id": n, "text": f"A {w}. {'so ' * (40 + n)}"} for n, w in enumerate(WORDS)]
        self.ingest("lines.jsonl", "\n".join(map(json.dumps, lines)))
        self.ingest("empty.md", "")

    def lose_index(self, *, dimension: int = 64) -> None:
        self.index.close()
        shutil.rmtree(self.folder / "index")
        self.open_index(dimension=dimension)

    def open_index(self, *, dimension: int = 64) -> None:
        self.index = EdgeIndex(self.folder / "index", dimension=dimension)
        self._embed_with(Embedder(dimension=dimension))

    def _embed_with(self, embedder: Embedder) -> None:
        self.embedder = self.asked = embedder
        self.wire(OpenParser(), Sizes(chunk_tokens=256))

    def answers(self, by: Principal = ANN) -> list[list[tuple[str, float]]]:
        """What is found for each query, with scores, in order."""
        found = (self.find(query, by=by) for query in QUERIES)
        return [[(passage.chunk_id, passage.score) for passage in each] for each in found]

    def revision(self, name: str) -> str:
        (found,) = (d.live_revision for d in self.documents() if d.uri == f"/docs/{name}")
        assert found is not None
        return found

    def documents(self) -> list[Document]:
        return self.catalog.documents(ANN, collection=None, after=None, limit=1000)


def text(number: int) -> str:
    """A text of four chunks; no two of any text are of one length, so that none rank alike."""
    parts = []
    for place in range(4):
        first, second = (WORDS[(number * step + place) % len(WORDS)] for step in (1, 3))
        filler = " ".join(f"x{number}y{place}z{n}" for n in range(number * 4 + place))
        parts.append(f"## About the {first}\n\nIt tells of the {second}, and {filler}.")
    return f"# Document {number}\n\n" + "\n\n".join(parts)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    site = Site(folder)
    site.asked.texts.clear()
    yield site
    site.close()


def rebuilt(world: World, found: Missing | None = None) -> list[int]:
    return list(
        rebuild(
            found or missing(world.catalog, world.index),
            embedder=world.embedder,
            sparse=world.sparse,
            index=world.index,
            ledger=world.catalog,
        )
    )


def test_a_lost_index_is_made_again_and_gives_the_same_answers(site: Site) -> None:
    before = site.answers()
    whole = missing(site.catalog, site.index)
    assert (whole.revisions, whole.lacking) == ({}, 0)
    site.lose_index()
    assert site.answers() == [[] for _ in QUERIES]  # the control
    found = missing(site.catalog, site.index)
    assert found.lacking == found.passages == whole.passages > 40
    assert str(found) == f"the index lacks {found.passages} of {found.passages} passages"

    done = rebuilt(site, found)

    assert site.answers() == before
    assert all(before)
    assert done == [found.passages]
    assert missing(site.catalog, site.index).revisions == {}


def test_only_what_is_missing_is_embedded_again(site: Site) -> None:
    before = site.answers()
    lost = [site.revision("3.md"), site.revision("lines.jsonl#4")]
    site.index.delete(lost)
    site.asked.texts.clear()

    found = missing(site.catalog, site.index)
    rebuilt(site, found)

    assert set(found.revisions) == set(lost)
    assert len(site.asked.texts) == found.lacking == site.catalog.live_chunks()[lost[0]] + 1
    assert site.answers() == before
    site.asked.texts.clear()
    assert rebuilt(site) == []
    assert site.asked.texts == []


def test_a_revision_that_lost_some_points_is_made_whole(world: World) -> None:
    index = world.index
    assert isinstance(index, FakeIndex)
    world.ingest("a.md", text(1))
    world.ingest("b.md", text(2))
    before = dict(index.points)
    (gone, *_) = index.points
    del index.points[gone]

    found = missing(world.catalog, index)
    assert (found.lacking, len(found.revisions)) == (1, 1)
    rebuilt(world, found)
    assert index.points == before


def test_a_point_made_again_is_the_point_it_was(world: World) -> None:
    index = world.index
    assert isinstance(index, FakeIndex)
    for number in range(20):
        world.ingest(f"{number}.md", text(number), access=[EVERYONE, f"u:{number}"])
    world.ingest("café.txt", "A text without headings.\x00 It says little.")
    before = dict(index.points)
    index.points.clear()

    done = rebuilt(world)

    assert done == sorted(set(done))
    assert done[-1] == len(before) > 128
    assert index.points == before


def test_an_index_that_keeps_nothing_is_told(world: World) -> None:
    world.ingest("a.md", text(1))
    world.index = _Sieve()
    with pytest.raises(IndexUnavailable, match="lacks"):
        rebuilt(world, missing(world.catalog, world.index))


class _Sieve(FakeIndex):
    def upsert(self, points: Sequence[Point]) -> None:
        return


def test_a_quick_look_trusts_equal_totals_and_a_thorough_one_does_not(world: World) -> None:
    index = world.index
    assert isinstance(index, FakeIndex)
    world.ingest("a.md", text(1))
    (gone, *_) = index.points
    point = index.points.pop(gone)
    assert missing(world.catalog, index, quick=True).lacking == 1
    index.upsert([Point("stray", "d", "r", "main", point.access, point.embedding)])

    assert missing(world.catalog, index, quick=True).lacking == 0
    assert missing(world.catalog, index).lacking == 1


def test_rights_are_those_of_now_and_nothing_invisible_comes_back(site: Site) -> None:
    hidden, removed = site.revision("2.md"), site.revision("5.md")
    ids = {d.live_revision: d.id for d in site.documents()}
    unfinished, _ = prepare(site.catalog, document("coming.md"), "Not yet to be seen.")
    former = site.revision("1.md")
    site.ingest("1.md", text(11))
    site.lose_index()
    site.catalog.set_access(ids[hidden], frozenset({"u:bob"}))
    site.catalog.remove(ids[removed])

    rebuilt(site)

    assert FOLDER.id not in {each.source_id for each in site.documents()}
    assert [site.index.count(each) for each in (removed, unfinished, former)] == [0, 0, 0]
    assert site.index.count(hidden) > 0
    assert hidden not in _reachable(site, EVERYONE)
    assert hidden in _reachable(site, "u:bob")
    assert site.revision("1.md") in _reachable(site, EVERYONE)  # the control


def _reachable(site: World, token: str) -> set[str]:
    """Return the revisions of which the index alone shows a holder of the token the first chunk."""
    (dense,) = site.embedder.embed(["document"])
    embedding = Embedding(dense, SparseVector((), ()))
    hits = site.index.search(embedding, AccessFilter(frozenset({token})), limit=500)
    shown = {hit.chunk_id for hit in hits}
    return {each for each in site.catalog.live_chunks() if derive_id(each, "0") in shown}


@pytest.mark.parametrize("sound", [True, False])
def test_what_changes_during_a_rebuild_is_followed(
    site: Site, sound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: without the last look into the catalog the same test finds what is stale."""
    if not sound:
        monkeypatch.setattr(module, "_follow", lambda *_: None)
    replaced, removed, hidden = (site.revision(f"{n}.md") for n in (1, 2, 3))
    ids = {d.live_revision: d.id for d in site.documents()}
    site.lose_index()

    def change() -> None:
        site.asked.then = int
        site.ingest("1.md", text(11))
        site.intake.remove(ids[removed])
        site.intake.set_access(ids[hidden], frozenset({"u:bob"}))

    site.asked.then = change
    rebuilt(site)

    stale = [site.index.count(replaced), site.index.count(removed)]
    seen = hidden in _reachable(site, EVERYONE)
    assert (stale == [0, 0], seen) == (sound, not sound)
    assert "Document 11" in " ".join(site.texts("document 11"))
    shown = [passage.revision_id for query in QUERIES for passage in site.find(query)]
    assert not {replaced, removed, hidden} & set(shown)  # the catalog is the second key


def test_another_model_makes_new_vectors_of_the_text_as_it_was_cut(site: Site) -> None:
    site.lose_index(dimension=32)
    site.embedder.name = "another-model"

    rebuilt(site)

    assert missing(site.catalog, site.index).revisions == {}
    assert [bool(found) for found in site.answers()] == [True] * len(QUERIES)
    assert outcomes(site.ingest("1.md", text(1))) == [Outcome.UNCHANGED]


def test_after_a_rebuild_with_the_same_model_nothing_is_ingested_again(site: Site) -> None:
    site.lose_index()
    rebuilt(site)
    assert outcomes(site.ingest("1.md", text(1))) == [Outcome.UNCHANGED]


def test_a_rebuild_that_is_killed_is_finished_by_the_next_one(site: Site) -> None:
    for number in range(20, 40):
        site.ingest(f"{number}.md", text(number))
    before = site.answers()
    passages = missing(site.catalog, site.index).passages
    site.lose_index()
    site.close()

    command = [sys.executable, "-m", "tests.ingest.killed", str(site.folder), "1"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    site.open_index()
    found = missing(site.catalog, site.index)
    assert found.lacking == passages - 64
    rebuilt(site, found)

    assert site.answers() == before
    assert len(site.asked.texts) < passages + len(QUERIES)
