from __future__ import annotations

import pytest

from ingest.parsing import odf as module
from ingest.parsing.formats import parse
from knowledge.errors import TooLarge, Unreadable
from tests.ingest.samples import open_document, shape, writer_slides, writer_text, zipped


def test_a_text_keeps_headings_lists_notes_and_tables() -> None:
    (parsed,) = parse(writer_text(), "a.odt")
    travel = ("Travel",)
    assert parsed.title == "Travel"
    assert shape(parsed) == [
        ("heading", travel, "Travel"),
        ("paragraph", travel, "Book early."),
        ("paragraph", travel, "Or pay."),
        ("list_item", travel, "Keep it"),
        ("table", travel, "City | City | Rate"),
        ("table", travel, "Oslo | North | 120"),
    ]


def test_a_slide_is_a_page() -> None:
    (parsed,) = parse(writer_slides(), "a.odp")
    assert [(block.page, block.heading) for block in parsed.blocks] == [
        (1, ("Plan",)),
        (1, ("Plan",)),
        (2, ()),
    ]


def test_rows_of_a_sheet_keep_their_place_past_repeated_and_empty_cells() -> None:
    def row(*cells: str, attributes: str = "") -> str:
        return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"

    empty = "<table:table-cell table:number-columns-repeated='2'/>"
    text = "<table:table-cell><text:p>{}</text:p></table:table-cell>".format
    body = (
        "<table:table table:name='Rates'>"
        + row(empty, attributes="table:number-rows-repeated='1000000'")
        + row(empty, text("City"), text("Rate"))
        + row(
            empty,
            text("Oslo"),
            text("120"),
            "<table:table-cell table:number-columns-repeated='16000'/>",
        )
        + "</table:table>"
    )
    (parsed,) = parse(open_document("spreadsheet", body), "a.ods")
    assert [block.place for block in parsed.blocks] == [
        "",
        "Rates!C1000001:D1000001",
        "Rates!C1000002:D1000002",
    ]


def test_repeated_cells_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CELLS", 1000)
    repeated = "table:number-columns-repeated='900'"
    cell = f"<table:table-cell {repeated}><text:p>x</text:p></table:table-cell>"
    row = f"<table:table-row table:number-rows-repeated='900'>{cell}</table:table-row>"
    data = open_document("spreadsheet", f"<table:table table:name='x'>{row}</table:table>")
    with pytest.raises(TooLarge):
        list(parse(data, "a.ods"))


def test_one_with_a_password_is_refused() -> None:
    locked = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    data = zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": b"scrambled",
            "META-INF/manifest.xml": locked,
        }
    )
    with pytest.raises(Unreadable) as caught:
        list(parse(data, "a.odt"))
    assert caught.value.code == "encrypted"
