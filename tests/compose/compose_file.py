"""`compose.yaml` and `Dockerfile` as data: merged and interpolated as Docker Compose does it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.service import ROOT

SECRETS = {"POSTGRES_PASSWORD": "0f1e2d3c", "QDRANT_API_KEY": "4b5a6978"}

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?:(?P<rule>:[-?+])(?P<word>[^{}]*))?\})"
)


class NotSet(Exception):
    """A variable that must be set is not."""


def load(variables: Mapping[str, str], path: Path = ROOT / "compose.yaml") -> dict[str, Any]:
    """Return the whole file with YAML merges done and `${…}` filled in from `variables`.

    Raises `NotSet` where the file asks for a variable by `${NAME:?…}`.
    """
    text = path.read_text(encoding="utf-8")
    filled = _filled(yaml.safe_load(text), variables)
    assert isinstance(filled, dict)
    return {key: value for key, value in filled.items() if not key.startswith("x-")}


def image_environment(path: Path = ROOT / "Dockerfile") -> dict[str, str]:
    """Return what the ENV lines of the base image set."""
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.removeprefix("ENV ") for line in joined.splitlines() if line.startswith("ENV ")]
    return dict(word.split("=", 1) for line in lines for word in line.split())


def _filled(value: Any, variables: Mapping[str, str]) -> Any:  # noqa: ANN401 (any YAML)
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _value(match, variables), value)
    return value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    value, rule, word = variables.get(match["name"], ""), match["rule"], match["word"] or ""
    if rule == ":?" and not value:
        raise NotSet(f"{match['name']}: {word}")
    if rule == ":+":
        return word if value else ""
    return value or (word if rule == ":-" else "")
