"""What the pages say of the house exists: files, targets, commands, settings and defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from footnote.__main__ import app
from knowledge.settings import OF_COMPOSE, Settings, TestSettings
from serving.api import ARCHIVE_TABLE, OPERATOR_TABLE, SOURCES_TABLE, TABLE
from serving.mcp.endpoint import PATH
from tests.service import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", ".env.example")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *sorted((ROOT / "scripts" / "examples").glob("*.md")),
]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
FOLDERS = "knowledge|ingest|retrieval|serving|ui|footnote|tests|docs|scripts|examples"
FILE = re.compile(rf"(?<![\w/.])((?:{FOLDERS})/[\w./-]*\w\.(?:py|md|css|toml))\b")
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
TARGET = re.compile(r"(?:`|^)make ([a-z-]+)", re.MULTILINE)
COMMAND = re.compile(r"(?:`|bin/|^)footnote ((?:keys |access |source )?[a-z]+)", re.MULTILINE)
SETTING = re.compile(r"\bFOOTNOTE_([A-Z_]+[A-Z])\b")
ROUTE = re.compile(r"(?:`|\b(?:GET|POST|PUT|PATCH|DELETE) )(/(?:v1/|metrics|mcp|openapi)[\w/{}.]*)")
ASSIGNED = re.compile(r"^(?:# )?FOOTNOTE_([A-Z_]+)=(.*)$", re.MULTILINE)


def test_the_patterns_find_what_they_look_for() -> None:
    told = "".join(page.read_text() for page in PAGES)
    for pattern in (FILE, LINK, TARGET, COMMAND, SETTING, ROUTE):
        assert len(pattern.findall(told)) > 5, pattern.pattern


@EACH
def test_a_page_names_files_that_exist(page: Path) -> None:
    told = page.read_text()
    assert [name for name in FILE.findall(told) if not (ROOT / name).exists()] == []
    assert [name for name in LINK.findall(told) if not (page.parent / name).exists()] == []


@EACH
def test_a_page_names_targets_and_commands_that_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(TARGET.findall(page.read_text())) <= set(targets)
    commands = set()
    for name, command in getattr(typer.main.get_command(app), "commands", {}).items():
        commands |= {name, *(f"{name} {each}" for each in getattr(command, "commands", {}))}
    assert set(COMMAND.findall(page.read_text())) <= commands


@EACH
def test_a_page_names_settings_that_exist(page: Path) -> None:
    known = {*Settings.model_fields, *TestSettings.model_fields, *OF_COMPOSE}
    assert {name.lower() for name in SETTING.findall(page.read_text())} <= known


@EACH
def test_a_page_names_routes_that_exist(page: Path) -> None:
    tables = (*TABLE, *ARCHIVE_TABLE, *SOURCES_TABLE, *OPERATOR_TABLE)
    routes = [row.path for row in tables] + ["/v1/health", "/openapi.json", PATH]
    shapes = [re.compile(re.sub(r"\\{\w+\\}", r"[^/]+", re.escape(path))) for path in routes]
    named = {name.rstrip(".") for name in ROUTE.findall(page.read_text())}
    assert [name for name in named if not any(shape.fullmatch(name) for shape in shapes)] == []


def test_the_example_of_an_environment_shows_every_setting_with_its_default() -> None:
    shown = {
        name.lower(): value for name, value in ASSIGNED.findall((ROOT / ".env.example").read_text())
    }
    assert shown.keys() == {*Settings.model_fields, *OF_COMPOSE} - {"version"}
    set_to = {name: shown[name] for name in Settings.model_fields if shown[name]}
    assert set_to.pop("data_dir")  # its default is another on each machine
    assert Settings(_env_file=None, **set_to) == Settings(_env_file=None)
    unset = {name for name in Settings.model_fields if not shown[name]}
    defaults = {name: str(Settings.model_fields[name].default or "") for name in unset}
    assert set(defaults.values()) == {""}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
