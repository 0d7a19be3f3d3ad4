from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from knowledge.models import FeedState, Freshness, JobKind, JobState
from tests.ui.judge import FORMS, foreign_nodes, shown_text
from ui import standing
from ui.client import Held, Origin, Task

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def task(state: JobState = JobState.RUNNING, kind: JobKind = JobKind.SYNC, **more: object) -> Task:
    given = {"id": "1", "name": "share", "created_at": NOW - timedelta(minutes=5)}
    return Task(kind=kind, state=state, **{**given, **more})  # type: ignore[arg-type]


def origin(state: FeedState = FeedState.OK, **more: object) -> Origin:
    given = {
        "id": "1",
        "name": "share",
        "uri": "smb://files/hr",
        "collection": "main",
        "paused": False,
        "freshness": Freshness(1280, 50, 2.1, 64.0),
    }
    return Origin(state=state, **{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_of_what_is_looked_after_does_more_than_stand_there(form: str) -> None:
    pieces = [
        standing.task_html(task(name=form, reason=form), NOW),
        standing.held_html(Held("1", f"upload:{form}/{form}", form, form, 2, NOW), NOW),
        standing.held_html(Held("1", form, form, form, 2, NOW), NOW),
        standing.origin_html(origin(name=form, uri=form, error=form), NOW),
    ]

    assert [foreign_nodes(piece) for piece in pieces] == [[] for _ in pieces]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (task(done=412, total=1280, started_at=NOW - timedelta(minutes=9)),
         "under way Source · 412 of 1,280 looked at · for 9 min"),
        (task(done=3), "3 looked at"),
        (task(JobState.WAITING, JobKind.UPLOAD), "waiting Document · came 5 min ago"),
        (task(JobState.RETRYING, next_at=NOW + timedelta(minutes=4), reason="It is away."),
         "to be retried Source · next try in 4 min It is away."),
        (task(JobState.RETRYING, next_at=NOW), "next try now"),
        (task(JobState.DEAD, JobKind.UPLOAD, finished_at=NOW - timedelta(hours=3)),
         "given up Document · 3 h ago"),
    ],
)  # fmt: skip
def test_a_job_says_where_it_stands_and_since_when(given: Task, words: str) -> None:
    assert words in told(standing.task_html(given, NOW))


def test_only_what_is_counted_has_a_bar() -> None:
    assert "width:25%" in standing.task_html(task(done=1, total=4), NOW)
    assert "fn-bar" not in standing.task_html(task(done=1), NOW)
    assert "fn-bar" not in standing.task_html(task(JobState.WAITING, total=4), NOW)


def test_documents_and_sources_are_counted_apart() -> None:
    upload = task(kind=JobKind.UPLOAD)
    assert "1 document on the way" in standing.tally_html([upload])
    assert "2 documents and 1 source on the way" in standing.tally_html([upload, task(), upload])
    assert standing.tally_html([]) == ""


def test_a_file_in_quarantine_says_where_it_lies_and_how_often_it_failed() -> None:
    held = Held("1", "/shared/hr/plan%231.pdf", "damaged", "It is damaged.", 2, NOW)
    words = (
        "plan#1.pdf damaged /shared/hr/plan#1.pdf · failed 2 times, last just now It is damaged."
    )
    assert told(standing.held_html(held, NOW)) == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (origin(synced_at=NOW - timedelta(minutes=24), every=900, due_at=NOW + timedelta(hours=1)),
         "in sync smb://files/hr 1,280 documents · as of 24 min ago · changes found after 2 s, "
         "19 of 20 in 64 s · every 15 min · next in 60 min"),
        (origin(freshness=Freshness(1, 0)), "1 document · only when asked"),
        (origin(FeedState.NEVER, due_at=NOW), "not synced yet"),
        (origin(due_at=NOW), "about to be synced"),
        (origin(FeedState.FAILED, error="It is away."), "failed smb://files/hr"),
        (origin(FeedState.FAILED, error="It is away."), "It is away."),
        (origin(paused=True, every=900), "paused smb://files/hr"),
        (origin(FeedState.RUNNING, paused=True), "being synced"),
    ],
)  # fmt: skip
def test_a_source_says_how_fresh_it_is_and_what_comes_next(given: Origin, words: str) -> None:
    assert words in told(standing.origin_html(given, NOW))


def test_a_paused_source_is_not_about_to_be_synced() -> None:
    assert standing.waits(origin(due_at=NOW), NOW)
    assert not standing.waits(origin(due_at=NOW + timedelta(seconds=1)), NOW)
    assert not standing.waits(origin(due_at=NOW, paused=True), NOW)
    assert not standing.waits(origin(FeedState.RUNNING, due_at=NOW), NOW)


def told(html: str) -> str:
    """What the reader sees, the pieces a space apart."""
    return " ".join(shown_text(html.replace("<", " <")).split())
