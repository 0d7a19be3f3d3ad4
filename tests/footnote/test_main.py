from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from footnote.__main__ import app, main
from tests.service import ROOT


def _commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    subcommands = getattr(group, "commands", None)
    if subcommands is None:
        yield path
        return
    for name, command in subcommands.items():
        yield from _commands(command, (*path, name))


COMMANDS = list(_commands(typer.main.get_command(app)))


def test_all_commands_are_there() -> None:
    names = {" ".join(path) for path in COMMANDS}
    wanted = {
        "ingest",
        "ask",
        "search",
        "serve",
        "ui",
        "status",
        "calibrate",
        "doctor",
        "worker",
        "parser",
        "mcp",
    }
    wanted |= {
        "demo",
        "mcp",
        "rebuild",
        "reindex",
        "remove",
        "access set",
        "tags set",
        "engine check",
        "engine command",
        "engine tune",
        "keys add",
        "keys list",
        "keys remove",
    }
    wanted |= {f"source {each}" for each in ("add", "list", "sync", "remove", "pause", "resume")}
    wanted |= {f"jobs {verb}" for verb in ("list", "show", "pause", "resume", "retry", "cancel")}
    wanted |= {"quarantine list", "quarantine retry", "feedback"}
    assert names == wanted


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_teaches_by_examples(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    examples = shown.output.partition("Examples:")[2]
    assert f"footnote {' '.join(path)}" in examples


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys, footnote.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "typer" in loaded  # the control
    heavy = {
        "torch",
        "sentence_transformers",
        "fastapi",
        "sqlalchemy",
        "streamlit",
        "qdrant_client",
    }
    assert not heavy & set(loaded)


def test_tuning_without_vllm_says_how_to_do_it_in_its_container(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _fails(["engine", "tune", "--out", str(tmp_path)], capsys)
    assert "triton and vllm is not installed here" in said
    command = said[said.index("docker compose run") :].strip()
    assert command.endswith("--model gpt-oss-20b --out /tables")
    assert f"\n{command}\n" in (ROOT / "docs" / "moe.md").read_text()
    assert not list(tmp_path.iterdir())
    rehearsal = _fails(["engine", "tune", "--dry", "--out", str(tmp_path)], capsys)
    assert "footnote: triton is not installed here" in rehearsal


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def _fails(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails as it should; return the one line it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("footnote: ")
    assert said.count("\n") == 1
    return said


def test_a_setting_that_is_wrong_is_named(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_PORT", "eighty")
    assert "FOOTNOTE_PORT" in _fails(["status"], capsys)
    monkeypatch.setenv("FOOTNOTE_PORT", "80")
    monkeypatch.setenv("FOOTNOTE_QDRANT_URL", "http://127.0.0.1:9")
    assert "FOOTNOTE_DATABASE_URL" in _fails(["status"], capsys)


def test_a_busy_port_is_a_clear_error_before_anything_slow_happens(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        monkeypatch.setenv("FOOTNOTE_PORT", port)
        said = _fails(["serve"], capsys)
        assert "FOOTNOTE_PORT" in said
        assert port in said
        monkeypatch.setenv("FOOTNOTE_UI_PORT", port)
        assert "FOOTNOTE_UI_PORT" in _fails(["ui"], capsys)
        monkeypatch.setenv("FOOTNOTE_PORT", "0")
        assert "FOOTNOTE_UI_PORT" in _fails(["serve", "--ui"], capsys)
    assert time.monotonic() - began < 10
    assert not data.exists()


def test_beyond_loopback_the_service_does_not_start_without_keys(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_HOST", "0.0.0.0")  # noqa: S104
    monkeypatch.setenv("FOOTNOTE_PORT", "0")
    assert "footnote keys add" in _fails(["serve"], capsys)
    monkeypatch.setenv("FOOTNOTE_API_KEYS_FILE", str(data / "none.json"))
    assert "does not exist" in _fails(["serve"], capsys)


def test_a_worker_beside_embedded_stores_is_refused(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "FOOTNOTE_DATABASE_URL" in _fails(["worker"], capsys)
    assert "FOOTNOTE_PARSER_SOCKET" in _fails(["parser"], capsys)


def test_keys_are_made_listed_and_removed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
        return capsys.readouterr().out

    key = run("keys", "add", "--user", "alice", "--group", "hr", "--role", "editor").strip()
    identity = key.split("_")[1]
    assert key.startswith("fn_")
    assert key not in (data / "keys.json").read_text()
    listed = run("keys", "list")
    assert listed.splitlines()[1].split() == [identity, "alice", "hr", "editor"]
    assert key not in listed
    run("keys", "remove", identity)
    assert identity not in run("keys", "list")
    assert "no key with the id" in _fails(["keys", "remove", identity], capsys)


def test_what_the_api_would_refuse_is_refused_here(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "1 to 8000" in _fails(["ask", "  "], capsys)
    assert "1 to 8000" in _fails(["search", "x" * 8001], capsys)
    assert "slashes" in _fails(["ingest", str(tmp_path), "--collection", "a/b"], capsys)
    assert not data.exists()


def test_filters_and_tags_are_checked_before_anything_is_opened(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "types.0" in _fails(["search", "x", "--type", "word"], capsys)
    assert "languages.1" in _fails(["ask", "x", "--language", "de", "--language", "1"], capsys)
    assert "date.from" in _fails(["search", "x", "--from", "yesterday"], capsys)
    assert "date.to" in _fails(["ask", "x", "--from", "2026-02-02", "--to", "2026-02-01"], capsys)
    for command in (["ingest", str(tmp_path), "--tag", " "], ["tags", "set", "id", "a\nb"]):
        assert "not a tag" in _fails(command, capsys)
    assert not data.exists()


def test_access_tokens_are_checked_before_anything_is_opened(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "not an access token: hr" in _fails(["access", "set", "some-id", "hr"], capsys)
    assert not data.exists()
