"""A web site as a source: its sitemap, or what its pages link to, as far as robots.txt allows."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from protego import Protego

from ingest.discover import media_type
from ingest.sources.addresses import AddressBook
from ingest.sources.fetching import AGENT, Fetcher, Reply
from ingest.sources.links import MOST_SITEMAP_BYTES, Listed, links, sitemap, tidy
from knowledge.errors import (
    ConfigurationError,
    IngestError,
    SourceUnavailable,
    Unreadable,
    Unsupported,
)
from knowledge.models import Item, Listing

LONGEST_DELAY = 30.0
"""Seconds; a robots.txt that asks for more is not obeyed in that."""
MOST_SITEMAPS = 100
_ROBOTS_BYTES = 500_000
_GONE = {404, 410}
_ENDINGS = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "message/rfc822": ".eml",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}


@dataclass(frozen=True, slots=True)
class Crawl:
    """Where a crawl begins and how far it goes."""

    start: str
    allow: tuple[str, ...] = ()
    """Addresses, with everything that begins like them, besides the folder of `start`."""
    sitemap: str = ""
    """Its address: then pages are those it lists, and links are not followed."""
    max_pages: int = 1000
    max_depth: int = 10
    """Links from the start."""
    max_bytes: int = 1_000_000_000
    """In all."""
    delay: float = 0.5
    """Seconds between requests; robots.txt may ask for more."""

    @classmethod
    def of(cls, start: str, settings: Mapping[str, str]) -> Crawl:
        """Read the settings of a feed; raises `ConfigurationError`."""
        limits = {name: settings[name] for name in ("max_pages", "max_depth") if name in settings}
        try:
            crawl = cls(
                start=tidy(start),
                allow=tuple(map(tidy, settings.get("allow", "").split())),
                sitemap=tidy(settings.get("sitemap", "")),
                max_bytes=int(settings.get("max_mb", 1000)) * 1_000_000,
                delay=float(settings.get("delay", 0.5)),
                **{name: int(value) for name, value in limits.items()},
            )
        except ValueError as error:
            raise ConfigurationError(f"a limit of a crawl is a number: {error}") from error
        if not crawl.start or not all(crawl.allow):
            raise ConfigurationError("a site and what it allows begin with http:// or https://")
        return crawl


class WebConnector:
    """Crawls one site. Pages are fetched while listing, so what has changed waits on the disk."""

    def __init__(
        self, crawl: Crawl, *, book: AddressBook, max_bytes: int, fetcher: Fetcher | None = None
    ) -> None:
        self._crawl = crawl
        self._max_bytes = max_bytes
        self._prefixes = (urljoin(crawl.start, "."), *crawl.allow)
        self._fetcher = fetcher or Fetcher(book, delay=crawl.delay, may_go=self._may_follow)
        self._robots: dict[str, Protego] = {}
        self._spool = tempfile.TemporaryDirectory(prefix="footnote-crawl-")
        self._closed = threading.Event()

    def list(self, cursor: str) -> Listing:
        """Fetch the site's pages, with what is known of them as condition.

        A page whose server fails makes the listing incomplete, and so does a limit that is reached.
        Raises `SourceUnavailable` where even the beginning cannot be had.
        """
        known: dict[str, dict[str, Any]] = json.loads(cursor) if cursor else {}
        run = _Run(known)
        for url, depth, modified_at in self._frontier(run):
            self._visit(run, url, depth, modified_at)
        if not run.items and run.failures:
            raise SourceUnavailable(run.failures[0])
        return Listing(
            [*run.items.values()],
            gaps=("",) if run.failures or run.cut else (),
            note=next(iter(run.failures), run.cut),
            cursor=json.dumps(run.pages),
        )

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return a page's bytes, as they were when it was listed if it had changed then."""
        with suppress(FileNotFoundError):
            return self._spooled(item.uri).read_bytes()
        reply = self._fetcher.get(item.uri, limit=limit)
        if reply.status != 200:
            raise Unreadable(f"the server answers with status {reply.status}")
        return reply.body

    def covers(self, uri: str) -> bool:
        """Say that every page of this source is listed, if it is there."""
        return True

    def close(self) -> None:
        """Stop a crawl that is under way, and remove what waits on the disk."""
        self._closed.set()
        self._fetcher.close()
        self._spool.cleanup()

    # --- which pages ----------------------------------------------------------------------------

    def _frontier(self, run: _Run) -> Iterator[tuple[str, int, datetime | None]]:
        """Yield each page to visit once, and how far from the start it is."""
        if self._crawl.sitemap:
            for each in self._sitemap(run):
                run.offer(each.url, 0, each.modified_at)
        else:
            run.offer(self._crawl.start, 0, None)
        while run.queue:
            if self._closed.is_set():
                raise SourceUnavailable("the crawl was stopped")
            run.cut = self._limit_reached(run)
            if run.cut:
                return
            url, depth, modified_at = run.queue.popleft()
            if url.startswith(self._prefixes) and self._is_welcome(run, url):
                yield url, depth, modified_at

    def _limit_reached(self, run: _Run) -> str:
        """Say which limit was reached before everything was seen; empty when none was."""
        if len(run.pages) >= self._crawl.max_pages:
            return f"it has more than {self._crawl.max_pages:,} pages (max_pages)"
        if run.bytes >= self._crawl.max_bytes:
            return f"it has more than {self._crawl.max_bytes / 1e6:,.0f} MB (max_mb)"
        return ""

    def _sitemap(self, run: _Run) -> Iterator[Listed]:
        """Yield the pages of a sitemap and of those it lists; a broken one is a failure."""
        left, seen = deque([self._crawl.sitemap]), {self._crawl.sitemap}
        while left:
            reply = self._fetcher.get(left.popleft(), limit=MOST_SITEMAP_BYTES)
            if reply.status != 200:
                raise SourceUnavailable(f"{reply.url} answers with status {reply.status}")
            for each in _listed(reply):
                if not each.is_sitemap:
                    yield each
                elif each.url not in seen and self._is_near(each.url):
                    if len(seen) >= MOST_SITEMAPS:
                        run.failures.append(f"it has more than {MOST_SITEMAPS} sitemaps")
                        return
                    seen.add(each.url)
                    left.append(each.url)

    def _may_follow(self, url: str) -> bool:
        """Say whether a redirect may lead there."""
        of_source = url.startswith(self._prefixes) and self._robots_allow(url)
        return of_source or self._is_near(url)

    def _is_near(self, url: str) -> bool:
        """Say whether it is a sitemap or robots.txt of a host that is part of the source."""
        hosts = {urlsplit(each).netloc for each in (*self._prefixes, self._crawl.sitemap) if each}
        parts = urlsplit(url)
        of_site = parts.path == "/robots.txt" or parts.path.endswith((".xml", ".xml.gz"))
        return parts.netloc in hosts and of_site

    def _is_welcome(self, run: _Run, url: str) -> bool:
        try:
            return self._robots_allow(url)
        except (SourceUnavailable, IngestError) as error:
            run.failures.append(str(error))
            return False

    def _robots_allow(self, url: str) -> bool:
        """Say whether robots.txt lets us fetch it; asks for that file once a run."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._robots:
            self._robots[origin] = self._read_robots(origin)
        return bool(self._robots[origin].can_fetch(url, AGENT))

    def _read_robots(self, origin: str) -> Protego:
        """Read the rules; no file is no rule, and a server that fails lets nobody in (RFC 9309)."""
        reply = self._fetcher.get(f"{origin}/robots.txt", limit=_ROBOTS_BYTES)
        if reply.status >= 500:
            raise SourceUnavailable(f"{reply.url} answers with status {reply.status}")
        rules = Protego.parse(reply.body.decode("utf-8", "replace"))
        wanted = rules.crawl_delay(AGENT) or 0.0
        self._fetcher.delay = max(self._fetcher.delay, min(wanted, LONGEST_DELAY))
        return rules

    # --- one page -------------------------------------------------------------------------------

    def _visit(self, run: _Run, url: str, depth: int, modified_at: datetime | None) -> None:
        former = run.known.get(url, {})
        try:
            reply = self._fetcher.get(url, limit=self._max_bytes, headers=_condition(former))
        except SourceUnavailable as error:
            run.failures.append(str(error))
            return
        except IngestError as refusal:
            run.items[url] = Item(url, _name(url, ""), code=refusal.code, reason=str(refusal))
            return
        if reply.status == 304 and former:
            self._take(run, url, former, depth)
        elif reply.status == 200:
            final = tidy(reply.url) or url
            page = self._page(reply, run.known.get(final, {}), modified_at)
            run.bytes += len(reply.body)
            self._take(run, final, page, depth)
        elif reply.status >= 500 or reply.status == 429:
            run.failures.append(f"{url} answers with status {reply.status}")
        elif reply.status not in _GONE:
            reason = f"the server answers with status {reply.status}"
            run.items[url] = Item(url, _name(url, ""), code="unreadable", reason=reason)

    def _page(
        self, reply: Reply, former: Mapping[str, Any], modified_at: datetime | None
    ) -> dict[str, Any]:
        """Describe a page for this listing and the next, and keep its bytes if they are new."""
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_html = _ENDINGS.get(kind) == ".html"
        told = modified_at or _http_date(reply.headers.get("last-modified", ""))
        page = {
            "kind": kind,
            "etag": reply.headers.get("etag", ""),
            "modified": reply.headers.get("last-modified", ""),
            "changed": told.isoformat() if told else None,
            "print": hashlib.sha256(reply.body).hexdigest(),
            "links": links(reply.body.decode("utf-8", "replace"), reply.url) if is_html else [],
        }
        if page["print"] == former.get("print"):
            page["changed"] = former.get("changed")
        elif kind in _ENDINGS:
            self._spooled(tidy(reply.url)).write_bytes(reply.body)
        return page

    def _take(self, run: _Run, url: str, page: dict[str, Any], depth: int) -> None:
        """List a page, and queue what it links to."""
        run.pages[url] = page
        if page["kind"] in _ENDINGS and url not in run.items:
            run.items[url] = _item(url, page)
        if depth < self._crawl.max_depth and not self._crawl.sitemap:
            for link in page["links"]:
                if link.startswith(self._prefixes):
                    run.offer(link, depth + 1, None)

    def _spooled(self, url: str) -> Path:
        return Path(self._spool.name, hashlib.sha256(url.encode()).hexdigest())


class _Run:
    """One crawl: what is to be visited, what was found, and what went wrong."""

    def __init__(self, known: dict[str, dict[str, Any]]) -> None:
        self.known = known
        self.queue: deque[tuple[str, int, datetime | None]] = deque()
        self.offered: set[str] = set()
        self.items: dict[str, Item] = {}
        self.pages: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.bytes = 0
        self.cut = ""
        """Which limit was reached before everything was seen."""

    def offer(self, url: str, depth: int, modified_at: datetime | None) -> None:
        """Queue a page unless it was queued before."""
        if url not in self.offered:
            self.offered.add(url)
            self.queue.append((url, depth, modified_at))


def _listed(reply: Reply) -> list[Listed]:
    try:
        return list(sitemap(reply.body))
    except IngestError as error:
        raise SourceUnavailable(f"{reply.url}: {error}") from error


def _condition(page: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that spare a page that has not changed."""
    if page.get("etag"):
        return {"If-None-Match": page["etag"]}
    return {"If-Modified-Since": page["modified"]} if page.get("modified") else {}


def _item(url: str, page: Mapping[str, Any]) -> Item:
    name = _name(url, _ENDINGS[page["kind"]])
    changed = page.get("changed")
    return Item(
        uri=url,
        name=name,
        media_type=media_type(name),
        fingerprint=page["print"],
        modified_at=datetime.fromisoformat(changed) if changed else None,
        key=url,
    )


def _name(url: str, ending: str) -> str:
    """Return a file name for a page, with the ending that its type asks for.

    >>> _name("https://h/docs/", ".html"), _name("https://h/a%20b.PDF?x", ".pdf")
    ('docs.html', 'a b.PDF')
    """
    parts = urlsplit(url)
    name = PurePosixPath(unquote(parts.path)).name or parts.hostname or "page"
    with suppress(Unsupported):
        if media_type(name) == media_type(f"x{ending}"):
            return name
    return name + ending


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, TypeError):
        return None
