"""What a page links to, and what a sitemap lists; both are text from strangers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from knowledge.errors import TooLarge, Unreadable

MOST_LINKS = 2000
"""Of one page."""
MOST_SITEMAP_BYTES = 50_000_000
"""Unpacked; what the protocol of sitemaps allows."""
_PORTS = {"http": 80, "https": 443}


class Listed(NamedTuple):
    """A page or another sitemap in a sitemap."""

    url: str
    modified_at: datetime | None
    is_sitemap: bool


def links(html: str, base: str) -> list[str]:
    """Return the pages that `<a href>` names, absolute and tidy, each once, in order.

    >>> links('<base href="/docs/"><a href="a.html#x">A</a> <a href="mailto:x@y">M</a>', "http://h/")
    ['http://h/docs/a.html']
    """
    finder = _Finder()
    finder.feed(html)
    base = urljoin(base, finder.base)
    found = (tidy(urljoin(base, each)) for each in finder.found)
    return list(dict.fromkeys(filter(None, found)))[:MOST_LINKS]


def tidy(url: str) -> str:
    """Return a web address in one way of writing it, without fragment; empty if it is none.

    >>> tidy("HTTP://Example.org:80/a/../b?x=1#y"), tidy("ftp://x/"), tidy("http://[")
    ('http://example.org/b?x=1', '', '')
    """
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if parts.scheme not in _PORTS or not host or parts.username is not None:
        return ""
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in {None, _PORTS[parts.scheme]} else f"{shown}:{port}"
    path = urljoin("/", parts.path.replace("%2e", ".").replace("%2E", ".")) or "/"
    return urlunsplit((parts.scheme, place, path.replace(" ", "%20"), parts.query, ""))


def sitemap(data: bytes) -> Iterator[Listed]:
    """Yield what a sitemap lists. Raises `TooLarge`, or `Unreadable` for what is none."""
    try:
        root: Element = fromstring(_unpacked(data), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Unreadable(f"it is no sitemap: {str(error) or type(error).__name__}") from error
    is_index = _plain(root.tag) == "sitemapindex"
    for entry in root:
        told = {_plain(each.tag): (each.text or "").strip() for each in entry}
        if url := tidy(told.get("loc", "")):
            yield Listed(url, _moment(told.get("lastmod", "")), is_index)


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if href and tag == "base" and not self.base:
            self.base = href
        elif href and tag == "a":
            self.found.append(href)


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(data, MOST_SITEMAP_BYTES)
    except zlib.error as error:
        raise Unreadable(f"it is damaged: {error}") from error
    if len(unpacked) >= MOST_SITEMAP_BYTES:
        raise TooLarge(f"it unpacks to more than {MOST_SITEMAP_BYTES:,} bytes", code="bomb")
    if not unpacker.eof:
        raise Unreadable("it is damaged: its end is missing")
    return unpacked


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
