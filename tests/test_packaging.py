"""What the project depends on, what its wheel holds, and that the command works from anywhere."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.requirements import require
from tests.service import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [
    Requirement(line)
    for line in chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
]
PINNED = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]
EACH = pytest.mark.parametrize("requirement", DECLARED, ids=lambda each: each.name)


@EACH
def test_a_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    operators = {bound.operator for bound in requirement.specifier}
    assert operators & {">=", "==", "~="}
    assert operators & {"<", "<=", "==", "~="}


@EACH
def test_the_tested_version_of_a_dependency_is_within_its_bounds(requirement: Requirement) -> None:
    pins = [pin for pin in PINNED if _normal(pin.name) == _normal(requirement.name)]
    if requirement.name in {"torch", "triton"}:  # the build differs from machine to machine
        assert not pins
        return
    assert pins
    for pin in pins:
        assert requirement.specifier.contains(_exact(pin.specifier))


def test_a_pin_is_one_exact_public_version() -> None:
    assert len(PINNED) > 100
    for pin in PINNED:
        assert "+" not in _exact(pin.specifier), pin


def test_what_runs_here_is_what_was_pinned() -> None:
    for requirement in DECLARED:
        for pin in PINNED:
            here = pin.marker is None or pin.marker.evaluate()
            if here and _normal(pin.name) == _normal(requirement.name):
                assert version(requirement.name) == _exact(pin.specifier)


def test_the_script_and_the_project_agree_on_torch() -> None:
    torch = next(each for each in DECLARED if each.name == "torch")
    script = (ROOT / "scripts" / "install.sh").read_text()
    quoted = script.partition("TORCH_RANGE='")[2].partition("'")[0]
    assert Requirement(quoted).specifier == torch.specifier


def test_the_image_and_the_project_agree_on_python() -> None:
    image = (ROOT / "Dockerfile").read_text().partition("FROM python:")[2].partition("-")[0]
    assert SpecifierSet(PROJECT["requires-python"]).contains(image)


def test_the_wheel_holds_metadata_only(tmp_path: Path) -> None:
    _build_wheel(tmp_path)
    (wheel,) = tmp_path.glob("footnote-*.whl")
    folders = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert folders == {f"footnote-{PROJECT['version']}.dist-info"}


def test_the_command_works_from_another_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).parent / "footnote"
    done = subprocess.run(
        ["env", "-u", "PYTHONPATH", command, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "footnote ingest" in done.stdout


def _build_wheel(folder: Path) -> None:
    """Build as pip does, but with the hatchling that is here: nothing is fetched."""
    require(find_spec("hatchling"), "hatchling", ".venv/bin/pip install hatchling")
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)


def _exact(specifier: SpecifierSet) -> str:
    (bound,) = specifier
    assert bound.operator == "=="
    return bound.version


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
