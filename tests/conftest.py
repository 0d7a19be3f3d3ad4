"""What holds for every test: nothing leaves this machine, and chance repeats itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from knowledge.settings import Settings
from tests.guard import loopback_only

GUARD = Path(__file__).resolve().parent / "guard"
REPORT = Path(tempfile.mkdtemp(prefix="footnote-guard-")) / "attempts.txt"
ENVIRONMENT = pytest.MonkeyPatch()

collect_ignore = ["guard/sitecustomize.py"]  # importable in guarded children only

hypothesis.settings.register_profile(
    "footnote", derandomize=True, deadline=None, database=None, print_blob=False
)
hypothesis.settings.load_profile("footnote")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Run one more test at once than there are cores: half of their time, tests wait."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Guard this process and all children before a test module is even imported.

    One that only hands tests to other processes has none to guard, and they guard themselves.
    """
    if config.getoption("dist", "no") != "no":
        return
    REPORT.touch()
    loopback_only.install(REPORT)
    ENVIRONMENT.setenv("PYTHONPATH", str(GUARD), prepend=os.pathsep)
    ENVIRONMENT.setenv("FOOTNOTE_GUARD_REPORT", str(REPORT))
    for name in Settings.model_fields:  # what the developer has set for himself is not for tests
        ENVIRONMENT.delenv(f"FOOTNOTE_{name.upper()}", raising=False)


def pytest_unconfigure() -> None:
    ENVIRONMENT.undo()
    REPORT.unlink(missing_ok=True)
    REPORT.parent.rmdir()


@pytest.fixture(autouse=True)
def stays_on_this_machine() -> Iterator[None]:
    """Fail the test during which anything tried to leave, even if its error was swallowed."""
    before = REPORT.stat().st_size
    yield
    attempts = REPORT.read_text()[before:]
    if attempts:
        pytest.fail(f"tried to leave this machine:\n{attempts}", pytrace=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a fresh embedded installation, blind to any `.env`."""
    return Settings(_env_file=None, data_dir=tmp_path / "data", port=0, ui_port=0)
