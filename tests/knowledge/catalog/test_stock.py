from __future__ import annotations

from dataclasses import replace

from knowledge.catalog.store import SqlCatalog
from knowledge.models import Coverage, Reading
from tests.catalogs import FOLDER, digest_of, document, parsed

TEXT = "Travel is booked by the office."
DIGEST = "d" * 64
READ = {"versions": "v1", "media_type": "text/markdown"}


def put(catalog: SqlCatalog, uri: str, reading: Reading, *, imprint: str = "") -> str:
    """Make a document of the file with this digest live; return its id."""
    whose = document(uri)
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(whose, digest=DIGEST, versions="v1")
    revision, chunks = parsed(revision_id, whose, f"{TEXT} {reading.part}")
    marked = [replace(each, imprint=f"{imprint}{each.ordinal}") for each in chunks]
    revision = replace(revision, reading=reading, coverage=Coverage(pages=3))
    catalog.store_parsed(revision, marked, [[1] for _ in chunks])
    catalog.switch(whose, revision_id)
    return whose.id


def test_what_was_read_of_the_same_bytes_is_given_again(catalog: SqlCatalog) -> None:
    reading = Reading("Trips", {"by": "Ada"}, ("a picture was not read",), parts=1)
    put(catalog, "a.md", reading)
    (found,) = catalog.parsed(DIGEST, **READ)
    assert (found.title, found.metadata, found.warnings) == ("Trips", {"by": "Ada"}, reading.notes)
    assert found.text == f"{TEXT} "
    assert [block.heading for block in found.blocks] == [("Top", "Sub")] * 2
    assert found.coverage == Coverage(pages=3)
    assert catalog.parsed(digest_of("else"), **READ) == []
    assert catalog.parsed(DIGEST, **READ | {"versions": "v2"}) == []
    assert catalog.parsed(DIGEST, **READ | {"media_type": "text/plain"}) == []


def test_parts_are_given_again_only_where_all_are_there(catalog: SqlCatalog) -> None:
    for folder in ("x", "y"):
        put(catalog, f"{folder}/a.eml#b", Reading(part="b", parts=2))
        put(catalog, f"{folder}/a.eml", Reading(parts=2))
    assert [each.part for each in catalog.parsed(DIGEST, **READ)] == ["", "b"]
    catalog.remove(document("x/a.eml#b").id)
    assert [each.part for each in catalog.parsed(DIGEST, **READ)] == ["", "b"]
    catalog.remove(document("y/a.eml").id)
    assert catalog.parsed(DIGEST, **READ) == []


def test_what_was_read_before_readings_were_kept_is_not_given_again(catalog: SqlCatalog) -> None:
    put(catalog, "a.md", Reading())
    assert catalog.parsed(DIGEST, **READ) == []


def test_an_imprint_leads_to_a_live_chunk(catalog: SqlCatalog) -> None:
    first = put(catalog, "a.md", Reading(), imprint="it")
    second = put(catalog, "b.md", Reading(), imprint="it")
    found = catalog.imprinted(["it0", "it1", "other"])
    live = {each.id for r in catalog.live_chunks() for each, _ in catalog.chunk_texts(r)}
    assert found.keys() == {"it0", "it1"}
    assert set(found.values()) <= live
    catalog.remove(first)
    assert catalog.imprinted(["it0"]).keys() == {"it0"}
    catalog.remove(second)
    assert catalog.imprinted(["it0"]) == {}
