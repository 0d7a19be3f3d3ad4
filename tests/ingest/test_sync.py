from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from knowledge.errors import NotFound
from knowledge.models import Outcome
from tests.fakes import FakeIndex
from tests.ingest.world import World, outcomes, refusing

INDEXED, UNCHANGED, REMOVED = Outcome.INDEXED, Outcome.UNCHANGED, Outcome.REMOVED


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder / "a.txt", "the apple text")
    write(folder / "sub" / "b.txt", "the banana text")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def by_name(world: World, *paths: Path, collection: str = "main") -> dict[str, str]:
    events = world.sync(*paths, collection=collection)
    return {Path(event.uri).name: event.outcome.value for event in events}


def count(world: World) -> int:
    assert isinstance(world.index, FakeIndex)
    return len(world.index.points)


def test_a_folder_is_brought_up_to_date_file_by_file(world: World, docs: Path) -> None:
    assert by_name(world, docs) == {"a.txt": "indexed", "b.txt": "indexed"}
    write(docs / "a.txt", "the apricot text")
    (docs / "sub" / "b.txt").unlink()
    write(docs / "c.txt", "the cherry text")
    assert by_name(world, docs) == {"a.txt": "indexed", "b.txt": "removed", "c.txt": "indexed"}
    assert sorted(world.texts("text")) == ["the apricot text", "the cherry text"]
    assert count(world) == 2
    assert by_name(world, docs) == {"a.txt": "unchanged", "c.txt": "unchanged"}


def test_events_count_up_to_the_total(world: World, docs: Path) -> None:
    write(docs / "old.doc", "?")
    lines = "\n".join(json.dumps({"id": n, "text": f"t{n}"}) for n in range(3))
    (docs / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    events = world.sync(docs)
    assert [event.done for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1].total == 6


def test_a_part_of_a_folder_is_not_stored_twice_and_what_vanishes_there_is_noticed(
    world: World, docs: Path
) -> None:
    world.sync(docs)
    assert by_name(world, docs / "sub") == {"b.txt": "unchanged"}
    assert by_name(world, docs / "a.txt") == {"a.txt": "unchanged"}
    assert by_name(world, docs, docs / "sub", docs / "a.txt") == {
        "a.txt": "unchanged",
        "b.txt": "unchanged",
    }
    (docs / "sub" / "b.txt").unlink()
    assert by_name(world, docs / "sub") == {"b.txt": "removed"}
    assert world.texts("text") == ["the apple text"]


def test_a_larger_folder_takes_over_what_was_ingested_below_it(world: World, docs: Path) -> None:
    world.sync(docs / "sub")
    assert by_name(world, docs) == {"a.txt": "indexed", "b.txt": "unchanged"}
    assert count(world) == 2


def test_a_visit_to_one_place_removes_nothing_elsewhere(world: World, docs: Path) -> None:
    other = docs.parent / "docs-other"
    write(other / "x.txt", "other text")
    world.sync(docs, other)
    (docs / "a.txt").unlink()
    assert by_name(world, other) == {"x.txt": "unchanged"}
    assert "the apple text" in world.texts("apple")


def test_the_same_file_in_two_collections_is_two_documents(world: World, docs: Path) -> None:
    world.sync(docs, collection="one")
    world.sync(docs, collection="two")
    assert world.texts("apple", collection="one")[0] == "the apple text"
    assert world.texts("apple", collection="two")[0] == "the apple text"
    (docs / "a.txt").unlink()
    assert by_name(world, docs, collection="one")["a.txt"] == "removed"
    assert world.texts("apple", collection="one") == ["the banana text"]
    assert "the apple text" in world.texts("apple", collection="two")


def test_a_file_with_many_documents_vanishes_as_a_whole(world: World, docs: Path) -> None:
    lines = "\n".join(json.dumps({"id": n, "text": f"grape {n}"}) for n in range(3))
    write(docs / "odd #1 %.jsonl", lines)
    world.sync(docs)
    assert len(world.texts("grape")) == 5
    (docs / "odd #1 %.jsonl").unlink()
    assert outcomes(world.sync(docs)) == [UNCHANGED, UNCHANGED, REMOVED, REMOVED, REMOVED]
    assert count(world) == 2


def test_an_emptied_folder_is_emptied_here_too(world: World, docs: Path) -> None:
    world.sync(docs)
    (docs / "a.txt").unlink()
    (docs / "sub" / "b.txt").unlink()
    assert outcomes(world.sync(docs)) == [REMOVED, REMOVED]
    assert (world.texts("text"), count(world)) == ([], 0)


def test_a_missing_path_is_an_error_before_anything_is_done(world: World, docs: Path) -> None:
    with pytest.raises(NotFound):
        world.folders.sync([docs, docs / "nowhere"], collection="main")
    assert count(world) == 0


def test_nothing_is_removed_from_a_folder_that_cannot_be_listed(
    world: World, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sync(docs)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refusing("sub"))
        assert by_name(world, docs) == {"sub": "rejected", "a.txt": "unchanged"}
    assert "the banana text" in world.texts("banana")
    world.sync(docs)
    assert world.catalog.refused() == []


def test_a_file_that_vanishes_before_its_turn_is_reported_and_removed_the_next_time(
    world: World, docs: Path
) -> None:
    world.sync(docs)
    events = world.folders.sync([docs], collection="main")
    (docs / "a.txt").unlink()
    codes = {Path(event.uri).name: event.code for event in events}
    assert codes == {"a.txt": "unreadable", "b.txt": ""}
    assert by_name(world, docs) == {"a.txt": "removed", "b.txt": "unchanged"}
    assert world.catalog.refused() == []


def test_notes_on_bad_files_last_until_the_file_is_good_or_gone(world: World, docs: Path) -> None:
    def noted() -> set[str]:
        return {Path(failure.uri).name for failure in world.catalog.refused()}

    (docs / "bad.pdf").write_bytes(b"no pdf")
    write(docs / "old.doc", "?")
    (docs / "a.txt").write_bytes(bytes(range(256)))
    world.sync(docs)
    assert noted() == {"bad.pdf", "old.doc", "a.txt"}
    (docs / "bad.pdf").unlink()
    write(docs / "a.txt", "the apple text")
    world.sync(docs)
    assert noted() == {"old.doc"}


def test_a_file_that_is_bad_for_a_while_and_then_as_before_is_noted_no_more(
    world: World, docs: Path
) -> None:
    world.sync(docs)
    (docs / "a.txt").write_bytes(bytes(range(256)))
    world.sync(docs)
    assert world.catalog.refused() != []
    assert "the apple text" in world.texts("apple")
    write(docs / "a.txt", "the apple text")
    assert outcomes(world.sync(docs)) == [UNCHANGED, UNCHANGED]
    assert world.catalog.refused() == []


def test_a_line_that_was_bad_is_noted_no_more_once_it_is_mended(world: World, docs: Path) -> None:
    lines = docs / "lines.jsonl"
    for content, notes in (
        ("", {"lines.jsonl"}),
        ('{"id": "1", "text": "one"}\nnonsense\n', {"lines.jsonl#line 2"}),
        ('{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n', set()),
    ):
        write(lines, content)
        world.sync(docs)
        assert {Path(failure.uri).name for failure in world.catalog.refused()} == notes


def test_statistics_follow_what_changed(world: World, docs: Path) -> None:
    world.sync(docs)
    first = world.catalog.statistics("main")
    assert first.chunks == 2
    world.sync(docs)
    assert world.catalog.statistics("main").generation == first.generation
    (docs / "a.txt").unlink()
    world.sync(docs)
    assert world.catalog.statistics("main").chunks == 1
