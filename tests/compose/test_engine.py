"""What the container of vLLM runs is what `footnote engine command --compose` prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footnote.__main__ import app
from serving.engine.container import NAME, WEIGHTS
from serving.engine.launch import PINNED, REFUSED
from tests.compose.compose_file import SECRETS, load
from tests.service import ROOT
from tests.serving.engine.folder import make_folder

RECORDER = """#!/bin/sh
exec {python} -I -S -c '
import json, os, sys
json.dump([sys.argv[1:], dict(os.environ)], open(sys.argv[1], "w"))' {record} "$@"
"""
MOVED = "import sys, footnote_engine.container as c; c.WEIGHTS = sys.argv[1]\n"
START = "from footnote_engine.__main__ import main; main()"


class Container:
    """vLLM's container of compose.yaml as a process: its mount, its variables, a vLLM that notes.

    Of all places only the weights' lies elsewhere than in the container.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str], vllm: str = PINNED) -> None:
        self.service = load({**SECRETS, **variables})["services"]["vllm"]
        self.weights, self.record = folder / "weights", folder / "record.json"
        self.weights.mkdir()
        packages, programs = folder / "packages", folder / "bin"
        source, _, target = self.service["volumes"][0].partition(":")
        assert target == f"/opt/engine/{NAME}:ro"
        shutil.copytree(ROOT / source, packages / NAME)
        (packages / f"vllm-{vllm}.dist-info").mkdir()
        (packages / f"vllm-{vllm}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: vllm\nVersion: {vllm}\n"
        )
        programs.mkdir()
        (programs / "vllm").write_text(RECORDER.format(python=sys.executable, record=self.record))
        (programs / "vllm").chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",  # noqa: TID251
            **self.service["environment"],
            "PYTHONPATH": str(packages),
        }

    def start(self, **more: str) -> subprocess.CompletedProcess[str]:
        python, option, module = self.service["entrypoint"]
        assert (python, option, module) == ("python3", "-m", NAME)
        return subprocess.run(
            [sys.executable, "-c", MOVED + START, str(self.weights)],
            env=self.environment | more, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def ran(self) -> tuple[list[str], dict[str, str]]:
        words, environment = json.loads(self.record.read_text())
        return ["vllm", *words[1:]], environment


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:  # noqa: TID251
        if name.startswith("FOOTNOTE_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="defaults"),
        pytest.param(
            {"FOOTNOTE_MODEL_NAME": "gpt-oss-120b", "FOOTNOTE_ENGINE_PROFILE": "h200"}, id="h200"
        ),
        pytest.param(
            {
                "FOOTNOTE_ENGINE_PROFILE": "80gb", "FOOTNOTE_GPUS": "2", "FOOTNOTE_MOE": "kernels",
                "FOOTNOTE_MOE_BACKEND": "marlin", "FOOTNOTE_MOE_TABLES": "/elsewhere",
            },
            id="everything",
        ),
    ],
)  # fmt: skip
def test_the_container_runs_what_the_command_prints(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path, variables | {"FOOTNOTE_MODEL_API_KEY": "secret"})
    make_folder(container.weights, variables.get("FOOTNOTE_MODEL_NAME", "gpt-oss-20b"))
    started = container.start()
    assert started.returncode == 0, started.stderr
    words, environment = container.ran()

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["engine", "command", "--compose", "--json"])
    plan = json.loads(shown.output)
    at = str(container.weights)
    assert [word.replace(at, WEIGHTS) for word in words] == plan["command"]
    told = {name: environment[name] for name in plan["environment"]}
    assert told == plan["environment"]
    assert environment["VLLM_API_KEY"] == "secret"
    assert "secret" not in started.stdout + shown.output
    assert not set(REFUSED) & environment.keys()
    assert ("without our plugin" in started.stdout) == ("FOOTNOTE_MOE" in variables)


def test_another_vllm_in_the_image_gets_its_own_flags(tmp_path: Path) -> None:
    container = Container(tmp_path, {"FOOTNOTE_MODEL_API_KEY": "secret"}, vllm="0.32.0")
    make_folder(container.weights)
    assert container.start().returncode == 0
    assert "--reasoning-effort-map" not in container.ran()[0]


@pytest.mark.parametrize(
    ("variables", "vllm", "told"),
    [
        pytest.param({}, PINNED, "FOOTNOTE_MODEL_API_KEY", id="no-key"),
        pytest.param({"FOOTNOTE_MODEL_NAME": "gpt-5"}, PINNED, "gpt-5 is not", id="model"),
        pytest.param(
            {"FOOTNOTE_MODEL_NAME": "openai/gpt-oss-20b"}, PINNED, "hf download", id="hub"
        ),
        pytest.param({"FOOTNOTE_GPUS": "two"}, PINNED, "FOOTNOTE_GPUS", id="gpus"),
        pytest.param({}, "0.31.0", "older than 0.32", id="old"),
    ],
)
def test_it_does_not_start_and_says_why(
    variables: dict[str, str], vllm: str, told: str, tmp_path: Path
) -> None:
    key = {} if told == "FOOTNOTE_MODEL_API_KEY" else {"FOOTNOTE_MODEL_API_KEY": "secret"}
    container = Container(tmp_path, variables | key, vllm)
    make_folder(container.weights)
    _fails(container.start(), told, container)


@pytest.mark.parametrize("name", REFUSED)
def test_a_variable_that_opens_what_is_closed_is_refused(name: str, tmp_path: Path) -> None:
    container = Container(tmp_path, {"FOOTNOTE_MODEL_API_KEY": "secret"})
    make_folder(container.weights)
    _fails(container.start(**{name: "1"}), name, container)


def test_a_variable_that_is_set_to_nothing_is_not(tmp_path: Path) -> None:
    container = Container(tmp_path, {"FOOTNOTE_MODEL_API_KEY": "secret"})
    make_folder(container.weights)
    assert container.start(**dict.fromkeys(REFUSED, "0")).returncode == 0


def test_weights_are_looked_at_before_vllm_reads_them(tmp_path: Path) -> None:
    container = Container(tmp_path, {"FOOTNOTE_MODEL_API_KEY": "secret"})
    _fails(container.start(), "FOOTNOTE_WEIGHTS_DIR", container)
    folder = make_folder(container.weights)
    (folder / "extra.bin").write_bytes(b"")
    _fails(container.start(), "extra.bin", container)


def test_the_pin_is_one() -> None:
    image = load(SECRETS)["services"]["vllm"]["image"]
    assert image == f"vllm/vllm-openai:v{PINNED}"
    assert f"FROM {image} AS vllm" in (ROOT / "Dockerfile").read_text()


def _fails(started: subprocess.CompletedProcess[str], told: str, container: Container) -> None:
    assert started.returncode == 1
    assert started.stderr.startswith("footnote: ")
    assert started.stderr.count("\n") == 1
    assert told in started.stderr
    assert not container.record.exists()
