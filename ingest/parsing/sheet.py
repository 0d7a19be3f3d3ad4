"""Reads Excel workbooks: every row of a table with its cells' place; charts, comments, boxes too.

A sheet is cut into tables at empty rows and columns. Dates, percentages and decimals are read as
shown, formulas as their stored values, macros not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

from ingest.parsing import ooxml
from ingest.parsing.builder import Builder
from ingest.parsing.cells import Cell, Merge, Rows, column_number, write_cells
from ingest.parsing.grid import MAX_CELLS, write
from ingest.parsing.markup import Element, attribute, child, children, descendants, name, stream
from ingest.parsing.numbers import format_of, shown
from ingest.parsing.ooxml import Package, Part, alternative, drawing_text
from knowledge.errors import TooLarge
from knowledge.models import BlockKind, Parsed

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")


def parse_xlsx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; each sheet is a heading, hidden ones are read and named in a warning."""
    package = Package(data)
    builder = Builder()
    book = _Book(package.main())
    hidden, layer = [], 0
    for sheet, part_path, is_hidden in book.sheets():
        reader = _Sheet(builder, book, sheet, part_path)
        reader.read()
        layer += reader.layer_characters
        if is_hidden and reader.layer_characters:
            hidden.append(sheet)
    if hidden:
        builder.warnings.append(f"hidden sheets were read, too: {', '.join(hidden)[:200]}")
    if book.unvalued:
        builder.warnings.append(
            f"{book.unvalued} formulas have no stored value; open and save it in Excel"
        )
    builder.coverage = replace(
        builder.coverage, layer_characters=layer, skipped_bytes=package.picture_bytes()
    )
    yield builder.build(stem)


# --- the workbook ---------------------------------------------------------------------------------


class _Book:
    """The workbook: its sheets, and the strings and formats that their cells point at."""

    def __init__(self, main: Part) -> None:
        self._main = main
        self.package = main.package
        settings = child(main.root, "workbookPr")
        self._from_1904 = settings is not None and settings.get("date1904") in ("1", "true")
        self._strings = _strings(next(main.all_related("/sharedStrings"), None))
        self._formats = _formats(next(main.all_related("/styles"), None))
        self.cells = 0
        self.unvalued = 0

    def sheets(self) -> Iterator[tuple[str, str, bool]]:
        """Yield name, path and whether it is hidden, in the order of the tabs."""
        paths = self.package.targets(self._main.path)
        for sheet in children(child(self._main.root, "sheets"), "sheet"):
            identifier = next((str(v) for k, v in sheet.attrib.items() if k.endswith("}id")), "")
            path = paths.get(identifier, ("", ""))[1]
            if path in self.package:
                state = sheet.get("state") or ""
                yield sheet.get("name") or "Sheet", path, state in ("hidden", "veryHidden")

    def cell(self, element: Element) -> Cell | None:
        """Return what a cell shows, None for an empty one. Raises `TooLarge`."""
        kind, value = element.get("t") or "n", child(element, "v")
        raw = (value.text or "") if value is not None else ""
        if kind == "inlineStr":
            raw = _rich(child(element, "is"))
        elif kind == "s":
            raw = (
                self._strings[int(raw)] if raw.isdecimal() and int(raw) < len(self._strings) else ""
            )
        elif not raw and child(element, "f") is not None:
            self.unvalued += 1
        if not raw.strip():
            return None
        self.cells += 1
        if self.cells > MAX_CELLS:
            raise TooLarge(
                f"it holds more than {MAX_CELLS:,} cells; split it", code="too_many_cells"
            )
        if kind == "n":
            style = element.get("s") or ""
            form = self._formats.get(int(style), "") if style.isdecimal() else ""
            return Cell(shown(raw, form, from_1904=self._from_1904), counts=True)
        if kind == "b":
            return Cell("TRUE" if raw == "1" else "FALSE", counts=True)
        return Cell(raw, counts=kind == "d")


def _strings(part: Part | None) -> list[str]:
    return [] if part is None else [_rich(each) for each in children(part.root, "si")]


def _rich(element: Element | None) -> str:
    """Return the text of a string, its readings for East Asian scripts left out."""
    texts = descendants(element, "t")
    return "".join(text.text or "" for text in texts if name(text.getparent()) != "rPh")


def _formats(part: Part | None) -> dict[int, str]:
    """Return the number format of each cell style."""
    if part is None:
        return {}
    custom = {
        int(each.get("numFmtId") or 0): each.get("formatCode") or ""
        for each in children(child(part.root, "numFmts"), "numFmt")
    }
    styles = children(child(part.root, "cellXfs"), "xf")
    return {
        number: format_of(int(style.get("numFmtId") or 0), custom)
        for number, style in enumerate(styles)
    }


# --- a sheet --------------------------------------------------------------------------------------


class _Sheet:
    """Reads one sheet into the document."""

    def __init__(self, builder: Builder, book: _Book, sheet: str, path: str) -> None:
        self._builder = builder
        self._book = book
        self._name = sheet
        self._path = path
        self.layer_characters = 0

    def read(self) -> None:
        """Append the sheet."""
        rows, merges = self._cells()
        for cells in rows.values():
            self.layer_characters += sum(len("".join(c.text.split())) for c in cells.values())
        sheet = Part(self._book.package, self._path) if self._has_relations() else None
        if rows or sheet is not None:
            self._builder.heading(self._name, 1)
        write_cells(self._builder, self._name, rows, merges)
        if sheet is not None:
            self._beside(sheet)

    def _cells(self) -> tuple[Rows, list[Merge]]:
        """Return the filled cells by row and column, and the merged ranges."""
        rows: Rows = {}
        merges: list[Merge] = []
        last = 0
        for element in stream(
            BytesIO(self._book.package.read(self._path)), (f"{_MAIN}row", f"{_MAIN}mergeCell")
        ):
            if name(element) == "mergeCell":
                merges.extend(_range(element.get("ref") or ""))
                continue
            number = element.get("r") or ""
            last = int(number) if number.isdecimal() else last + 1
            cells = self._row(element)
            if cells:
                rows[last] = cells
        return dict(sorted(rows.items())), merges

    def _row(self, element: Element) -> dict[int, Cell]:
        cells: dict[int, Cell] = {}
        column = 0
        for each in element:
            place = _PLACE.fullmatch(each.get("r") or "")
            column = column_number(place[1]) if place else column + 1
            cell = self._book.cell(each)
            if cell is not None:
                cells[column] = cell
        return cells

    def _beside(self, sheet: Part) -> None:
        """Append comments, charts and the texts of shapes."""
        kind = "/threadedComment" if any(sheet.all_related("/threadedComment")) else "/comments"
        for part in sheet.all_related(kind):
            for comment in descendants(part.root, "comment", "threadedComment"):
                texts = [text.text or "" for text in descendants(comment, "t", "text") if text.text]
                shown_text = "".join(texts).strip()
                self._builder.add(BlockKind.PARAGRAPH, f"{comment.get('ref')}: {shown_text}")
        for drawing in sheet.all_related("/drawing"):
            self._drawing(drawing)

    def _has_relations(self) -> bool:
        return bool(self._book.package.targets(self._path))

    def _drawing(self, drawing: Part) -> None:
        for element in descendants(drawing.root, "chart", "relIds", "txBody", "cNvPr"):
            part = drawing.related(attribute(element, "dm" if name(element) == "relIds" else "id"))
            if name(element) == "txBody":
                lines = "\n".join(drawing_text(p) for p in descendants(element, "p"))
                self._builder.add(BlockKind.PARAGRAPH, lines)
            elif name(element) == "cNvPr":
                self._builder.add(BlockKind.CAPTION, alternative(element))
            elif part is not None and name(element) == "chart":
                title, grid = ooxml.chart(part)
                self._builder.add(BlockKind.CAPTION, title)
                write(self._builder, grid)
            elif part is not None:
                for text in ooxml.diagram(part):
                    self._builder.add(BlockKind.LIST_ITEM, text)


def _range(reference: str) -> Iterator[Merge]:
    corners = [_PLACE.fullmatch(corner) for corner in reference.split(":")]
    if len(corners) == 2 and corners[0] and corners[1]:
        (left, top), (right, bottom) = corners[0].groups(), corners[1].groups()
        yield int(top), column_number(left), int(bottom), column_number(right)
