from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from ingest.originals import Originals, upload_source
from ingest.recover import recover
from knowledge.blobs import FolderBlobs
from knowledge.errors import AccessDenied, IndexUnavailable, NotFound, TooLarge, Unsupported
from knowledge.models import EVERYONE, NOBODY, Document, Principal, Submission, SubmissionState
from tests.fakes import FakeIndex
from tests.ingest.world import ANN, LIMIT, World

BOB = Principal("bob")


def hand_in(
    world: World,
    text: str,
    *,
    name: str = "a.txt",
    by: Principal = ANN,
    access: frozenset[str] = frozenset({EVERYONE}),
) -> Submission:
    stream = io.BytesIO(text.encode())
    return world.intake.submit(stream, name=name, collection="main", access=access, by=by)


def work(world: World) -> None:
    while world.worker.work_one():
        pass


def test_an_upload_is_on_the_disk_and_in_the_list_when_it_returns(world: World) -> None:
    taken = hand_in(world, "hello")
    assert world.blobs.read(taken.digest) == b"hello"
    assert world.intake.status(taken.id, ANN).state is SubmissionState.RECEIVED
    assert [each.id for each in world.intake.recent(ANN)] == [taken.id]
    assert world.wakes == 1


def test_an_upload_is_nobody_elses_business(world: World) -> None:
    taken = hand_in(world, "hello")
    with pytest.raises(NotFound):
        world.intake.status(taken.id, BOB)
    with pytest.raises(NotFound):
        world.intake.cancel(taken.id, BOB)
    assert world.intake.recent(BOB) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        pytest.param("virus.exe", Unsupported, id="format"),
        pytest.param("  ", Unsupported, id="no name"),
        pytest.param("a.txt\0.exe", Unsupported, id="hidden ending"),
    ],
)
def test_what_cannot_be_read_is_refused_at_the_door(
    world: World, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        hand_in(world, "hello", name=name)
    assert world.intake.recent(ANN) == []


def test_an_upload_over_the_limit_is_refused_and_not_kept(world: World, tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        hand_in(world, "x" * (LIMIT + 1))
    assert [p for p in (tmp_path / "data" / "blobs").rglob("*") if p.is_file()] == []


def test_an_upload_by_nobody_or_for_nobody_is_refused(world: World) -> None:
    with pytest.raises(AccessDenied):
        hand_in(world, "x", by=NOBODY)
    with pytest.raises(AccessDenied):
        hand_in(world, "x", access=frozenset())


@pytest.mark.parametrize("name", ["../../etc/a.txt", "C:\\docs\\a.txt", "\u202ea.txt"])
def test_only_the_files_own_name_is_kept(world: World, name: str) -> None:
    assert hand_in(world, "x", name=name).name == "a.txt"


def test_a_later_upload_of_the_same_name_is_a_new_revision_with_its_own_access(
    world: World,
) -> None:
    first = hand_in(world, "the old plan")
    work(world)
    second = hand_in(world, "the new plan", access=frozenset({"u:ann"}))
    work(world)
    ids = [world.intake.status(each.id, ANN).document_ids for each in (first, second)]
    assert ids[0] == ids[1]
    assert world.texts("plan") == ["the new plan"]
    assert world.texts("plan", by=BOB) == []
    assert not world.blobs.has(first.digest)
    assert world.blobs.has(second.digest)


def test_nobody_replaces_what_somebody_else_handed_in(world: World) -> None:
    hand_in(world, "plan of ann")
    hand_in(world, "plan of bob", by=BOB)
    work(world)
    assert sorted(world.texts("plan")) == ["plan of ann", "plan of bob"]


def test_an_upload_names_who_handed_it_in(world: World) -> None:
    hand_in(world, "text")
    work(world)
    document = world.find("text")[0].document
    assert document.metadata == {"uploaded_by": "ann"}
    assert (document.uri, document.media_type) == ("upload:ann/a.txt", "text/plain")


def test_a_cancelled_upload_is_not_indexed_and_its_file_is_dropped(world: World) -> None:
    taken = hand_in(world, "secret")
    cancelled = world.intake.cancel(taken.id, ANN)
    work(world)
    assert cancelled.state is SubmissionState.CANCELLED
    assert world.find("secret") == []
    assert not world.blobs.has(taken.digest)


def test_cancelling_what_is_done_changes_nothing(world: World) -> None:
    taken = hand_in(world, "text")
    work(world)
    assert world.intake.cancel(taken.id, ANN).state is SubmissionState.DONE
    assert world.texts("text") == ["text"]
    assert world.blobs.has(taken.digest)


def test_a_removed_document_is_gone_from_index_and_disk(world: World, tmp_path: Path) -> None:
    taken = hand_in(world, "text")
    work(world)
    (document_id,) = world.intake.status(taken.id, ANN).document_ids
    revision = world.catalog.revision(document_id, ANN)
    world.intake.remove(document_id)
    assert world.find("text") == []
    assert world.index.count(revision.id) == 0
    assert not world.blobs.has(taken.digest)
    with pytest.raises(NotFound):
        world.intake.remove(document_id)


def test_a_file_that_two_handed_in_stays_until_both_documents_are_gone(world: World) -> None:
    mine, yours = hand_in(world, "same"), hand_in(world, "same", by=BOB)
    work(world)
    world.intake.remove(world.intake.status(mine.id, ANN).document_ids[0])
    assert world.blobs.has(mine.digest)
    world.intake.remove(world.intake.status(yours.id, BOB).document_ids[0])
    assert not world.blobs.has(mine.digest)


def test_rights_change_at_once_in_catalog_and_index(world: World) -> None:
    hand_in(world, "plan")
    work(world)
    document_id = world.find("plan")[0].document.id
    world.intake.set_access(document_id, frozenset({"u:bob"}))
    assert world.texts("plan") == []
    assert world.texts("plan", by=BOB) == ["plan"]
    assert world.catalog.labels_to_copy() == []
    with pytest.raises(NotFound):
        world.intake.set_access("nothing", frozenset({EVERYONE}))


class Unsteady(FakeIndex):
    down = False

    def delete(self, revision_ids: Sequence[str]) -> None:
        self._refuse()
        super().delete(revision_ids)

    def relabel(self, *documents: Document) -> None:
        self._refuse()
        super().relabel(*documents)

    def _refuse(self) -> None:
        if self.down:
            raise IndexUnavailable("nobody answers")


def test_a_document_removed_before_its_upload_was_finished_does_not_come_back(
    world: World,
) -> None:
    taken = hand_in(world, "text")
    claimed = world.catalog.claim("a worker that is killed", lease=timedelta(0))
    assert claimed is not None
    file = world.file("a.txt", "text")
    source = upload_source(taken)
    world.catalog.ensure_source(source)
    list(world.pipeline.ingest([replace(file, source=source, uri=source.uri)]))
    (found,) = world.find("text")  # visible, and the upload not yet done
    world.intake.remove(found.document.id)
    work(world)
    assert world.find("text") == []
    assert world.intake.status(taken.id, ANN).state is SubmissionState.CANCELLED


def test_removals_and_rights_take_effect_while_the_index_is_down_and_reach_it_later(
    tmp_path: Path,
) -> None:
    index = Unsteady()
    world = World(tmp_path, index=index)
    hand_in(world, "first plan", name="1.txt")
    hand_in(world, "second plan", name="2.txt")
    work(world)
    ids = {p.text: p.document.id for p in world.find("plan")}
    index.down = True
    world.intake.remove(ids["first plan"])
    world.intake.set_access(ids["second plan"], frozenset({"u:bob"}))
    assert world.find("plan") == []
    index.down = False
    recover(world.catalog, world.index, world.catalog, exclusive=False)
    assert [(p.document_id, p.access) for p in index.points.values()] == [
        (ids["second plan"], frozenset({"u:bob"}))
    ]
    world.close()


def test_the_original_of_an_upload_and_of_a_local_file_can_be_had(
    world: World, tmp_path: Path
) -> None:
    taken = hand_in(world, "uploaded")
    work(world)
    assert world.intake.content(taken.digest) == b"uploaded"
    local = tmp_path / "local.txt"
    local.write_text("local")
    (event,) = world.intake.sync([local], collection="main")
    digest = world.catalog.revision(str(event.document_id), ANN).digest
    assert world.intake.content(digest) == b"local"
    local.write_text("other")
    with pytest.raises(NotFound):
        world.intake.content(digest)


class RacingBlobs(FolderBlobs):
    """Lets somebody drop the bytes between `put` and the note that they are wanted."""

    rival: Originals | None = None

    def put(self, stream: BinaryIO, *, limit: int, even_if_full: bool = False) -> tuple[str, int]:
        kept = super().put(stream, limit=limit, even_if_full=even_if_full)
        rival, self.rival = self.rival, None
        if rival is not None:
            rival.drop([kept[0]])
        return kept


def test_a_file_that_arrives_while_its_twin_is_dropped_is_not_lost(tmp_path: Path) -> None:
    blobs = RacingBlobs(tmp_path / "racing")
    world = World(tmp_path, blobs=blobs)
    blobs.rival = Originals(blobs, world.catalog)
    taken = hand_in(world, "precious")
    assert blobs.read(taken.digest) == b"precious"
    world.close()
