"""Parses XML and HTML from outside into trees; the only file that knows lxml.

Nothing is fetched and no entity is expanded. XML that declares a document type is refused; HTML is
repaired as browsers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from lxml import etree

from knowledge.errors import Unreadable

Element = Any
"""An element of lxml, which has no types of its own."""
Event = tuple[Literal["start", "end"], Element]

DEEPEST = 2048
"""Elements inside each other; libxml2 reads no deeper."""

# An element with very many attributes takes libxml2 quadratic time.
_OVERLONG = re.compile(r"<([a-zA-Z][\w:-]*+)[^<>]{20000,}+>")
_MOST_EQUALS = 1000


def parse_xml(data: bytes, what: str = "it") -> Element:
    """Return the root of a document. Raises `Unreadable`, naming `what`, if it is none."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"{what} is not sound XML ({error})"[:300], code="damaged") from error
    if root.getroottree().docinfo.doctype:
        raise Unreadable("its XML declares a document type, which is refused", code="hostile")
    return root


def parse_html(text: str) -> tuple[Element | None, bool]:
    """Return the root, None where there is nothing; and whether all of it was read."""
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
    )
    whole = _OVERLONG.sub(_shortened, text.replace("\x00", ""))
    if not whole.strip():
        return None, True
    parser.feed(whole.encode("utf-8", "replace"))
    try:
        root = parser.close()
    except etree.XMLSyntaxError:  # comments only, say
        return None, True
    return root, not any("depth" in entry.message for entry in parser.feed_error_log)


def walk(root: Element) -> Iterator[Event]:
    """Yield the starts and ends of all elements below and including `root`, however deep."""
    yield from etree.iterwalk(root, events=("start", "end"))


def stream(file: object, tags: Iterable[str]) -> Iterator[Element]:
    """Yield each whole element with one of `tags` while a part is read, then empty it."""
    try:
        for _, element in etree.iterparse(
            file, tag=tuple(tags), resolve_entities=False, no_network=True, huge_tree=True
        ):
            yield element
            element.clear(keep_tail=False)
    except etree.XMLSyntaxError as error:
        raise Unreadable(f"it is not sound XML ({error})"[:300], code="damaged") from error


def name(element: Element) -> str:
    """Return the name of an element without its namespace; empty for what is none."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, wanted: str) -> str:
    """Return the value of an attribute, whatever its namespace; empty if there is none."""
    value = element.get(wanted)
    if value is not None:
        return str(value)
    ending = "}" + wanted
    return next((str(v) for key, v in element.attrib.items() if key.endswith(ending)), "")


def children(element: Element | None, *wanted: str) -> Iterator[Element]:
    """Yield the direct children that are called one of `wanted`."""
    if element is not None:
        for child in element:
            if name(child) in wanted:
                yield child


def child(element: Element | None, *path: str) -> Element | None:
    """Return the first child at a path of names, None if there is none."""
    for step in path:
        element = next(children(element, step), None)
    return element


def descendants(element: Element | None, *wanted: str) -> Iterator[Element]:
    """Yield all elements below that are called one of `wanted`, in document order."""
    if element is not None:
        yield from element.iter(*(f"{{*}}{tag}" for tag in wanted))


def _shortened(match: re.Match[str]) -> str:
    return f"<{match[1]}>" if match[0].count("=") > _MOST_EQUALS else match[0]
