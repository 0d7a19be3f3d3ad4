"""Reads Word documents: text in the order of the page, with what hangs beside it.

Numbers that Word counts for headings and list items are written out, since readers quote them.
Footnotes and comments follow the paragraph that refers to them; headers and footers stand once, at
the end. Deleted and hidden text, and tables of contents, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ingest.parsing import ooxml
from ingest.parsing.builder import Builder, one_line
from ingest.parsing.grid import Grid, write
from ingest.parsing.markup import Element, attribute, child, children, descendants, name
from ingest.parsing.numbering import Numbering
from ingest.parsing.ooxml import Package, Part, alternative, chosen
from knowledge.models import BlockKind, Parsed

_HEADING = re.compile(r"(?:heading|überschrift|titre|título)\s*(\d)")
_SKIPPED = frozenset({"del", "moveFrom", "instrText", "delText", "rPr", "pPr", "Fallback"})
_CONTENT = frozenset({"sdtContent", "ins", "moveTo", "smartTag", "customXml", "hyperlink"})
_PLAIN = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": " "}
_DRAWINGS = frozenset({"drawing", "pict", "object"})
_NOTES = {"footnoteReference": "footnote", "endnoteReference": "endnote", "commentReference": "c"}
_CODE_STYLES = re.compile(r"source code|html preformatted|code block|macro text|plain text")
_LONG_CELL = 200
"""Characters, on the average of a table."""
_MONOSPACED = re.compile(r"courier|consolas|mono|menlo|lucida console", re.IGNORECASE)


def parse_docx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; pages only where Word has stored its page breaks."""
    package = Package(data)
    builder = Builder()
    reader = _Reader(builder, package.main())
    reader.read()
    builder.coverage = replace(
        builder.coverage,
        layer_characters=reader.layer_characters(),
        skipped_bytes=package.picture_bytes(),
    )
    yield builder.build(reader.title or stem)


@dataclass(slots=True)
class _Style:
    """What a paragraph style says, with what it takes from the styles it is based on."""

    name: str = ""
    level: int | None = None
    numbered: tuple[str, int] | None = None
    monospaced: bool = False


@dataclass(slots=True)
class _Text:
    """The text of one paragraph, and what stands in it but is read after it."""

    parts: list[str] = field(default_factory=list)
    page: int | None = None
    begun: bool = False
    notes: list[Element] = field(default_factory=list)
    drawings: list[Element] = field(default_factory=list)


class _Reader:
    def __init__(self, builder: Builder, part: Part) -> None:
        self._builder = builder
        self._part = part
        self._styles = _styles(next(part.all_related("/styles"), None))
        self._numbering = Numbering(next(part.all_related("/numbering"), None))
        self._notes = _notes(part)
        breaks = next(descendants(part.root, "lastRenderedPageBreak"), None)
        self._page = None if breaks is None else 1
        self._begun = False
        self.title = ""

    def read(self) -> None:
        """Append the whole document."""
        self._blocks(child(self._part.root, "body"))
        self._builder.leave_headings()
        seen: set[str] = set()
        for kind in ("/header", "/footer"):
            for part in self._part.all_related(kind):
                text = "\n".join(self._lines(part.root))
                if text not in seen:
                    self._builder.add(BlockKind.PARAGRAPH, text)
                seen.add(text)

    def layer_characters(self) -> int:
        """Count the characters of all text runs, but those in what is left out on purpose."""
        roots = [self._part.root, *(note for _, note in self._notes.values())]
        total = 0
        for root in roots:
            hidden = {t for e in _left_out(root) for t in descendants(e, "t")}
            texts = [t for t in descendants(root, "t") if t not in hidden]
            total += sum(len("".join((t.text or "").split())) for t in texts)
        return total

    # --- blocks ---

    def _blocks(self, container: Element | None) -> None:
        for element in chosen(() if container is None else container):
            tag = name(element)
            if tag == "p":
                self._paragraph(element)
            elif tag == "tbl":
                self._table(element)
            elif tag == "sdt":
                if not _is_contents(element):
                    self._blocks(child(element, "sdtContent"))
            elif tag in _CONTENT:
                self._blocks(element)

    def _paragraph(self, paragraph: Element) -> None:
        style = self._style(paragraph)
        if style.name.startswith("toc ") and style.name[4:].isdecimal():
            return
        text = self._text(paragraph)
        self._add(paragraph, style, text)
        for drawing in text.drawings:
            self._drawing(drawing, text.page)
        for note in text.notes:
            self._note(note, text.page)

    def _add(self, paragraph: Element, style: _Style, text: _Text) -> None:
        shown = "".join(text.parts)
        if not shown.strip():
            return
        properties = child(paragraph, "pPr")
        label, listed = self._numbering.label(_numbered(properties) or style.numbered)
        level = _outline(properties, style)
        if level is not None:
            if level == 0 or not self._begun:
                self.title = self.title or one_line(shown)
            self._builder.heading(f"{label} {shown}", level, page=text.page)
        elif listed or style.name.startswith(("list bullet", "list number")):
            self._builder.add(BlockKind.LIST_ITEM, f"{label} {shown}", page=text.page)
        else:
            self._builder.add(_kind(paragraph, style), shown, page=text.page)
        self._begun = True

    def _style(self, paragraph: Element) -> _Style:
        chosen_style = child(paragraph, "pPr", "pStyle")
        key = "" if chosen_style is None else attribute(chosen_style, "val")
        return self._styles.get(key) or _Style()

    # --- the text of a paragraph ---

    def _text(self, paragraph: Element) -> _Text:
        text = _Text(page=self._page)
        self._runs(paragraph, text)
        return text

    def _runs(self, container: Element, text: _Text) -> None:
        for element in chosen(container):
            tag = name(element)
            if tag in ("t", "oMath", "oMathPara"):
                self._put("".join(element.itertext()), text)
            elif tag in _PLAIN:
                self._put(_PLAIN[tag], text)
            elif tag in _NOTES:
                text.notes.append(element)
            elif tag in _DRAWINGS:
                text.drawings.append(element)
            elif tag == "lastRenderedPageBreak":
                self._page = (self._page or 0) + 1
            elif tag not in _SKIPPED and not _is_hidden(element):
                self._runs(element, text)

    def _put(self, shown: str, text: _Text) -> None:
        if not text.begun:
            text.page, text.begun = self._page, bool(shown.strip())
        text.parts.append(shown)

    # --- tables ---

    def _table(self, table: Element) -> None:
        rows = list(_rows(table))
        if _is_frame(rows):
            for _, cells in rows:
                self._blocks(cells[0])
            return
        page = self._page
        grid, below = Grid(), _below(rows)
        for number, (row, cells) in enumerate(rows):
            header = child(row, "trPr", "tblHeader") is not None
            grid.row(header=header if header or number else None)
            if before := _count(child(row, "trPr", "gridBefore")):
                grid.add("", before)
            for place, cell in enumerate(cells):
                if (number, place) in below:
                    text = "\n".join(self._lines(cell))
                    columns = _count(child(cell, "tcPr", "gridSpan")) or 1
                    grid.add(text, columns, below[number, place])
        write(self._builder, grid, page=page)

    def _lines(self, container: Element) -> Iterator[str]:
        """Yield the texts of all paragraphs within, those of inner tables and notes included."""
        for element in chosen(container):
            tag = name(element)
            if tag == "p":
                text = self._text(element)
                label, _ = self._numbering.label(
                    _numbered(child(element, "pPr")) or self._style(element).numbered
                )
                yield f"{label} {''.join(text.parts)}".strip()
                for drawing in text.drawings:
                    yield from self._drawing_lines(drawing)
                for note in text.notes:
                    yield from self._note_lines(note)
            elif tag not in _SKIPPED:
                yield from self._lines(element)

    # --- what hangs beside the text ---

    def _drawing(self, drawing: Element, page: int | None) -> None:
        for box in _outermost(drawing, "txbxContent"):
            self._blocks(box)
        for graphic in descendants(drawing, "chart"):
            part = self._part.related(attribute(graphic, "id"))
            if part is not None:
                title, grid = ooxml.chart(part)
                self._builder.add(BlockKind.CAPTION, title, page=page)
                write(self._builder, grid, page=page)
        for text in self._beside(drawing):
            self._builder.add(BlockKind.CAPTION, text, page=page)

    def _drawing_lines(self, drawing: Element) -> Iterator[str]:
        for box in _outermost(drawing, "txbxContent"):
            yield from self._lines(box)
        yield from self._beside(drawing)

    def _beside(self, drawing: Element) -> Iterator[str]:
        """Yield the texts of SmartArt, and what is said of a picture."""
        for ids in descendants(drawing, "relIds"):
            part = self._part.related(attribute(ids, "dm"))
            if part is not None:
                yield from ooxml.diagram(part)
        for properties in descendants(drawing, "docPr"):
            yield alternative(properties)

    def _note(self, reference: Element, page: int | None) -> None:
        self._builder.add(BlockKind.PARAGRAPH, "\n".join(self._note_lines(reference)), page=page)

    def _note_lines(self, reference: Element) -> Iterator[str]:
        key = _NOTES[name(reference)], attribute(reference, "id")
        found = self._notes.pop(key, None)
        if found is not None:
            author, note = found
            lines = "\n".join(self._lines(note)).strip()
            yield f"{author}: {lines}" if author else lines


# --- what the document says about itself ---------------------------------------------------------


def _styles(part: Part | None) -> dict[str, _Style]:
    """Return the paragraph styles by their id."""
    if part is None:
        return {}
    raw = {attribute(style, "styleId"): style for style in children(part.root, "style")}
    return {key: _resolved(raw, key) for key in raw}


def _resolved(raw: dict[str, Element], key: str) -> _Style:
    found, seen = _Style(), set()
    while key in raw and key not in seen:
        seen.add(key)
        style = raw[key]
        called = child(style, "name")
        title = attribute(called, "val").lower() if called is not None else ""
        found.name = found.name or title
        if found.level is None:
            found.level = _level(title, child(style, "pPr"))
        found.numbered = found.numbered or _numbered(child(style, "pPr"))
        found.monospaced = found.monospaced or bool(_CODE_STYLES.search(title))
        based = child(style, "basedOn")
        key = "" if based is None else attribute(based, "val")
    return found


def _level(style: str, properties: Element | None) -> int | None:
    """Return the level of a heading style; 0 is the title of the document, None is no heading."""
    if style == "title":
        return 0
    match = _HEADING.match(style)
    if match:
        return int(match[1])
    level = child(properties, "outlineLvl")
    value = attribute(level, "val") if level is not None else ""
    return int(value) + 1 if value.isdecimal() and int(value) < 9 else None


def _outline(properties: Element | None, style: _Style) -> int | None:
    own = _level("", properties)
    return style.level if own is None else own


def _numbered(properties: Element | None) -> tuple[str, int] | None:
    """Return which list a paragraph is in, and how deep; the list 0 says in none."""
    numbers = child(properties, "numPr")
    if numbers is None:
        return None
    which, level = child(numbers, "numId"), child(numbers, "ilvl")
    depth = attribute(level, "val") if level is not None else "0"
    key = attribute(which, "val") if which is not None else ""
    return key, int(depth) if depth.isdecimal() else 0


def _notes(part: Part) -> dict[tuple[str, str], tuple[str, Element]]:
    """Return footnotes, endnotes and comments by kind and id, with the author of a comment."""
    found = {}
    for kind, tag in (("/footnotes", "footnote"), ("/endnotes", "endnote"), ("/comments", "c")):
        for notes in part.all_related(kind):
            for note in children(notes.root, "footnote", "endnote", "comment"):
                if attribute(note, "type") in ("", "normal"):
                    found[tag, attribute(note, "id")] = (attribute(note, "author"), note)
    return found


def _is_contents(control: Element) -> bool:
    """Say whether a content control holds the table of contents."""
    gallery = child(control, "sdtPr", "docPartObj", "docPartGallery")
    return gallery is not None and attribute(gallery, "val") == "Table of Contents"


def _is_hidden(run: Element) -> bool:
    vanish = child(run, "rPr", "vanish")
    return vanish is not None and attribute(vanish, "val") not in ("0", "false", "off")


def _kind(paragraph: Element, style: _Style) -> BlockKind:
    if style.name == "caption":
        return BlockKind.CAPTION
    is_code = style.monospaced or _looks_like_code(paragraph)
    return BlockKind.CODE if is_code else BlockKind.PARAGRAPH


def _looks_like_code(paragraph: Element) -> bool:
    """Say whether all of a paragraph is set like a typewriter's and holds marks of code."""
    runs = [run for run in children(paragraph, "r") if child(run, "t") is not None]
    fonts = [child(run, "rPr", "rFonts") for run in runs]
    mono = [f is not None and bool(_MONOSPACED.search(attribute(f, "ascii"))) for f in fonts]
    text = "".join(paragraph.itertext())
    return bool(mono) and all(mono) and any(mark in text for mark in "{}();=<>")


def _left_out(root: Element) -> Iterator[Element]:
    """Yield the elements whose text is not shown, or is shown elsewhere."""
    yield from descendants(root, "Fallback", "del", "moveFrom")
    yield from filter(_is_hidden, descendants(root, "r"))
    yield from filter(_is_contents, descendants(root, "sdt"))


# --- tables ---------------------------------------------------------------------------------------


def _rows(table: Element) -> Iterator[tuple[Element, list[Element]]]:
    for row in _unwrapped(table, "tr"):
        cells = list(_unwrapped(row, "tc"))
        if cells:
            yield row, cells


def _unwrapped(container: Iterable[Element], wanted: str) -> Iterator[Element]:
    for element in chosen(container):
        if name(element) == wanted:
            yield element
        elif name(element) == "sdt":
            content = child(element, "sdtContent")
            yield from _unwrapped(() if content is None else content, wanted)
        elif name(element) in _CONTENT:
            yield from _unwrapped(element, wanted)


def _is_frame(rows: list[tuple[Element, list[Element]]]) -> bool:
    """Say whether a table of one column only frames what stands in it."""
    if any(len(cells) > 1 for _, cells in rows):
        return False
    length = sum(len(text) for _, cells in rows for text in cells[0].itertext())
    return len(rows) <= 1 or length > _LONG_CELL * len(rows)


def _below(rows: list[tuple[Element, list[Element]]]) -> dict[tuple[int, int], int]:
    """Return the height in rows of each cell (row, place), but of those merged into one above."""
    heights: dict[tuple[int, int], int] = {}
    begun: dict[int, tuple[int, int]] = {}  # column: the cell that covers it from above
    for number, (row, cells) in enumerate(rows):
        column = _count(child(row, "trPr", "gridBefore"))
        for place, cell in enumerate(cells):
            merge = child(cell, "tcPr", "vMerge")
            goes_on = merge is not None and attribute(merge, "val") != "restart"
            if goes_on and column in begun:
                heights[begun[column]] += 1
            else:
                heights[number, place] = 1
                begun.pop(column, None)
                if merge is not None:
                    begun[column] = number, place
            column += _count(child(cell, "tcPr", "gridSpan")) or 1
    return heights


def _count(element: Element | None) -> int:
    value = attribute(element, "val") if element is not None else ""
    return min(int(value), 1000) if value.isascii() and value.isdecimal() and value else 0


def _outermost(root: Element, wanted: str) -> Iterator[Element]:
    """Yield the elements of a name that lie in no other of it, and in no fallback."""
    for element in chosen(root):
        if name(element) == wanted:
            yield element
        else:
            yield from _outermost(element, wanted)
