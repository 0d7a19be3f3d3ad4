from __future__ import annotations

from knowledge.catalog.store import SqlCatalog
from tests.catalogs import ALICE, document, parsed, prepare, publish

TEXT = "Travel is booked by the office. Receipts are due within ten days."


def test_the_chunks_of_live_revisions_are_counted(catalog: SqlCatalog) -> None:
    publish(catalog, document("old.md"), TEXT)
    hits = publish(catalog, document("old.md"), TEXT[:45])
    publish(catalog, document("empty.md"), "")
    publish(catalog, document("removed.md"), TEXT)
    catalog.remove(document("removed.md").id)
    prepare(catalog, document("coming.md"), TEXT)

    assert catalog.live_chunks() == {hits[0].revision_id: 3}


def test_a_live_revision_names_its_document_with_the_rights_of_now(catalog: SqlCatalog) -> None:
    (hit, *_) = publish(catalog, document(), TEXT)
    assert catalog.live_document(hit.revision_id) == catalog.document(document().id, ALICE)

    catalog.set_access(document().id, frozenset({"g:board", "u:bob"}))
    found = catalog.live_document(hit.revision_id)
    assert found is not None
    assert found.access == {"g:board", "u:bob"}

    catalog.set_access(document().id, frozenset())
    found = catalog.live_document(hit.revision_id)
    assert found is not None
    assert found.access == frozenset()


def test_its_chunks_come_back_with_their_texts(catalog: SqlCatalog) -> None:
    (hit, *_) = publish(catalog, document(), TEXT)
    _, chunks = parsed(hit.revision_id, document(), TEXT)

    assert catalog.chunk_texts(hit.revision_id) == [(each, each.span.cut(TEXT)) for each in chunks]


def test_what_is_not_live_has_no_contents(catalog: SqlCatalog) -> None:
    unfinished, _ = prepare(catalog, document("coming.md"), TEXT)
    (replaced, *_) = publish(catalog, document(), TEXT)
    publish(catalog, document(), TEXT[:30])
    (removed, *_) = publish(catalog, document("removed.md"), TEXT)
    catalog.remove(document("removed.md").id)

    for revision_id in (unfinished, replaced.revision_id, removed.revision_id, "never there"):
        assert catalog.live_document(revision_id) is None
        assert catalog.chunk_texts(revision_id) == []
