from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from footnote import demo
from footnote.desk import Desk, LocalDesk
from knowledge.settings import Settings
from tests.house import QuickHouse
from tests.service import footnote


@contextmanager
def _quick_desk(settings: Settings, *, command: str, say: object) -> Iterator[Desk]:
    with QuickHouse(settings) as house:
        yield LocalDesk(house)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "open_desk", _quick_desk)


def _shown(
    settings: Settings, docs: Path | None, capsys: pytest.CaptureFixture[str]
) -> tuple[str, list[str]]:
    """Return what the demo prints: the ingest, and each answer."""
    assert demo.demo(settings, docs, say=lambda _: None) == 0
    ingest, *answers = capsys.readouterr().out.split("─" * 96 + "\n")
    return ingest, answers[:-1]


def test_the_examples_answer_two_questions_and_not_the_third(tmp_path: Path) -> None:
    shown = footnote(tmp_path / "data", "demo")
    assert shown.returncode == 0, shown.stderr
    ingest, *answers = shown.stdout.split("─" * 96 + "\n")
    assert "rejected" not in ingest
    first, second, third, _ = answers
    for answer in (first, second):
        assert "(answered; extractive" in answer
        assert "\n[" in answer
        assert "“" in answer
    assert "(not found in the documents)" in third
    assert "“" not in third


def test_a_folder_of_ones_own_is_asked_about_what_is_in_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "My Büro: notes"
    folder.mkdir()
    (folder / "zebra.md").write_text("# Zebra budget\n\nThe zebra budget is 4211 euros.\n")
    (folder / "lion.md").write_text("# Lion hours\n\nLion hours are counted in the night.\n")
    _, answers = _shown(settings, folder, capsys)
    assert len(answers) == 3
    assert "What is said about" in answers[0]
    assert "(not found in the documents)" in answers[2]


def test_an_empty_folder_is_no_crash(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    ingest, answers = _shown(settings, tmp_path / "empty", capsys)
    assert "nothing to do" in ingest
    assert len(answers) == 1
