from __future__ import annotations

import errno
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.pipeline import Sizes
from ingest.recover import recover
from ingest.worker import Pace, Worker
from knowledge.blobs import FolderBlobs
from knowledge.errors import IndexUnavailable, ParserFailed
from knowledge.models import (
    EVERYONE,
    JobState,
    Parsed,
    Point,
    RevisionState,
    Submission,
    SubmissionState,
)
from tests.fakes import FakeIndex, ThreadEngine
from tests.ingest.world import ANN, OpenParser, World

DONE, FAILED, RECEIVED = SubmissionState.DONE, SubmissionState.FAILED, SubmissionState.RECEIVED
AT_ONCE = timedelta(0)


def hand_in(world: World, data: str | bytes, *, name: str = "a.txt") -> Submission:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    access = frozenset({EVERYONE})
    return world.intake.submit(stream, name=name, collection="main", access=access, by=ANN)


def status(world: World, submission: Submission) -> Submission:
    return world.intake.status(submission.id, ANN)


def lines(count: int, word: str = "zebra") -> str:
    return "\n".join(json.dumps({"id": n, "text": f"{word} {n}"}) for n in range(count))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_an_upload_becomes_a_document(world: World) -> None:
    taken = hand_in(world, "a text")
    assert world.worker.work_one()
    done = status(world, taken)
    assert (done.state, done.reason) == (DONE, "")
    assert [p.document.id for p in world.find("text")] == list(done.document_ids)
    assert not world.worker.work_one()


def test_a_bad_file_fails_with_its_reason_and_is_not_kept(world: World) -> None:
    taken = hand_in(world, b"no pdf", name="a.pdf")
    world.worker.work_one()
    failed = status(world, taken)
    assert failed.state is FAILED
    assert "not a .pdf" in failed.reason
    assert not world.blobs.has(taken.digest)


def test_a_file_with_some_bad_lines_is_done_and_says_so(world: World) -> None:
    taken = hand_in(world, lines(2) + "\n{" * 7, name="c.jsonl")
    world.worker.work_one()
    done = status(world, taken)
    assert (done.state, len(done.document_ids)) == (DONE, 2)
    assert "line 3" in done.reason
    assert done.reason.endswith("and 2 more")


def test_an_upload_that_stopped_the_worker_twice_is_not_tried_again(world: World) -> None:
    taken = hand_in(world, "a text")
    other = hand_in(world, "other text", name="b.txt")
    for _ in range(4):  # each of them twice
        assert world.catalog.claim("crashed", lease=AT_ONCE) is not None
    while world.worker.work_one():
        pass
    assert (status(world, taken).state, status(world, other).state) == (FAILED, FAILED)
    assert "2 times" in status(world, taken).reason
    assert world.find("text") == []


def test_a_later_upload_of_the_same_name_waits_for_the_earlier(world: World) -> None:
    hand_in(world, "version one")
    world.catalog.claim("crashed", lease=AT_ONCE)
    hand_in(world, "version two")
    while world.worker.work_one():
        pass
    assert world.texts("version") == ["version two"]


def test_an_upload_that_was_under_way_in_a_crash_is_tried_again(world: World) -> None:
    taken = hand_in(world, "a text")
    world.catalog.claim("crashed", lease=timedelta(hours=1))
    assert not world.worker.work_one()
    recover(world.catalog, world.index, world.catalog, exclusive=True)
    assert world.worker.work_one()
    assert status(world, taken).state is DONE


class Unsteady(FakeIndex):
    down = False

    def upsert(self, points: Sequence[Point]) -> None:
        if self.down:
            raise IndexUnavailable("nobody answers")
        super().upsert(points)


def test_an_upload_waits_for_the_index_however_often(tmp_path: Path) -> None:
    index = Unsteady()
    world = World(tmp_path, index=index)
    taken = hand_in(world, "a text")
    index.down = True
    worker = world.new_worker(pace=Pace(retry_seconds=0))
    for _ in range(5):
        assert worker.work_one()
    job = world.catalog.job(taken.id, ANN)
    assert (job.state, job.stops, job.reason) == (JobState.RETRYING, 0, "nobody answers")
    assert status(world, taken).state is RECEIVED
    index.down = False
    assert worker.work_one()
    assert status(world, taken).state is DONE
    world.close()


class Stubborn(OpenParser):
    """Raises what it is given as often as it says, then parses."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self._error = error
        self._times = times

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        if self._times:
            self._times -= 1
            raise self._error
        return super().parse(data, name=name)


def test_an_upload_waits_for_the_parser(world: World) -> None:
    world.wire(Stubborn(ParserFailed("not there", code="unavailable"), 1))
    taken = hand_in(world, "a text")
    worker = world.new_worker(pace=Pace(retry_seconds=0))
    assert worker.work_one()
    assert status(world, taken).state is RECEIVED
    assert worker.work_one()
    assert status(world, taken).state is DONE


def test_a_fault_of_ours_fails_one_upload_and_not_the_next(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.wire(Stubborn(ValueError("a bug"), 1))
    first, second = hand_in(world, "one"), hand_in(world, "two", name="b.txt")
    assert world.worker.work_one()
    assert world.worker.work_one()
    assert status(world, first).state is FAILED
    assert "a bug" not in status(world, first).reason
    assert "a bug" in caplog.text
    assert status(world, second).state is DONE


def test_stopping_hands_the_rest_of_a_file_back(world: World) -> None:
    world.wire(OpenParser(), Sizes(group_documents=1))
    taken = hand_in(world, lines(3), name="c.jsonl")
    stop = threading.Event()
    stop.set()
    assert world.worker.work_one(stop)
    assert (status(world, taken).state, status(world, taken).attempts) == (RECEIVED, 0)
    world.worker.work_one()
    assert len(status(world, taken).document_ids) == 3


class Interfering(World):
    """Somebody does something when a state is first reached."""

    state = ""

    def pass_state(self, state: str) -> None:
        super().pass_state(state)
        if state == self.state:
            self.state = ""
            self.interfere()

    def interfere(self) -> None:
        self.intake.cancel(self.intake.recent(ANN)[0].id, ANN)


@pytest.mark.parametrize("state", ["received", "embedded", "upserted", "switched"])
def test_an_upload_cancelled_at_any_point_before_its_end_is_not_visible(
    tmp_path: Path, state: str
) -> None:
    world = Interfering(tmp_path)
    world.state = state
    taken = hand_in(world, "secret")
    world.worker.work_one()
    assert status(world, taken).state is SubmissionState.CANCELLED
    assert world.find("secret") == []
    assert isinstance(world.index, FakeIndex)
    assert world.index.points == {}
    assert not world.blobs.has(taken.digest)
    world.close()


def test_what_came_before_a_pause_is_taken_back_too_when_the_upload_is_cancelled(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, sizes=Sizes(group_documents=1))
    kept = hand_in(world, "zebra of another file")
    world.worker.work_one()
    taken = hand_in(world, lines(3), name="c.jsonl")
    stop = threading.Event()
    stop.set()
    world.worker.work_one(stop)
    assert len(world.find("zebra")) == 2
    world.intake.cancel(taken.id, ANN)
    assert not world.worker.work_one()
    assert world.texts("zebra") == ["zebra of another file"]
    assert world.blobs.has(kept.digest)
    assert not world.blobs.has(taken.digest)
    world.close()


def test_a_cancelled_upload_does_not_take_back_what_was_there_before_it(world: World) -> None:
    hand_in(world, "zebra")
    world.worker.work_one()
    again = hand_in(world, "zebra")
    world.catalog.claim("killed", lease=timedelta(0))
    world.intake.cancel(again.id, ANN)
    world.worker.work_one()
    assert status(world, again).state is SubmissionState.CANCELLED
    assert world.texts("zebra") == ["zebra"]


class Overtaken(Interfering):
    """Another worker takes the upload, believing this one dead."""

    def interfere(self) -> None:
        self.catalog.release()
        assert self.catalog.claim("other", lease=timedelta(hours=1)) is not None
        time.sleep(0.3)


def test_a_worker_that_lost_its_upload_leaves_the_ending_to_the_other(tmp_path: Path) -> None:
    world = Overtaken(tmp_path, sizes=Sizes(group_documents=1))
    world.state = "received"
    taken = hand_in(world, lines(3), name="c.jsonl")
    world.new_worker("slow", Pace(lease=timedelta(seconds=0.2))).work_one()
    assert status(world, taken).state is SubmissionState.WORKING
    assert status(world, taken).attempts == 2
    assert len(world.find("zebra")) < 3
    world.close()


class Slow(OpenParser):
    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        time.sleep(1.0)
        return super().parse(data, name=name)


def test_a_lease_is_renewed_for_as_long_as_the_work_takes(world: World) -> None:
    world.wire(Slow())
    taken = hand_in(world, "a text")
    worker = world.new_worker("first", Pace(lease=timedelta(seconds=0.4)))
    working = threading.Thread(target=worker.work_one)
    working.start()
    until(lambda: status(world, taken).state is SubmissionState.WORKING)
    while working.is_alive():
        assert world.catalog.claim("second", lease=AT_ONCE) is None
        time.sleep(0.05)
    assert (status(world, taken).state, status(world, taken).attempts) == (DONE, 1)


def running(worker: Worker) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop, ThreadEngine()))
    thread.start()
    return thread, stop


def test_a_running_worker_is_woken_by_an_upload_tidies_up_and_stops(world: World) -> None:
    worker = world.new_worker(pace=Pace(pause_seconds=60))
    thread, stop = running(worker)
    taken = hand_in(world, "a text")
    worker.wake()
    until(lambda: status(world, taken).state is DONE)
    until(lambda: world.catalog.statistics("main").chunks == 1)
    stop.set()
    worker.wake()
    thread.join(10)
    assert not thread.is_alive()


def test_a_running_worker_waits_for_a_store_that_is_down(tmp_path: Path) -> None:
    index = Unsteady()
    index.down = True
    world = World(tmp_path, index=index)
    taken = hand_in(world, "a text")
    thread, stop = running(world.new_worker(pace=Pace(pause_seconds=0.05, retry_seconds=0.05)))
    until(lambda: world.states.count("embedded") > 1)
    index.down = False
    until(lambda: status(world, taken).state is DONE)
    stop.set()
    thread.join(10)
    world.close()


class Broken(FolderBlobs):
    """A disk that cannot delete, once."""

    broken = True

    def delete(self, digest: str) -> None:
        broken, self.broken = self.broken, False
        if broken:
            raise OSError(errno.EIO, "the disk has an error")
        super().delete(digest)


def test_a_running_worker_outlives_a_fault_of_the_disk(tmp_path: Path) -> None:
    world = World(tmp_path, blobs=Broken(tmp_path / "blobs"))
    hand_in(world, b"no pdf", name="a.pdf")  # refused, so that its file is deleted
    taken = hand_in(world, "a text")
    thread, stop = running(world.new_worker(pace=Pace(pause_seconds=0.05, retry_seconds=0.05)))
    until(lambda: status(world, taken).state is DONE)
    stop.set()
    thread.join(10)
    world.close()


def test_files_that_nothing_rests_on_are_swept_once_they_are_old(tmp_path: Path) -> None:
    world = World(tmp_path)
    names = ("gone.jsonl", "kept.jsonl", "fresh.jsonl")
    gone, kept, fresh = (hand_in(world, lines(2, name), name=name) for name in names)
    while world.worker.work_one():
        pass
    for document_id in (*status(world, gone).document_ids, *status(world, fresh).document_ids):
        world.intake.remove(document_id)
    waiting = hand_in(world, "a text")
    for submission in (gone, kept, waiting):
        (path,) = (tmp_path / "blobs").glob(f"*/*/{submission.digest}")
        os.utime(path, (0, 0))
    world.originals.sweep()
    there = [world.blobs.has(each.digest) for each in (gone, kept, fresh, waiting)]
    assert there == [False, True, True, True]
    world.close()


def test_recovery_gives_up_what_is_unfinished_and_finishes_what_is_not(world: World) -> None:
    (live,) = world.ingest("a.txt", "old text")
    document = world.find("text")[0].document
    unfinished = world.catalog.receive(document, digest="d", versions="v")
    world.catalog.mark(unfinished, RevisionState.UPSERTED)
    assert isinstance(world.index, FakeIndex)
    (point,) = world.index.points.values()
    world.index.upsert([_moved(point, unfinished)])
    world.catalog.set_access(str(live.document_id), frozenset({"u:ann"}))

    assert recover(world.catalog, world.index, world.catalog, exclusive=False) == 0
    assert world.index.count(unfinished) == 1  # it may be another process's, and under way
    assert recover(world.catalog, world.index, world.catalog, exclusive=True) == 1
    assert world.index.count(unfinished) == 0
    assert {p.access for p in world.index.points.values()} == {frozenset({"u:ann"})}
    assert world.catalog.labels_to_copy() == []
    assert world.texts("text") == ["old text"]


def _moved(point: Point, revision_id: str) -> Point:
    embedding, access = point.embedding, point.access
    return Point("c", point.document_id, revision_id, point.collection, access, embedding)
