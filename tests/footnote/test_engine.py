"""`footnote engine command` and `check`; what they tell is tested where it is reckoned."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from footnote.__main__ import app, main
from tests.serving.engine.folder import make_folder


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:  # noqa: TID251
        if name.startswith("FOOTNOTE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FOOTNOTE_WEIGHTS_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["engine", *arguments])


def fails(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["engine", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_the_printed_command_is_one_that_a_shell_runs_as_it_is_meant(models: Path) -> None:
    plan = json.loads(run("command", "--json").output)
    (models / "vllm").write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"; env\n')
    (models / "vllm").chmod(0o755)
    ran = subprocess.run(
        ["sh", "-ec", run("command").output],
        env={
            "PATH": f"{models}:/usr/bin:/bin", "FOOTNOTE_MODEL_API_KEY": "se cret",
            "VLLM_SERVER_DEV_MODE": "1",
        },
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    count = len(plan["command"])
    assert [Path(ran[0]).name, *ran[1:count]] == plan["command"]
    environment = dict(line.split("=", 1) for line in ran[count:])
    assert environment.items() >= plan["environment"].items()
    assert environment["VLLM_API_KEY"] == "se cret"
    assert "VLLM_SERVER_DEV_MODE" not in environment


def test_the_printed_command_wants_a_key() -> None:
    done = subprocess.run(
        ["sh", "-ec", run("command").output], env={"PATH": "/usr/bin:/bin"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "FOOTNOTE_MODEL_API_KEY" in done.stderr


def test_the_command_follows_the_settings(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_MODEL_NAME", "gpt-oss-120b")
    monkeypatch.setenv("FOOTNOTE_ENGINE_PROFILE", "h200")
    plan = json.loads(run("command", "--json").output)
    assert plan["command"][2] == str(models / "gpt-oss-120b")
    assert plan["profile"]["sequences"] == 256


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("FOOTNOTE_MODEL_NAME", "openai/gpt-oss-20b", "hf download"),
        ("FOOTNOTE_MODEL_NAME", "gpt-5", "gpt-oss-20b or gpt-oss-120b"),
        ("FOOTNOTE_ENGINE_PROFILE", "a100", "FOOTNOTE_ENGINE_PROFILE"),
        ("FOOTNOTE_GPUS", "0", "FOOTNOTE_GPUS"),
    ],
)
def test_a_setting_that_cannot_be_served_is_refused(
    variable: str, value: str, told: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)
    assert told in fails(["command"], capsys)


def test_an_old_vllm_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "0.31.0 is older" in fails(["command", "--vllm", "0.31.0"], capsys)


def test_the_folder_of_the_settings_is_looked_at_hashed_and_listed(models: Path) -> None:
    folder = make_folder(models)
    looked = run("check", "--quick")
    assert looked.exit_code == 0
    assert {line.split()[0] for line in looked.output.splitlines()} == {"ok"}

    for shard in folder.glob("*.safetensors"):  # hashing gigabytes of nothing takes a while
        shard.unlink()
    put_small(folder)
    told = json.loads(run("check", "--json").output)
    assert told["ok"] is False
    assert told["folder"] == str(folder)
    assert {each["state"] for each in told["findings"] if each["part"] == "sha256"} == {"warn"}
    assert run("check", "--write").exit_code == 1
    assert not (folder / "SHA256SUMS").exists(), "a list was made of what is not whole"


def put_small(folder: Path) -> None:
    (folder / "model-00000-of-00003.safetensors").write_bytes(b"cut short")


def test_something_wrong_is_exit_code_one(models: Path) -> None:
    (make_folder(models) / "model.pt").write_bytes(b"")
    done = run("check", "--quick")
    assert done.exit_code == 1
    assert "fail  formats    model.pt: such files can run code" in done.output


def test_a_folder_may_be_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(models / "deep", "gpt-oss-120b")
    assert run("check", "--quick", str(models / "deep" / "gpt-oss-120b")).exit_code == 0
    monkeypatch.chdir(models)
    assert run("check", "--quick", "deep/gpt-oss-120b").exit_code == 0
    (models / "deep" / "gpt-oss-120b").rename(models / "mine")
    assert run("check", "--quick", "mine", "--model", "gpt-oss-120b").exit_code == 0


def test_a_name_at_a_hub_is_refused_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(["check", "openai/gpt-oss-20b"], capsys)
    assert "openai/gpt-oss-20b is not a folder but a name at a hub" in said
    assert "hf download openai/gpt-oss-20b" in said


def test_a_folder_that_is_not_there_is_exit_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder" in fails(["check"], capsys)
