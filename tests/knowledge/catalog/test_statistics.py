from __future__ import annotations

import pytest

from knowledge.catalog import statistics
from knowledge.catalog.store import SqlCatalog
from knowledge.models import TermStatistics
from tests.catalogs import document, prepare, publish

LAST_TERM = 2**32 - 1


def test_without_a_snapshot_there_are_no_statistics(catalog: SqlCatalog) -> None:
    publish(catalog, document(), "text")

    for collection in ("main", None):
        assert catalog.statistics(collection) == TermStatistics(0, 0, {})


def test_a_snapshot_counts_chunks_and_not_words(catalog: SqlCatalog) -> None:
    publish(catalog, document("a"), "x" * 40, terms=[5, 5, LAST_TERM])
    publish(catalog, document("b"), "x" * 20, terms=[5, 7])

    frozen = catalog.freeze_statistics("main")

    assert frozen == TermStatistics(1, 3, {5: 3, LAST_TERM: 2, 7: 1})
    assert catalog.statistics("main") == frozen


def test_only_live_documents_that_everyone_may_read_are_counted(catalog: SqlCatalog) -> None:
    publish(catalog, document("public"), "x", terms=[1])
    publish(catalog, document("hidden", access=frozenset({"g:board"})), "x", terms=[2])
    publish(catalog, document("replaced"), "x", terms=[3])
    publish(catalog, document("replaced"), "x", terms=[4])
    publish(catalog, document("removed"), "x", terms=[5])
    catalog.remove(document("removed").id)
    prepare(catalog, document("unfinished"), "x", terms=[6])
    publish(catalog, document("elsewhere", collection="hr"), "x", terms=[7])

    assert catalog.freeze_statistics("main").frequencies == {1: 1, 4: 1}


def test_a_snapshot_stays_frozen_until_the_next(catalog: SqlCatalog) -> None:
    publish(catalog, document("a"), "x", terms=[1])
    first = catalog.freeze_statistics("main")
    publish(catalog, document("b"), "x", terms=[1])

    assert catalog.statistics("main") == first
    assert catalog.freeze_statistics("main") == TermStatistics(2, 2, {1: 2})


def test_all_collections_together_are_the_sum(catalog: SqlCatalog) -> None:
    publish(catalog, document("a", collection="hr"), "x", terms=[1, 2])
    publish(catalog, document("b", collection="it"), "x", terms=[2, 3])
    for collection in ("hr", "it", "it", "empty"):
        catalog.freeze_statistics(collection)

    together = catalog.statistics(None)

    assert together == TermStatistics(4, 2, {1: 1, 2: 2, 3: 1})
    assert catalog.statistics("empty") == TermStatistics(1, 0, {})


def test_a_snapshot_outlives_the_process(catalog: SqlCatalog, url: str) -> None:
    publish(catalog, document(), "x", terms=[1, LAST_TERM])
    frozen = catalog.freeze_statistics("main")

    again = SqlCatalog.open(url)
    try:
        assert again.statistics("main") == frozen
    finally:
        again.close()


def test_another_process_sees_a_new_snapshot_after_a_moment(
    catalog: SqlCatalog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SqlCatalog.open(url)
    try:
        assert other.statistics("main").generation == 0
        publish(catalog, document(), "x", terms=[1])
        catalog.freeze_statistics("main")
        assert other.statistics("main").generation == 0
        monkeypatch.setattr(statistics, "TRUSTED_FOR", -1.0)
        assert other.statistics("main") == catalog.statistics("main")
        assert other.statistics("main").generation == 1
    finally:
        other.close()


def test_a_collection_is_stale_when_what_everyone_reads_has_changed(catalog: SqlCatalog) -> None:
    def freeze() -> None:
        for collection in catalog.stale_statistics():
            catalog.freeze_statistics(collection)
        assert catalog.stale_statistics() == []

    assert catalog.stale_statistics() == []
    publish(catalog, document("a"), "x")
    publish(catalog, document("b", collection="hr"), "x")
    assert catalog.stale_statistics() == ["hr", "main"]
    freeze()

    changes = (
        lambda: publish(catalog, document("a"), "y"),
        lambda: catalog.set_access(document("a").id, frozenset({"u:bob"})),
        lambda: catalog.set_access(document("a").id, frozenset({"everyone", "u:bob"})),
        lambda: publish(catalog, document("c"), "x"),
        lambda: catalog.remove(document("a").id),
        lambda: catalog.remove(document("c").id),
    )
    for change in changes:
        change()
        assert catalog.stale_statistics() == ["main"]
        freeze()
    assert catalog.statistics("main").chunks == 0


def test_what_is_hidden_does_not_make_statistics_stale(catalog: SqlCatalog) -> None:
    publish(catalog, document("a", access=frozenset({"u:bob"})), "x")
    publish(catalog, document("a", access=frozenset({"u:bob"})), "y")
    catalog.set_access(document("a").id, frozenset({"u:alice"}))
    prepare(catalog, document("b"), "x")

    assert catalog.stale_statistics() == []


def test_more_revisions_than_fit_one_read_are_counted(catalog: SqlCatalog) -> None:
    with catalog.transaction():
        for number in range(210):
            publish(catalog, document(f"{number}"), "x", terms=[1, number + 10])

    frozen = catalog.freeze_statistics("main")

    assert frozen.chunks == frozen.frequencies[1] == 210
    assert len(frozen.frequencies) == 211
