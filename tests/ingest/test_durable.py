"""Jobs in durable queues: killed anywhere, shared by processes, and never in each other's way."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.durable import DbosEngine
from knowledge.catalog.store import SqlCatalog
from knowledge.models import Job, JobKind, JobState, Lane
from tests.ingest.jobs_child import ADMIN, ANN, PLACES, Life, encode
from tests.postgres import fresh_database, postgres_server

ROOT = Path(__file__).resolve().parents[2]
STALE = timedelta(minutes=2)


# --- the engine by itself -----------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DbosEngine]:
    engine = DbosEngine(f"sqlite:///{tmp_path / 'jobs.sqlite'}", name="owner")
    yield engine
    engine.stop()


def job(name: str, lane: Lane = Lane.QUICK) -> Job:
    return Job(name, JobKind.UPLOAD, name, name, owner="ann", lane=lane)


def test_a_run_is_done_once_however_often_it_is_queued(engine: DbosEngine) -> None:
    runs: list[tuple[str, int]] = []
    engine.start(lambda job_id, run: runs.append((job_id, run)))
    first, second = job("a"), replace(job("a"), run=1)
    for _ in range(3):
        assert engine.queue([first], stale=STALE) == []
    until(lambda: len(runs) == 1)
    until(lambda: engine.queue([first], stale=STALE) == ["a"])  # it is over, and had no effect
    engine.queue([second], stale=STALE)
    until(lambda: len(runs) == 2)
    assert runs == [("a", 0), ("a", 1)]


def test_a_large_file_does_not_keep_small_ones_waiting(engine: DbosEngine) -> None:
    over = threading.Event()
    done: list[str] = []

    def perform(job_id: str, _: int) -> None:
        if job_id.startswith("large"):
            over.wait(30)
        done.append(job_id)

    engine.start(perform)
    large = [job(f"large {n}", Lane.LARGE) for n in range(3)]
    small = [job(f"small {n}") for n in range(4)]
    engine.queue([*large, *small], stale=STALE)
    until(lambda: len(done) == 4)
    assert sorted(done) == [each.id for each in small]
    over.set()
    until(lambda: len(done) == 7)


def test_a_run_is_not_begun_before_its_time_and_forgotten_after_it(engine: DbosEngine) -> None:
    begun: list[float] = []
    engine.start(lambda *_: begun.append(time.time()))
    when = datetime.now(UTC) + timedelta(seconds=1.5)
    later = replace(job("later"), next_at=when)
    engine.queue([later], stale=STALE)
    until(lambda: begun != [])
    assert begun[0] >= when.timestamp() - 0.1
    until(lambda: engine.queue([later], stale=STALE) == ["later"])
    engine.forget(before=datetime.now(UTC) + timedelta(seconds=1))
    assert engine.queue([later], stale=STALE) == []  # so it would be done again
    until(lambda: len(begun) == 2)


# --- killed -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What is left when all lives are over."""

    states: Counter[JobState]
    lost: list[str]
    """Uploads that were accepted, and are neither visible nor cancelled."""
    wrong: list[str]
    """What is visible though it was cancelled, or more than once."""
    begun: Counter[str]
    """How often each job was begun."""


def kill(folder: Path, places: Sequence[str], *, kind: str = "sound") -> Found:
    """End one life after the other at a place; the last one goes on until all jobs are over."""
    lives = [
        Life(str(folder), place, tuple(uploads(number, 2)), kind=kind)
        for number, place in enumerate(places)
    ]
    lives.append(Life(str(folder), kind=kind))
    command = [sys.executable, "-m", "tests.ingest.jobs_child", encode(lives)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    statuses = [json.loads(line)["status"] for line in ended.stdout.splitlines()]
    assert statuses == [9] * len(places) + [0], ended.stderr[-3000:]
    return look(f"sqlite:///{folder / 'c.sqlite'}", folder)


def uploads(number: int, count: int) -> list[tuple[str, str]]:
    return [(f"{number}-{n}.txt", f"zebra {number} {n}") for n in range(count)]


def look(url: str, folder: Path) -> Found:
    catalog = SqlCatalog.open(url)
    try:
        jobs = catalog.jobs(ADMIN, limit=1000)
        visible = Counter(
            each.uri.rpartition("/")[2]
            for each in catalog.documents(ANN, collection=None, after=None, limit=1000)
        )
    finally:
        catalog.close()
    cancelled = {each.name for each in jobs if each.state is JobState.CANCELLED}
    return Found(
        states=Counter(each.state for each in jobs),
        lost=[each.name for each in jobs if each.name not in visible.keys() | cancelled],
        wrong=[name for name, count in visible.items() if count > 1 or name in cancelled],
        begun=Counter(line.split()[0] for line in (folder / "begun").read_text().splitlines()),
    )


def check(found: Found, places: Sequence[str]) -> None:
    print(f"\n{len(places)} kills ({', '.join(places)}): {dict(found.states)}, "
          f"{len(found.lost)} lost, {len(found.wrong)} wrong, "
          f"{found.begun.total()} beginnings of {len(found.begun)} jobs")  # fmt: skip
    assert (found.lost, found.wrong) == ([], [])
    assert found.states.total() == 2 * len(places)
    assert all(state in (JobState.DONE, JobState.CANCELLED) for state in found.states)


@pytest.mark.timeout(280)
def test_a_killed_owner_loses_no_job_and_does_none_twice(tmp_path: Path) -> None:
    places = ("queued", "running", "retrying")
    check(kill(tmp_path, places), places)


@pytest.mark.timeout(280)
def test_the_same_test_finds_what_is_ended_before_it_is_done(tmp_path: Path) -> None:
    found = kill(tmp_path, ["running"], kind="forgetful")
    print(f"\ncontrol: {len(found.lost)} lost")
    assert found.lost != []


@pytest.mark.timeout(280)
def test_what_a_killed_owner_made_visible_of_a_cancelled_upload_is_taken_back(
    tmp_path: Path,
) -> None:
    for kind in ("sound", "trusting"):
        (tmp_path / kind).mkdir()
    found, control = (
        kill(tmp_path / kind, ["cancelled late"], kind=kind) for kind in ("sound", "trusting")
    )
    print(f"\nvisible although cancelled: {found.wrong}, where nobody looks: {control.wrong}")
    assert found.wrong == []
    assert control.wrong != []


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_an_owner_killed_in_every_state_of_a_job(tmp_path: Path) -> None:
    places = PLACES * 3
    check(kill(tmp_path, places), places)


# --- shared -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    with fresh_database(postgres) as url:
        yield url


def share(
    url: str, folder: Path, *, count: int, workers: int = 3, kind: str = "sound"
) -> Counter[str]:
    """Have processes share uploads; return how many jobs each did, and print the doubles."""
    first = Life(str(folder), "accepted", tuple(uploads(0, count)), url)
    run([first])
    lives = [
        Life(str(folder), database=url, name=f"{folder.name}-{n}", kind=kind, together=workers)
        for n in range(workers)
    ]
    children = [start([life]) for life in lives]
    for child in children:
        _, said = child.communicate(timeout=240)
        assert child.returncode == 0, said[-3000:]
    begun = [line.split() for line in (folder / "begun").read_text().splitlines()]
    doubles = len(begun) - len({job_id for job_id, _ in begun})
    shares = Counter(who for _, who in begun)
    print(f"\n{kind}: {workers} processes, {count} uploads: {dict(shares)}, {doubles} doubles")
    return Counter({"doubles": doubles, "busy": len(shares)})


def start(lives: Sequence[Life]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ingest.jobs_child", encode(lives)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(lives: Sequence[Life]) -> None:
    _, said = start(lives).communicate(timeout=120)
    assert said == ""


@pytest.mark.postgres
@pytest.mark.timeout(280)
def test_processes_share_the_jobs_of_one_database_without_doubles(
    database: str, tmp_path: Path
) -> None:
    shared = share(database, tmp_path, count=60)
    found = look(database, tmp_path)
    assert found.states == {JobState.DONE: 60}
    assert (shared["doubles"], found.lost, found.wrong) == (0, [], [])
    assert shared["busy"] == 3


@pytest.mark.postgres
@pytest.mark.timeout(280)
def test_the_same_test_finds_doubles_where_nobody_asks_the_catalog(
    database: str, tmp_path: Path
) -> None:
    assert share(database, tmp_path, count=5, workers=2, kind="careless")["doubles"] > 0


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
