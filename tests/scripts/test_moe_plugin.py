"""The plugin beside a vLLM that is not there: its layout, and that its entry point loads."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from scripts.moe_plugin import VERSION, install
from tests.service import ROOT

ASK = """
import logging, sys
from importlib.metadata import entry_points, version
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
(entry,) = entry_points(group="vllm.general_plugins")
register = entry.load()
register()
heavy = {"torch", "triton", "numpy", "knowledge", "pydantic"} & set(sys.modules)
print(entry.name, version("footnote-moe"), sorted(heavy))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site-packages of an environment with nothing in it but the plugin."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = (folder / "lib").glob("python3*/site-packages")
    install(packages)
    return packages


def test_the_entry_point_loads_in_an_empty_environment(site: Path, tmp_path: Path) -> None:
    python = site.parents[2] / "bin" / "python"
    done = subprocess.run(
        [python, "-I", "-c", ASK], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    line, told = done.stdout.splitlines()
    assert line.startswith("MoE kernels as vLLM has them: this vLLM is unknown")
    assert told == f"footnote_moe {VERSION} []"


def test_only_the_kernels_house_is_there(site: Path) -> None:
    tops = {path.name for path in site.iterdir()}
    assert tops == {"serving", f"footnote_moe-{VERSION}.dist-info"}
    assert {path.name for path in (site / "serving").iterdir() if path.name != "__pycache__"} == {
        "__init__.py",
        "moe",
    }
    record = (site / f"footnote_moe-{VERSION}.dist-info" / "RECORD").read_text()
    assert "serving/moe/kernels/decode_sm90.py,," in record


def test_installing_twice_changes_nothing(site: Path) -> None:
    before = {path: path.read_bytes() for path in install(site)}
    assert {path: path.read_bytes() for path in install(site)} == before


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


def test_the_image_runs_the_script_on_the_release_that_compose_names() -> None:
    stage = re.search(
        r"^FROM (\S+) AS vllm\n(.*?)(?=^FROM |\Z)",
        (ROOT / "Dockerfile").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert stage is not None
    assert f"image: ${{FOOTNOTE_VLLM_IMAGE:-{stage[1]}}}" in (ROOT / "compose.yaml").read_text()
    assert "scripts/moe_plugin.py" in stage[2]


def test_a_folder_must_be_named() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "moe_plugin.py"], capture_output=True, check=False
    )
    assert done.returncode == 1
