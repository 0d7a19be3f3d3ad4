from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from footnote.__main__ import main
from footnote.sources import table
from tests.service import command, serving


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "zebra.txt").write_text("The zebra budget of 2031 is 4211 euros.")
    (folder / "draft.md").write_text("# A draft")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """Run a command in this process; return what it printed, or said where it failed."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    shown = capsys.readouterr()
    assert (ended.value.code or 0) == code, shown.err
    return shown.err if code else shown.out


def test_sources_are_added_listed_paused_and_removed_without_a_service(
    data: Path, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "footnote source add NAME PATH" in run(capsys, "source", "list")
    added = json.loads(
        run(
            capsys, "source", "add", "handbook", str(docs), "--every", "15m", "--exclude", "*.md",
            "--access", "g:hr", "--access", "u:ann", "--collection", "hr", "--json",
        )
    )  # fmt: skip
    assert (added["kind"], added["uri"], added["every"]) == ("folder", str(docs.resolve()), 900)
    assert added["access"] == ["g:hr", "u:ann"]
    assert added["settings"] == {"exclude": "*.md"}
    run(
        capsys, "source", "add", "reports", "s3://reports/2026", "--set", "key=${env:S3_KEY}",
        "--set", "endpoint=http://127.0.0.1:9", code=2,
    )  # fmt: skip
    shown = run(capsys, "source", "list").splitlines()
    assert shown[0].split()[:3] == ["name", "state", "documents"]
    assert shown[1].split()[:4] == ["handbook", "never", "0", "never"]
    run(capsys, "source", "pause", "handbook")
    assert "never, paused" in run(capsys, "source", "list")
    run(capsys, "source", "resume", "handbook", "--every", "1d")
    (listed,) = json.loads(run(capsys, "source", "list", "--json"))["sources"]
    assert (listed["paused"], listed["every"]) == (False, 86_400)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("add", "x", "/nowhere/at/all"), "no file or folder at", id="no-folder"),
        pytest.param(("add", "x", "."), "not a name for a source", id="a-name"),
        pytest.param(("add", "n", ".", "--every", "soon"), "such as 90s, 15m", id="every"),
        pytest.param(("add", "n", ".", "--set", "a"), "--set key=value", id="no-setting"),
        pytest.param(("add", "n", ".", "--set", "a=b"), "no setting 'a'", id="a-setting"),
        pytest.param(("add", "n", "gopher://x"), "no source begins with gopher", id="scheme"),
        pytest.param(("add", "n", "s3://b", "--set", "key=AKIA"), "FOOTNOTE_SECRET_NAME", id="key"),
        pytest.param(
            ("add", "n", "s3://b", "--set", "key=${env:NONE}"), "FOOTNOTE_SECRET_NONE", id="unset"
        ),
        pytest.param(("add", "n", "reader:Evil"), "FOOTNOTE_READERS", id="reader"),
        pytest.param(("sync",), "or say --all", id="which"),
        pytest.param(("sync", "none"), "no source called 'none'; there is none yet", id="unknown"),
        pytest.param(("remove", "none"), "no source called 'none'", id="remove"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_with_advice(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    if arguments[:2] == ("add", "x") and arguments[2] == ".":
        arguments = ("add", "a/b", ".")
    error = run(capsys, "source", *arguments, code=2)
    assert said in error.splitlines()[-1]


def test_the_table_shows_state_freshness_and_errors() -> None:
    source = {
        "name": "share",
        "state": "failed",
        "paused": True,
        "uri": "smb://files/hr",
        "error": "smb://files/hr cannot be listed: \x1b[31mno route",
        "synced_at": "2026-01-01T00:00:00+00:00",
        "freshness": {"documents": 1200, "changes": 3, "p50": 4.0, "p95": 61.0},
    }
    shown = table({"sources": [source]})
    assert "failed, paused" in shown
    assert "1,200" in shown
    assert "4 s / 61 s" in shown
    assert shown.endswith("share: smb://files/hr cannot be listed: [31mno route")


def test_a_source_is_kept_in_sync_by_and_through_the_service(
    data: Path, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "source", "add", "handbook", str(docs), "--exclude", "*.md", "--every", "1h")
    with serving(data) as url:
        _await(lambda: listed(capsys)["handbook"]["state"] == "ok")  # by the service, on schedule
        _watches(data, docs)
        run(capsys, "source", "sync", "handbook")  # the watch may have ended in the middle of one
        status = run(capsys, "status")
        assert url in status
        assert "source handbook" in status
        assert "ok, 1 documents" in status
        removed = run(capsys, "source", "remove", "handbook")
        assert removed == "Forgotten. Documents removed: 1\n"


def _watches(data: Path, docs: Path) -> None:
    """Have a change and a deletion followed while the command stays."""
    watching = subprocess.Popen(
        command(data, "source", "sync", "handbook", "--watch", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        while "watching" not in watching.stderr.readline():
            assert watching.poll() is None
        (docs / "gnu.txt").write_text("The gnu walks to the river.")
        seen = _until(watching.stdout.readline, "indexed")
        assert Path(seen["uri"]).name == "gnu.txt"
        (docs / "gnu.txt").unlink()
        seen = _until(watching.stdout.readline, "removed")
        assert Path(seen["uri"]).name == "gnu.txt"
    finally:
        watching.terminate()  # an interrupt may be ignored below this process
        watching.communicate(timeout=30)


def _until(line: Callable[[], str], outcome: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        event: dict[str, Any] = json.loads(line())
        if event["outcome"] == outcome:
            return event
    raise AssertionError(f"nothing was {outcome}")


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    body = json.loads(run(capsys, "source", "list", "--json"))
    return {each["name"]: each for each in body["sources"]}


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.3)
