"""Reads OpenDocument files, as LibreOffice writes them: texts, spreadsheets, presentations."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace

from ingest.parsing.builder import Builder, one_line
from ingest.parsing.cells import Cell, Merge, Rows, write_cells
from ingest.parsing.grid import MAX_CELLS, Grid, write
from ingest.parsing.markup import Element, attribute, child, children, descendants, name, parse_xml
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import BlockKind, Parsed

_SKIPPED = frozenset(
    ("tracked-changes", "table-of-content", "sequence-decls", "forms", "change", "change-start")
)
_ASIDE = frozenset(("note", "annotation", "frame", "custom-shape", "rect", "text-box", "g"))
_PLAIN = {"tab": " ", "line-break": "\n"}
_ROW_GROUPS = ("table-header-rows", "table-row-group", "table-rows")
_MOST_EMPTY = 20
_MOST_REPEATED = 1000
"""A row or cell that says it stands more often is padding."""


def parse_odf(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; a slide is a page, and each row of a sheet has its place."""
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        reader = _Reader(container)
    reader.read()
    yield reader.build(stem)


class _Reader:
    def __init__(self, container: zipfile.ZipFile) -> None:
        self._builder = Builder()
        self._parts = {
            path: container.read(path)
            for path in container.namelist()
            if path.rpartition("/")[2] == "content.xml"
        }
        if "content.xml" not in self._parts:
            raise Unreadable("it lacks its content", code="damaged")
        manifest = container.read("META-INF/manifest.xml") if _has_manifest(container) else b""
        if b"encryption-data" in manifest:
            raise Unreadable(
                "it is protected by a password; save it without one and add it again",
                code="encrypted",
            )
        self._pictures = sum(
            part.file_size for part in container.infolist() if part.filename.startswith("Pictures/")
        )
        self._page: int | None = None
        self._pages = self._cells = 0
        self._title = ""
        self._root: Element = parse_xml(self._parts["content.xml"])
        self._parents = {
            attribute(style, "name"): attribute(style, "parent-style-name")
            for style in descendants(child(self._root, "automatic-styles"), "style")
        }

    def read(self) -> None:
        """Append the whole content."""
        for body in children(child(self._root, "body"), "text", "spreadsheet", "presentation"):
            if name(body) == "spreadsheet":
                for table in children(body, "table"):
                    self._builder.heading(attribute(table, "name"), 1)
                    self._sheet(table)
            else:
                self._blocks(body, BlockKind.PARAGRAPH)

    def build(self, stem: str) -> Parsed:
        """Return the document, titled by its first heading if it begins with one."""
        texts = (t for e in descendants(self._root, "p", "h") for t in e.itertext())
        skipped = (t for e in descendants(self._root, *_SKIPPED) for t in e.itertext())
        self._builder.coverage = replace(
            self._builder.coverage,
            pages=self._pages,
            layer_characters=max(0, _count(texts) - _count(skipped)),
            skipped_bytes=self._pictures,
        )
        return self._builder.build(self._title or stem)

    # --- blocks ---

    def _blocks(self, container: Element, kind: BlockKind) -> None:
        for element in container:
            tag = name(element)
            if tag == "page":
                self._slide(element)
            elif tag == "p":
                self._paragraph(element, kind)
            elif tag == "h":
                self._heading(element)
            elif tag == "table":
                self._table(element)
            elif tag not in _SKIPPED:
                self._framed(element, tag)
                self._blocks(element, BlockKind.LIST_ITEM if tag == "list-item" else kind)

    def _framed(self, element: Element, tag: str) -> None:
        """Append what a frame holds besides text: a chart, or what is said of a picture."""
        if tag in ("object", "object-ole"):
            self._chart(element)
        elif tag in ("title", "desc"):
            self._add(BlockKind.CAPTION, "".join(element.itertext()))

    def _slide(self, slide: Element) -> None:
        self._pages += 1
        self._page = self._pages
        self._builder.leave_headings()
        titles = [f for f in children(slide, "frame") if attribute(f, "class") == "title"]
        for frame in titles:
            text = "\n".join(_text(p)[0] for p in descendants(frame, "p"))
            self._title = self._title or one_line(text)
            self._builder.heading(text, 1, page=self._page)
        for element in slide:
            if element not in titles:
                self._blocks([element], BlockKind.PARAGRAPH)

    def _heading(self, element: Element) -> None:
        level = attribute(element, "outline-level")
        text, beside = _text(element)
        if not self._title and not self._builder.coverage.tables:
            self._title = one_line(text)
        self._builder.heading(text, int(level) if level.isdecimal() else 1, page=self._page)
        self._beside(beside)

    def _paragraph(self, element: Element, kind: BlockKind) -> None:
        text, beside = _text(element)
        style = attribute(element, "style-name")
        if self._parents.get(style, style) == "Title" and text.strip():
            self._title = self._title or one_line(text)
            self._builder.heading(text, 0, page=self._page)
        else:
            self._add(kind, text)
        self._beside(beside)

    def _beside(self, elements: list[Element]) -> None:
        """Append what hangs on a paragraph: notes, comments, frames with text, tables, charts."""
        for element in elements:
            if name(element) == "note":
                for body in children(element, "note-body"):
                    self._blocks(body, BlockKind.PARAGRAPH)
            elif name(element) == "annotation":
                lines = [_text(p)[0] for p in descendants(element, "p")]
                author = "".join(c.text or "" for c in children(element, "creator"))
                said = "\n".join(lines)
                self._add(BlockKind.PARAGRAPH, f"{author}: {said}" if author else said)
            else:
                self._blocks(
                    [element] if name(element) == "table" else element, BlockKind.PARAGRAPH
                )

    def _add(self, kind: BlockKind, text: str) -> None:
        self._builder.add(kind, text, page=self._page)

    # --- tables ---

    def _table(self, table: Element) -> None:
        grid = Grid()
        for number, (row, is_header, _) in enumerate(_rows(table)):
            grid.row(header=is_header if is_header or number else None)
            for cell, again in _cells(row):
                text = _flat(cell)
                for _ in range(again if text else min(again, _MOST_EMPTY)):
                    if name(cell) == "table-cell":
                        grid.add(text, _span(cell, "columns"), _span(cell, "rows"))
        write(self._builder, grid, page=self._page)

    def _sheet(self, table: Element) -> None:
        """Append a sheet: its rows with their places; frames that float over it follow."""
        rows: Rows = {}
        merges: list[Merge] = []
        number = 1
        for row, _, again in _rows(table):
            cells, merged = _sheet_row(row, number)
            self._cells += len(cells) * min(again, _MOST_REPEATED)
            if self._cells > MAX_CELLS:
                raise TooLarge(
                    f"it holds more than {MAX_CELLS:,} cells; split it", code="too_many_cells"
                )
            merges.extend(merged)
            for copy in range(again if cells and again <= _MOST_REPEATED else 1):
                if cells:
                    rows[number + copy] = cells
            number += again
        write_cells(self._builder, attribute(table, "name"), rows, merges)
        for shapes in children(table, "shapes"):
            self._blocks(shapes, BlockKind.PARAGRAPH)

    def _chart(self, element: Element) -> None:
        """Append the title and the data of an embedded chart."""
        path = attribute(element, "href").removeprefix("./") + "/content.xml"
        if path in self._parts:
            root = parse_xml(self._parts[path])
            for title in descendants(root, "title", "subtitle"):
                self._add(BlockKind.CAPTION, " ".join("".join(title.itertext()).split()))
            for table in descendants(root, "table"):
                self._table(table)


def _has_manifest(container: zipfile.ZipFile) -> bool:
    return "META-INF/manifest.xml" in container.namelist()


def _text(paragraph: Element) -> tuple[str, list[Element]]:
    """Return the text of a paragraph, and the elements in it that are read after it."""
    parts: list[str] = []
    beside: list[Element] = []

    def read(element: Element) -> None:
        parts.append(element.text or "")
        for inner in element:
            tag = name(inner)
            if tag == "s":
                parts.append(" ")
            elif tag in _PLAIN:
                parts.append(_PLAIN[tag])
            elif tag in _ASIDE:
                beside.append(inner)
            elif tag not in _SKIPPED:
                read(inner)
            parts.append(inner.tail or "")

    read(paragraph)
    return "".join(parts), beside


def _flat(cell: Element) -> str:
    """Return the text of a cell on one line, inner tables and notes included."""
    return " ".join(
        " ".join("".join(_text(p)[0]).split()) for p in descendants(cell, "p", "h")
    ).strip()


def _rows(container: Element, *, header: bool = False) -> Iterator[tuple[Element, bool, int]]:
    """Yield each row, whether it is a header, and how often it stands."""
    for element in container:
        tag = name(element)
        if tag == "table-row":
            yield element, header, _number(element, "number-rows-repeated")
        elif tag in _ROW_GROUPS:
            yield from _rows(element, header=header or tag == "table-header-rows")


def _cells(row: Element) -> Iterator[tuple[Element, int]]:
    """Yield each cell, also one that another covers, and how often it stands."""
    for cell in children(row, "table-cell", "covered-table-cell"):
        yield cell, _number(cell, "number-columns-repeated")


def _sheet_row(row: Element, number: int) -> tuple[dict[int, Cell], list[Merge]]:
    cells: dict[int, Cell] = {}
    merges: list[Merge] = []
    column = 1
    for cell, again in _cells(row):
        text = _flat(cell) if name(cell) == "table-cell" else ""
        if text:
            found = Cell(text, attribute(cell, "value-type") not in ("", "string"))
            cells.update(dict.fromkeys(range(column, column + min(again, _MOST_REPEATED)), found))
            bottom, right = _span(cell, "rows"), _span(cell, "columns")
            if bottom > 1 or right > 1:
                merges.append((number, column, number + bottom - 1, column + right - 1))
        column += again
    return cells, merges


def _number(element: Element, which: str) -> int:
    value = attribute(element, which)
    return int(value) if value.isascii() and value.isdecimal() and 0 < len(value) < 8 else 1


def _span(cell: Element, which: str) -> int:
    return _number(cell, f"number-{which}-spanned")


def _count(texts: Iterator[str]) -> int:
    return sum(len("".join(text.split())) for text in texts)
