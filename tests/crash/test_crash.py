"""Kill -9 in the middle of everything: nothing promised is lost, nothing half-done is seen.

What was removed or replaced never comes back, and after a run to the end no point of it is left.
Each figure of zero has a control that differs from the real thing in one place and must find
something.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.crash.child import OPERATIONS, REINDEX_STATES, STATES
from tests.crash.harness import ANYWHERE, CALL, Harness, Report
from tests.requirements import require

SEED = 20261120
ROUND = [*STATES, *REINDEX_STATES, ANYWHERE, *[CALL] * 6]
TIMES = {"gate": 2, "switch": 2, "clearing": 2}
"""How often a state is passed in one run, where that is not many times."""
SETTLED_SECONDS = 60
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of the system


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a sync costs nothing: what a killed process wrote is kept by the system either way."""
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else tmp_path
    made = Path(tempfile.mkdtemp(prefix="footnote-crash-", dir=parent))
    yield made
    shutil.rmtree(made)


def crash(
    folder: Path, states: Sequence[str], *, documents: int, kind: str = "sound", seed: int = SEED
) -> Report:
    """Kill one child after the other, each in the next of `states`, over the same data."""
    folder.mkdir()
    harness = Harness(folder, documents=documents, seed=seed, kind=kind)
    with closing(harness):
        for turn, state in enumerate(states):
            place = turn * 7 + turn // len(ROUND)
            harness.kill(state, nth=1 + place % TIMES.get(state, 12))
            if kind == "sound" and turn % 16 == 15:
                harness.finish()
        if kind in ("sound", "forgetful"):
            harness.finish()
    return harness.report


def needs_compiler() -> None:
    if sys.platform != "linux":
        pytest.skip("calls are counted by a library that Linux loads before libc")
    require(shutil.which("cc"), "a C compiler", "apt-get install gcc libc6-dev")


def test_a_killed_process_loses_nothing_shows_nothing_half_done_and_leaves_no_ghost(
    folder: Path,
) -> None:
    needs_compiler()
    states = [*STATES, ANYWHERE, *[CALL] * 2, *REINDEX_STATES]
    report = crash(folder / "sound", states, documents=40)
    print(f"\n{report}")
    assert report.zeros() == ([], [], [], [])
    assert set(report.kills) == set(states)
    assert report.slowest <= SETTLED_SECONDS


def test_the_same_test_finds_what_is_visible_too_early(folder: Path) -> None:
    report = crash(folder / "hasty", ["switched"], documents=40, kind="hasty")
    assert report.half != []


def test_the_same_test_finds_what_is_promised_too_early(folder: Path) -> None:
    report = crash(folder / "boastful", ["received", "parsed"], documents=40, kind="boastful")
    assert report.lost != []


def test_the_same_test_finds_points_that_were_left_behind(folder: Path) -> None:
    report = crash(folder / "forgetful", ["cleaning"], documents=40, kind="forgetful")
    assert report.ghosts != []


def test_the_same_test_finds_a_switch_to_what_is_half_built(folder: Path) -> None:
    report = crash(folder / "eager", ["building"] * 2, documents=60, kind="eager")
    print(f"\ncontrol: {report}")
    assert report.lost != []


@pytest.mark.crash
@pytest.mark.timeout(7200)
def test_five_hundred_kills_over_all_states_and_operations(folder: Path) -> None:
    needs_compiler()
    report = Report()
    sizes = [40, 40, 120, 300]  # documents; the small ones are settled in between more often
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(partial(crash, folder / str(n), ROUND * 7, documents=size, seed=SEED + n))
            for n, size in enumerate(sizes)
        ]
        for run in runs:
            report.add(run.result())
    print(f"\nsound: {report}")
    assert report.kills.total() >= 500
    assert min(report.kills[state] for state in (*STATES, *REINDEX_STATES, ANYWHERE)) >= 28
    assert set(report.operations) >= set(OPERATIONS)
    assert report.zeros() == ([], [], [], [])
    assert report.slowest <= SETTLED_SECONDS


@pytest.mark.crash
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["hasty", "boastful", "forgetful", "eager"])
def test_the_controls_of_the_five_hundred_kills_find_something(folder: Path, kind: str) -> None:
    needs_compiler()
    report = crash(folder / kind, ROUND, documents=120, kind=kind)
    print(f"\n{kind}: {report}")
    found = {"hasty": report.half, "forgetful": report.ghosts}
    assert found.get(kind, report.lost) != []
