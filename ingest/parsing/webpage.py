"""Reads HTML as it is shown: headings, paragraphs, lists, code, tables; no script, nothing hidden.

The tree is walked element by element and never by recursion, so depth costs nothing. Texts of
links stand in their place, addresses do not; a picture is read by its alternative text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ingest.parsing.builder import Builder, one_line, visible
from ingest.parsing.grid import Grid, write
from ingest.parsing.markup import DEEPEST, Element, attribute, descendants, name, parse_html, walk
from ingest.parsing.text import decode
from knowledge.models import BlockKind, Parsed

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{2,40})""", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "button", "center", "dd", "details",
    "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form",
    "header", "hr", "legend", "li", "main", "menu", "ol", "optgroup", "option", "p", "pre",
    "search", "section", "select", "summary", "table", "tbody", "td", "textarea", "tfoot", "th",
    "thead", "tr", "ul", "xmp",
))  # fmt: skip
_UNSEEN = frozenset((
    "applet", "audio", "canvas", "embed", "head", "iframe", "nav", "noembed",
    "noframes", "noscript", "object", "script", "style", "template", "title", "video",
))  # fmt: skip
_KINDS = {
    "li": BlockKind.LIST_ITEM,
    "dt": BlockKind.LIST_ITEM,
    "dd": BlockKind.LIST_ITEM,
    "pre": BlockKind.CODE,
    "xmp": BlockKind.CODE,
    "caption": BlockKind.CAPTION,
    "figcaption": BlockKind.CAPTION,
}
_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_LONG_CELL = 200
"""Characters, on the average of a table."""
_LEAST_MAIN = 0.2
"""Of the visible text; a `<main>` that holds less is not the main content."""


def parse_html_page(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document, titled by its `<title>`; `<main>` alone is read where there is one."""
    charset = _CHARSET.search(data[:4096])
    builder = Builder()
    title = write_html(builder, decode(data, charset and charset[1].decode("ascii")))
    yield builder.build(title or stem)


def write_html(builder: Builder, text: str) -> str:
    """Append a page and return its title; what is not read is warned of."""
    root, whole = parse_html(text)
    if root is None:
        return ""
    if not whole:
        builder.warnings.append(f"what lies deeper than {DEEPEST:,} elements was not read")
    write_tree(builder, root)
    return next((one_line("".join(t.itertext())) for t in descendants(root, "title")), "")


def write_tree(builder: Builder, root: Element) -> None:
    """Append a page that has been parsed already."""
    main = _main(root)
    start = root if main is None else main
    reader = _Reader(builder, _layouts(start))
    for event, element in walk(start):
        if event == "start":
            reader.open(element)
        else:
            reader.close(element, tail=element is not start)
    reader.flush()
    counted = builder.coverage.layer_characters + reader.seen
    builder.coverage = replace(builder.coverage, layer_characters=counted)


@dataclass(slots=True)
class _Table:
    """A table that is being read, and what its open cell covers."""

    grid: Grid = field(default_factory=Grid)
    columns: int = 1
    rows: int = 1
    cell: bool = False
    depth: int = 1
    """Tables that are open inside each other; those inside a cell are text of the cell."""


class _Reader:
    """Takes the starts and ends of elements and writes blocks."""

    def __init__(self, builder: Builder, layouts: set[int]) -> None:
        self._builder = builder
        self._layouts = layouts
        self._parts: list[str] = []
        self._kinds: list[BlockKind] = [BlockKind.PARAGRAPH]
        self._level = 0  # of the open heading
        self._unseen = self._raw = self._tables = 0
        self._table: _Table | None = None
        self.seen = 0
        """Characters of the page's visible text, white space left out."""

    def open(self, element: Element) -> None:
        """Begin an element."""
        tag = name(element).lower()
        self._tables += tag == "table"
        if self._unseen or _is_unseen(element, tag):
            self._unseen += 1
            return
        if tag == "table":
            self._open_table()
        elif self._table is not None:
            self._open_in_table(element, tag, self._table)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self.flush()
            self._kinds.append(_KINDS.get(tag, self._kinds[-1]))
            self._level = _HEADINGS.get(tag, self._level)
        self._raw += tag in ("pre", "xmp", "textarea")
        if tag == "br":
            self._parts.append("\n")
        elif tag == "img":
            self._add(f" {attribute(element, 'alt')} ")
        self._add(element.text)

    def close(self, element: Element, *, tail: bool = True) -> None:
        """End an element; its `tail` is text of the one around it."""
        tag = name(element).lower()
        if self._unseen:
            self._unseen -= 1
        else:
            self._close(tag)
        if tail and not self._unseen:
            self._add(element.tail)

    def flush(self) -> None:
        """Write the text so far as a block of the kind that is open."""
        text = "".join(self._parts)
        self._parts.clear()
        if not text.strip():
            return
        if self._level:
            self._builder.heading(text, self._level)
        else:
            self._builder.add(self._kinds[-1], text)

    def _close(self, tag: str) -> None:
        self._raw -= tag in ("pre", "xmp", "textarea")
        if tag == "table":
            self._close_table()
        elif self._table is not None:
            self._close_in_table(tag, self._table)
        elif tag in _BLOCKS or tag in _HEADINGS:
            self.flush()
            self._kinds.pop()
            if tag in _HEADINGS:
                self._level = 0

    def _add(self, text: str | None) -> None:
        if not text:
            return
        self.seen += len("".join(visible(text).split()))
        self._parts.append(text if self._raw else _SPACES.sub(" ", text))

    # --- tables ---

    def _open_table(self) -> None:
        if self._table is not None:
            self._table.depth += 1
            self._parts.append(" ")
        elif self._tables in self._layouts:
            self.flush()
            self._kinds.append(BlockKind.PARAGRAPH)
        else:
            self.flush()
            self._table = _Table()

    def _close_table(self) -> None:
        table = self._table
        if table is None:  # a layout
            self.flush()
            self._kinds.pop()
        elif table.depth > 1:
            table.depth -= 1
            self._parts.append(" ")
        else:
            self._end_cell(table)
            self._table = None
            write(self._builder, table.grid)

    def _open_in_table(self, element: Element, tag: str, table: _Table) -> None:
        if tag in _BLOCKS or tag in _HEADINGS or tag == "caption":
            self._parts.append(" ")
        if table.depth > 1:
            return
        if tag == "tr":
            self._end_cell(table)
            table.grid.row(header=_is_header(element))
        elif tag in ("td", "th"):
            self._end_cell(table)
            table.cell = True
            table.columns, table.rows = _span(element, "colspan"), _span(element, "rowspan")

    def _close_in_table(self, tag: str, table: _Table) -> None:
        if tag in _BLOCKS or tag in _HEADINGS:
            self._parts.append(" ")
        if table.depth == 1 and tag in ("td", "th", "tr", "caption"):
            self._end_cell(table)

    def _end_cell(self, table: _Table) -> None:
        """Put the text so far into the open cell; text outside of cells is the caption."""
        text = "".join(self._parts)
        self._parts.clear()
        if table.cell:
            table.grid.add(text, table.columns, table.rows)
            table.cell = False
        elif text.strip():
            self._builder.add(BlockKind.CAPTION, text)


def _is_unseen(element: Element, tag: str) -> bool:
    return (
        tag in _UNSEEN
        or element.get("hidden") is not None
        or (tag == "input" and element.get("type") == "hidden")
        or bool(_HIDDEN.search(element.get("style") or ""))
    )


def _is_header(row: Element) -> bool | None:
    """Say whether a row is a header: its cells are, or it stands in the head; None: unknown."""
    if name(row.getparent()).lower() == "thead":
        return True
    tags = [name(cell).lower() for cell in row]
    return all(tag == "th" for tag in tags) if "th" in tags else None


def _span(element: Element, which: str) -> int:
    value = attribute(element, which).strip()
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 6 else 1


def _layouts(root: Element) -> set[int]:
    """Return the numbers, from 1 in document order, of tables that only arrange what is in them.

    So are those of one cell, and those without a header cell whose cells hold long texts.
    """
    found: set[int] = set()
    outer: list[tuple[int, Counter[str]]] = []
    number = 0
    for event, element in walk(root):
        tag = name(element).lower()
        if event == "start" and tag == "table":
            number += 1
            outer.append((number, Counter()))
        if outer:
            text = element.text if event == "start" else element.tail
            outer[-1][1].update({"": len(text or ""), tag: event == "start"})
        if event == "end" and tag == "table":
            which, inside = outer.pop()
            if _arranges(inside) or attribute(element, "role") == "presentation":
                found.add(which)
            if outer:
                outer[-1][1][""] += inside[""]
    return found


def _arranges(inside: Counter[str]) -> bool:
    cells = inside["td"] + inside["th"]
    return cells <= 1 or (not inside["th"] and inside[""] > _LONG_CELL * cells)


def _main(root: Element) -> Element | None:
    """Return the one `<main>` of a page, None where there is none that holds its content."""
    mains = [element for element in descendants(root, "main") if not _is_unseen(element, "main")]
    if len(mains) != 1:
        return None
    most = sum(len(text) for text in root.itertext())
    return mains[0] if sum(len(text) for text in mains[0].itertext()) > _LEAST_MAIN * most else None
