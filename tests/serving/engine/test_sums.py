from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.engine import sums
from serving.engine.profiles import EngineError
from serving.engine.sums import verify, write
from serving.engine.weights import Finding


def silent(done: int, total: int) -> None:
    """Tell nobody."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / ".cache").write_bytes(b"of some tool")
    return tmp_path


def failures(folder: Path) -> list[str]:
    return [finding.message for finding in verify(folder, silent) if finding.state == "fail"]


def test_without_a_list_one_is_offered(folder: Path) -> None:
    (found,) = verify(folder, silent)
    assert (found.state, "--write" in found.message) == ("warn", True)


def test_what_was_written_holds(folder: Path) -> None:
    assert write(folder, silent) == Finding("sha256", "ok", "2 files are in the new SHA256SUMS")
    (found,) = verify(folder, silent)
    assert (found.state, found.message) == ("ok", "2 files are what SHA256SUMS says")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".cache", "SHA256SUMS", "a.safetensors", "config.json",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_list_is_that_of_sha256sum_both_ways(folder: Path) -> None:
    write(folder, silent)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    made = subprocess.run(
        ["sha256sum", "--binary", "a.safetensors", "config.json"],
        cwd=folder, check=True, capture_output=True,
    ).stdout  # fmt: skip
    (folder / "SHA256SUMS").write_bytes(made)
    assert failures(folder) == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(
            lambda f: (f / "a.safetensors").write_bytes(b"Weights"), "not what", id="changed"
        ),
        pytest.param(lambda f: (f / "config.json").unlink(), "not there", id="gone"),
        pytest.param(lambda f: (f / "b.json").write_bytes(b"{}"), "b.json is not in", id="added"),
    ],
)
def test_a_change_is_noticed(folder: Path, damage: Callable[[Path], object], told: str) -> None:
    write(folder, silent)
    assert failures(folder) == []  # the control
    damage(folder)
    (message,) = failures(folder)
    assert told in message


def test_a_list_is_never_overwritten(folder: Path) -> None:
    write(folder, silent)
    (folder / "a.safetensors").write_bytes(b"other")
    with pytest.raises(EngineError, match="already"):
        write(folder, silent)
    assert failures(folder)


@pytest.mark.parametrize(
    "line",
    ["nonsense", "\udcff", f"{'0' * 64}  /etc/passwd", f"{'0' * 64}  ../a", f"{'0' * 63}  a"],
)
def test_a_list_that_leaves_the_folder_is_refused(folder: Path, line: str) -> None:
    (folder / "SHA256SUMS").write_bytes(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(EngineError, match="line 1"):
        failures(folder)


def test_progress_ends_at_all_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "PIECE", 3)
    told: list[tuple[int, int]] = []
    write(folder, lambda done, total: told.append((done, total)))
    assert told == [(3, 9), (6, 9), (7, 9), (9, 9)]
    digest = hashlib.sha256(b"weights").hexdigest()
    assert f"{digest}  a.safetensors\n" in (folder / "SHA256SUMS").read_text()
