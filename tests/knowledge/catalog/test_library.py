from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite

from knowledge.catalog import library
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import NotFound
from knowledge.models import (
    NOBODY,
    Block,
    BlockKind,
    Box,
    Document,
    Hit,
    Principal,
    Span,
    derive_id,
)
from tests.catalogs import ALICE, BOB, CHUNK, FOLDER, digest_of, document, parsed, prepare, publish

TEXT = "Travel is booked by the office. Receipts are due within ten days."


def test_a_passage_carries_its_text_its_place_and_its_document(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)

    first, *_ = catalog.passages(hits, ALICE)

    assert first.text == TEXT[:CHUNK] == first.span.cut(TEXT)
    assert (first.rank, first.score, first.page) == (1, hits[0].score, 1)
    assert first.heading == ("Top", "Sub")
    assert first.document == catalog.document(document().id, ALICE)
    assert first.revision_id == first.document.live_revision


def test_passages_keep_the_order_of_the_hits_and_count_ranks_without_gaps(
    catalog: SqlCatalog,
) -> None:
    hits = publish(catalog, document(), TEXT)
    unknown = Hit("no such chunk", 9.0)

    found = catalog.passages([hits[2], unknown, hits[0], hits[2]], ALICE)

    assert [passage.chunk_id for passage in found] == [hits[2].chunk_id, hits[0].chunk_id]
    assert [passage.rank for passage in found] == [1, 2]


def test_no_hits_or_nobody_asking_give_no_passages(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)

    assert catalog.passages([], ALICE) == []
    assert catalog.passages(hits, NOBODY) == []
    assert catalog.passages(hits, BOB) != []


def test_only_holders_of_a_token_get_a_passage(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(access=frozenset({"g:legal", "u:carol"})), TEXT)

    assert catalog.passages(hits, ALICE) != []
    assert catalog.passages(hits, Principal("carol")) != []
    assert catalog.passages(hits, BOB) == []
    assert catalog.passages(hits, Principal("x", groups=frozenset({"u:carol"}))) == []


def test_a_document_without_access_is_seen_by_nobody(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(access=frozenset()), TEXT)

    assert catalog.passages(hits, ALICE) == []
    assert catalog.documents(ALICE, collection=None, after=None, limit=10) == []


def test_a_collection_narrows_passages(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document("a", collection="hr"), TEXT)
    others = publish(catalog, document("b", collection="it"), TEXT)

    found = catalog.passages([*others, *hits], ALICE, collection="hr")

    assert {passage.document.uri for passage in found} == {"a"}
    assert catalog.passages(hits, BOB, collection="hr") != []
    assert catalog.passages(hits, ALICE, collection="") == []


def test_a_revision_that_is_not_yet_or_no_longer_live_gives_no_passages(
    catalog: SqlCatalog,
) -> None:
    old = publish(catalog, document(), TEXT)
    revision_id, new = prepare(catalog, document(), "Entirely new rules from today.")

    assert catalog.passages(new, ALICE) == []
    assert len(catalog.passages(old, ALICE)) == len(old)

    catalog.switch(document(), revision_id)

    assert catalog.passages(old, ALICE) == []
    assert len(catalog.passages(new, ALICE)) == len(new)


def _with_blocks(catalog: SqlCatalog, *spans: tuple[int, int]) -> tuple[Document, str, list[Hit]]:
    """Publish a text with these blocks, in this order; a chunk is twenty characters."""
    catalog.ensure_source(FOLDER)
    owner = document()
    revision_id = catalog.receive(owner, digest="d", versions="v")
    made, chunks = parsed(revision_id, owner, TEXT)
    blocks = tuple(
        Block(BlockKind.TABLE, Span(*span), page=2, box=Box(1.5, 2, 3, 4.25), heading=("A",))
        for span in spans
    )
    catalog.store_parsed(replace(made, blocks=blocks), chunks, [[] for _ in chunks])
    catalog.switch(owner, revision_id)
    return owner, revision_id, [Hit(each.id, 1.0) for each in chunks]


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 10), (10, 20), (20, 30), (30, 65)],
        [(0, 65), (5, 10), (15, 25), (50, 65)],
        [(0, 20), (0, 65), (40, 60), (20, 40)],
        [(20, 40), (5, 5), (20, 20)],
        [],
    ],
    ids=["in a row", "nested", "out of order", "empty ones", "none"],
)
def test_blocks_are_those_that_overlap_however_they_lie(
    catalog: SqlCatalog, spans: list[tuple[int, int]]
) -> None:
    owner, revision_id, hits = _with_blocks(catalog, *spans)
    whole = catalog.revision(owner.id, ALICE).blocks

    assert [block.span for block in whole] == [Span(*span) for span in spans]
    for passage in catalog.passages(hits, ALICE):
        expected = tuple(block for block in whole if block.span.overlaps(passage.span))
        assert passage.blocks == expected
        assert catalog.blocks(revision_id, passage.span, ALICE) == expected


def test_a_block_comes_back_as_it_was_stored(catalog: SqlCatalog) -> None:
    _, revision_id, _ = _with_blocks(catalog, (0, 65))

    assert catalog.blocks(revision_id, Span(3, 4), ALICE) == (
        Block(BlockKind.TABLE, Span(0, 65), 2, Box(1.5, 2, 3, 4.25), ("A",)),
    )


def test_blocks_of_an_unreadable_or_dead_revision_are_none(catalog: SqlCatalog) -> None:
    owner, revision_id, _ = _with_blocks(catalog, (0, 65))

    catalog.set_access(owner.id, frozenset({"u:bob"}))
    assert catalog.blocks(revision_id, Span(0, 9), ALICE) == ()
    assert catalog.blocks(revision_id, Span(0, 9), BOB) != ()

    publish(catalog, owner, "new")
    assert catalog.blocks(revision_id, Span(0, 9), BOB) == ()


def test_a_document_and_its_revision_come_back_as_they_were_stored(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), TEXT)

    found = catalog.document(document().id, ALICE)
    revision = catalog.revision(document().id, ALICE)

    assert found.updated_at is not None
    assert found.updated_at.tzinfo is not None
    live = replace(document(), live_revision=hits[0].revision_id, updated_at=found.updated_at)
    assert found == live
    assert revision == parsed(hits[0].revision_id, document(), TEXT)[0]
    assert revision.digest == digest_of(TEXT)


def test_absent_and_unreadable_documents_cannot_be_told_apart(catalog: SqlCatalog) -> None:
    publish(catalog, document(access=frozenset({"u:bob"})), TEXT)

    errors = []
    for ask in (catalog.document, catalog.revision):
        for document_id in (document().id, derive_id("never", "seen")):
            with pytest.raises(NotFound) as caught:
                ask(document_id, ALICE)
            errors.append(str(caught.value))

    assert len(set(errors)) == 1
    assert catalog.document(document().id, BOB).title == "Handbook"


def test_a_document_that_was_never_live_is_not_found(catalog: SqlCatalog) -> None:
    prepare(catalog, document(), TEXT)

    for ask in (catalog.document, catalog.revision):
        with pytest.raises(NotFound):
            ask(document().id, ALICE)


def test_documents_are_listed_by_id_in_pages(catalog: SqlCatalog) -> None:
    for number in range(7):
        publish(catalog, document(f"{number}"), TEXT)
    publish(catalog, document("hidden", access=frozenset({"u:bob"})), TEXT)
    publish(catalog, document("elsewhere", collection="hr"), TEXT)
    prepare(catalog, document("unfinished"), TEXT)

    pages, after = [], None
    while page := catalog.documents(ALICE, collection="main", after=after, limit=3):
        pages.append([found.id for found in page])
        after = pages[-1][-1]

    expected = sorted(document(f"{number}").id for number in range(7))
    assert pages == [expected[:3], expected[3:6], expected[6:]]
    everything = catalog.documents(ALICE, collection=None, after=None, limit=100)
    assert {found.uri for found in everything} == {*"0123456", "elsewhere"}


def test_collections_count_what_the_principal_can_read(catalog: SqlCatalog) -> None:
    publish(catalog, document("a", collection="hr"), TEXT)
    publish(catalog, document("b", collection="hr", access=frozenset({"u:bob"})), TEXT)
    publish(catalog, document("c", collection="board", access=frozenset({"u:bob"})), TEXT)

    assert catalog.collections(ALICE) == {"hr": 1}
    assert catalog.collections(BOB) == {"hr": 2, "board": 1}
    assert catalog.collections(NOBODY) == {}


def test_characters_no_database_stores_are_replaced_one_for_one(catalog: SqlCatalog) -> None:
    text = "a\0b\ud800c \N{GRINNING FACE} \N{LATIN SMALL LETTER E WITH ACUTE} and on it goes"
    hits = publish(catalog, document(title="T\0\udfff"), text)

    stored = catalog.revision(document().id, ALICE).text
    passages = catalog.passages(hits, ALICE)

    assert stored == text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert "".join(passage.text for passage in passages) == stored
    assert all(passage.span.cut(stored) == passage.text for passage in passages)
    assert catalog.document(document().id, ALICE).title == "T\ufffd\ufffd"


def test_an_empty_revision_can_be_live(catalog: SqlCatalog) -> None:
    assert publish(catalog, document(), "") == []

    assert catalog.revision(document().id, ALICE).text == ""
    assert catalog.collections(ALICE) == {"main": 1}


def test_far_more_hits_than_anyone_asks_for_are_fine(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), "x" * CHUNK * 2000)

    assert len(catalog.passages(hits, ALICE)) == 2000


def test_a_search_in_a_collection_begins_with_the_chunks_not_with_the_collection(
    tmp_path: Path,
) -> None:
    """Else each search walks through all documents of its collection."""
    SqlCatalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}").close()
    given = {"chunk_ids": [str(n) for n in range(30)], "tokens": ["everyone"], "collection": "main"}
    plans = {}
    for name, statement in (
        ("as it is", library._PASSAGES_OF_COLLECTION),
        ("control", library._PASSAGES.where(library.OF_COLLECTION)),
    ):
        compiled = statement.params(given).compile(
            dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
        )
        with contextlib.closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
            steps = connection.execute(f"EXPLAIN QUERY PLAN {compiled}").fetchall()
        plans[name] = steps[0][3]
    assert plans["as it is"].startswith("SEARCH chunks ")
    assert plans["control"].startswith("SEARCH documents ")


def test_a_file_may_be_read_by_whoever_may_read_all_that_is_live_of_it(
    catalog: SqlCatalog,
) -> None:
    message, part = document("100%.eml"), document("100%.eml#plan", access=frozenset({"u:alice"}))
    others = [document("100%.eml2", access=frozenset()), document("100X.eml#a", access=frozenset())]
    for each in (message, part, *others):
        publish(catalog, each, each.uri)
    assert catalog.reads_file(message, ALICE)
    assert catalog.reads_file(part, ALICE)
    assert not catalog.reads_file(message, BOB)
    catalog.remove(part.id)
    assert catalog.reads_file(message, BOB)
