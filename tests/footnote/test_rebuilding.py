"""The index of an installation is lost: the command, the service and the others bring it back."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from footnote import doctor, rebuilding
from footnote.desk import LocalDesk
from footnote.finding import Finding, State
from footnote.owner import Service, try_own
from footnote.wiring import House
from knowledge.errors import IndexUnavailable, OwnedElsewhere
from knowledge.index.edge import EdgeIndex
from knowledge.models import Generation
from knowledge.ports import Embedder, Index
from knowledge.settings import Settings
from tests.fakes import FakeEmbedder
from tests.house import QuickHouse
from tests.service import footnote, free_port

TEXT = "# {0}\n\nThe {0} budget is {1} euros. {2}\n\n## Hours\n\nThe {0} sleeps {1} hours. {2}"
ANIMALS = ("zebra", "lion", "stork", "otter")


class Gate(FakeEmbedder):
    """An embedder that lets documents through only when it is open; questions always."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.waiting = threading.Event()
        self.open.set()

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        if len(texts) > 1:
            self.waiting.set()
            assert self.open.wait(30)
        return super().embed(texts)


class EdgeHouse(QuickHouse):
    """A quick house with the real index in its folder."""

    def _load(self, model: Path | None) -> Embedder:
        return Gate()

    def _open_index(self, generation: Generation) -> Index:
        return EdgeIndex(self.settings.data_dir / "index", dimension=generation.dimension)


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number, animal in enumerate(ANIMALS):
        rest = f"It is seen by {animal} keepers. " * number  # no two rank alike
        (docs / f"{animal}.md").write_text(TEXT.format(animal, 4211 + number, rest))
    with EdgeHouse(settings) as house:
        for _ in house.intake.sync([docs], collection="main"):
            pass
    return settings


@pytest.fixture
def lost(filled: Settings) -> Settings:
    shutil.rmtree(filled.data_dir / "index")
    return filled


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "House", EdgeHouse)
    monkeypatch.setattr(doctor, "House", EdgeHouse)


def _found(house: House) -> list[list[str]]:
    desk = LocalDesk(house)
    answers = (desk.search(each, collection=None, limit=10)["passages"] for each in ANIMALS)
    return [[passage["text"] for passage in each] for each in answers]


def _say(_: str) -> None:
    return


def test_the_command_checks_and_brings_back(
    filled: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with EdgeHouse(filled) as house:
        before = _found(house)
    assert rebuilding.rebuild(filled, check=True, say=_say) == 0
    shutil.rmtree(filled.data_dir / "index")
    assert rebuilding.rebuild(filled, check=True, say=_say) == 1
    assert "lacks 8 of 8 passages; run: footnote rebuild" in capsys.readouterr().out
    with EdgeHouse(filled) as house:
        assert _found(house) == [[]] * len(ANIMALS)  # --check changes nothing
    said: list[str] = []

    assert rebuilding.rebuild(filled, check=False, say=said.append) == 0

    assert said == ["the index lacks 8 of 8 passages; 4 documents are embedded again"]
    assert capsys.readouterr().out == "The index holds all 8 passages.\n"
    with EdgeHouse(filled) as house:
        assert _found(house) == before
        assert all(before)
    assert rebuilding.rebuild(filled, check=True, say=_say) == 0


def test_a_service_that_runs_is_not_disturbed(
    lost: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "answers", lambda _: True)
    held = try_own(lost.data_dir, command="serve")
    assert held is not None
    with held:
        held.announce(Service(f"http://127.0.0.1:{free_port()}", "token"))
        with pytest.raises(OwnedElsewhere, match="when it starts"):
            rebuilding.rebuild(lost, check=True, say=_say)


def test_the_doctor_says_whether_the_index_is_whole(filled: Settings) -> None:
    def look() -> Finding:
        return next(each for each in doctor.findings(filled) if each.part == "passages")

    assert look() == Finding("passages", State.OK, "the index holds all 8")
    shutil.rmtree(filled.data_dir / "index")
    assert look().state is State.WARN
    assert "run: footnote rebuild" in look().message


def test_a_service_answers_while_it_brings_the_index_back(filled: Settings) -> None:
    said: list[str] = []
    with EdgeHouse(filled) as house:
        before = _found(house)
        house.index.delete(_revisions(house)[:2])
    with EdgeHouse(filled) as house:
        gate = house.embedder
        assert isinstance(gate, Gate)
        gate.open.clear()
        assert house.app is not None
        house.start_worker(said.append)
        try:
            assert gate.waiting.wait(30)
            assert house.health()["index"] == "ok"
            meanwhile = _found(house)
            assert 0 < sum(map(len, meanwhile)) < sum(map(len, before))
        finally:
            gate.open.set()
        _await_thread("footnote-rebuild")
        assert _found(house) == before
    assert said == [
        "the index lacks 4 of 8 passages; rebuilding it from the catalog",
        "the index is whole again",
    ]


def test_a_service_that_is_stopped_does_not_wait_for_the_rest(lost: Settings) -> None:
    said: list[str] = []
    stop = threading.Event()
    stop.set()
    with EdgeHouse(lost) as house:
        house.restore_index(said.append, stop)
    assert len(said) == 1


def test_a_rebuild_that_fails_leaves_the_service_running(
    lost: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with EdgeHouse(lost) as house:
        assert house.app is not None

        def refuse(_: object) -> None:
            raise IndexUnavailable("the disk is full")

        monkeypatch.setattr(house.index, "upsert", refuse)
        house.start_worker(said.append)
        _await_thread("footnote-rebuild")
        assert house.health()["index"] == "ok"
    assert said[-1] == "the index may lack passages until the next start: the disk is full"


def test_servers_are_rebuilt_on_command_only(lost: Settings) -> None:
    shared = lost.model_copy(
        update={"database_url": lost.sqlalchemy_url(), "qdrant_url": "http://127.0.0.1:9"}
    )
    assert not shared.embedded
    said: list[str] = []
    with EdgeHouse(shared) as house:
        house.restore_index(said.append)
        house.start_worker(said.append)
        assert house.missing().lacking == 8
    assert said == []
    assert rebuilding.rebuild(shared, check=False, say=said.append) == 0
    with EdgeHouse(shared) as house:
        assert house.missing().lacking == 0


def test_a_command_finds_what_it_found_before_the_folder_was_deleted(
    tmp_path: Path, filled: Settings
) -> None:
    """The real thing, with the real model, as processes."""
    data = tmp_path / "real"
    assert footnote(data, "ingest", str(tmp_path / "docs")).returncode == 0
    before = _searched(data)
    shutil.rmtree(data / "index")
    again = footnote(data, "search", "how long does the otter sleep?", "--json")
    assert "lacks 8 of 8 passages; rebuilding it" in again.stderr
    assert [each["text"] for each in json.loads(again.stdout)["passages"]] == before
    assert len(before) > 3


def _searched(data: Path) -> list[str]:
    shown = footnote(data, "search", "how long does the otter sleep?", "--json")
    assert "rebuilding" not in shown.stderr
    return [each["text"] for each in json.loads(shown.stdout)["passages"]]


def _revisions(house: House) -> list[str]:
    return list(house.catalog.live_chunks())


def _await_thread(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(30)
            assert not thread.is_alive()
