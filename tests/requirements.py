"""What a test needs of the machine: skip with the reason and the line that installs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.settings import TestSettings


def require(present: object, what: str, install: str) -> None:
    """Skip the test unless `present`; fail it where FOOTNOTE_TEST_REQUIRE is `all`."""
    if present:
        return
    message = f"{what} is not there; install it with: {install}"
    if TestSettings().test_require == "all":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def eval_data(name: str) -> Path:
    """Return the folder of an evaluation set; skip (never fail) where it is not at hand."""
    folder = TestSettings().eval_data
    if folder is None:
        pytest.skip("FOOTNOTE_EVAL_DATA is not set: it names the folder of evaluation sets")
    if not (folder / name).is_dir():
        pytest.skip(f"there is no evaluation set {name} in {folder}")
    return folder / name
