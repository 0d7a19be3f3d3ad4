"""Reads EPUB books: the chapters in their reading order, each as the page it is."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote

from ingest.parsing.builder import Builder, one_line
from ingest.parsing.markup import Element, child, children, descendants, parse_xml
from ingest.parsing.text import decode
from ingest.parsing.webpage import write_html
from knowledge.errors import Unreadable
from knowledge.models import Parsed

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_LOCKED = "META-INF/encryption.xml"
_FONTS_ONLY = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def parse_epub(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document, titled as the book is. Raises `Unreadable` for a locked book."""
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        names = set(container.namelist())
        if _LOCKED in names:
            _check_lock(container.read(_LOCKED))
        path, package = _package(container, names)
        builder = Builder()
        for page in _spine(package, path):
            if page in names:
                builder.leave_headings()
                write_html(builder, decode(container.read(page)))
    titles = (one_line("".join(t.itertext())) for t in descendants(package, "title"))
    yield builder.build(next(filter(None, titles), stem))


def _package(container: zipfile.ZipFile, names: set[str]) -> tuple[str, Element]:
    """Return the path and the root of the file that lists the book's parts."""
    if "META-INF/container.xml" in names:
        root = parse_xml(container.read("META-INF/container.xml"))
        for each in descendants(root, "rootfile"):
            path = unquote(each.get("full-path") or "")
            if path in names:
                return path, parse_xml(container.read(path))
    raise Unreadable("it does not say where its pages are", code="damaged")


def _spine(package: Element, path: str) -> Iterator[str]:
    """Yield the paths of the pages in reading order, without those that only list the others."""
    items = {each.get("id"): each for each in descendants(package, "item")}
    for reference in children(child(package, "spine"), "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        if "nav" not in (item.get("properties") or "").split():
            target = unquote(item.get("href") or "").partition("#")[0]
            yield posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _check_lock(encryption: bytes) -> None:
    """Raise unless nothing but fonts is scrambled."""
    for method in descendants(parse_xml(encryption), "EncryptionMethod"):
        if not (method.get("Algorithm") or "").startswith(_FONTS_ONLY):
            raise Unreadable("it is locked (DRM); only its seller can unlock it", code="encrypted")
