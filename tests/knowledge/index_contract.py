"""What every implementation of the `Index` door must do, real store or fake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.access import AccessFilter, access_filter
from knowledge.errors import AccessDenied
from knowledge.models import (
    EVERYONE,
    NOBODY,
    Document,
    Embedding,
    Filters,
    Hit,
    Point,
    Principal,
    SparseVector,
    derive_id,
)
from knowledge.ports import Index
from tests.fakes import FakeIndex, unit

DIMENSION = 8
ALICE = Principal("alice", frozenset({"sales"}))
TOKENS = [EVERYONE, "u:alice", "u:bob", "g:sales", "g:право"]

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
LATER = NOON + timedelta(microseconds=1)
LABELS: dict[str, Any] = {
    "source_id": "s1",
    "media_type": "application/pdf",
    "language": "de",
    "tags": frozenset({"hr", "Köln 2026"}),
    "dated_at": NOON,
}
FILTERED = [
    (Filters(sources=frozenset({"s1", "s2"})), True),
    (Filters(sources=frozenset({"s2"})), False),
    (Filters(types=frozenset({"application/pdf"})), True),
    (Filters(types=frozenset({"application"})), False),
    (Filters(languages=frozenset({"de"})), True),
    (Filters(languages=frozenset({"DE"})), False),
    (Filters(tags=frozenset({"Köln 2026"})), True),
    (Filters(tags=frozenset({"köln 2026", "h", "None", "[]"})), False),
    (Filters(since=NOON), True),
    (Filters(since=LATER), False),
    (Filters(until=NOON), False),
    (Filters(until=LATER), True),
    (Filters(since=NOON, until=LATER), True),
]
"""Filters, and whether what carries `LABELS` fits them; what carries none fits none."""

everyone = AccessFilter(frozenset({EVERYONE}))


def embedding(seed: object, *, terms: int = 3, term: int | None = None) -> Embedding:
    """A repeatable random embedding; no two seeds give equal similarities."""
    chance = Random(str(seed))
    dense = unit([chance.gauss(0, 1) for _ in range(DIMENSION)])
    indices = sorted(chance.sample(range(2**32 - 12, 2**32), terms)) if term is None else [term]
    return Embedding(dense, SparseVector(tuple(indices), tuple(chance.random() for _ in indices)))


def point(
    name: str,
    *,
    revision: str = "r1",
    document: str = "d1",
    access: Sequence[str] = (EVERYONE,),
    collection: str = "main",
    terms: int = 3,
    term: int | None = None,
    **labels: Any,  # noqa: ANN401
) -> Point:
    """A point whose id and vectors follow from `name`."""
    vectors = embedding(name, terms=terms, term=term)
    held = frozenset(access)
    return Point(derive_id(name), document, revision, collection, held, vectors, **labels)


def labelled(name: str, access: Iterable[str], **labels: Any) -> Document:  # noqa: ANN401
    """A document as the catalog has it now, whose points are called by its name."""
    return Document(
        id=name,
        source_id=labels.pop("source_id", ""),
        uri=name,
        title=name,
        collection=labels.pop("collection", "main"),
        access=frozenset(access),
        **{"media_type": "", **labels},
    )


def ids(hits: Sequence[Hit]) -> set[str]:
    return {hit.chunk_id for hit in hits}


class IndexContract:
    """Give an `index` fixture in a subclass; it must begin empty, with `DIMENSION`."""

    def test_an_empty_store_finds_nothing(self, index: Index) -> None:
        assert index.search(embedding("q"), everyone, limit=10) == []
        assert index.count("r1") == 0

    def test_a_stored_point_is_found_by_its_own_vector(self, index: Index) -> None:
        index.upsert([point("wanted"), point("other")])
        assert index.search(embedding("wanted"), everyone, limit=10)[0].chunk_id == derive_id(
            "wanted"
        )

    def test_vectors_are_read_back_as_far_as_they_are_there(self, index: Index) -> None:
        points = [point(f"p{i}", terms=i % 2) for i in range(300)]
        index.upsert(points)
        found = index.vectors([derive_id("never there"), *(p.chunk_id for p in points)])
        assert len(found) == 300
        for each in points:
            assert found[each.chunk_id] == pytest.approx(each.embedding.dense, abs=1e-6)
        index.delete(["r1"])
        assert index.vectors([points[0].chunk_id]) == index.vectors([]) == {}

    def test_storing_nothing_is_no_error(self, index: Index) -> None:
        index.upsert([])
        index.delete([])
        assert index.count("r1") == 0

    def test_storing_twice_changes_nothing(self, index: Index) -> None:
        points = [point(f"p{i}") for i in range(5)]
        index.upsert(points)
        before = index.search(embedding("q"), everyone, limit=10)
        index.upsert(points)
        assert index.count("r1") == 5
        assert index.search(embedding("q"), everyone, limit=10) == before

    def test_more_points_than_one_batch_all_arrive(self, index: Index) -> None:
        index.upsert([point(f"p{i}", revision=f"r{i % 2}") for i in range(601)])
        assert (index.count("r0"), index.count("r1"), index.count("r2")) == (301, 300, 0)
        assert index.count() == 601

    def test_deleting_revisions_leaves_the_others(self, index: Index) -> None:
        index.upsert([point(f"p{i}", revision=f"r{i % 3}") for i in range(9)])
        index.delete(["r0", "r2", "never there"])
        assert [index.count(f"r{i}") for i in range(3)] == [0, 3, 0]
        found = index.search(embedding("q"), everyone, limit=10)
        assert {hit.chunk_id for hit in found} == {derive_id(f"p{i}") for i in (1, 4, 7)}

    def test_hits_come_best_first_and_at_most_limit(self, index: Index) -> None:
        index.upsert([point(f"p{i}") for i in range(30)])
        for limit in (1, 7, 30, 200):
            scores = [hit.score for hit in index.search(embedding("q"), everyone, limit=limit)]
            assert len(scores) == min(limit, 30)
            assert scores == sorted(scores, reverse=True)

    def test_a_query_without_terms_searches_by_meaning_alone(self, index: Index) -> None:
        index.upsert([point("wanted"), point("other"), point("no terms", terms=0)])
        wordless = Embedding(embedding("wanted").dense, SparseVector((), ()))
        hits = index.search(wordless, everyone, limit=10)
        assert hits[0].chunk_id == derive_id("wanted")
        assert len(hits) == 3

    def test_terms_that_no_point_holds_find_what_meaning_finds(self, index: Index) -> None:
        index.upsert([point("wanted"), point("other")])
        unknown = Embedding(embedding("wanted").dense, SparseVector((1, 2), (1.0, 1.0)))
        hits = index.search(unknown, everyone, limit=10)
        assert [hit.chunk_id for hit in hits] == [derive_id("wanted"), derive_id("other")]

    def test_a_shared_term_lifts_a_point_above_one_of_nearer_meaning(self, index: Index) -> None:
        index.upsert([point("near"), point("far", terms=0), point("shares a term", term=7)])
        meaning = Embedding(embedding("near").dense, SparseVector((), ()))
        term = replace(meaning, sparse=SparseVector((7,), (1.0,)))
        assert index.search(meaning, everyone, limit=3)[0].chunk_id == derive_id("near")
        assert index.search(term, everyone, limit=3)[0].chunk_id == derive_id("shares a term")

    def test_nobody_and_an_empty_filter_are_refused(self, index: Index) -> None:
        index.upsert([point("p")])
        for tokens in (frozenset[str](), frozenset({""}), frozenset({EVERYONE, ""})):
            with pytest.raises(AccessDenied):
                index.search(embedding("p"), AccessFilter(tokens), limit=10)
        with pytest.raises(AccessDenied):
            index.search(embedding("p"), access_filter(NOBODY), limit=10)
        assert index.search(embedding("p"), everyone, limit=10)

    def test_one_matching_token_of_many_suffices(self, index: Index) -> None:
        index.upsert([point("p", access=["g:sales", "u:bob"]), point("q", access=["g:legal"])])
        found = index.search(embedding("q"), access_filter(ALICE), limit=10)
        assert ids(found) == {derive_id("p")}

    def test_a_point_without_readers_is_found_by_nobody(self, index: Index) -> None:
        index.upsert([point("hidden", access=[]), point("open")])
        everything = AccessFilter(frozenset({*TOKENS, "None", "null", "*", "[]"}))
        assert ids(index.search(embedding("hidden"), everything, limit=10)) == {derive_id("open")}
        index.relabel(labelled("d1", ["u:alice"]))  # the control: it can be found
        assert derive_id("hidden") in ids(index.search(embedding("hidden"), everything, limit=10))

    def test_revoked_access_hides_and_widened_access_shows_at_once(self, index: Index) -> None:
        index.upsert([
            point("p", document="d1", access=["g:sales"]),
            point("other", document="d2", access=["g:sales"]),
        ])  # fmt: skip
        alice, bob = access_filter(ALICE), access_filter(Principal("bob"))
        index.relabel(labelled("d1", ["u:bob"]))
        assert ids(index.search(embedding("p"), alice, limit=10)) == {derive_id("other")}
        assert ids(index.search(embedding("p"), bob, limit=10)) == {derive_id("p")}
        index.relabel(labelled("d1", ["u:bob", "u:alice"]))
        assert derive_id("p") in ids(index.search(embedding("p"), alice, limit=10))
        index.relabel(labelled("d1", []))
        assert index.search(embedding("p"), bob, limit=10) == []
        index.relabel(labelled("never there", ["u:bob"]))

    def test_a_collection_narrows_and_never_widens(self, index: Index) -> None:
        index.upsert([
            point("mine", collection="a", access=["u:alice"]),
            point("open", collection="b"),
            point("bobs", collection="a", access=["u:bob"]),
        ])  # fmt: skip
        for collection, expected in (
            (None, {"mine", "open"}), ("a", {"mine"}), ("b", {"open"}), ("c", set()), ("", set()),
        ):  # fmt: skip
            found = index.search(
                embedding("q"), access_filter(ALICE, collection=collection), limit=10
            )
            assert ids(found) == {derive_id(name) for name in expected}

    def test_documents_narrow_and_never_widen(self, index: Index) -> None:
        index.upsert([
            point("mine", document="d1", access=["u:alice"]),
            point("open", document="d2", collection="b"),
            point("bobs", document="d3", access=["u:bob"]),
        ])  # fmt: skip
        for documents, expected in (
            (None, {"mine", "open"}), (["d1"], {"mine"}), (["d1", "d2", "d3"], {"mine", "open"}),
            (["d3"], set()), (["never there", ""], set()),
        ):  # fmt: skip
            only = access_filter(ALICE, document_ids=documents)
            found = index.search(embedding("q"), only, limit=10)
            assert ids(found) == {derive_id(name) for name in expected}
        both = access_filter(ALICE, collection="b", document_ids=["d1", "d2"])
        assert ids(index.search(embedding("q"), both, limit=10)) == {derive_id("open")}
        with pytest.raises(AccessDenied):
            access_filter(ALICE, document_ids=[])

    def test_each_filter_narrows_and_never_widens(self, index: Index) -> None:
        index.upsert([
            point("mine", **LABELS),
            point("bobs", access=["u:bob"], **LABELS),
            point("bare"),
        ])  # fmt: skip
        for asked, found in FILTERED:
            access = access_filter(ALICE, filters=asked)
            hits = index.search(embedding("q"), access, limit=10)
            assert ids(hits) == ({derive_id("mine")} if found else set()), asked
        every = access_filter(ALICE)
        assert len(index.search(embedding("q"), every, limit=10)) == 2  # the control

    def test_filters_join_by_and_and_their_values_by_or(self, index: Index) -> None:
        index.upsert([point("mine", **LABELS), point("other", **LABELS | {"language": "en"})])
        for asked, expected in (
            (Filters(tags=frozenset({"hr", "x"}), languages=frozenset({"de", "en"})), 2),
            (Filters(tags=frozenset({"hr"}), languages=frozenset({"en"})), 1),
            (Filters(tags=frozenset({"x"}), languages=frozenset({"en"})), 0),
        ):
            access = access_filter(ALICE, collection="main", filters=asked)
            assert len(index.search(embedding("q"), access, limit=10)) == expected

    def test_new_labels_hold_at_once(self, index: Index) -> None:
        index.upsert([point("p"), point("other", document="d2")])
        tagged = access_filter(ALICE, filters=Filters(tags=frozenset({"hr"})))
        dated = access_filter(ALICE, filters=Filters(since=NOON))
        assert index.search(embedding("p"), tagged, limit=10) == []
        index.relabel(labelled("d1", [EVERYONE], **LABELS))
        assert ids(index.search(embedding("p"), tagged, limit=10)) == {derive_id("p")}
        assert ids(index.search(embedding("p"), dated, limit=10)) == {derive_id("p")}
        index.relabel(labelled("d2", [EVERYONE], **LABELS), labelled("d1", [EVERYONE]))
        assert ids(index.search(embedding("p"), tagged, limit=10)) == {derive_id("other")}
        index.relabel(labelled("d2", [EVERYONE]))
        index.relabel()
        assert index.search(embedding("p"), dated, limit=10) == []
        assert len(index.search(embedding("p"), everyone, limit=10)) == 2

    def test_names_may_be_in_any_script(self, index: Index) -> None:
        token, collection = "g:право 法務 é' \"]}", "договоры 契約"
        index.upsert([
            point("p", access=[token], collection=collection, document="δ", revision="ρ 1"),
        ])  # fmt: skip
        found = index.search(
            embedding("p"), AccessFilter(frozenset({token}), collection=collection), limit=1
        )
        assert [hit.chunk_id for hit in found] == [derive_id("p")]
        assert index.count("ρ 1") == 1

    def test_fusion_equals_the_slow_twin(self, index: Index) -> None:
        twin = FakeIndex()
        points = [point(f"p{i}", access=TOKENS[: i % 5]) for i in range(150)]
        index.upsert(points)
        twin.upsert(points)
        for query in range(10):
            asked = embedding(("q", query))
            assert_same_ranking(
                index.search(asked, access_filter(ALICE), limit=40),
                twin.search(asked, access_filter(ALICE), limit=40),
            )

    def test_each_search_by_itself_equals_the_slow_twin(self, index: Index) -> None:
        twin = FakeIndex()
        points = [point(f"p{i}", access=TOKENS[: i % 5], terms=i % 4) for i in range(150)]
        index.upsert(points)
        twin.upsert(points)
        for query in range(10):
            asked = embedding(("q", query))
            found = index.search_each(asked, access_filter(ALICE), limit=40)
            expected = twin.search_each(asked, access_filter(ALICE), limit=40)
            for some, others in zip(found, expected, strict=True):
                assert_same_ranking(some, others, within=1e-6)

    def test_no_words_or_words_that_nothing_holds_find_nothing_by_words(self, index: Index) -> None:
        index.upsert([point("p"), point("no terms", terms=0)])
        dense = embedding("p").dense
        for words in (SparseVector((), ()), SparseVector((1, 2), (1.0, 1.0))):
            near, sharing = index.search_each(Embedding(dense, words), everyone, limit=10)
            assert near[0].chunk_id == derive_id("p")
            assert near[0].score == pytest.approx(1, abs=1e-6)
            assert sharing == []

    def test_neither_search_by_itself_finds_what_rights_or_narrowing_exclude(
        self, index: Index
    ) -> None:
        index.upsert([
            point("mine", document="d1", access=["u:alice"], term=7),
            point("open", document="d2", collection="b", term=7),
            point("bobs", document="d3", access=["u:bob"], term=7),
        ])  # fmt: skip
        asked = Embedding(embedding("bobs").dense, SparseVector((7,), (1.0,)))
        for narrowed, expected in (
            ({}, {"mine", "open"}), ({"collection": "b"}, {"open"}),
            ({"document_ids": ["d3"]}, set()),
        ):  # fmt: skip
            access = access_filter(ALICE, **narrowed)
            for found in index.search_each(asked, access, limit=10):
                assert ids(found) == {derive_id(name) for name in expected}
        bob = index.search_each(asked, access_filter(Principal("bob")), limit=10)  # the control
        assert all(derive_id("bobs") in ids(found) for found in bob)

    def test_equal_hits_are_placed_by_their_ids_whatever_else_is_there(self, index: Index) -> None:
        twin = FakeIndex()
        equal = SparseVector((7,), (1.0,))
        for number in range(60):
            made = point(f"p{number}", access=[EVERYONE] if number % 2 else ["u:bob"])
            index.upsert([replace(made, embedding=replace(made.embedding, sparse=equal))])
            twin.upsert([replace(made, embedding=replace(made.embedding, sparse=equal))])
        asked = Embedding(embedding("q").dense, equal)
        expected = twin.search(asked, everyone, limit=20)
        assert_same_ranking(index.search(asked, everyone, limit=20), expected)
        index.upsert([point(f"h{n}", access=["u:bob"], term=7) for n in range(50)])
        assert_same_ranking(index.search(asked, everyone, limit=20), expected)

    def test_the_same_question_gets_the_same_order_each_time(self, index: Index) -> None:
        index.upsert([point(f"p{i}") for i in range(150)])
        orders = {
            tuple(hit.chunk_id for hit in index.search(embedding("q"), everyone, limit=30))
            for _ in range(15)
        }
        assert len(orders) == 1

    def test_whatever_the_rights_only_the_readable_is_found(self, index: Index) -> None:
        @settings(max_examples=20)
        @given(
            st.lists(st.sets(st.sampled_from(TOKENS)), max_size=12),
            st.sets(st.sampled_from(TOKENS), min_size=1),
            st.sampled_from([None, "a", "b"]),
            st.none() | st.sets(st.sampled_from(["d0", "d1", "d2", "d9"]), min_size=1),
        )
        def holds(
            rights: list[set[str]], held: set[str], collection: str | None, only: set[str] | None
        ) -> None:
            stored = [
                point(f"p{i}", access=sorted(t), collection="ab"[i % 2], document=f"d{i % 3}")
                for i, t in enumerate(rights)
            ]
            index.delete(["r1"])
            index.upsert(stored)
            documents = None if only is None else frozenset(only)
            asked = AccessFilter(frozenset(held), collection, documents)
            assert ids(index.search(embedding("q"), asked, limit=100)) == {
                p.chunk_id
                for p in stored
                if p.access & held
                and collection in (None, p.collection)
                and (only is None or p.document_id in only)
            }

        holds()


def assert_same_ranking(
    found: Sequence[Hit], expected: Sequence[Hit], *, within: float = 1e-7
) -> None:
    """Demand the same ids in the same order; hits of equal score come in the order of their ids.

    Stores count in 32 bits: scores need only agree to seven digits.
    """
    assert [hit.chunk_id for hit in found] == [hit.chunk_id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx(
        [hit.score for hit in expected], abs=within
    )
