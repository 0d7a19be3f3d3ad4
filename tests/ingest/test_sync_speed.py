"""How long it takes to find that nothing has changed, and that a killed sync goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ingest.keeper import feed_source
from ingest.sources.folder import FolderConnector
from knowledge.models import Feed, Outcome
from tests.ingest.sources.shelf import Shelf
from tests.ingest.world import World, outcomes
from tests.service import ROOT


def folder_of(tmp_path: Path, files: int) -> Path:
    folder = tmp_path / "docs"
    for number in range(files):
        path = folder / f"d{number % 50}" / f"n{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"document number {number}")
    return folder


def unchanged_sync(world: World, tmp_path: Path, files: int) -> tuple[float, float]:
    """Sync a folder in which nothing has changed; return the seconds it took, wall and CPU."""
    feed = world.keep(str(folder_of(tmp_path, files)))
    time.sleep(2.1)  # what was written only just now is read again
    assert Counter(outcomes(world.sync_source(feed))) == {Outcome.INDEXED: files}
    began, used = time.monotonic(), time.process_time()
    assert Counter(outcomes(world.sync_source(feed))) == {Outcome.UNCHANGED: files}
    return time.monotonic() - began, time.process_time() - used


def test_an_unchanged_folder_costs_little_and_no_byte_is_read(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = FolderConnector.read

    def counted(self: FolderConnector, item: object, *, limit: int) -> bytes:
        reads.append(str(item))
        return read(self, item, limit=limit)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderConnector, "read", counted)
    wall, cpu = unchanged_sync(world, tmp_path, 100)
    print(f"\nan unchanged folder of 100 files: {cpu:.2f} s of CPU, {wall:.2f} s")
    assert len(reads) == 100
    assert cpu < 1


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_an_unchanged_folder_of_10000_files(world: World, tmp_path: Path) -> None:
    wall, cpu = unchanged_sync(world, tmp_path, 10_000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nan unchanged folder of 10,000 files: {cpu:.2f} s of CPU, {wall:.2f} s, {peak:.0f} MB")
    assert cpu <= 5


def test_a_sync_that_is_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    child = [sys.executable, "-m", "tests.ingest.test_sync_speed", str(folder)]
    died = subprocess.run(child, cwd=ROOT, check=False, capture_output=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    world = World(folder)
    try:
        assert world.catalog.release_feeds() == 1
        feed = big(world)
        again = Counter(outcomes(world.sync_source(feed)))
        assert again[Outcome.UNCHANGED] >= 64  # the group that was told of
        assert sum(again.values()) == 100
        assert set(outcomes(world.sync_source(feed))) == {Outcome.UNCHANGED}
        assert len(world.catalog.by_uri(feed_source(feed).id)) == 100
    finally:
        world.close()


def big(world: World) -> Feed:
    world.connectors["s3://shelf"] = Shelf(**{f"n{n}": f"number {n}" for n in range(100)})
    found = [feed for feed, _ in world.keeper.feeds()]
    return found[0] if found else world.keep("s3://shelf")


def main() -> None:
    """Be the process that is killed in the middle of a sync."""
    world = World(Path(sys.argv[1]))
    events = world.keeper.sync_source(big(world).id)
    for _ in range(70):
        next(events)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
