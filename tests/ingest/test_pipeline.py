from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import pipeline
from ingest.chunk import embedding_text
from ingest.likeness import signature
from ingest.pipeline import Sizes
from ingest.prepare import Likeness
from ingest.rebuild import missing, rebuild
from ingest.recover import clean, copy_labels, recover
from ingest.sync import files_source
from knowledge.errors import IndexUnavailable, ParserFailed, Unreadable
from knowledge.models import DEFAULT_COLLECTION, EVERYONE, Outcome, Parsed, Point, Principal
from tests.fakes import FakeEmbedder, FakeIndex
from tests.ingest.world import MailParser, OpenParser, World, outcomes

INDEXED, UNCHANGED, REJECTED = Outcome.INDEXED, Outcome.UNCHANGED, Outcome.REJECTED
HANDBOOK = Path(__file__).parents[2] / "examples" / "handbook.pdf"
ORDER = ["received", "parsed", "embedded", "upserted", "switched"]


def lines(*records: Mapping[str, object]) -> str:
    return "\n".join(json.dumps(record) for record in records)


def test_a_file_becomes_passages_whose_text_is_cut_from_the_revision(world: World) -> None:
    (event,) = world.ingest("a.txt", "Hotels cost 120 euros.\n\nTrains are second class.")
    (passage, *_) = world.find("what do hotels cost")
    revision = world.catalog.revision(str(event.document_id), Principal("ann"))
    assert event.outcome is INDEXED
    assert event.chunks == world.index.count(revision.id) == 1
    assert passage.text == passage.span.cut(revision.text)
    assert "Hotels cost 120 euros." in passage.text
    assert world.states == ORDER


def test_an_event_is_given_only_once_its_document_can_be_found(world: World) -> None:
    files = [world.file(f"{n}.txt", f"number {n} speaks of zebra{n}") for n in range(5)]
    for n, event in enumerate(world.pipeline.ingest(files)):
        assert event.uri == f"/docs/{n}.txt"
        assert world.texts(f"zebra{n}")[0] == f"number {n} speaks of zebra{n}"


def test_an_unchanged_file_is_not_parsed_again(world: World) -> None:
    parser = OpenParser()
    world.wire(parser)
    world.ingest("a.txt", "same")
    world.states.clear()
    assert outcomes(world.ingest("a.txt", "same")) == [UNCHANGED]
    assert parser.parsed == ["a.txt"]
    assert world.states == []


def test_a_changed_file_replaces_what_it_was_and_leaves_no_points_behind(world: World) -> None:
    (first,) = world.ingest("a.txt", "The limit is 100 euros.")
    (second,) = world.ingest("a.txt", "The limit is 200 euros.")
    assert first.document_id == second.document_id
    assert world.texts("limit") == ["The limit is 200 euros."]
    assert isinstance(world.index, FakeIndex)
    assert len(world.index.points) == 1
    assert world.catalog.dead() == []


def test_another_parser_version_or_chunk_size_is_left_to_a_new_generation(world: World) -> None:
    world.ingest("a.txt", "same")
    newer = OpenParser("parser-2")
    world.wire(newer, Sizes(chunk_tokens=64))
    assert outcomes(world.ingest("a.txt", "same")) == [UNCHANGED]
    assert newer.parsed == []


def test_each_line_of_a_json_lines_file_is_a_document_of_its_own(world: World) -> None:
    one = {"_id": "1", "title": "Cells", "text": "Cells divide.", "year": 2001}
    two = {"_id": "2", "title": "Stars", "text": "Stars burn."}
    events = world.ingest("c.jsonl", lines(one, two))
    assert [event.uri for event in events] == ["/docs/c.jsonl#1", "/docs/c.jsonl#2"]
    document = world.find("cells")[0].document
    assert (document.external_id, document.title) == ("1", "Cells")
    assert document.metadata == {"year": "2001"}


def test_only_lines_that_changed_are_indexed_and_vanished_ones_are_removed(world: World) -> None:
    one, two, three = ({"_id": str(n), "text": f"zebra number {n}"} for n in range(3))
    world.ingest("c.jsonl", lines(one, two, three))
    changed = {**two, "text": "zebra with new stripes"}
    events = world.ingest("c.jsonl", lines(one, changed))
    assert [(event.uri[-2:], event.outcome) for event in events] == [
        ("#0", UNCHANGED),
        ("#2", Outcome.REMOVED),
        ("#1", INDEXED),
    ]
    assert sorted(world.texts("zebra")) == ["zebra number 0", "zebra with new stripes"]


def test_a_changed_field_of_a_line_counts_as_a_change(world: World) -> None:
    world.ingest("c.jsonl", lines({"_id": "1", "text": "t", "owner": "ann"}))
    world.ingest("c.jsonl", lines({"_id": "1", "text": "t", "owner": "bob"}))
    assert world.find("t")[0].document.metadata == {"owner": "bob"}


def test_bad_and_repeated_lines_are_reported_and_the_rest_goes_on(world: World) -> None:
    good, twin = {"_id": "1", "text": "first"}, {"_id": "1", "text": "second"}
    data = "\n".join([json.dumps(good), "{broken", json.dumps(twin), '{"text": "no id"}'])
    events = world.ingest("c.jsonl", data)
    assert sorted((e.uri.partition("#")[2], e.outcome.value, e.code) for e in events) == [
        ("1", "indexed", ""),
        ("1#line 3", "rejected", "duplicate_id"),
        ("line 2", "rejected", "bad_line"),
        ("line 4", "indexed", ""),
    ]
    assert {each.code for each in world.catalog.refused()} == {"duplicate_id", "bad_line"}
    assert world.texts("first")[0] == "first"


def test_of_very_many_bad_lines_the_first_are_listed_and_the_rest_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LISTED_LINES", 2)
    events = world.ingest("c.jsonl", "\n".join(["{broken"] * 5 + ['{"text": "good"}']))
    assert sorted(event.uri.partition("#")[2] for event in events) == [
        "line 1",
        "line 2",
        "line 6",
        "more lines",
    ]
    assert {each.reason for each in world.catalog.refused()} >= {
        "3 more lines were refused; the first 2 are listed"
    }


def test_a_file_that_became_unreadable_is_noted_and_stays_what_it_was(world: World) -> None:
    world.ingest("a.pdf", HANDBOOK.read_bytes())
    before = world.texts("handbook")
    (event,) = world.ingest("a.pdf", b"%PDF-1.7 rubbish")
    assert event.outcome is REJECTED
    assert event.reason
    assert event.code
    assert world.texts("handbook") == before != []
    assert [each.uri for each in world.catalog.refused()] == ["/docs/a.pdf"]


def test_a_document_without_text_is_reported_kept_and_not_found(world: World) -> None:
    (event,) = world.ingest("a.txt", "   \n\n")
    assert (event.outcome, event.code) == (Outcome.EMPTY, "empty")
    assert world.find("anything") == []
    assert world.catalog.document(str(event.document_id), Principal("ann")).title
    assert outcomes(world.ingest("a.txt", "   \n\n")) == [UNCHANGED]


def test_a_file_of_too_many_documents_is_refused_beyond_the_limit(world: World) -> None:
    world.wire(OpenParser(), Sizes(max_documents=2))
    events = world.ingest("c.jsonl", lines(*({"id": n, "text": f"t{n}"} for n in range(4))))
    assert sorted(event.outcome.value for event in events) == ["indexed", "indexed", "rejected"]
    assert {event.code for event in events} == {"", "too_large"}


def test_a_text_that_makes_too_many_passages_is_refused_and_what_was_there_stays(
    world: World,
) -> None:
    world.wire(OpenParser(), Sizes(chunk_tokens=8, max_chunks=20))
    [before] = world.ingest("a.txt", ". " * 100)
    assert 10 < before.chunks <= 20
    [event] = world.ingest("a.txt", ". " * 200)
    assert (event.outcome, event.code) == (REJECTED, "too_many_passages")
    assert event.reason == "it makes more than 20 passages; split it"
    assert world.index.count() == before.chunks


def test_a_line_that_makes_too_many_passages_is_refused_alone(world: World) -> None:
    world.wire(OpenParser(), Sizes(chunk_tokens=8, max_chunks=2))
    rows = ({"id": n, "text": "word " * 8 * n} for n in (1, 9))
    events = world.ingest("c.jsonl", lines(*rows))
    assert sorted(e.code for e in events) == ["", "too_many_passages"]


def test_groups_are_carried_on_when_they_are_full(world: World) -> None:
    world.wire(OpenParser(), Sizes(group_documents=2))
    files = [world.file(f"{n}.txt", f"text {n}") for n in range(5)]
    assert outcomes(list(world.pipeline.ingest(files))) == [INDEXED] * 5
    places = {state: _places(world.states, state) for state in ORDER}
    assert [len(each) for each in places.values()] == [3] * len(ORDER)
    for group in zip(*places.values(), strict=True):
        assert sorted(group) == list(group)


def _places(states: Sequence[str], wanted: str) -> list[int]:
    return [place for place, state in enumerate(states) if state == wanted]


class PatientEmbedder(FakeEmbedder):
    """Embeds nothing until `enough` says so, and notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.enough = threading.Event()
        self.waited_in_vain = False
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.waited_in_vain |= not self.enough.wait(20)
        self.texts += texts
        return super().embed(texts)


class TellingParser(OpenParser):
    """Sets an event when it is asked for a file of this name."""

    def __init__(self, name: str, asked: threading.Event) -> None:
        super().__init__()
        self._name = name
        self._asked = asked

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        if name == self._name:
            self._asked.set()
        return super().parse(data, name=name)


def test_the_next_group_is_read_while_one_is_embedded(world: World) -> None:
    embedder = world.embedder = PatientEmbedder()
    world.wire(TellingParser("2.txt", embedder.enough), Sizes(group_documents=1))
    files = [world.file(f"{n}.txt", f"text {n}") for n in (1, 2, 3)]
    events = list(world.pipeline.ingest(files))
    assert [event.uri for event in events] == ["/docs/1.txt", "/docs/2.txt", "/docs/3.txt"]
    assert not embedder.waited_in_vain


def test_a_copy_in_the_next_group_is_neither_parsed_nor_embedded_again(world: World) -> None:
    embedder = world.embedder = PatientEmbedder()
    parser = TellingParser("other.txt", embedder.enough)
    world.wire(parser, Sizes(group_documents=1))
    copies = [world.file(name, "# One\n\ntwice the same") for name in ("a.md", "b.md")]
    events = list(world.pipeline.ingest([*copies, world.file("other.txt", "something else")]))
    assert outcomes(events) == [INDEXED] * 3
    assert parser.parsed == ["a.md", "other.txt"]
    assert len(embedder.texts) == 2


def test_a_run_that_is_given_up_shows_nothing_of_what_was_under_way(world: World) -> None:
    world.wire(OpenParser(), Sizes(group_documents=1))
    running = world.pipeline.ingest(world.file(f"{n}.txt", f"zebra {n}") for n in range(9))
    assert isinstance(running, Generator)
    with closing(running):
        first = next(running)
    assert first.uri == "/docs/0.txt"
    assert world.texts("zebra") == ["zebra 0"]
    world.wire(OpenParser())
    assert outcomes(world.ingest("1.txt", "zebra 1")) == [INDEXED]
    recover(world.catalog, world.index, world.catalog, exclusive=True)
    assert sorted(world.texts("zebra")) == ["zebra 0", "zebra 1"]


class FailingIndex(FakeIndex):
    """Loses points, or does not answer, while `broken` says so."""

    broken = ""

    def upsert(self, points: Sequence[Point]) -> None:
        if self.broken == "down":
            raise IndexUnavailable("nobody answers")
        super().upsert(points[1:] if self.broken == "loses" else points)


@pytest.mark.parametrize("fault", ["down", "loses"])
def test_an_index_that_fails_stops_the_run_and_what_was_visible_stays(
    tmp_path: Path, fault: str
) -> None:
    index = FailingIndex()
    world = World(tmp_path, index=index)
    world.ingest("a.txt", "the old text")
    index.broken = fault
    with pytest.raises(IndexUnavailable):
        world.ingest("a.txt", "the new text")
    assert world.texts("text") == ["the old text"]

    index.broken = ""
    assert recover(world.catalog, world.index, world.catalog, exclusive=True) == 1
    assert len(index.points) == 1
    assert outcomes(world.ingest("a.txt", "the new text")) == [INDEXED]
    assert world.texts("text") == ["the new text"]
    world.close()


class RemovedMeanwhile(World):
    """Somebody removes the document, and cleans up, when a state is reached."""

    victim = ""
    state = ""

    def pass_state(self, state: str) -> None:
        super().pass_state(state)
        if state == self.state and self.victim:
            self.catalog.remove(self.victim)
            clean(self.catalog, self.index)


@pytest.mark.parametrize("state", ["received", "embedded", "upserted"])
def test_what_is_removed_while_it_is_being_indexed_stays_removed(
    tmp_path: Path, state: str
) -> None:
    world = RemovedMeanwhile(tmp_path)
    world.state = state
    (event,) = world.ingest("a.txt", "old secret")
    world.victim = str(event.document_id)
    (event,) = world.ingest("a.txt", "new secret")
    assert (event.outcome, event.code) == (REJECTED, "superseded")
    assert world.find("secret") == []
    assert isinstance(world.index, FakeIndex)
    assert world.index.points == {}
    world.close()


def test_an_administrators_access_list_outlives_a_new_revision(world: World) -> None:
    (event,) = world.ingest("a.txt", "old plans")
    world.catalog.set_access(str(event.document_id), frozenset({"u:bob"}))
    world.ingest("a.txt", "new plans")
    assert world.find("plans", by=Principal("ann")) == []
    copy_labels(world.catalog, world.index)
    assert [p.text for p in world.find("plans", by=Principal("bob"))] == ["new plans"]


def test_a_document_is_found_by_all_its_tags_as_soon_as_it_is_replaced(world: World) -> None:
    """Its new points carry the rights and tags of its source alone."""
    (event,) = world.ingest("a.txt", "old plans")
    key = str(event.document_id)
    world.catalog.set_tags(key, frozenset({"by hand"}))
    world.catalog.set_access(key, frozenset({"u:bob"}))
    world.ingest("a.txt", "new plans")
    assert isinstance(world.index, FakeIndex)
    (point,) = world.index.points.values()
    assert (point.tags, point.access) == (frozenset({"by hand"}), frozenset({"u:bob"}))


@pytest.mark.parametrize(
    ("name", "data"), [("a.txt", "the plans"), ("a.jsonl", '{"id": 1, "text": "the plans"}')]
)
def test_a_source_that_sets_access_sets_it_on_what_has_not_changed_too(
    world: World, name: str, data: str
) -> None:
    world.ingest(name, data, access=[EVERYONE], sets_access=True)
    again = world.ingest(name, data, access=["u:bob"], sets_access=True)
    assert outcomes(again) == [UNCHANGED]
    assert world.texts("plans") == []
    assert world.texts("plans", by=Principal("bob")) == ["the plans"]


def test_a_source_that_sets_access_sets_it_with_the_switch(world: World) -> None:
    world.ingest("a.txt", "old plans", access=[EVERYONE])
    world.ingest("a.txt", "new plans", access=["u:bob"], sets_access=True)
    assert world.find("plans", by=Principal("ann")) == []
    assert [p.text for p in world.find("plans", by=Principal("bob"))] == ["new plans"]


def test_a_file_cannot_claim_who_handed_it_in(world: World) -> None:
    line = lines({"_id": "1", "text": "text", "uploaded_by": "eve", "team": "a"})
    world.ingest("c.jsonl", line, metadata={"uploaded_by": "ann"})
    assert world.find("text")[0].document.metadata == {"uploaded_by": "ann", "team": "a"}
    world.ingest("d.jsonl", line)
    found = {p.document.uri: p.document.metadata for p in world.find("text")}
    assert found["/docs/d.jsonl#1"] == {"team": "a"}


class BrokenParser(OpenParser):
    """Fails in the middle of a file."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        yield Parsed("one", "zebra one", (), external_id="1")
        raise self._error


def test_documents_before_a_files_end_are_kept_when_the_parser_gives_up(world: World) -> None:
    world.ingest("c.jsonl", lines({"_id": "1", "text": "x"}, {"_id": "2", "text": "zebra two"}))
    world.wire(BrokenParser(Unreadable("damaged here")))
    events = world.ingest("c.jsonl", "changed")
    assert [(event.outcome, event.reason) for event in events] == [
        (REJECTED, "damaged here"),
        (INDEXED, ""),
    ]
    assert sorted(world.texts("zebra")) == ["zebra one", "zebra two"]


def test_a_parser_that_is_down_stops_the_run_and_blames_no_file(world: World) -> None:
    world.wire(BrokenParser(ParserFailed("no parser", code="unavailable")))
    with pytest.raises(ParserFailed):
        world.ingest("c.jsonl", "anything")
    assert world.catalog.refused() == []


@pytest.fixture
def mail(world: World) -> MailParser:
    parser = MailParser()
    world.wire(parser)
    return parser


@pytest.mark.usefixtures("mail")
def test_each_part_of_a_file_is_a_document_beside_the_file_itself(world: World) -> None:
    events = world.ingest("a.eml", "zebra one|50% #1.txt=zebra two")
    assert outcomes(events) == [INDEXED, INDEXED]
    found = {p.document.uri: p.document.title for p in world.find("zebra")}
    assert found == {"/docs/a.eml": "Subject", "/docs/a.eml#50%25 %231.txt": "50% #1.txt"}


def test_an_unchanged_file_keeps_all_its_parts_unparsed(world: World, mail: MailParser) -> None:
    world.ingest("a.eml", "zebra one|a.txt=zebra two|b.txt=zebra three")
    events = world.ingest("a.eml", "zebra one|a.txt=zebra two|b.txt=zebra three")
    assert outcomes(events) == [UNCHANGED] * 3
    assert mail.parsed == ["a.eml"]
    assert len(world.texts("zebra")) == 3


@pytest.mark.usefixtures("mail")
def test_parts_that_are_gone_are_removed_and_new_ones_come(world: World) -> None:
    world.ingest("a.eml", "zebra one|a.txt=zebra two|b.txt=zebra three")
    events = world.ingest("a.eml", "zebra one|b.txt=zebra three|c.txt=zebra four")
    assert sorted((e.uri.partition("#")[2], e.outcome.value) for e in events) == [
        ("", "indexed"),
        ("a.txt", "removed"),
        ("b.txt", "indexed"),
        ("c.txt", "indexed"),
    ]
    assert sorted(world.texts("zebra")) == ["zebra four", "zebra one", "zebra three"]


@pytest.mark.usefixtures("mail")
def test_a_file_with_a_part_that_cannot_be_read_stays_what_it_was(world: World) -> None:
    world.ingest("a.eml", "zebra one|a.txt=zebra two")
    (event,) = world.ingest("a.eml", "zebra changed|a.txt=zebra changed|b.txt=broken")
    assert (event.outcome, event.reason) == (REJECTED, "an attachment is damaged")
    assert sorted(world.texts("zebra")) == ["zebra one", "zebra two"]
    again = world.ingest("a.eml", "zebra changed|a.txt=zebra changed|b.txt=mended")
    assert outcomes(again) == [INDEXED] * 3


def test_the_parts_of_a_file_become_visible_together(world: World) -> None:
    world.wire(MailParser(), Sizes(group_documents=2))
    world.ingest("a.eml", "zebra one|a=zebra two|b=zebra three|c=zebra four|d=zebra five")
    assert world.states == ORDER


def test_a_part_that_was_removed_stays_away_until_its_file_changes(
    world: World, mail: MailParser
) -> None:
    world.ingest("a.eml", "zebra one|a.txt=zebra two")
    (removed,) = [p.document.id for p in world.find("zebra") if p.document.title == "a.txt"]
    world.catalog.remove(removed)
    assert outcomes(world.ingest("a.eml", "zebra one|a.txt=zebra two")) == [UNCHANGED]
    assert mail.parsed == ["a.eml"]
    world.ingest("a.eml", "zebra 1|a.txt=zebra two")
    assert sorted(world.texts("zebra")) == ["zebra 1", "zebra two"]


# --- copies and families ------------------------------------------------------------------------


class CountingEmbedder(FakeEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.embedded: list[str] = []

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.embedded += texts
        return super().embed(texts)


LONG = "\n\n".join(
    f"Zebra number {n} lives in hall {n * n} and eats {n} bales of hay." for n in range(9)
)


@pytest.fixture
def counted(world: World) -> Iterator[tuple[World, OpenParser, CountingEmbedder]]:
    parser, world.embedder = OpenParser(), CountingEmbedder()
    world.wire(parser, Sizes(chunk_tokens=32, group_documents=4, likeness=Likeness(signature)))
    yield world, parser, world.embedder


@pytest.mark.parametrize("at_once", [True, False])
def test_copies_are_parsed_once_and_what_reads_alike_is_embedded_once(
    counted: tuple[World, OpenParser, CountingEmbedder], at_once: bool
) -> None:
    world, parser, embedder = counted
    names = [f"{folder}/notes.txt" for folder in "abcdef"]
    for group in [names] if at_once else [[name] for name in names]:
        list(world.pipeline.ingest([world.file(name, LONG) for name in group]))
    assert len(parser.parsed) == 1
    assert len(embedder.embedded) == len(set(embedder.embedded)) > 1
    found = [world.catalog.revision(each, Principal("ann")) for each in known_documents(world)]
    assert len(found) == 6
    assert {(each.text, each.blocks) for each in found} == {(found[0].text, found[0].blocks)}
    for each in found:
        chunks = world.catalog.chunk_texts(each.id)
        texts = [embedding_text("notes", c.heading, text, c.header) for c, text in chunks]
        vectors = world.index.vectors([c.id for c, _ in chunks])
        assert [vectors[c.id] for c, _ in chunks] == FakeEmbedder().embed(texts)


def known_documents(world: World) -> list[str]:
    return sorted(world.catalog.known(files_source(DEFAULT_COLLECTION).id))


def test_a_copy_under_another_name_bears_its_own_name(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, parser, _ = counted
    world.ingest("first.txt", LONG)
    world.ingest("second.txt", LONG)
    assert len(parser.parsed) == 1
    assert {p.document.title for p in world.find("zebra")} == {"first", "second"}


def test_nothing_of_a_removed_document_is_used_again(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, parser, embedder = counted
    (event,) = world.ingest("a/notes.txt", LONG)
    world.catalog.remove(str(event.document_id))
    clean(world.catalog, world.index)
    world.ingest("b/notes.txt", LONG)
    assert len(parser.parsed) == 2
    assert len(embedder.embedded) == 2 * len(set(embedder.embedded))


def test_a_copy_whose_points_the_index_lost_is_embedded_again(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, parser, embedder = counted
    world.ingest("a/notes.txt", LONG)
    assert isinstance(world.index, FakeIndex)
    world.index.points.clear()
    world.ingest("b/notes.txt", LONG)
    assert len(parser.parsed) == 1
    assert len(embedder.embedded) == 2 * len(set(embedder.embedded))
    assert world.texts("zebra")


def test_a_copy_has_the_rights_and_the_facts_of_its_own_source_alone(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, parser, _ = counted
    world.ingest("a.txt", LONG, access=["u:bob"], metadata={"uploaded_by": "bob", "from": "bob"})
    world.ingest("b.txt", LONG, access=["u:ann"], metadata={"uploaded_by": "ann"})
    assert len(parser.parsed) == 1
    found = world.find("zebra", by=Principal("ann"))
    assert {p.document.uri for p in found} == {"/docs/b.txt"}
    assert found[0].document.metadata == {"uploaded_by": "ann"}


def test_the_same_bytes_in_another_format_or_version_are_parsed_again(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, parser, _ = counted
    world.ingest("a.txt", LONG)
    list(world.pipeline.ingest([replace(world.file("a.md", LONG), media_type="text/markdown")]))
    assert parser.parsed == ["a.txt", "a.md"]
    newer = OpenParser("parser-2")
    world.wire(newer)
    world.ingest("b.txt", LONG)
    assert newer.parsed == ["b.txt"]


@pytest.mark.usefixtures("mail")
def test_a_copy_of_a_file_with_parts_has_all_its_parts(world: World, mail: MailParser) -> None:
    whole = "zebra one|a.txt=zebra two|b.txt=zebra three"
    world.ingest("x/a.eml", whole)
    assert outcomes(world.ingest("y/a.eml", whole)) == [INDEXED] * 3
    assert len(mail.parsed) == 1
    kept = {p.document.uri: p.text for p in world.find("zebra")}
    assert kept["/docs/y/a.eml#b.txt"] == "zebra three"
    for part in [p.document for p in world.find("zebra") if p.document.title == "a.txt"]:
        world.catalog.remove(part.id)
    assert outcomes(world.ingest("z/a.eml", whole)) == [INDEXED] * 3
    assert len(mail.parsed) == 2  # no file is there any more of which all parts are


def test_a_change_embeds_what_changed_and_nothing_else(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, _, embedder = counted
    world.ingest("a.txt", LONG)
    before = len(embedder.embedded)
    world.ingest("a.txt", LONG.replace("hall 64", "hall 65"))
    assert len(embedder.embedded) == before + 1


def test_near_duplicates_are_of_one_family_and_others_are_not(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, _, _ = counted
    world.ingest("a.txt", LONG)
    world.ingest("b.txt", LONG + "\n\nAnd one more zebra came.", access=["u:bob"])
    world.ingest("c.txt", LONG.replace("Zebra number", "Lion").replace("lives in", "sleeps near"))
    world.ingest("d.txt", "too short")
    everyone = [
        *world.find("zebra lion short"),
        *world.find("zebra lion short", by=Principal("bob")),
    ]
    families = {p.document.uri[-5]: p.document.family for p in everyone}
    assert families["a"] == families["b"] != ""
    assert len({families["a"], families["c"], families["d"]}) == 3
    assert families["d"] == ""
    world.ingest("a.txt", "something else entirely, but not about animals " * 9)
    (other,) = {p.document.family for p in world.find("entirely") if p.document.title == "a"}
    assert other != families["b"]


def test_the_figures_of_a_table_are_found_by_words_and_left_out_of_its_vector(
    counted: tuple[World, OpenParser, CountingEmbedder],
) -> None:
    world, _, embedder = counted
    world.ingest("Acme_2019.csv", "Item,2019,Change\nNet sales,32765,(3.5)%\n")
    assert embedder.embedded == ["Acme 2019\nItem | 2019 | Change\nNet sales"]
    (passage,) = world.find("32765")
    assert "Net sales | 32765 | (3.5)%" in passage.text
    assert isinstance(world.index, FakeIndex)
    before = dict(world.index.points)
    world.index.points.clear()
    found = missing(world.catalog, world.index)
    again = rebuild(
        found, embedder=embedder, sparse=world.sparse, index=world.index, ledger=world.catalog
    )
    assert list(again) == [1]
    assert world.index.points == before
