from __future__ import annotations

from collections.abc import Sequence
from random import Random

from knowledge.catalog.families import likeness
from knowledge.catalog.store import SqlCatalog
from knowledge.models import RevisionState, Sketch
from tests.catalogs import ALICE, FOLDER, digest_of, document, parsed

NUMBERS = [Random(0).randrange(2**32) for _ in range(128)]


def changed(count: int) -> list[int]:
    """The same numbers but for so many, spread evenly."""
    places = {n * 128 // count for n in range(count)} if count else set()
    return [number ^ (place in places) for place, number in enumerate(NUMBERS)]


def put(catalog: SqlCatalog, uri: str, numbers: Sequence[int], threshold: float = 0.8) -> str:
    whose = document(uri)
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(whose, digest=digest_of(uri), versions="v1")
    revision, chunks = parsed(revision_id, whose, uri)
    sketch = Sketch(tuple(numbers), threshold) if numbers else None
    catalog.store_parsed(revision, chunks, [[1] for _ in chunks], sketch)
    catalog.store_parsed(revision, chunks, [[1] for _ in chunks], sketch)  # after a crash, say
    catalog.switch(whose, revision_id)
    return catalog.document(whose.id, ALICE).family


def test_the_first_founds_a_family_and_those_like_it_join(catalog: SqlCatalog) -> None:
    first = put(catalog, "a", NUMBERS)
    assert first
    assert put(catalog, "b", changed(25)) == first  # 103 of 128 agree: 0.805
    assert put(catalog, "c", changed(26)) != first  # 0.797
    assert put(catalog, "d", [number ^ 1 for number in NUMBERS]) != first
    assert put(catalog, "e", []) == ""
    assert likeness(NUMBERS, changed(26)) == 102 / 128


def test_a_family_is_never_a_chain(catalog: SqlCatalog) -> None:
    first = put(catalog, "a", NUMBERS)
    middle, last = changed(20), changed(20)
    last[1:80:4] = [number ^ 2 for number in last[1:80:4]]
    assert likeness(middle, last) >= 0.8 > likeness(NUMBERS, last)
    assert put(catalog, "b", middle) == first
    assert put(catalog, "c", last) != first


def test_a_family_outlives_its_founder_but_not_its_last_member(catalog: SqlCatalog) -> None:
    first = put(catalog, "a", NUMBERS)
    put(catalog, "b", changed(5))
    catalog.remove(document("a").id)
    catalog.forget(catalog.dead())
    assert put(catalog, "c", changed(3)) == first
    for uri in ("b", "c"):
        catalog.remove(document(uri).id)
    catalog.forget(catalog.dead())
    assert catalog.counts().revisions == {}
    assert put(catalog, "a", NUMBERS) != ""
    assert catalog.counts().revisions == {RevisionState.LIVE: 1}


def test_a_new_revision_may_leave_the_family(catalog: SqlCatalog) -> None:
    first = put(catalog, "a", NUMBERS)
    assert put(catalog, "b", NUMBERS) == first
    assert put(catalog, "a", [number ^ 1 for number in NUMBERS]) not in (first, "")
    assert put(catalog, "c", NUMBERS) == first
