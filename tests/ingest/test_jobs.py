from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.jobs import CatalogJobs
from ingest.pipeline import Sizes
from ingest.worker import Pace
from knowledge.errors import IndexUnavailable, NotFound, NotNow, ParserFailed
from knowledge.models import IngestEvent, Job, JobState, Lane, Outcome, Parsed, Point, Principal
from tests.fakes import FakeIndex, ThreadEngine
from tests.ingest.test_worker import hand_in, lines, status, until
from tests.ingest.world import ANN, OpenParser, World

ADMIN = Principal("root", roles=frozenset({"admin"}))
BOB = Principal("bob")
SOON = Pace(retry_seconds=0, pause_seconds=0.02)


def door(world: World, wake: Callable[[], None] = lambda: None) -> CatalogJobs:
    return CatalogJobs(
        outbox=world.catalog, refusals=world.catalog, originals=world.originals, wake=wake
    )


def finish_all(world: World, pace: Pace = SOON) -> None:
    worker = world.new_worker(pace=pace)
    while worker.work_one():
        pass


# --- who may do what ----------------------------------------------------------------------------


def test_a_job_is_its_owners_and_an_administrators(world: World) -> None:
    jobs = door(world)
    taken = hand_in(world, "a text")
    assert [each.id for each in jobs.jobs(ANN)] == [taken.id]
    assert [each.id for each in jobs.jobs(ADMIN)] == [taken.id]
    assert jobs.jobs(BOB) == []
    for do in (jobs.job, jobs.pause, jobs.resume, jobs.retry, jobs.cancel):
        with pytest.raises(NotFound):
            do(taken.id, BOB)
    assert jobs.job(taken.id, ANN).state is JobState.WAITING


def test_jobs_are_listed_newest_first_and_by_state(world: World) -> None:
    jobs = door(world)
    first, second = hand_in(world, "one"), hand_in(world, "two", name="b.txt")
    world.worker.work_one()
    assert [each.id for each in jobs.jobs(ANN)] == [second.id, first.id]
    assert [each.id for each in jobs.jobs(ANN, states=[JobState.DONE])] == [first.id]
    assert len(jobs.jobs(ANN, limit=1)) == 1


# --- what people do with them -------------------------------------------------------------------


def test_a_paused_job_is_done_after_it_is_resumed(world: World) -> None:
    woken: list[bool] = []
    jobs = door(world, lambda: woken.append(True))
    taken = hand_in(world, "a text")
    assert jobs.pause(taken.id, ANN).state is JobState.PAUSED
    assert not world.worker.work_one()
    with pytest.raises(NotNow, match="paused"):
        jobs.pause(taken.id, ANN)
    assert jobs.resume(taken.id, ANN).state is JobState.WAITING
    finish_all(world)
    assert jobs.job(taken.id, ANN).state is JobState.DONE
    assert len(woken) == 2
    with pytest.raises(NotNow, match="done"):
        jobs.resume(taken.id, ANN)


class Interrupting(OpenParser):
    """Does something while a file is parsed, once."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act: Callable[[], object] | None = act

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        act, self._act = self._act, None
        if act is not None:
            act()
        return super().parse(data, name=name)


def test_pausing_in_the_middle_keeps_what_is_done_and_goes_on_from_there(world: World) -> None:
    jobs = door(world)
    taken = hand_in(world, lines(40), name="c.jsonl")
    world.wire(
        Interrupting(lambda: jobs.pause(taken.id, ANN)), Sizes(group_documents=1, chunk_tokens=32)
    )
    worker = world.new_worker(pace=Pace(lease=timedelta(seconds=0.04)))
    assert worker.work_one()
    paused = jobs.job(taken.id, ANN)
    assert paused.state is JobState.PAUSED
    visible = len(world.find("zebra"))
    assert visible < 20  # of the twenty that a search shows
    jobs.resume(taken.id, ANN)
    finish_all(world)
    done = jobs.job(taken.id, ANN)
    assert (done.state, done.done, done.total) == (JobState.DONE, 40, 40)


def test_a_later_upload_of_the_name_waits_for_a_paused_one(world: World) -> None:
    jobs = door(world)
    first = hand_in(world, "version one")
    jobs.pause(first.id, ANN)
    hand_in(world, "version two")
    assert not world.worker.work_one()
    jobs.resume(first.id, ANN)
    finish_all(world)
    assert world.texts("version") == ["version two"]


def test_a_dead_job_keeps_its_file_and_is_done_when_it_is_retried(world: World) -> None:
    jobs = door(world)
    taken = hand_in(world, "a text")
    for _ in range(2):
        world.catalog.claim("killed", lease=timedelta(0))
    finish_all(world)
    dead = jobs.job(taken.id, ANN)
    assert (dead.state, dead.stops) == (JobState.DEAD, 2)
    assert world.blobs.has(taken.digest)
    assert jobs.retry(taken.id, ANN).state is JobState.WAITING
    finish_all(world)
    assert jobs.job(taken.id, ANN).state is JobState.DONE


def test_a_dead_upload_cannot_come_back_over_a_later_one(world: World) -> None:
    jobs = door(world)
    taken = hand_in(world, "version one")
    for _ in range(2):
        world.catalog.claim("killed", lease=timedelta(0))
    finish_all(world)
    hand_in(world, "version two")
    finish_all(world)
    with pytest.raises(NotNow, match="later upload"):
        jobs.retry(taken.id, ANN)
    assert world.texts("version") == ["version two"]


def test_a_failed_upload_whose_file_is_gone_says_to_hand_it_in_again(world: World) -> None:
    taken = hand_in(world, b"no pdf", name="a.pdf")
    finish_all(world)
    with pytest.raises(NotNow, match="hand it in again"):
        door(world).retry(taken.id, ANN)


def test_a_cancelled_job_stays_cancelled_and_lets_the_next_one_go_first(world: World) -> None:
    jobs = door(world)
    first, second = hand_in(world, "version one"), hand_in(world, "version two")
    assert jobs.cancel(first.id, ANN).state is JobState.CANCELLED
    finish_all(world)
    assert world.texts("version") == ["version two"]
    assert jobs.cancel(second.id, ANN).state is JobState.DONE
    with pytest.raises(NotNow):
        jobs.retry(first.id, ANN)


# --- retries ------------------------------------------------------------------------------------


class Down(FakeIndex):
    """An index that does not answer, for the first so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def upsert(self, points: Sequence[Point]) -> None:
        self.times -= 1
        if self.times >= 0:
            raise IndexUnavailable("nobody answers")
        super().upsert(points)


def test_each_retry_waits_longer_and_a_retry_by_hand_does_not(tmp_path: Path) -> None:
    world = World(tmp_path, index=Down(3))
    jobs = door(world)
    taken = hand_in(world, "a text")
    worker = world.new_worker(pace=Pace(retry_seconds=60))
    for seconds in (60, 60):  # a retry by hand begins anew
        assert worker.work_one()
        waiting = jobs.job(taken.id, ANN)
        assert waiting.state is JobState.RETRYING
        assert waiting.next_at is not None
        left = (waiting.next_at - datetime.now(UTC)).total_seconds()
        assert seconds - 20 < left <= seconds
        assert not worker.work_one()
        jobs.retry(taken.id, ANN)
    finish_all(world)
    assert jobs.job(taken.id, ANN).state is JobState.DONE
    world.close()


def test_a_store_that_stays_away_makes_a_job_dead_with_the_last_reason(tmp_path: Path) -> None:
    world = World(tmp_path, index=Down(1_000))
    taken = hand_in(world, "a text")
    finish_all(world, Pace(retry_seconds=0, tries=4))
    dead = door(world).job(taken.id, ANN)
    assert (dead.state, dead.attempts) == (JobState.DEAD, 4)
    assert "nobody answers" in dead.reason
    assert world.blobs.has(taken.digest)
    world.close()


# --- one at a time, or several ------------------------------------------------------------------


class SlowParser(OpenParser):
    """Takes two seconds for files called slow."""

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        if name.startswith("slow"):
            time.sleep(2.0)
        return super().parse(data, name=name)


def small_ones_took(world: World, engine: ThreadEngine | None) -> float:
    """Return how many seconds five small files took behind a slow one."""
    world.wire(SlowParser())
    worker = world.new_worker(pace=SOON)
    hand_in(world, "slow text", name="slow.txt")
    small = [hand_in(world, f"small text {n}", name=f"{n}.txt") for n in range(5)]
    began, stop = time.monotonic(), threading.Event()

    def one_after_the_other() -> None:
        while worker.work_one():
            pass

    work = one_after_the_other if engine is None else lambda: worker.run(stop, engine)
    working = threading.Thread(target=work)
    working.start()
    until(lambda: all(status(world, each).state == "done" for each in small))
    took = time.monotonic() - began
    stop.set()
    worker.wake()
    working.join()
    return took


def test_a_slow_file_does_not_hold_up_small_ones(tmp_path: Path) -> None:
    took = {}
    for name, engine in (("together", ThreadEngine()), ("one by one", None)):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        took[name] = small_ones_took(world, engine)
        world.close()
    print(f"\nfive small files behind one that takes 2 s: {took}")
    assert took["together"] < took["one by one"]
    assert took["one by one"] > 2.0


# --- sources ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handbook:
    """A source."""

    id: str = "s1"
    name: str = "the handbook"


class Sources:
    """One source that is due once, with as many documents as it is told."""

    def __init__(self, world: World, count: int) -> None:
        self._world = world
        self._count = count
        self.due_now = [Handbook()]
        self.synced: list[str] = []

    def due(self, now: datetime) -> Sequence[Handbook]:
        return self.due_now

    def sync_source(self, source_id: str) -> Iterator[IngestEvent]:
        self.due_now = []
        for number in range(self._count):
            self.synced.append(source_id)
            yield IngestEvent(f"{number}", Outcome.INDEXED, done=number + 1, total=self._count)


def test_a_source_whose_time_has_come_gets_one_job(world: World) -> None:
    sources = Sources(world, 3)
    worker = world.new_worker(pace=SOON)
    worker.watch(sources)
    engine = ThreadEngine()
    engine.start(worker.perform)
    worker.queue(engine)
    worker.queue(engine)
    engine.stop()
    (job,) = door(world).jobs(ADMIN)
    assert (job.kind, job.lane, job.name) == ("sync", Lane.BULK, "the handbook")
    assert (job.state, job.done, job.total) == (JobState.DONE, 3, 3)
    assert door(world).jobs(ANN) == []
    assert sources.synced == ["s1"] * 3


def test_a_sync_lets_an_upload_that_somebody_waits_for_go_first(world: World) -> None:
    world.wire(SlowParser())
    sources = Sources(world, 200)
    worker = world.new_worker(pace=SOON)
    worker.watch(sources)
    sources.due_now = []
    engine = ThreadEngine()
    engine.start(worker.perform)
    taken = hand_in(world, "slow text", name="slow.txt")
    worker.queue(engine)
    until(lambda: status(world, taken).state == "working")
    sources.due_now = [Handbook()]
    worker._asked_sources_at = float("-inf")
    worker.queue(engine)
    time.sleep(0.3)
    assert len(sources.synced) <= 1
    engine.stop()
    assert len(sources.synced) == 200


# --- quarantine ---------------------------------------------------------------------------------


class Crashing(OpenParser):
    """Takes too long for PDF files, and counts how often it tried."""

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        found = super().parse(data, name=name)
        if name.endswith(".pdf"):
            raise ParserFailed("it takes too long", code="timeout")
        return found

    def tries(self, name: str) -> int:
        return self.parsed.count(name)


def bad_pdf(world: World, folder: Path, data: bytes = b"no pdf") -> Crashing:
    (folder / "bad.pdf").write_bytes(data)
    (folder / "good.txt").write_text("zebra")
    parser = Crashing()
    world.wire(parser)
    return parser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def test_a_file_that_failed_twice_is_not_parsed_a_third_time(world: World, folder: Path) -> None:
    parser = bad_pdf(world, folder)
    for attempt in (1, 2, 3, 4):
        (event,) = [e for e in world.sync(folder) if e.outcome is Outcome.REJECTED]
        assert event.code == "timeout"
        assert parser.tries("bad.pdf") == min(attempt, 2)
    (held,) = door(world).quarantine(ADMIN)
    assert (held.attempts, held.code, held.quarantined) == (2, "timeout", True)
    assert held.first_seen_at < held.seen_at
    assert len(world.catalog.refused()) == 1
    assert world.texts("zebra") == ["zebra"]


def test_it_is_tried_again_when_it_changes_or_its_parser_does_or_limits_do(
    world: World, folder: Path
) -> None:
    for _ in range(3):
        bad_pdf(world, folder)
        world.sync(folder)
    bad_pdf(world, folder, b"still no pdf")
    parser = bad_pdf(world, folder, b"still no pdf")
    for _ in range(4):
        world.sync(folder)
    assert parser.tries("bad.pdf") == 2
    newer = Crashing("parser-2")
    world.wire(newer)
    world.sync(folder)
    assert newer.tries("bad.pdf") == 1
    patient = Crashing("parser-2")
    world.wire(patient, Sizes(parse_limits="much more time"))
    world.sync(folder)
    assert patient.tries("bad.pdf") == 1


def test_it_is_tried_again_when_an_administrator_says_so(world: World, folder: Path) -> None:
    parser = bad_pdf(world, folder)
    for _ in range(3):
        world.sync(folder)
    (held,) = door(world).quarantine(ADMIN)
    with pytest.raises(NotFound):
        door(world).free(held.id, ANN)
    assert door(world).free(held.id, ADMIN).quarantined is False
    assert door(world).quarantine(ADMIN) == []
    world.sync(folder)
    assert parser.tries("bad.pdf") == 3


def test_a_file_that_is_good_again_leaves_the_quarantine(world: World, folder: Path) -> None:
    bad_pdf(world, folder)
    for _ in range(2):
        world.sync(folder)
    (folder / "bad.pdf").unlink()
    world.sync(folder)
    assert world.catalog.refused() == []


def test_a_store_that_is_down_puts_nothing_into_quarantine(tmp_path: Path, folder: Path) -> None:
    world = World(tmp_path, index=Down(5))
    (folder / "good.txt").write_text("zebra")
    for _ in range(5):
        with pytest.raises(IndexUnavailable):
            world.sync(folder)
    assert world.catalog.refused() == []
    assert [e.outcome for e in world.sync(folder)] == [Outcome.INDEXED]
    world.close()


def test_whoever_hands_in_a_file_that_fails_sees_it_in_quarantine(world: World) -> None:
    for _ in range(2):
        hand_in(world, b"no pdf", name="a.pdf")
        finish_all(world)
    assert [each.uri for each in door(world).quarantine(ANN)] == ["upload:ann/a.pdf"]
    assert door(world).quarantine(BOB) == []
    assert door(world).quarantine(Principal("", roles=frozenset({"admin"}))) == []
    (held,) = door(world).quarantine(ANN)
    assert door(world).free(held.id, ANN).attempts == 0


def test_a_job_knows_its_lane_by_the_size_of_its_file(world: World) -> None:
    small: Job = door(world).job(hand_in(world, "a text").id, ANN)
    assert small.lane is Lane.QUICK
