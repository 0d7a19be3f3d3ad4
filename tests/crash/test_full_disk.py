"""A full disk: what was promised is kept, what is not done is said, and there are no ghosts after.

The data folder lies on a small file system in memory which is filled to the last few bytes, before
a process starts or while it works. The control writes on without looking how much is left.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.crash.harness import Harness, Report, fill
from tests.requirements import require
from tests.service import footnote, serving

SEED = 20261124
SIZE_MB = 256
MEGABYTE = 1 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of `SIZE_MB` for as long as the block runs."""
    point = folder / "disk"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(point)]
    done = (
        subprocess.run(mount, capture_output=True, check=False) if shutil.which("mount") else None
    )
    require(done and done.returncode == 0, "a small file system", "running the tests as root")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def starve(folder: Path, *, runs: int, kind: str = "sound") -> Report:
    """Every other run is on a disk that is full from the start; the others fill while it works.

    The first one of all has not even room for an empty index.
    """
    chance = random.Random(SEED)
    with small_disk(folder) as disk:
        harness = Harness(folder, documents=40, seed=SEED, kind=kind, data=disk / "data")
        with closing(harness):
            harness.starve(8 * MEGABYTE)
            for turn in range(runs - 1):
                free = int(4096 * (80 * MEGABYTE / 4096) ** chance.random())
                harness.starve(free, after=chance.randint(1, 20) if turn % 2 else 0)
                if turn % 8 == 7:
                    harness.finish()
            harness.finish()
    return harness.report


def test_a_full_disk_loses_nothing_and_is_told(tmp_path: Path) -> None:
    report = starve(tmp_path, runs=4)
    print(f"\n{report}")
    assert report.zeros() == ([], [], [], [])
    assert report.bus_errors == 0
    assert report.refused.total() > 0


def test_without_the_reserve_the_same_test_finds_a_process_killed(tmp_path: Path) -> None:
    report = starve(tmp_path, runs=1, kind="greedy")
    assert report.bus_errors > 0


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_a_hundred_runs_on_a_full_disk(tmp_path: Path) -> None:
    report = starve(tmp_path, runs=100)
    print(f"\nfull disk: {report}")
    assert report.full == 100
    assert report.zeros() == ([], [], [], [])


@pytest.mark.timeout(900)
def test_a_service_on_a_full_disk_answers_and_says_what_is_the_matter(tmp_path: Path) -> None:
    with small_disk(tmp_path) as disk:
        data, filler = disk / "data", disk / "filler"
        with serving(data, wait=240) as url, httpx2.Client(base_url=url, timeout=60) as client:
            (zebra, giraffe) = (_upload(client, f"The {name} is fed at noon.") for name in ANIMALS)
            fill(filler, 20 * MEGABYTE)
            assert "zebra" in _search(client, "zebra")
            refused = client.post("/v1/documents", files={"file": ("b.txt", b"more")})
            assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")
            assert client.delete(f"/v1/documents/{giraffe}").status_code == 204
            assert "giraffe" not in _search(client, "giraffe")
            fill(filler, 0)
            assert "zebra" in _search(client, "zebra")
            filler.unlink()
            _upload(client, "The lion is fed at night.")
            assert "lion" in _search(client, "lion")
            assert client.get(f"/v1/documents/{zebra}").status_code == 200
            assert client.get(f"/v1/documents/{giraffe}").status_code == 404
        fill(filler, 0)
        stopped = footnote(data, "serve", timeout=240, FOOTNOTE_PORT="0")
        assert stopped.returncode == 2
        assert "the disk is full" in stopped.stderr
        assert "Traceback" not in stopped.stderr


ANIMALS = ("zebra", "giraffe")


def _upload(client: httpx2.Client, text: str) -> str:
    name = f"{text.split()[1]}.txt"
    taken = client.post("/v1/documents", files={"file": (name, text.encode())})
    assert taken.status_code == 202, taken.text
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        seen = client.get(taken.headers["location"]).json()
        if seen["state"] == "done":
            return str(seen["documents"][0])
        time.sleep(0.1)
    raise AssertionError(f"the upload was never done: {seen}")


def _search(client: httpx2.Client, query: str) -> str:
    reply = client.post("/v1/search", json={"query": query})
    assert reply.status_code == 200, reply.text
    return reply.text
