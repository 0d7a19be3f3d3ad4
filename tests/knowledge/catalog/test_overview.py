from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.models import Coverage, Reading
from tests.catalogs import FOLDER, digest_of, document, parsed

TEXT = "Travel is booked by the office."


def put(catalog: SqlCatalog, uri: str, coverage: Coverage, *notes: str, text: str = TEXT) -> str:
    whose = document(uri)
    catalog.ensure_source(FOLDER)
    revision_id = catalog.receive(whose, digest=digest_of(text), versions="v1")
    revision, chunks = parsed(revision_id, whose, text)
    revision = replace(revision, coverage=coverage, reading=Reading(notes=notes))
    catalog.store_parsed(revision, chunks, [[1] for _ in chunks])
    catalog.switch(whose, revision_id)
    return whose.id


@pytest.mark.parametrize(
    ("coverage", "reasons"),
    [
        pytest.param(
            Coverage(pages=9, empty_pages=(2, 5)), ["2 of 9 pages gave no text: 2, 5"], id="pages"
        ),
        pytest.param(
            Coverage(pages=20, empty_pages=tuple(range(1, 13))),
            ["12 of 20 pages gave no text: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"],
            id="many-pages",
        ),
        pytest.param(
            Coverage(layer_characters=200, characters=162),
            ["only 81% of the characters in the file were extracted"],
            id="characters",
        ),
        pytest.param(
            Coverage(pages=3, ocr_pages=(1, 3), ocr_confidence=0.52),
            [
                "text was recognised in images with a certainty of only 52%, on page 1, 3; "
                "a better scan would help"
            ],
            id="recognised",
        ),
    ],
)
def test_a_document_that_was_read_badly_is_listed_with_the_reason(
    catalog: SqlCatalog, coverage: Coverage, reasons: list[str]
) -> None:
    bad = put(catalog, "bad.pdf", coverage, "2 pictures were not read")
    put(catalog, "good.pdf", Coverage(pages=20, empty_pages=(1,), ocr_confidence=0.6))
    (gap,) = catalog.gaps()
    assert (gap.document_id, gap.uri, gap.share) == (bad, "bad.pdf", coverage.share)
    assert list(gap.reasons) == [*reasons, "2 pictures were not read"]


def test_an_empty_document_is_listed_until_it_has_text_or_is_removed(catalog: SqlCatalog) -> None:
    put(catalog, "scan.pdf", Coverage(), "it has no text layer", text="")
    gone = put(catalog, "gone.pdf", Coverage(), text="")
    assert len(catalog.gaps()) == 2
    catalog.remove(gone)
    (gap,) = catalog.gaps()
    assert gap.reasons == (
        "nothing of it can be found: it holds no text that could be read",
        "it has no text layer",
    )
    put(catalog, "scan.pdf", Coverage(), text=TEXT)
    assert catalog.gaps() == []


def test_the_list_comes_in_pages(catalog: SqlCatalog) -> None:
    every = sorted(put(catalog, f"{n}.pdf", Coverage(), text="") for n in range(5))
    listed, after = [], None
    while page := catalog.gaps(after=after, limit=2):
        listed += [gap.document_id for gap in page]
        after = listed[-1]
    assert listed == every
