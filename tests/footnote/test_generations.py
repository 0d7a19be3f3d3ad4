from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from footnote.reindexing import Wish, verdict
from footnote.wiring import House
from knowledge.errors import ConfigurationError
from knowledge.index.family import IndexFamily
from knowledge.models import Generation
from knowledge.ports import Embedder, Index
from knowledge.settings import Settings
from serving.auth import LOCAL
from tests.fakes import FakeEmbedder
from tests.house import QuickHouse

TOWNS = ("Oslo", "Rome", "Lima", "Cairo", "Perth", "Quito")


class Sized(FakeEmbedder):
    """A model of another dimension for each folder."""

    def __init__(self, model: Path | None) -> None:
        super().__init__(dimension=32 if model else 64)
        self.name = model.name if model else "bundled"


class TwoModels(QuickHouse):
    """A house with the real index, whose models differ in dimension."""

    def _load(self, model: Path | None) -> Embedder:
        return Sized(model)

    def _open_index(self, generation: Generation) -> Index:
        return House._open_index(self, generation)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for town in TOWNS:
        text = f"# Travel to {town}\n\nThe rate in {town} is {len(town)} crowns.\n"
        (folder / f"{town}.md").write_text(text)
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def filled(settings: Settings, docs: Path) -> Settings:
    with TwoModels(settings) as house:
        assert len(list(house.intake.sync([docs], collection="main"))) == len(TOWNS)
    return settings


def with_model(settings: Settings) -> Settings:
    return settings.model_copy(update={"embedding_model": settings.data_dir / "new-model"})


def first(house: House, town: str) -> str:
    return house.retriever.search(f"rate in {town}", LOCAL)[0].text


def folders(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.data_dir.glob("index*"))


def test_a_new_model_answers_only_after_a_reindex_and_then_at_once(filled: Settings) -> None:
    with TwoModels(with_model(filled)) as house:
        assert house.embedder.name == "bundled"
        assert "Oslo" in first(house, "Oslo")
        steps = list(house.reindexer.run("build"))
        assert steps[-1]["switched"]
        assert house.embedder.name == "new-model"
        assert "Oslo" in first(house, "Oslo")
    assert folders(filled) == ["index", "index-2"]
    with TwoModels(with_model(filled)) as again:
        assert "Rome" in first(again, "Rome")
        assert again.embedder.name == "new-model"


def test_one_goes_back_and_discards_over_the_api(filled: Settings) -> None:
    with TwoModels(with_model(filled)) as house:
        owner = {"Authorization": f"Bearer {house.owner_token}"}
        client = TestClient(house.app, base_url="http://127.0.0.1", headers=owner)
        built = client.post("/v1/reindex", json={"action": "build"}).text.splitlines()
        assert json.loads(built[-2])["switched"]
        assert json.loads(built[-1]) == {"finished": True}
        listed = client.get("/v1/generations").json()["generations"]
        assert [(each["number"], each["state"]) for each in listed] == [(2, "live"), (1, "former")]
        client.post("/v1/reindex", json={"action": "back"})
        assert house.embedder.name == "bundled"
        assert "Lima" in first(house, "Lima")
        client.post("/v1/reindex", json={"action": "discard"})
    assert folders(filled) == ["index"]


def test_where_nothing_changed_there_is_nothing_to_build(filled: Settings) -> None:
    with TwoModels(filled) as house, pytest.raises(ConfigurationError, match="nothing"):
        list(house.reindexer.run("build"))
    with TwoModels(filled) as house, pytest.raises(ConfigurationError, match="no former"):
        list(house.reindexer.run("back"))


def test_a_sync_leaves_what_is_unchanged_to_the_reindex(filled: Settings, docs: Path) -> None:
    with TwoModels(with_model(filled)) as house:
        events = list(house.intake.sync([docs], collection="main"))
        assert {event.outcome.value for event in events} == {"unchanged"}


def test_a_golden_set_of_ones_own_is_asked(filled: Settings, docs: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    lines = [{"query": f"rate in {town}", "uri": str(docs / f"{town}.md")} for town in TOWNS]
    golden.write_text("\n".join(map(json.dumps, lines)))
    with TwoModels(with_model(filled)) as house:
        last = list(house.reindexer.run("build", golden=golden))[-1]
        assert (last["before"], last["switched"]) == (1.0, True)


def discard_and_crash(settings: Settings) -> None:
    """Leave the index of a discarded generation on the disk, as a kill before its end does."""
    with TwoModels(with_model(settings)) as house:
        with closing(house.reindexer.build()) as steps:
            next(steps)
        house.catalog.discard_generation(2)
    assert folders(settings) == ["index", "index-2"]


def test_what_a_crash_left_of_a_discarded_generation_is_gone_at_the_next_start(
    filled: Settings,
) -> None:
    discard_and_crash(filled)
    with TwoModels(filled) as house:
        _ = house.intake
        assert folders(filled) == ["index"]


def test_nor_is_it_in_the_way_of_the_next_generation_which_bears_the_same_number(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard_and_crash(filled)
    shutil.copytree(filled.data_dir, copy := filled.data_dir.with_name("copy"))
    smaller = filled.model_copy(update={"chunk_tokens": 64})
    copied = smaller.model_copy(update={"data_dir": copy})
    prune = IndexFamily.prune
    with monkeypatch.context() as without:
        without.setattr(IndexFamily, "prune", lambda self, ahead=0: prune(self))
        with (
            TwoModels(copied) as control,
            pytest.raises(ConfigurationError, match="another embedding model"),
        ):
            list(control.reindexer.run("build"))
    with TwoModels(smaller) as house:
        assert list(house.reindexer.run("build"))[-1]["switched"]
        assert "Oslo" in first(house, "Oslo")


def test_what_stood_in_the_way_of_a_switch_is_told_in_words() -> None:
    last = {"note": "1 document changes as fast as they are read", "switched": False}
    assert verdict(Wish("build"), last) == (
        "Not switched: 1 document changes as fast as they are read. "
        "Questions are answered as before."
    )


@pytest.fixture
def bad_golden(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "golden.jsonl"
    path.write_text('{"query": "rate", "uri": "/nowhere.md"}\n')
    yield path


def test_a_golden_set_that_names_no_document_is_refused_at_once(
    filled: Settings, bad_golden: Path
) -> None:
    with TwoModels(with_model(filled)) as house:
        with pytest.raises(ConfigurationError, match=r"line 1.*no document is at /nowhere"):
            list(house.reindexer.run("build", golden=bad_golden))
        assert len(house.catalog.generations()) == 1
