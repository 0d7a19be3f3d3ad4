from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from footnote import calibrating
from footnote.calibrating import Wish, calibrate
from footnote.fitting import FEWEST, Example, Point, area, choose, curve, fit, held_out
from footnote.owner import try_own
from footnote.wiring.house import CALIBRATION
from knowledge.errors import ConfigurationError, OwnedElsewhere
from knowledge.settings import Settings
from serving.auth import LOCAL
from tests.fakes import context
from tests.house import QuickHouse

TOPICS = (
    "annual leave", "sick leave", "travel costs", "opening hours", "parking permits",
    "visitor badges", "meeting rooms", "key deposits", "printer paper", "parcel service",
    "first aid kit", "fire drills",
)  # fmt: skip


@pytest.fixture
def filled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with QuickHouse(settings) as house:
        for number, topic in enumerate(TOPICS):
            text = f"# Rules for {topic}\n\nThe rules for {topic} are kept in folder {number}."
            house.take_in(f"{number}.md", text, LOCAL, "everyone")
        monkeypatch.setattr(calibrating, "House", lambda _: nullcontext(house))
        yield settings


def run(settings: Settings, questions: Path | None = None, *, dry_run: bool = False) -> int:
    wish = Wish(questions=questions, answered=0.95, dry_run=dry_run)
    return calibrate(settings, wish, say=lambda _: None)


def test_headings_choose_a_threshold_that_the_service_takes_up(
    filled: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(filled) == 0
    told = capsys.readouterr().out
    assert "12 questions with an answer, 12 without; AUROC " in told
    assert "<- chosen" in told
    kept = json.loads((filled.data_dir / CALIBRATION).read_text())
    with QuickHouse(filled) as house:
        assert house.answerability is not None
        assert kept["embedder"] == house.embedder.name
        assert house.answerability.probability(context("Leave?", "Leave is granted in May.")) > 0


def test_a_dry_run_keeps_nothing(filled: Settings) -> None:
    assert run(filled, dry_run=True) == 0
    assert not (filled.data_dir / CALIBRATION).exists()


def test_questions_of_ones_own_are_asked(
    filled: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "asked.jsonl"
    kinds = (("Where are the rules for", True), ("Who painted in 1871", False))
    rows = [
        {"question": f"{words} {topic}?", "answerable": answerable}
        for words, answerable in kinds
        for topic in TOPICS
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert run(filled, path) == 0
    assert "12 questions with an answer, 12 without" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["no json", "[]", '{"question": "x"}', '{"answerable": true}'])
def test_a_line_that_is_no_question_is_named(filled: Settings, tmp_path: Path, line: str) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"question": "Leave?", "answerable": true}\n' + line + "\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        run(filled, path)


def test_too_few_questions_are_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrating, "House", QuickHouse)
    with pytest.raises(ConfigurationError, match="too few"):
        run(settings)


def test_a_folder_in_use_is_left_alone(settings: Settings) -> None:
    held = try_own(settings.data_dir, command="serve")
    assert held is not None
    with held, pytest.raises(OwnedElsewhere, match="stop it"):
        run(settings)


# --- the fit ------------------------------------------------------------------------------------


def examples(separate: float) -> list[Example]:
    rows = []
    for n in range(2 * FEWEST):
        answered = n % 2 == 0
        rest = tuple(((n * 37 + k * 11) % 17) / 17 for k in range(20))
        rows.append(Example((separate * answered + rest[0], *rest), answered, str(n // 4)))
    return rows


def test_what_can_be_told_apart_is_told_apart_held_out() -> None:
    made = examples(separate=5.0)
    answered = [each.answered for each in made]
    assert area(held_out(made), answered) > 0.99
    assert 0.1 < area(held_out(examples(separate=0.0)), answered) < 0.9
    weights = fit(made, "model")
    assert weights.probability(made[0].features) > 0.5 > weights.probability(made[1].features)


def test_a_curve_answers_less_the_more_it_refuses() -> None:
    points = curve([0.1, 0.4, 0.6, 0.9], [False, True, False, True])
    assert [point.answered for point in points] == sorted(
        (point.answered for point in points), reverse=True
    )
    assert [point.recall for point in points] == sorted(point.recall for point in points)
    half = next(point for point in points if point.threshold == 0.5)
    assert half == Point(0.5, precision=0.5, recall=0.5, answered=0.5)


def test_the_threshold_refuses_most_that_still_answers_the_share() -> None:
    points = [Point(0.1, 1, 0.1, 1.0), Point(0.2, 1, 0.4, 0.96), Point(0.3, 1, 0.8, 0.8)]
    assert choose(points, answered=0.95).threshold == 0.2
    assert choose(points, answered=0.5).threshold == 0.3
    assert choose(points[2:], answered=0.95).threshold == 0.3
