from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, select

from knowledge.catalog import library
from knowledge.catalog.schema import chunks, documents, revisions
from knowledge.catalog.store import SqlCatalog
from knowledge.models import EVERYONE, Document, Principal
from tests.catalogs import ALICE, BOB, Placed, document, prepare, publish

TEXT = "Travel is booked by the office. Receipts are due within ten days."
TOKENS = [EVERYONE, "u:alice", "u:bob", "g:legal", "g:board"]
PRINCIPALS = [
    Principal(""),
    Principal("", groups=frozenset({"legal"})),
    *(
        Principal(user, groups=frozenset(groups), roles=frozenset({"admin"}))
        for user in ("alice", "bob", "mallory")
        for groups in ((), ("legal",), ("board", "legal"))
    ),
]
ACCESS = st.frozensets(st.sampled_from(TOKENS))
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 4), ACCESS, st.sampled_from(["hr", "it"])),
    st.tuples(st.just("set_access"), st.integers(0, 4), ACCESS),
    st.tuples(st.just("remove"), st.integers(0, 4)),
    st.tuples(st.just("prepare"), st.integers(0, 4), ACCESS, st.sampled_from(["hr", "it"])),
    st.tuples(st.just("clean")),
)


def test_access_set_here_holds_for_the_next_question(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)

    assert catalog.set_access(document().id, frozenset({"u:bob"})) is True

    assert catalog.passages(hits, ALICE) == []
    assert catalog.passages(hits, BOB)[0].document.access == frozenset({"u:bob"})
    assert catalog.set_access(document().id, frozenset()) is True
    assert catalog.passages(hits, BOB) == []


def test_access_of_what_is_not_live_cannot_be_set(catalog: SqlCatalog) -> None:
    prepare(catalog, document(), TEXT)

    assert catalog.set_access(document().id, frozenset({"u:bob"})) is False
    assert catalog.set_access("never was", frozenset({"u:bob"})) is False


def test_changed_access_waits_to_be_copied_until_it_is(catalog: SqlCatalog) -> None:
    publish(catalog, document(), TEXT)
    assert catalog.labels_to_copy() == []

    catalog.set_access(document().id, frozenset({"u:bob", "g:legal"}))
    (first,) = catalog.labels_to_copy()
    assert (first.id, first.access) == (document().id, frozenset({"u:bob", "g:legal"}))
    catalog.set_access(document().id, frozenset())
    (second,) = catalog.labels_to_copy()
    assert second.access == frozenset()

    catalog.labels_copied(first)
    assert catalog.labels_to_copy() == [second]  # it had changed again
    catalog.labels_copied(second)
    assert catalog.labels_to_copy() == []


def test_tags_are_set_added_and_wait_to_be_copied_as_rights_do(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)
    key, tags = document().id, frozenset({"hr", "Köln \U0001f5fc"})
    assert catalog.set_tags(key, tags) is True
    (waiting,) = catalog.labels_to_copy()
    assert (waiting.tags, waiting.access) == (tags, frozenset({EVERYONE}))
    catalog.labels_copied(waiting)
    assert catalog.add_tags(key, frozenset({"hr"})) is True
    assert catalog.labels_to_copy() == []  # it had that one
    assert catalog.add_tags(key, frozenset({"2026"})) is True
    catalog.labels_copied(waiting)
    assert [each.tags for each in catalog.labels_to_copy()] == [tags | {"2026"}]
    assert catalog.passages(hits, ALICE)[0].document.tags == tags | {"2026"}
    assert catalog.set_tags(key, frozenset()) is True
    assert catalog.document(key, ALICE).tags == frozenset()
    assert catalog.set_tags("never was", tags) is catalog.add_tags("never was", tags) is False


def test_tags_outlive_a_new_revision_and_not_a_removal(catalog: SqlCatalog) -> None:
    publish(catalog, document(), TEXT)
    catalog.set_tags(document().id, frozenset({"by hand"}))
    publish(catalog, replace(document(), tags=frozenset({"by source"})), "new")
    assert catalog.document(document().id, ALICE).tags == {"by hand", "by source"}
    assert len(catalog.labels_to_copy()) == 1  # the new points carry one of the two
    catalog.remove(document().id)
    publish(catalog, document(), TEXT)
    assert catalog.document(document().id, ALICE).tags == frozenset()


def test_access_set_as_it_was_has_nothing_to_copy(catalog: SqlCatalog) -> None:
    publish(catalog, document(), TEXT)

    assert catalog.set_access(document().id, frozenset({EVERYONE})) is True
    assert catalog.labels_to_copy() == []


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("rights")


class World:
    """The oracle: what is live and who may read it, in plain dicts."""

    def __init__(self) -> None:
        self.live: dict[str, Document] = {}
        self.current: dict[str, list[Placed]] = {}
        self.every_hit: list[Placed] = []

    def play(self, catalog: SqlCatalog, steps: list[tuple[object, ...]]) -> None:
        with catalog.transaction():
            for name, *arguments in steps:
                getattr(self, f"_{name}")(catalog, *arguments)

    def readable(self, principal: Principal, collection: str | None) -> list[tuple[str, str]]:
        """Pairs of chunk and document that the principal may see, in the order of all hits."""
        return [
            (hit.chunk_id, hit.document_id)
            for hit in self.every_hit
            if hit in self.current.get(hit.document_id, [])
            and self.live[hit.document_id].access & principal.tokens()
            and collection in (None, self.live[hit.document_id].collection)
        ]

    def _publish(self, catalog: SqlCatalog, n: int, access: frozenset[str], where: str) -> None:
        made = document(f"{n}", access=access, collection=where)
        hits = publish(catalog, made, TEXT)
        kept = self.live[made.id].access if made.id in self.live else access
        self.live[made.id] = document(f"{n}", access=kept, collection=where)
        self.current[made.id] = hits
        self.every_hit += hits

    def _prepare(self, catalog: SqlCatalog, n: int, access: frozenset[str], where: str) -> None:
        made = document(f"{n}", access=access, collection=where)
        self.every_hit += prepare(catalog, made, TEXT)[1]

    def _set_access(self, catalog: SqlCatalog, n: int, access: frozenset[str]) -> None:
        key = document(f"{n}").id
        assert catalog.set_access(key, access) is (key in self.live)
        if key in self.live:
            self.live[key] = document(f"{n}", access=access, collection=self.live[key].collection)

    def _remove(self, catalog: SqlCatalog, n: int) -> None:
        key = document(f"{n}").id
        catalog.remove(key)
        self.live.pop(key, None)
        self.current.pop(key, None)

    def _clean(self, catalog: SqlCatalog) -> None:
        gone = set(catalog.dead())
        catalog.forget(list(gone))
        self.every_hit = [hit for hit in self.every_hit if hit.revision_id not in gone]


def compare(catalog: SqlCatalog, world: World) -> int:
    """Count the differences between the catalog and the oracle over all principals."""
    differences = 0
    for principal in PRINCIPALS:
        for collection in (None, "hr", "it", "none"):
            expected = world.readable(principal, collection)
            found = catalog.passages(world.every_hit, principal, collection=collection)
            pairs = [(passage.chunk_id, passage.document.id) for passage in found]
            differences += pairs != expected
            differences += [passage.rank for passage in found] != list(range(1, len(found) + 1))
            listed = catalog.documents(principal, collection=collection, after=None, limit=99)
            differences += {each.id for each in listed} != {pair[1] for pair in expected}
            differences += any(each.access != world.live[each.id].access for each in listed)
        counted: dict[str, int] = {}
        for document_id in {pair[1] for pair in world.readable(principal, None)}:
            where = world.live[document_id].collection
            counted[where] = counted.get(where, 0) + 1
        differences += catalog.collections(principal) != counted
    return differences


def replay(databases: Path, steps: list[tuple[object, ...]]) -> int:
    file = databases / "catalog.sqlite"
    file.unlink(missing_ok=True)
    catalog = SqlCatalog.open(f"sqlite:///{file}")
    world = World()
    try:
        world.play(catalog, steps)
        return compare(catalog, world)
    finally:
        catalog.close()


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, min_size=3, max_size=12))
def test_whoever_asks_sees_what_a_slow_oracle_says(
    databases: Path, steps: list[tuple[object, ...]]
) -> None:
    assert replay(databases, steps) == 0


SCENE: list[tuple[object, ...]] = [
    ("publish", 0, frozenset({"u:bob"}), "hr"),
    ("publish", 1, frozenset({EVERYONE}), "it"),
    ("publish", 1, frozenset({EVERYONE}), "it"),
    ("publish", 2, frozenset({"g:board"}), "it"),
    ("set_access", 2, frozenset({"u:alice"})),
]


def test_both_databases_agree_with_the_oracle(catalog: SqlCatalog) -> None:
    world = World()
    world.play(catalog, [*SCENE, ("remove", 1), ("prepare", 1, frozenset({EVERYONE}), "hr")])

    assert compare(catalog, world) == 0


@pytest.mark.parametrize("lost", ["rights", "liveness"])
def test_the_oracle_notices_a_lost_check(
    databases: Path, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: with the check taken out of the query the same comparison finds differences."""
    assert replay(databases, SCENE) == 0
    monkeypatch.setattr(library, "_PASSAGES", _without(lost))
    assert replay(databases, SCENE) > 0


def _without(lost: str) -> object:
    columns = select(*library._PASSAGES.selected_columns)
    wanted = chunks.c.id.in_(bindparam("chunk_ids", expanding=True))
    if lost == "rights":
        live = documents.c.live_revision == chunks.c.revision_id
        return columns.join_from(chunks, documents, live).where(wanted)
    joined = columns.join_from(chunks, revisions).join(
        documents, documents.c.id == revisions.c.document_id
    )
    return joined.where(wanted, library.READABLE)
