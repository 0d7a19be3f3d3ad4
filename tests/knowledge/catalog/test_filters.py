"""Lists and passages are narrowed alike: in SQL there, by `Filters.admit` here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.catalog import library
from knowledge.catalog.store import SqlCatalog
from knowledge.models import EVERYONE, UNFILTERED, Document, Filters
from tests.catalogs import ALICE, FOLDER, Placed, document, publish

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
MOMENTS = [None, NOON, NOON + timedelta(microseconds=1)]
TAGS = ["hr", "HR", "Köln \U0001f5fc", "a,b"]


def papers() -> list[Document]:
    """Documents with every combination of labels, a few of which Alice may not read."""
    made = product(["text/plain", "application/pdf"], ["", "de", "en"], MOMENTS)
    return [
        replace(
            document(f"{number}", access=frozenset({EVERYONE} if number % 5 else {"u:bob"})),
            media_type=kind,
            language=language,
            dated_at=moment,
            tags=frozenset(TAGS[: number % 4]),
        )
        for number, (kind, language, moment) in enumerate(made)
    ]


def some(words: list[str]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.frozensets(st.sampled_from(words), min_size=1)


FILTERS = st.builds(
    Filters,
    sources=some([FOLDER.id, "elsewhere"]),
    types=some(["text/plain", "application/pdf", "text"]),
    languages=some(["de", "en", "DE"]),
    tags=some([*TAGS, "none"]),
    since=st.sampled_from(MOMENTS),
    until=st.sampled_from([None, NOON + timedelta(seconds=1)]),
)


def test_lists_and_passages_fit_the_same_filters(catalog: SqlCatalog) -> None:
    hits: list[Placed] = []
    with catalog.transaction():
        for each in papers():
            hits += publish(catalog, each, "Twenty characters…")
    readable = {each.id: each for each in papers() if EVERYONE in each.access}

    @settings(max_examples=60)
    @given(FILTERS)
    def holds(asked: Filters) -> None:
        expected = {key for key, each in readable.items() if asked.admit(each)}
        listed = catalog.documents(ALICE, collection="main", after=None, limit=99, filters=asked)
        assert {each.id for each in listed} == expected
        passages = catalog.passages(hits, ALICE, filters=asked)
        assert {each.document.id for each in passages} == expected
        assert [each.rank for each in passages] == list(range(1, len(passages) + 1))

    holds()
    assert len(catalog.passages(hits, ALICE)) == len(readable)


def test_labels_are_read_back_as_they_were_stored(catalog: SqlCatalog) -> None:
    stored = papers()[8]
    publish(catalog, stored, "text")
    found = catalog.document(stored.id, ALICE)
    for name in ("language", "tags", "dated_at", "media_type", "source_id"):
        assert getattr(found, name) == getattr(stored, name)


def test_pages_of_a_narrowed_list_go_on_where_the_last_one_ended(catalog: SqlCatalog) -> None:
    with catalog.transaction():
        for each in papers():
            publish(catalog, each, "text")
    asked = Filters(languages=frozenset({"de"}))
    found: list[str] = []
    while page := catalog.documents(
        ALICE, collection=None, after=found[-1] if found else None, limit=2, filters=asked
    ):
        found += [each.id for each in page]
    whole = catalog.documents(ALICE, collection=None, after=None, limit=99, filters=asked)
    assert found == [each.id for each in whole]
    assert len(found) > 2


@pytest.mark.parametrize("name", ["sources", "types", "languages", "tags"])
def test_a_filter_by_nothing_is_refused(name: str) -> None:
    for nothing in (frozenset[str](), frozenset({""}), frozenset({"x", ""})):
        with pytest.raises(ValueError, match="nothing"):
            Filters(**{name: nothing})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ends before"):
        Filters(since=NOON, until=NOON)


def test_each_filter_has_its_condition() -> None:
    """A field that no list knew of would narrow nothing."""
    fields = set(Filters.__dataclass_fields__)
    assert fields | {"collection"} == set(library._NARROWED)
    assert {name for name, _ in library._narrowing(None, UNFILTERED)} == set()
