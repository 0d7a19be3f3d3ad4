"""Kill -9 in the middle of everything: nothing promised is lost, nothing half-done is seen.

Each figure of zero has a control that differs from the real thing in one place and must find
something.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash.child import STATES
from tests.crash.harness import ANYWHERE, Harness, Report

SEED = 20261120
NAMED = ("received", "parsed", "embedded", "upserted", "switched", "cleaning")
ROUND = [*NAMED, ANYWHERE, "upserting"]


def crash(folder: Path, states: Sequence[str], *, documents: int, kind: str = "sound") -> Report:
    """Kill one child after the other, each in the next of `states`, over the same data."""
    folder.mkdir()
    harness = Harness(folder, documents=documents, seed=SEED, kind=kind)
    for turn, state in enumerate(states):
        harness.kill(state, nth=1 + turn * 7 % 12)
    if kind == "sound":
        harness.finish()
    print(f"\n{kind}: {harness.report}")
    return harness.report


@pytest.mark.timeout(280)
def test_a_killed_ingest_loses_nothing_and_shows_nothing_half_done(tmp_path: Path) -> None:
    report = crash(tmp_path / "sound", [*STATES, ANYWHERE], documents=40)
    assert (report.lost, report.half) == ([], [])
    assert set(report.kills) == {*STATES, ANYWHERE}


@pytest.mark.timeout(280)
def test_the_same_test_finds_what_is_visible_too_early(tmp_path: Path) -> None:
    report = crash(tmp_path / "hasty", ["switched"], documents=40, kind="hasty")
    assert report.half != []


@pytest.mark.timeout(280)
def test_the_same_test_finds_what_is_promised_too_early(tmp_path: Path) -> None:
    report = crash(tmp_path / "boastful", ["received", "parsed"], documents=40, kind="boastful")
    assert report.lost != []


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_a_hundred_kills_while_300_documents_are_ingested(tmp_path: Path) -> None:
    report = crash(tmp_path / "sound", ROUND * 13, documents=300)
    assert min(report.kills[state] for state in NAMED) >= 5
    assert report.kills.total() >= 100
    assert (report.lost, report.half) == ([], [])


@pytest.mark.crash
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["hasty", "boastful"])
def test_the_controls_of_the_hundred_kills_find_something(tmp_path: Path, kind: str) -> None:
    report = crash(tmp_path / kind, ROUND * 3, documents=300, kind=kind)
    assert (report.half if kind == "hasty" else report.lost) != []
