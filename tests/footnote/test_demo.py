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
    zebra = "Zebra budgets came to exactly 4211 euros during our last accounting year."
    lion = "Lions count hours at night whenever everybody else sleeps soundly."
    (folder / "zebra.md").write_text(f"# Zebra budget\n\n{zebra}\n")
    (folder / "lion.md").write_text(f"# Lion hours\n\n{lion}\n")
    _, answers = _shown(settings, folder, capsys)
    assert len(answers) == 3
    for answer in answers[:2]:
        assert answer.startswith("What is said about")
        assert "\n[1]" in answer
    assert "(not found in the documents)" in answers[2]


def test_a_folder_whose_documents_have_no_headings_is_asked_about_its_sentences(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "n1.txt").write_text(
        "Yes.\n\nThe herd of zebras approved its budget last spring.\n"
    )
    (tmp_path / "in" / "n2.csv").write_text("a,b\n1,2\n")
    _, answers = _shown(settings, tmp_path / "in", capsys)
    assert len(answers) == 2
    assert "“The herd of zebras approved its budget last …”" in answers[0]
    assert "[1] n1" in answers[0]


def test_an_empty_folder_is_no_crash(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    ingest, answers = _shown(settings, tmp_path / "empty", capsys)
    assert "nothing to do" in ingest
    assert len(answers) == 1
