"""Reads PowerPoint: a slide is a page, its title a heading; notes, comments and charts included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ingest.parsing import ooxml
from ingest.parsing.builder import Builder, one_line
from ingest.parsing.grid import Grid, write
from ingest.parsing.markup import Element, attribute, child, children, descendants, name
from ingest.parsing.ooxml import Package, Part, alternative, chosen, drawing_text
from knowledge.models import BlockKind, Parsed

_SHAPES = frozenset({"sp", "grpSp", "graphicFrame", "pic", "cxnSp"})
_TITLES = ("title", "ctrTitle")
_REPEATED = ("sldNum", "dt", "ftr", "hdr", "sldImg")
_MARKS = ("buChar", "buAutoNum", "buBlip")


def parse_pptx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; what stands at the foot of slides, number and date, is left out."""
    package = Package(data)
    main = package.main()
    builder = Builder()
    title, shown = "", 0
    slides = [
        part
        for each in descendants(child(main.root, "sldIdLst"), "sldId")
        if (part := main.related(_relation(each))) is not None
    ]
    for page, slide in enumerate(slides, start=1):
        reader = _Slide(builder, slide, page)
        reader.read()
        title = title or reader.title
        shown += reader.layer_characters()
    parsed = builder.build(title or stem)
    with_text = {block.page for block in parsed.blocks}
    coverage = replace(
        parsed.coverage,
        pages=len(slides),
        empty_pages=tuple(page for page in range(1, len(slides) + 1) if page not in with_text),
        layer_characters=shown,
        skipped_bytes=package.picture_bytes(),
    )
    yield replace(parsed, coverage=coverage)


class _Slide:
    """Reads one slide into the document."""

    def __init__(self, builder: Builder, part: Part, page: int) -> None:
        self._builder = builder
        self._part = part
        self._page = page
        self.title = ""

    def read(self) -> None:
        """Append the slide, its title first, then the shapes from top to bottom."""
        self._builder.leave_headings()
        shapes = list(_shapes(child(self._part.root, "cSld", "spTree")))
        titles = [shape for shape in shapes if _placeholder(shape) in _TITLES]
        for shape in titles:
            text = "\n".join(_lines(shape))
            self.title = self.title or one_line(text)
            self._builder.heading(text, 1, page=self._page)
        for shape in shapes:
            if shape not in titles and _placeholder(shape) not in _REPEATED:
                self._shape(shape)
        for kind in ("/notesSlide", "/comments"):
            for part in self._part.all_related(kind):
                self._beside(part)

    def layer_characters(self) -> int:
        """Count the characters of the text runs in all shapes that are read."""
        shapes = [s for s in _all_shapes(self._part.root) if _placeholder(s) not in _REPEATED]
        texts = (t.text or "" for shape in shapes for t in _own_texts(shape))
        return sum(len("".join(text.split())) for text in texts)

    def _shape(self, shape: Element) -> None:
        for paragraph in descendants(child(shape, "txBody"), "p"):
            properties = child(paragraph, "pPr")
            listed = any(child(properties, mark) is not None for mark in _MARKS)
            deeper = properties is not None and attribute(properties, "lvl") not in ("", "0")
            kind = BlockKind.LIST_ITEM if listed or deeper else BlockKind.PARAGRAPH
            self._builder.add(kind, drawing_text(paragraph), page=self._page)
        for table in descendants(child(shape, "graphic"), "tbl"):
            write(self._builder, _table(table), page=self._page)
        self._drawn(shape)
        said = alternative(next(descendants(shape, "cNvPr"), None))
        self._builder.add(BlockKind.CAPTION, said, page=self._page)

    def _drawn(self, shape: Element) -> None:
        """Append charts and SmartArt."""
        for graphic in descendants(child(shape, "graphic"), "chart", "relIds"):
            is_chart = name(graphic) == "chart"
            part = self._part.related(attribute(graphic, "id" if is_chart else "dm"))
            if part is None:
                continue
            if is_chart:
                title, grid = ooxml.chart(part)
                self._builder.add(BlockKind.CAPTION, title, page=self._page)
                write(self._builder, grid, page=self._page)
            else:
                for text in ooxml.diagram(part):
                    self._builder.add(BlockKind.LIST_ITEM, text, page=self._page)

    def _beside(self, part: Part) -> None:
        """Append the notes to a slide, or the comments on it."""
        for shape in descendants(part.root, "sp", "cm"):
            if name(shape) == "sp" and _placeholder(shape) in _REPEATED:
                continue
            plain = [text.text or "" for text in descendants(shape, "text")]
            text = "\n".join([*plain, *_lines(shape)])
            self._builder.add(BlockKind.PARAGRAPH, text, page=self._page)


def _shapes(tree: Element | None) -> Iterator[Element]:
    """Yield the shapes as they are read: from top to bottom, then from left to right."""
    shapes = [s for s in chosen(() if tree is None else tree) if name(s) in _SHAPES]
    for shape in sorted(shapes, key=_corner):
        if name(shape) == "grpSp":
            yield from _shapes(shape)
        else:
            yield shape


def _all_shapes(root: Element) -> Iterator[Element]:
    fallbacks = {s for f in descendants(root, "Fallback") for s in descendants(f, *_SHAPES)}
    yield from (s for s in descendants(root, *_SHAPES) if s not in fallbacks)


def _own_texts(shape: Element) -> Iterator[Element]:
    if name(shape) == "grpSp":
        return
    for text in descendants(shape, "t"):
        if not name(text.getparent()).startswith("fld"):
            yield text


def _corner(shape: Element) -> tuple[int, int]:
    """Return where a shape begins; one that takes its place from the layout comes first."""
    offset = next(descendants(shape, "off"), None)
    values = [attribute(offset, axis) if offset is not None else "" for axis in ("y", "x")]
    top, left = (int(value) if value.lstrip("-").isdecimal() else -1 for value in values)
    return top, left


def _placeholder(shape: Element) -> str:
    for properties in shape:
        place = child(properties, "nvPr", "ph") if name(properties).startswith("nv") else None
        if place is not None:
            return place.get("type") or "body"
    return ""


def _relation(element: Element) -> str:
    """Return the id of a relationship, not the `id` beside it that has no namespace."""
    return next((str(v) for key, v in element.attrib.items() if key.endswith("}id")), "")


def _lines(shape: Element) -> Iterator[str]:
    for paragraph in descendants(child(shape, "txBody"), "p"):
        yield drawing_text(paragraph)


def _table(table: Element) -> Grid:
    properties = child(table, "tblPr")
    first = properties is None or properties.get("firstRow") in (None, "1", "true")
    grid = Grid()
    for number, row in enumerate(children(table, "tr")):
        grid.row(header=number == 0 and first)
        for cell in children(row, "tc"):
            if cell.get("hMerge") not in ("1", "true") and cell.get("vMerge") not in ("1", "true"):
                grid.add("\n".join(_lines(cell)), _span(cell, "gridSpan"), _span(cell, "rowSpan"))
    return grid


def _span(cell: Element, which: str) -> int:
    value = cell.get(which) or ""
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 5 else 1
