from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.errors import IngestError, NotFound
from knowledge.models import Chunk, Hit, RevisionState, Source, Span, derive_id
from tests.catalogs import ALICE, BOB, FOLDER, digest_of, document, parsed, prepare, publish

TEXT = "Travel is booked by the office. Receipts are due within ten days."


def states(catalog: SqlCatalog) -> dict[str, int]:
    return catalog.counts().revisions


def test_each_revision_of_a_document_gets_an_id_of_its_own(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)

    first, second = (catalog.receive(document(), digest="d", versions="v") for _ in range(2))

    assert first == derive_id(document().id, "1")
    assert second == derive_id(document().id, "2")
    assert states(catalog) == {"received": 2}


def test_a_source_is_stored_once(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    catalog.ensure_source(replace(FOLDER, uri="/elsewhere"))

    publish(catalog, document(), TEXT)


def test_nothing_is_visible_before_the_switch(catalog: SqlCatalog) -> None:
    revision_id, hits = prepare(catalog, document(), TEXT)

    assert catalog.known(FOLDER.id) == {}
    assert catalog.by_uri(FOLDER.id) == {}
    assert catalog.digest(document().id) is None
    assert catalog.uris(digest_of(TEXT)) == []
    assert catalog.collections(ALICE) == {}

    catalog.switch(document(), revision_id)

    assert len(catalog.passages(hits, ALICE)) == len(hits)
    assert catalog.known(FOLDER.id) == {document().id: digest_of(TEXT)}
    assert catalog.by_uri(FOLDER.id) == {"handbook.md": document().id}
    assert catalog.digest(document().id) == digest_of(TEXT)
    assert catalog.uris(digest_of(TEXT)) == ["handbook.md"]


def test_each_step_is_written_down(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    seen = []
    revision_id = catalog.receive(document(), digest="d", versions="v")
    seen.append(states(catalog))
    catalog.store_parsed(*parsed(revision_id, document(), TEXT), [[]] * 4)
    seen.append(states(catalog))
    for state in (RevisionState.EMBEDDED, RevisionState.UPSERTED):
        catalog.mark(revision_id, state)
        seen.append(states(catalog))
    catalog.switch(document(), revision_id)
    seen.append(states(catalog))

    names = ["received", "parsed", "embedded", "upserted", "live"]
    assert seen == [{name: 1} for name in names]


def test_parsing_again_replaces_what_was_parsed(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(document(), digest="d", versions="v")
    catalog.store_parsed(*parsed(revision_id, document(), TEXT), [[]] * 4)
    revision, chunks = parsed(revision_id, document(), "Another text.")
    catalog.store_parsed(revision, chunks, [[]])
    catalog.switch(document(), revision_id)

    assert catalog.revision(document().id, ALICE) == replace(revision, digest="d")
    assert catalog.counts().chunks == 1


def test_chunks_and_their_terms_must_be_as_many(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(document(), digest="d", versions="v")
    revision, chunks = parsed(revision_id, document(), TEXT)

    with pytest.raises(ValueError, match="shorter"):
        catalog.store_parsed(revision, chunks, [[]])

    assert states(catalog) == {"received": 1}  # nothing of it was kept


def test_a_switch_brings_what_the_source_says_now(catalog: SqlCatalog) -> None:
    publish(catalog, document(), TEXT)
    renamed = replace(document(), title="New title", collection="hr", size=7, metadata={"x": "y"})

    prepare(catalog, renamed, "new")
    assert catalog.document(document().id, ALICE).title == "Handbook"

    publish(catalog, renamed, "newer")
    found = catalog.document(document().id, ALICE)
    assert (found.title, found.collection, found.size) == ("New title", "hr", 7)
    assert found.metadata == {"x": "y"}


def test_a_replaced_revision_is_dead_and_can_be_forgotten(catalog: SqlCatalog) -> None:
    old = publish(catalog, document(), TEXT)
    new = publish(catalog, document(), "new")

    assert catalog.dead() == [old[0].revision_id]
    catalog.forget(catalog.dead())

    assert catalog.dead() == []
    assert states(catalog) == {"live": 1}
    assert len(catalog.passages(new, ALICE)) == len(new)


def test_unfinished_revisions_before_a_switch_die_with_it(catalog: SqlCatalog) -> None:
    stuck, _ = prepare(catalog, document(), "first try")
    publish(catalog, document(), "second try")

    assert catalog.dead() == [stuck]
    with pytest.raises(IngestError) as caught:
        catalog.switch(document(), stuck)
    assert caught.value.code == "superseded"
    assert catalog.revision(document().id, ALICE).text == "second try"


def test_a_revision_can_be_switched_twice(catalog: SqlCatalog) -> None:
    revision_id, _ = prepare(catalog, document(), TEXT)
    catalog.switch(document(), revision_id)
    catalog.switch(document(), revision_id)

    assert states(catalog) == {"live": 1}


def test_a_removed_document_is_gone_at_once_and_its_rows_after_cleaning(
    catalog: SqlCatalog,
) -> None:
    hits = publish(catalog, document(), TEXT)

    assert catalog.remove(document().id) is True

    assert catalog.passages(hits, ALICE) == []
    assert catalog.known(FOLDER.id) == {}
    with pytest.raises(NotFound):
        catalog.document(document().id, ALICE)
    assert catalog.remove(document().id) is False
    catalog.forget(catalog.dead())
    assert states(catalog) == {}
    assert catalog.remove(document().id) is False


def test_a_document_that_never_was_cannot_be_removed(catalog: SqlCatalog) -> None:
    assert catalog.remove(derive_id("nothing")) is False


@pytest.mark.parametrize("cleaned", [False, True])
def test_a_removed_document_can_come_back(catalog: SqlCatalog, cleaned: bool) -> None:
    old = publish(catalog, document(), TEXT)
    catalog.remove(document().id)
    if cleaned:
        catalog.forget(catalog.dead())
    new = publish(catalog, document(), "It is back.")

    assert [passage.text for passage in catalog.passages(new, ALICE)] == ["It is back."]
    if not cleaned:  # its points may still be there: no id may mean two things
        assert {hit.chunk_id for hit in old}.isdisjoint(hit.chunk_id for hit in new)
        assert catalog.passages(old, ALICE) == []


def test_removing_a_document_gives_up_the_revision_under_way(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(document(), digest="d", versions="v")

    assert catalog.remove(document().id) is True

    steps: tuple[Callable[[], None], ...] = (
        lambda: catalog.store_parsed(*parsed(revision_id, document(), TEXT), [[]] * 4),
        lambda: catalog.mark(revision_id, RevisionState.EMBEDDED),
        lambda: catalog.switch(document(), revision_id),
    )
    for step in steps:
        with pytest.raises(IngestError) as caught:
            step()
        assert caught.value.code == "superseded"
    assert catalog.collections(ALICE) == {}
    assert catalog.counts().chunks == 0


def test_a_switch_needs_the_revision_of_that_document(catalog: SqlCatalog) -> None:
    revision_id, _ = prepare(catalog, document("a"), TEXT)
    publish(catalog, document("b"), TEXT)

    for whose in (document("b"), document("c")):
        with pytest.raises(IngestError):
            catalog.switch(whose, revision_id)
    with pytest.raises(IngestError):
        catalog.switch(document("a"), "no such revision")


def test_only_a_switch_makes_live(catalog: SqlCatalog) -> None:
    revision_id, hits = prepare(catalog, document(), TEXT)

    with pytest.raises(ValueError, match="only `switch`"):
        catalog.mark(revision_id, RevisionState.LIVE)
    assert catalog.passages(hits, ALICE) == []


def test_a_revision_may_be_given_up_but_not_a_live_one(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)
    given_up, _ = prepare(catalog, document(), "new")

    catalog.mark(given_up, RevisionState.DEAD)
    catalog.mark(given_up, RevisionState.DEAD)
    catalog.mark(hits[0].revision_id, RevisionState.DEAD)

    assert states(catalog) == {"dead": 1, "live": 1}


def test_what_nobody_touched_is_abandoned_but_never_what_is_live(catalog: SqlCatalog) -> None:
    publish(catalog, document("live"), TEXT)
    stuck, _ = prepare(catalog, document("stuck"), TEXT)

    assert catalog.abandon(untouched_for=timedelta(hours=1)) == 0
    assert catalog.abandon(untouched_for=timedelta(0)) == 1
    assert catalog.dead() == [stuck]
    assert catalog.abandon(untouched_for=timedelta(0)) == 0
    catalog.forget([stuck])
    assert states(catalog) == {"live": 1}


def test_only_dead_revisions_can_be_forgotten(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document("live"), TEXT)
    unfinished, _ = prepare(catalog, document("unfinished"), TEXT)

    catalog.forget([hits[0].revision_id, unfinished, "never was"])
    catalog.forget([])

    assert len(catalog.passages(hits, ALICE)) == len(hits)
    catalog.switch(document("unfinished"), unfinished)


def test_many_dead_revisions_are_listed_in_parts_and_forgotten(catalog: SqlCatalog) -> None:
    with catalog.transaction():
        for number in range(1100):
            catalog.ensure_source(FOLDER)
            revision_id = catalog.receive(document(f"{number}"), digest="d", versions="v")
            catalog.mark(revision_id, RevisionState.DEAD)

    assert len(catalog.dead(limit=10)) == 10
    while dead := catalog.dead():
        assert len(dead) <= 1000
        catalog.forget(dead)
    assert states(catalog) == {}


def test_a_transaction_keeps_all_or_nothing(catalog: SqlCatalog) -> None:
    class Crash(Exception):
        pass

    with pytest.raises(Crash), catalog.transaction():
        publish(catalog, document("a"), TEXT)
        assert catalog.by_uri(FOLDER.id) == {"a": document("a").id}  # it sees its own writes
        raise Crash

    assert catalog.by_uri(FOLDER.id) == {}
    assert states(catalog) == {}
    with catalog.transaction():
        publish(catalog, document("a"), TEXT)
        publish(catalog, document("b"), TEXT)
    assert set(catalog.by_uri(FOLDER.id)) == {"a", "b"}


def test_a_superseded_step_inside_a_transaction_leaves_the_others_whole(
    catalog: SqlCatalog,
) -> None:
    gone, _ = prepare(catalog, document("gone"), TEXT)
    staying, _ = prepare(catalog, document("staying"), TEXT)
    catalog.remove(document("gone").id)

    with catalog.transaction():
        with pytest.raises(IngestError):
            catalog.switch(document("gone"), gone)
        catalog.switch(document("staying"), staying)

    assert set(catalog.by_uri(FOLDER.id)) == {"staying"}


def test_sources_are_kept_apart(catalog: SqlCatalog) -> None:
    inbox = Source("inbox", "upload", "inbox:")
    catalog.ensure_source(inbox)
    publish(catalog, document("a"), TEXT)
    publish(catalog, document("a", source=inbox), TEXT)

    assert catalog.by_uri("inbox") == {"a": document("a", source=inbox).id}
    assert catalog.known("folder") == {document("a").id: digest_of(TEXT)}
    assert catalog.uris(digest_of(TEXT)) == ["a", "a"]


def test_the_first_revision_sets_access_and_later_ones_keep_it(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(access=frozenset({"u:alice"})), TEXT)
    catalog.set_access(document().id, frozenset({"u:bob"}))

    new = publish(catalog, document(access=frozenset({"everyone"})), "new")

    assert catalog.passages([*hits, *new], ALICE) == []
    assert catalog.passages(new, BOB)[0].document.access == frozenset({"u:bob"})
    # the new points carry what the source says: the index has to learn what holds
    assert [each.access for each in catalog.labels_to_copy()] == [frozenset({"u:bob"})]


def test_a_removed_document_comes_back_with_the_access_its_source_says(
    catalog: SqlCatalog,
) -> None:
    publish(catalog, document(access=frozenset({"u:bob"})), TEXT)
    catalog.remove(document().id)
    publish(catalog, document(access=frozenset({"u:alice"})), TEXT)

    assert catalog.document(document().id, ALICE).access == frozenset({"u:alice"})


def test_a_chunk_id_belongs_to_one_revision(catalog: SqlCatalog) -> None:
    """The catalog would rather refuse than let one id mean two texts."""
    hits = publish(catalog, document("a"), TEXT)
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(document("b"), digest="d", versions="v")
    revision, _ = parsed(revision_id, document("b"), TEXT)
    stolen = Chunk(hits[0].chunk_id, revision_id, 0, Span(0, 5))

    with pytest.raises(Exception, match=r"(?i)unique"):
        catalog.store_parsed(revision, [stolen], [[]])

    assert catalog.passages([Hit(stolen.id, 1.0)], ALICE)[0].document.uri == "a"
