"""Nobody sees what he may not: a thousand stories on a real house, beside a plain model.

The long run takes `make test-rights`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.rights.faults import FAULTS
from tests.rights.world import Found, World, template

LOOKS = 20
"""Queries of one step."""
STORIES = 120
SEEDS = st.integers(0, 2**32 - 1)


class Leak(AssertionError):
    """The service and the model differ."""

    def __init__(self, found: Found) -> None:
        super().__init__(f"{found.route}: {found.what}")
        self.found = found


class Rights(RuleBasedStateMachine):
    """People hand in, replace, share, revoke, remove; groups and the index change under them."""

    folder: Path
    file: Path
    counted: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._temporary = TemporaryDirectory(dir=self.folder)
        self.world = World(Path(self._temporary.name), self.file)

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        chance = Random(seed)
        for _ in range(4):
            self.world.regroup(chance)
        for _ in range(5):
            self.world.hand_in(chance)

    @rule(seed=SEEDS)
    def hand_in(self, seed: int) -> None:
        self.world.hand_in(Random(seed))

    @rule(seed=SEEDS)
    def share_or_revoke(self, seed: int) -> None:
        chance = Random(seed)
        self.world.set_access(chance)
        self.world.set_tags(chance)
        self.counted["rights changed"] += 1

    @rule(seed=SEEDS)
    def remove(self, seed: int) -> None:
        self.world.remove(Random(seed))

    @rule(seed=SEEDS)
    def regroup(self, seed: int) -> None:
        self.world.regroup(Random(seed))

    @rule(late=st.booleans())
    def delay_the_index(self, late: bool) -> None:
        self.world.delay(late=late)

    @rule(lose_index=st.booleans(), seed=st.integers(0, 3))
    def restart(self, lose_index: bool, seed: int) -> None:
        if seed == 0:  # it takes longer than all else
            self.world.restart(lose_index=lose_index)
            self.counted["restarts"] += 1

    @rule(seed=SEEDS)
    def look_around(self, seed: int) -> None:
        self._look(seed)

    @rule(seed=SEEDS)
    def look_around_again(self, seed: int) -> None:
        self._look(seed)

    @rule(seed=SEEDS)
    def change_and_look(self, seed: int) -> None:
        chance = Random(seed)
        chance.choice((self.world.set_access, self.world.regroup, self.world.remove))(chance)
        self._look(seed)

    def _look(self, seed: int) -> None:
        chance = Random(seed)
        for _ in range(LOOKS):
            found = self.world.look(chance)
            self.counted["queries"] += 1
            if found is not None:
                raise Leak(found)

    def teardown(self) -> None:
        self.world.close()
        self._temporary.cleanup()


def play(folder: Path, *, stories: int, steps: int = 15) -> Counter[str]:
    """Play so many stories and count; raises `Leak` at the first difference."""

    class Played(Rights):
        counted: ClassVar[Counter[str]] = Counter()

    Played.folder, Played.file = folder, template(folder)
    run_state_machine_as_test(
        Played,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        ),
    )
    return Played.counted


def found_by(folder: Path, *, stories: int) -> str | None:
    """Return on which route the stories found a difference; None: nowhere."""
    try:
        play(folder, stories=stories)
    except Leak as leak:
        return leak.found.route
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def test_nobody_sees_what_he_may_not(folder: Path) -> None:
    counted = play(folder, stories=3)
    assert counted["queries"] > 100


@pytest.mark.parametrize("name", ["filter dropped in the index", "catalog check dropped"])
def test_a_fault_is_found(folder: Path, name: str) -> None:
    """Control: each of the others takes the long run."""
    with pytest.MonkeyPatch.context() as patch:
        FAULTS[name](patch)
        assert found_by(folder, stories=20) is not None


@pytest.mark.rights
@pytest.mark.timeout(3600)
def test_ten_thousand_queries_show_nothing_that_is_not_the_callers(folder: Path) -> None:
    counted = play(folder, stories=STORIES)
    assert counted["queries"] >= 10_000
    print(f"\n{dict(counted)}: 0 leaks")


@pytest.mark.rights
@pytest.mark.timeout(3600)
def test_every_seeded_fault_is_found(folder: Path) -> None:
    found = {}
    for name, build_in in FAULTS.items():
        with pytest.MonkeyPatch.context() as patch:
            build_in(patch)
            found[name] = found_by(folder, stories=60)
        print(f"\n{name}: {found[name] or 'NOT FOUND'}", end="")
    print(f"\n{sum(map(bool, found.values()))} of {len(FAULTS)} faults found")
    assert all(found.values())
