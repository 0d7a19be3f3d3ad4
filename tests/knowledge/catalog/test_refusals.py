from __future__ import annotations

from knowledge.catalog.store import SqlCatalog
from tests.catalogs import FOLDER, document, publish


def test_a_refused_file_is_noted_with_the_latest_reason(catalog: SqlCatalog) -> None:
    catalog.reject(FOLDER.id, "a.pdf", code="encrypted", reason="It needs a password.")
    catalog.reject(FOLDER.id, "a.pdf", code="unreadable", reason="It is damaged.")
    catalog.reject("other", "a.pdf", code="too_large", reason="It is too large.")

    assert catalog.rejections(FOLDER.id) == {"a.pdf": ("unreadable", "It is damaged.")}
    assert catalog.counts().failures == 2
    assert [failure.code for failure in catalog.refused()] == ["too_large", "unreadable"]
    assert [failure.source_id for failure in catalog.refused(limit=1)] == ["other"]


def test_accepted_files_are_no_longer_noted(catalog: SqlCatalog) -> None:
    with catalog.transaction():
        for number in range(600):
            catalog.reject(FOLDER.id, f"{number}", code="c", reason="r")

    catalog.accept(FOLDER.id, [f"{number}" for number in range(599)])
    catalog.accept(FOLDER.id, ["never noted"])
    catalog.accept("other", ["599"])
    catalog.accept(FOLDER.id, [])

    assert catalog.rejections(FOLDER.id) == {"599": ("c", "r")}


def test_a_name_of_any_length_is_noted_and_told_from_others(catalog: SqlCatalog) -> None:
    long = "".join(chr(0x20000 + number * 7919 % 40_000) for number in range(3_000))
    first, second = f"{long}1", f"{long}2"
    for uri in (first, second):
        catalog.reject(FOLDER.id, uri, code="c", reason=uri[-1])
    catalog.accept(FOLDER.id, [first])

    [(noted, (_, reason))] = catalog.rejections(FOLDER.id).items()
    assert reason == "2"
    assert noted.startswith(long[:500])


def test_success_and_removal_clear_the_note(catalog: SqlCatalog) -> None:
    for uri in ("indexed", "removed", "still bad"):
        catalog.reject(FOLDER.id, uri, code="c", reason="r")
    publish(catalog, document("indexed"), "text")
    publish(catalog, document("removed"), "text")
    catalog.reject(FOLDER.id, "removed", code="c", reason="r")
    catalog.remove(document("removed").id)

    assert set(catalog.rejections(FOLDER.id)) == {"still bad"}
