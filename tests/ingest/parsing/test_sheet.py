from __future__ import annotations

import datetime
import io
from collections.abc import Sequence

import openpyxl  # type: ignore[import-untyped]
import pytest
from openpyxl.comments import Comment  # type: ignore[import-untyped]

from ingest.parsing import sheet as module
from ingest.parsing.builder import Builder
from ingest.parsing.cells import Cell, write_cells
from ingest.parsing.formats import parse
from knowledge.errors import TooLarge
from knowledge.models import Parsed
from tests.ingest.samples import repacked, shape, sheet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of openpyxl


def read(book: object) -> Parsed:
    out = io.BytesIO()
    book.save(out)  # type: ignore[attr-defined]
    (parsed,) = parse(out.getvalue(), "a.xlsx")
    return parsed


def laid_out(*rows: Sequence[object]) -> Parsed:
    """What becomes of cells, `None` for an empty one; numbers count."""
    cells = {
        number: {
            column: Cell(str(value), not isinstance(value, str))
            for column, value in enumerate(row, start=1)
            if value is not None
        }
        for number, row in enumerate(rows, start=1)
    }
    builder = Builder()
    write_cells(builder, "S", {number: row for number, row in cells.items() if row})
    return builder.build("t")


def test_a_sheet_is_a_heading_and_each_row_knows_its_cells() -> None:
    (parsed,) = parse(sheet(), "rates.xlsx")
    assert shape(parsed) == [
        ("heading", ("Rates",), "Rates"),
        ("table", ("Rates",), "City | Rate | Since"),
        ("table", ("Rates",), "Oslo | 120 | 2024"),
        ("table", ("Rates",), "Rome | 95.5 | 2023"),
        ("heading", ("Contacts",), "Contacts"),
        ("table", ("Contacts",), "Name | Phone"),
        ("table", ("Contacts",), "Ada | 555-0100"),
    ]
    assert [b.place for b in parsed.blocks if b.place][:3] == [
        "Rates!A1:C1",
        "Rates!A2:C2",
        "Rates!A3:C3",
    ]
    assert parsed.coverage.share == 1.0


def test_cells_are_read_as_they_are_shown() -> None:
    book = openpyxl.Workbook()
    book.active.append(["When", "Part", "Price", "Sum", "True"])
    book.active.append([datetime.date(2024, 3, 15), 0.125, 1234.5, "=A1", True])
    for place, form in {"A2": "dd.mm.yyyy", "B2": "0.0%", "C2": '#,##0.00 "kr"'}.items():
        book.active[place].number_format = form
    parsed = read(book)
    assert parsed.text.endswith("2024-03-15 | 12.5% | 1,234.50 kr | | TRUE")
    assert parsed.warnings == ("1 formulas have no stored value; open and save it in Excel",)


def test_merged_cells_hidden_sheets_and_comments_are_read() -> None:
    book = openpyxl.Workbook()
    book.active.title = "My rates"
    for cells in (["Site", "Hours", None], [None, "Mon", "Sat"], ["Oslo", "8", "9"]):
        book.active.append(cells)
    book.active.merge_cells("B1:C1")
    book.active.merge_cells("A1:A2")
    book.active["A3"].comment = Comment("Moved in May", "Ada")
    hidden = book.create_sheet("Costs")
    hidden.sheet_state = "hidden"
    hidden.append(["Rent", 9])
    hidden.append(["Heat", 2])
    parsed = read(book)
    assert parsed.text.split("\n\n")[1:3] == [
        "Site | Hours | Hours\nSite | Mon | Sat\nOslo | 8 | 9",
        "A3: Moved in May",
    ]
    header = parsed.blocks[3].header
    assert header is not None
    assert header.cut(parsed.text) == "Site | Hours | Hours\nSite | Mon | Sat"
    assert parsed.blocks[1].place == "'My rates'!A1:C1"
    assert "Rent | 9" in parsed.text
    assert parsed.warnings == ("hidden sheets were read, too: Costs",)


def test_titles_gaps_and_tables_beside_each_other() -> None:
    parsed = laid_out(
        ["Sales", None, None, None, None],
        ["City", "Sold", None, "Name", "Phone"],
        ["Oslo", 5, None, "Ada", 1],
        [],
        ["Rome", 7, None, None, None],
    )
    assert parsed.text.split("\n\n") == [
        "Sales",
        "City | Sold\nOslo | 5\nRome | 7",
        "Name | Phone\nAda | 1",
    ] or parsed.text.split("\n\n") == [
        "Sales",
        "City | Sold\nOslo | 5",
        "Name | Phone\nAda | 1",
        "Rome | 7",
    ]


def test_a_table_goes_on_after_an_empty_row_but_a_new_header_begins_another() -> None:
    parsed = laid_out(
        ["City", "Sold"], ["Oslo", 5], [], ["Rome", 7], [], ["Who", "Tel"], ["Ada", 1]
    )
    assert [block.table for block in parsed.blocks] == [1, 1, 1, 2, 2]
    assert [block.place for block in parsed.blocks][2] == "S!A4:B4"


@pytest.mark.parametrize(
    ("first", "is_header"),
    [(["City", "Sold"], True), (["Item", 2022], True), (["Oslo", 5], False), ([1, 2], False)],
)
def test_a_row_that_counts_is_no_header_unless_it_counts_years(
    first: list[object], is_header: bool
) -> None:
    parsed = laid_out(first, ["Rome", 7])
    assert (parsed.blocks[1].header is not None) is is_header


def test_a_cell_at_the_far_corner_costs_nothing() -> None:
    xml = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row r="1048576">'
        '<c r="XFD1048576"><v>2</v></c></row></sheetData><mergeCells>'
        + '<mergeCell ref="A1:XFD1048576"/>' * 2000
        + "</mergeCells></worksheet>"
    )
    (parsed,) = parse(repacked(sheet(), xl__worksheets__sheet1_xml=xml.encode()), "a.xlsx")
    assert parsed.text.startswith("Rates\n\n1\n\n2")


def test_too_many_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CELLS", 3)
    with pytest.raises(TooLarge) as caught:
        list(parse(sheet(), "a.xlsx"))
    assert caught.value.code == "too_many_cells"
