from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.errors import ConfigurationError, NotFound
from knowledge.models import Feed, FeedState, Freshness, KeptItem
from knowledge.ports import Feeds
from tests.catalogs import ALICE, FOLDER, document, publish

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=2)
FEED = Feed(
    id="f1",
    name="handbook \N{SNOWMAN}",
    kind="s3",
    uri="s3://bucket/docs",
    collection="main",
    access=frozenset({"g:hr", "u:ann"}),
    settings={"include": "*.pdf\n*.md", "secret": "${env:S3}"},
    every=900,
    added_at=NOON,
    due_at=NOON,
)


def item(name: str, *, feed_id: str | None = "f1", lag: float | None = None) -> KeptItem:
    return KeptItem(
        uri=f"s3://bucket/docs/{name}",
        seed=f"s3://bucket/docs/{name}",
        fingerprint="tag-1",
        digest="d1",
        versions="v1",
        documents=2,
        feed_id=feed_id,
        modified_at=NOON,
        indexed_at=NOON + timedelta(seconds=lag or 0),
        lag=lag,
    )


def test_a_feed_is_stored_as_it_is(catalog: SqlCatalog) -> None:
    feeds: Feeds = catalog
    feeds.add_feed(FEED)
    assert feeds.feed("f1") == FEED
    assert feeds.feeds() == [FEED]
    with pytest.raises(NotFound):
        feeds.feed("f2")


def test_names_are_unique_and_sort(catalog: SqlCatalog) -> None:
    catalog.add_feed(FEED)
    with pytest.raises(ConfigurationError, match="already"):
        catalog.add_feed(replace(FEED, id="f2"))
    catalog.add_feed(replace(FEED, id="f2", name="a wiki"))
    assert [feed.name for feed in catalog.feeds()] == ["a wiki", FEED.name]


def test_what_is_due_is_neither_paused_nor_held(catalog: SqlCatalog) -> None:
    catalog.add_feed(FEED)
    catalog.add_feed(replace(FEED, id="f2", name="b", due_at=NOON - timedelta(hours=1)))
    catalog.add_feed(replace(FEED, id="f3", name="c", due_at=None))
    assert [feed.id for feed in catalog.due_feeds(NOON)] == ["f2", "f1"]
    catalog.set_feed("f2", paused=True)
    assert [feed.id for feed in catalog.due_feeds(NOON)] == ["f1"]
    assert catalog.claim_feed("f1", "me", lease=LEASE) == ""
    assert catalog.due_feeds(datetime.now(UTC)) == []
    with pytest.raises(NotFound):
        catalog.set_feed("f9", paused=True)


def test_one_holder_at_a_time(catalog: SqlCatalog) -> None:
    catalog.add_feed(FEED)
    assert catalog.claim_feed("f1", "one", lease=timedelta(seconds=-1)) == ""
    assert catalog.claim_feed("f1", "two", lease=LEASE) == ""  # the lease of one ran out
    assert catalog.claim_feed("f1", "one", lease=LEASE) is None
    assert not catalog.renew_feed("f1", "one", lease=LEASE)
    assert catalog.renew_feed("f1", "two", lease=LEASE)
    finish(catalog, "one", FeedState.OK)
    assert catalog.feed("f1").state is FeedState.RUNNING
    finish(catalog, "two", FeedState.OK)
    assert catalog.feed("f1").state is FeedState.OK
    assert catalog.release_feeds() == 0


def finish(catalog: SqlCatalog, holder: str, state: FeedState, cursor: str | None = "c") -> None:
    catalog.finish_feed(
        "f1", holder, state, error="e", counts={"indexed": 3}, cursor=cursor, due_at=NOON
    )


def test_the_end_of_a_sync_is_written_down(catalog: SqlCatalog) -> None:
    catalog.add_feed(FEED)
    catalog.claim_feed("f1", "me", lease=LEASE)
    begun = catalog.feed("f1").started_at
    finish(catalog, "me", FeedState.OK)
    ended = catalog.feed("f1")
    assert (ended.counts, ended.error, ended.synced_at) == ({"indexed": 3}, "e", begun)
    assert ended.finished_at is not None
    assert catalog.claim_feed("f1", "me", lease=LEASE) == "c"
    finish(catalog, "me", FeedState.PARTLY, cursor=None)
    partly = catalog.feed("f1")
    assert (partly.state, partly.synced_at) == (FeedState.PARTLY, begun)
    assert catalog.claim_feed("f1", "me", lease=LEASE) == "c"


def test_items_are_remembered_replaced_and_forgotten(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    many = [item(f"n{number}") for number in range(1200)]
    catalog.keep_items(FOLDER.id, many)
    assert catalog.items(FOLDER.id) == {each.uri: each for each in many}
    changed = replace(many[0], fingerprint="tag-2", feed_id=None, lag=1.5)
    catalog.keep_items(FOLDER.id, [changed])
    assert catalog.items(FOLDER.id)[changed.uri] == changed
    assert len(catalog.items_of("f1")) == 1199
    catalog.drop_items(FOLDER.id, [each.uri for each in many[:1199]])
    assert list(catalog.items(FOLDER.id)) == [many[1199].uri]
    assert catalog.items("other") == {}


def test_a_move_takes_item_and_documents_to_their_new_place(catalog: SqlCatalog) -> None:
    hits = publish(catalog, document(), "Travel is booked by the office.")
    catalog.keep_items(FOLDER.id, [item("old"), item("new", feed_id=None)])
    moved = replace(item("new"), seed="s3://bucket/docs/old")
    catalog.move_item(
        FOLDER.id, "s3://bucket/docs/old", moved, {document().id: "s3://bucket/docs/new"}
    )
    assert catalog.items(FOLDER.id) == {moved.uri: moved}
    assert catalog.passages(hits, ALICE)[0].document.uri == "s3://bucket/docs/new"


def test_freshness_counts_documents_and_ranks_delays(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    lags = [float(number) for number in range(1, 101)]
    catalog.keep_items(FOLDER.id, [item(f"n{lag}", lag=lag) for lag in lags])
    catalog.keep_items(FOLDER.id, [item("old"), item("nobody", feed_id=None, lag=9999)])
    assert catalog.freshness() == {"f1": Freshness(202, 100, 50.0, 95.0)}


def test_a_forgotten_feed_leaves_its_items_to_nobody(catalog: SqlCatalog) -> None:
    catalog.ensure_source(FOLDER)
    catalog.add_feed(FEED)
    catalog.keep_items(FOLDER.id, [item("a")])
    catalog.drop_feed("f1")
    catalog.drop_feed("f1")
    assert catalog.feeds() == []
    assert catalog.items(FOLDER.id)[item("a").uri].feed_id is None
    assert catalog.freshness() == {}
