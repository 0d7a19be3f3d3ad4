from __future__ import annotations

from knowledge.catalog.store import SqlCatalog
from knowledge.models import NOBODY, Passage, Span
from tests.catalogs import ALICE, BOB, CHUNK, document, publish

TEXT = "Travel is booked by the office. Receipts are due within ten days. " * 3


def passages(catalog: SqlCatalog, *ordinals: int, text: str = TEXT) -> list[Passage]:
    hits = publish(catalog, document(), text)
    return catalog.passages([hits[n] for n in ordinals], ALICE)


def test_surroundings_hold_the_revisions_own_text_and_blocks(catalog: SqlCatalog) -> None:
    [found] = passages(catalog, 3)
    near = catalog.surroundings([found], ALICE, reach=2)[found.chunk_id]
    assert near.span == Span(CHUNK, 6 * CHUNK)
    assert near.text == near.span.cut(TEXT)
    assert [chunk.ordinal for chunk in near.chunks] == [1, 2, 3, 4, 5]
    assert near.chunks[2].id == found.chunk_id
    assert all(block.span.overlaps(near.span) for block in near.blocks)
    assert set(found.blocks) <= set(near.blocks)


def test_surroundings_end_with_the_revision(catalog: SqlCatalog) -> None:
    first, second = passages(catalog, 0, 1)
    near = catalog.surroundings([first, second], ALICE, reach=1)
    assert near[first.chunk_id].span == Span(0, 2 * CHUNK)
    assert near[second.chunk_id].span == Span(0, 3 * CHUNK)


def test_letters_outside_the_basic_plane_count_as_one(catalog: SqlCatalog) -> None:
    text = "🙂東é" * CHUNK
    [found] = passages(catalog, 2, text=text)
    near = catalog.surroundings([found], ALICE, reach=1)[found.chunk_id]
    assert near.text == near.span.cut(text)


def test_nobody_and_those_whose_rights_are_gone_see_nothing_around(catalog: SqlCatalog) -> None:
    [found] = passages(catalog, 1)
    assert catalog.surroundings([found], NOBODY, reach=1) == {}
    assert catalog.surroundings([found], BOB, reach=1) != {}
    catalog.set_access(found.document.id, frozenset({"u:alice"}))
    assert catalog.surroundings([found], BOB, reach=1) == {}
    assert catalog.surroundings([found], ALICE, reach=1) != {}


def test_a_revision_that_is_no_longer_live_has_nothing_around(catalog: SqlCatalog) -> None:
    [found] = passages(catalog, 1)
    publish(catalog, document(), TEXT + "More.")
    assert catalog.surroundings([found], ALICE, reach=1) == {}


def test_without_passages_the_database_is_not_asked(catalog: SqlCatalog) -> None:
    assert catalog.surroundings([], ALICE, reach=1) == {}
