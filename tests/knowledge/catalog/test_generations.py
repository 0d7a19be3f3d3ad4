from __future__ import annotations

from datetime import timedelta

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.errors import IngestError
from knowledge.models import Document, Generation, GenerationState, RevisionState
from tests.catalogs import ALICE, Placed, digest_of, document, parsed, prepare, publish

FIRST, SECOND, THIRD = (document(f"{n}.md") for n in range(3))


def begin(catalog: SqlCatalog, state: GenerationState = GenerationState.BUILDING) -> Generation:
    return catalog.begin_generation(
        versions="v", model="", dimension=4, chunk_tokens=20, state=state
    )


def stand(catalog: SqlCatalog, whose: Document, text: str, number: int) -> list[Placed]:
    """Give the document a second revision, of the same bytes, that stands by."""
    revision_id = catalog.receive(whose, digest=digest_of(text), versions="v2")
    revision, chunks = parsed(revision_id, whose, text)
    catalog.store_parsed(revision, chunks, [(1, 2) for _ in chunks])
    catalog.mark(revision_id, RevisionState.UPSERTED)
    catalog.stand_by(revision_id, number)
    return [Placed(chunk.id, 1.0, whose.id, revision_id) for chunk in chunks]


def seen(catalog: SqlCatalog, hits: list[Placed]) -> list[str]:
    return [passage.text for passage in catalog.passages(hits, ALICE)]


def test_a_generation_that_stands_by_is_invisible_until_the_switch_and_then_alone_visible(
    catalog: SqlCatalog,
) -> None:
    live, new = begin(catalog, GenerationState.LIVE), begin(catalog)
    old_hits = publish(catalog, FIRST, "first text")
    new_hits = stand(catalog, FIRST, "first text", new.number)
    assert (seen(catalog, old_hits), seen(catalog, new_hits)) == (["first text"], [])
    assert catalog.switch_generation(new.number) == 0
    assert (seen(catalog, old_hits), seen(catalog, new_hits)) == ([], ["first text"])
    assert catalog.switch_generation(live.number) == 0  # and back
    assert (seen(catalog, old_hits), seen(catalog, new_hits)) == (["first text"], [])


def test_states_and_numbers_of_generations(catalog: SqlCatalog) -> None:
    live, new = begin(catalog, GenerationState.LIVE), begin(catalog)
    catalog.measured(new.number, before=0.5, after=0.75)
    catalog.switch_generation(new.number)
    newest, former = catalog.generations()
    assert (newest.number, newest.state) == (new.number, GenerationState.LIVE)
    assert (newest.recall_before, newest.recall_after) == (0.5, 0.75)
    assert newest.switched_at is not None
    assert (former.number, former.state) == (live.number, GenerationState.FORMER)
    third = begin(catalog)
    catalog.switch_generation(third.number)
    assert [each.number for each in catalog.generations()] == [third.number, new.number]


def test_nothing_is_switched_while_a_document_is_behind(catalog: SqlCatalog) -> None:
    begin(catalog, GenerationState.LIVE)
    new = begin(catalog)
    for whose in (FIRST, SECOND, THIRD):
        publish(catalog, whose, f"text of {whose.uri}")
    stand(catalog, FIRST, "text of 0.md", new.number)
    assert catalog.progress(new.number) == (1, 3)
    assert set(catalog.behind(new.number)) == {SECOND.id, THIRD.id}
    assert catalog.switch_generation(new.number) == 2
    live = catalog.generation(GenerationState.LIVE)
    assert live is not None
    assert live.number != new.number


def test_a_document_that_changes_is_behind_again_and_its_old_content_never_comes_back(
    catalog: SqlCatalog,
) -> None:
    begin(catalog, GenerationState.LIVE)
    new = begin(catalog)
    publish(catalog, FIRST, "old content")
    coming, _ = prepare(catalog, FIRST, "new content")  # on its way while the old one stands by
    stale = stand(catalog, FIRST, "old content", new.number)
    catalog.switch(FIRST, coming)
    assert catalog.behind(new.number) == [FIRST.id]
    assert catalog.switch_generation(new.number) == 1
    fresh = stand(catalog, FIRST, "new content", new.number)
    assert catalog.switch_generation(new.number) == 0
    assert (seen(catalog, stale), seen(catalog, fresh)) == ([], ["new content"])


def test_what_was_made_of_an_older_content_may_not_stand_by(catalog: SqlCatalog) -> None:
    new = begin(catalog)
    publish(catalog, FIRST, "new content")
    with pytest.raises(IngestError) as caught:
        stand(catalog, FIRST, "old content", new.number)
    assert caught.value.code == "superseded"


def test_a_removed_document_is_gone_from_all_generations(catalog: SqlCatalog) -> None:
    begin(catalog, GenerationState.LIVE)
    new = begin(catalog)
    publish(catalog, FIRST, "first text")
    hits = stand(catalog, FIRST, "first text", new.number)
    catalog.remove(FIRST.id)
    assert catalog.progress(new.number) == (0, 0)
    assert catalog.switch_generation(new.number) == 0
    assert seen(catalog, hits) == []
    assert len(catalog.dead()) == 2


def test_a_discarded_generation_leaves_dead_revisions_and_the_live_one_as_it_was(
    catalog: SqlCatalog,
) -> None:
    live = begin(catalog, GenerationState.LIVE)
    new = begin(catalog)
    hits = publish(catalog, FIRST, "first text")
    stand(catalog, FIRST, "first text", new.number)
    catalog.discard_generation(live.number)  # not this one
    catalog.discard_generation(new.number)
    assert [each.number for each in catalog.generations()] == [live.number]
    assert len(catalog.dead()) == 1
    assert seen(catalog, hits) == ["first text"]


def test_what_stands_by_is_not_taken_for_unfinished(catalog: SqlCatalog) -> None:
    new = begin(catalog)
    publish(catalog, FIRST, "first text")
    hits = stand(catalog, FIRST, "first text", new.number)
    assert catalog.abandon(untouched_for=timedelta(0)) == 0
    assert catalog.dead() == []
    assert catalog.paths(hits[0].document_id, [hits[0].chunk_id]) == [("Top", "Sub")]
    assert catalog.paths("another", [hits[0].chunk_id]) == []


def test_a_stored_document_comes_with_its_text_and_blocks(catalog: SqlCatalog) -> None:
    publish(catalog, FIRST, "first text")
    found = catalog.stored(FIRST.id)
    assert found is not None
    assert (found[0].uri, found[1].text, len(found[1].blocks)) == ("0.md", "first text", 1)
    assert catalog.stored("nobody") is None
