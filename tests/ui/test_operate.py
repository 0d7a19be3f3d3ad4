from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from knowledge.errors import CatalogUnavailable
from knowledge.models import (
    Feed,
    FeedState,
    Freshness,
    Job,
    JobKind,
    JobState,
    Principal,
    Refused,
)
from serving.auth import Gate
from serving.keys import KeyRing, add_key
from tests.fakes import FakeJobs, FakeSources
from tests.ui import scripted
from tests.ui.judge import FORMS, foreign_nodes
from tests.ui.scripted import Script
from tests.ui.visits import Visit, button, seen

NOW = datetime.now(UTC)
DOCUMENT = Job("d", JobKind.UPLOAD, "d", "Travel.pdf", "ann", JobState.WAITING, created_at=NOW)
SOURCE = Job("s", JobKind.SYNC, "share", "share", "", JobState.RUNNING, done=4, total=9)
REFUSED = Refused(
    "r",
    "files",
    "/shared/locked.pdf",
    "encrypted",
    "It is encrypted.",
    NOW,
    NOW,
    2,
    quarantined=True,
)
SHARE = Feed(
    "share", "share", "smb", "smb://files/hr", state=FeedState.FAILED, error="It does not answer."
)


@pytest.fixture
def script() -> Script:
    jobs = FakeJobs(DOCUMENT, SOURCE)
    jobs.refused = [REFUSED]
    return Script(jobs=jobs, sources=FakeSources((SHARE, Freshness(12, 3, 2.0, 61.0))))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def page(script: Script, visit: Visit, keys: Path) -> Iterator[AppTest]:
    """The page as an administrator sees it who looks at the operations."""
    key = add_key(keys, "root", groups=(), roles=["admin"])
    with scripted.serving(script, Gate(keys=KeyRing(keys))) as url:
        yield look(visit(url, key))


def test_jobs_the_quarantine_and_sources_are_in_one_view(page: AppTest) -> None:
    shown = seen(page)

    assert "1 document and 1 source on the way" in shown
    assert "Travel.pdf" in shown and "4 of 9 looked at" in shown
    assert "locked.pdf" in shown and "encrypted" in shown and "It is encrypted." in shown
    assert "smb://files/hr" in shown and "It does not answer." in shown
    assert "changes found after 2 s" in shown
    assert not page.chat_input


def test_a_job_is_paused_resumed_and_cancelled(page: AppTest, script: Script) -> None:
    def state() -> JobState:
        return script.jobs.kept["d"].state

    page.button(key="Pause-d").click().run()
    assert state() is JobState.PAUSED
    page.button(key="Resume-d").click().run()
    assert state() is JobState.WAITING
    page.button(key="Cancel-d").click().run()
    assert state() is JobState.CANCELLED
    assert "Travel.pdf" not in seen(page)


def test_a_job_that_was_given_up_is_retried(page: AppTest, script: Script) -> None:
    script.jobs.kept = {"d": Job("d", JobKind.UPLOAD, "d", "Travel.pdf", "ann", JobState.DEAD)}
    page.run()
    assert "Failed lately" in seen(page)

    button(page, "Retry").click().run()

    assert script.jobs.kept["d"].state is JobState.WAITING
    assert "Failed lately" not in seen(page)


def test_a_file_that_cannot_be_used_has_no_button_that_cannot_help(
    page: AppTest, script: Script
) -> None:
    script.jobs.kept = {"d": Job("d", JobKind.UPLOAD, "d", "Travel.pdf", "ann", JobState.FAILED)}
    page.run()

    assert "Travel.pdf" in seen(page)
    assert "Retry" not in [each.label for each in page.button]


def test_a_file_leaves_the_quarantine_and_the_page_says_when_it_is_tried(
    page: AppTest, script: Script
) -> None:
    button(page, "Try again").click().run()

    assert script.jobs.refused == []
    assert "It is tried again when it next comes by" in seen(page)
    assert "No file is in quarantine." in seen(page)


def test_a_source_is_synced_paused_and_resumed(page: AppTest, script: Script) -> None:
    button(page, "Sync now").click().run()

    due_at = script.sources.kept["share"][0].due_at
    assert due_at is not None and due_at <= datetime.now(UTC)
    assert "about to be synced" in seen(page)
    assert button(page, "Sync now").disabled, "it is asked for already"
    page.button(key="Pause-share").click().run()
    assert script.sources.kept["share"][0].paused
    page.button(key="Resume-share").click().run()
    assert not script.sources.kept["share"][0].paused


def test_who_is_no_operator_does_not_see_the_view(script: Script, visit: Visit, keys: Path) -> None:
    reader = add_key(keys, "ann", groups=(), roles=["editor"])
    admin = add_key(keys, "root", groups=(), roles=["admin"])
    with scripted.serving(script, Gate(keys=KeyRing(keys))) as url:
        assert not views(visit(url, reader))
        assert views(visit(url, admin)) == ["Questions", "Operations"]


def test_another_key_is_another_reader(script: Script, visit: Visit, keys: Path) -> None:
    admin = add_key(keys, "root", groups=(), roles=["admin"])
    reader = add_key(keys, "ann", groups=(), roles=[])
    with scripted.serving(script, Gate(keys=KeyRing(keys))) as url:
        page = look(visit(url, admin))
        page.session_state.key = reader
        page.run()

        assert not views(page)
        assert "locked.pdf" not in seen(page)


def test_without_keys_sources_are_left_to_commands(script: Script, visit: Visit) -> None:
    with scripted.serving(script) as url:
        page = look(visit(url))

        assert "Travel.pdf" in seen(page)
        assert "<code>footnote source list</code>" in seen(page)
        assert "smb://files/hr" not in seen(page)


def test_where_there_is_nothing_the_view_says_what_to_do(page: AppTest, script: Script) -> None:
    script.jobs.kept, script.jobs.refused, script.sources.kept = {}, [], {}
    page.run()

    assert "Nothing is on its way." in seen(page)
    assert "No file is in quarantine." in seen(page)
    assert "footnote source add NAME PATH" in seen(page)
    assert not page.button


def test_what_went_wrong_is_told_until_something_else_is_done(
    page: AppTest, script: Script
) -> None:
    del script.jobs.kept["d"]
    page.button(key="Pause-d").click().run()
    assert "Pause: Travel.pdf" in seen(page)
    assert "There is nothing here that you may see." in seen(page)

    page.button(key="Pause-s").click().run()
    assert "Pause: Travel.pdf" not in seen(page)


def test_a_part_that_cannot_be_told_leaves_the_others(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: FakeJobs, principal: Principal, *, limit: int) -> list[Refused]:
        raise CatalogUnavailable("the catalog does not answer")

    monkeypatch.setattr(FakeJobs, "quarantine", away)
    page.run()

    assert "This cannot be shown" in seen(page)
    assert "Travel.pdf" in seen(page) and "smb://files/hr" in seen(page)


def test_hostile_names_and_reasons_never_become_more_than_text(
    page: AppTest, script: Script
) -> None:
    evil = "\n\n".join(FORMS)
    job = Job("d", JobKind.UPLOAD, "d", evil, "ann", JobState.DEAD, reason=evil)
    refused = Refused("r", "s", evil, evil, evil, NOW, NOW, 2, quarantined=True)
    feed = Feed("share", evil, "smb", evil, error=evil)
    script.jobs.kept, script.jobs.refused = {"d": job}, [refused]
    script.sources.kept = {"share": (feed, Freshness(0, 0))}
    page.run()
    del script.jobs.kept["d"]
    button(page, "Retry").click().run()

    bodies = [html.proto.body for html in page.main.get("html")]
    assert evil[:5] in seen(page)
    assert [
        n for body in bodies if not body.startswith("<style>") for n in foreign_nodes(body)
    ] == []
    assert not page.markdown
    assert "evil" not in "".join(each.label for each in page.button)


def views(page: AppTest) -> list[str]:
    return [option.content for each in page.button_group for option in each.proto.options]


def look(page: AppTest) -> AppTest:
    page.button_group[0].set_value("Operations").run()
    assert not page.exception
    return page
