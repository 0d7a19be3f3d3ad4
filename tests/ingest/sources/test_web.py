from __future__ import annotations

import gzip
import json
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.addresses import AddressBook, RefusedAddress
from ingest.sources.fetching import Fetcher
from ingest.sources.web import Crawl, WebConnector
from knowledge.errors import ConfigurationError, SourceUnavailable, Unreadable
from knowledge.models import Feed, Item, Listing, Outcome
from tests.ingest.sources.site import Page, Site, certificate, site
from tests.ingest.world import LIMIT, World, outcomes

LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def served() -> Iterator[Site]:
    with site() as served:
        served.html("/docs/", "the start", "a.html", "b.html", "/other/x.html", "http://elsewhere/")
        served.html("/docs/a.html", "the apple text", "c.html#part", "c.html", "mailto:x@y.z")
        served.html("/docs/b.html", "the banana text", "../docs/./a.html")
        served.html("/docs/c.html", "the cherry text")
        served.html("/other/x.html", "not part of it")
        yield served


def connector(served: Site, private: str = LOOPBACK, **limits: Any) -> WebConnector:  # noqa: ANN401
    crawl = Crawl(limits.pop("start", f"{served.url}/docs/"), delay=0, **limits)
    return WebConnector(crawl, book=AddressBook(private), max_bytes=LIMIT)


def crawl(served: Site, cursor: str = "", **limits: Any) -> Listing:  # noqa: ANN401
    with closing(connector(served, **limits)) as web:
        return web.list(cursor)


def paths(listing: Listing) -> list[str]:
    return [f"/{item.uri.split('/', 3)[3]}" for item in listing.items]


# --- what is found ------------------------------------------------------------------------------


def test_a_crawl_follows_links_within_its_folder_and_nowhere_else(served: Site) -> None:
    listing = crawl(served)
    assert paths(listing) == ["/docs/", "/docs/a.html", "/docs/b.html", "/docs/c.html"]
    assert listing.gaps == ()
    assert "/other/x.html" not in served.requests
    assert Counter(served.requests).most_common(1)[0][1] == 1
    assert served.hosts == {f"127.0.0.1:{served.port}"}


def test_more_places_can_be_allowed(served: Site) -> None:
    assert "/other/x.html" in paths(crawl(served, allow=(f"{served.url}/other/",)))


def test_documents_of_a_known_type_are_items_and_pictures_are_not(served: Site) -> None:
    served.html("/docs/", "start", "report", "logo.png")
    served.pages["/docs/report"] = Page(b"%PDF-1.7", "application/pdf")
    served.pages["/docs/logo.png"] = Page(b"png", "image/png")
    names = [item.name for item in crawl(served).items]
    assert names == ["docs.html", "report.pdf"]


def test_a_changed_page_is_kept_until_it_is_read(served: Site) -> None:
    with closing(connector(served)) as web:
        listing = web.list("")
        before = len(served.requests)
        assert b"apple" in web.read(listing.items[1], limit=LIMIT)
        assert len(served.requests) == before
    with closing(connector(served)) as web:  # another run: it is fetched again
        assert b"apple" in web.read(listing.items[1], limit=LIMIT)
        with pytest.raises(Unreadable, match="404"):
            web.read(Item(f"{served.url}/docs/none", "none"), limit=LIMIT)


def test_an_unchanged_site_answers_not_modified_and_its_links_are_remembered(served: Site) -> None:
    first = crawl(served)
    served.requests.clear()
    second = crawl(served, first.cursor)
    assert paths(second) == paths(first)
    assert [item.fingerprint for item in second.items] == [i.fingerprint for i in first.items]
    assert served.not_modified == 4
    served.html("/docs/c.html", "the cranberry text")
    third = crawl(served, second.cursor)
    assert third.items[3].fingerprint != first.items[3].fingerprint
    assert served.not_modified == 7


def test_a_sitemap_lists_the_pages_with_their_dates(served: Site) -> None:
    index = (
        '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        f"<sitemap><loc>{served.url}/one.xml.gz</loc></sitemap></sitemapindex>"
    )
    one = (
        f"<urlset><url><loc>{served.url}/docs/a.html</loc><lastmod>2026-01-02</lastmod></url>"
        f"<url><loc>{served.url}/other/x.html</loc></url></urlset>"
    )
    served.pages["/sitemap.xml"] = Page(index.encode(), "application/xml")
    served.pages["/one.xml.gz"] = Page(gzip.compress(one.encode()), "application/gzip")
    listing = crawl(served, sitemap=f"{served.url}/sitemap.xml")
    assert paths(listing) == ["/docs/a.html"]
    assert str(listing.items[0].modified_at) == "2026-01-02 00:00:00+00:00"


# --- manners and limits -------------------------------------------------------------------------


def test_robots_txt_is_respected(served: Site) -> None:
    served.pages["/robots.txt"] = Page(
        b"User-agent: *\nDisallow: /docs/a*\n\nUser-agent: Footnote\nDisallow: /docs/b.html\n"
        b"Crawl-delay: 0.01\n",
        "text/plain",
    )
    assert paths(crawl(served)) == ["/docs/", "/docs/a.html", "/docs/c.html"]
    assert "/docs/b.html" not in served.requests
    served.redirect("/docs/a.html", "/docs/b.html")
    assert paths(crawl(served)) == ["/docs/", "/docs/a.html"]
    assert "/docs/b.html" not in served.requests


def test_a_robots_txt_that_fails_lets_nobody_in(served: Site) -> None:
    served.pages["/robots.txt"] = Page(status=503)
    with pytest.raises(SourceUnavailable, match=r"robots.txt answers with status 503"):
        crawl(served)


def test_limits_cut_a_crawl_and_then_nothing_is_removed(served: Site) -> None:
    for number in range(30):
        served.html(f"/docs/n{number}.html", f"page {number}", f"n{number + 1}.html")
    served.html("/docs/", "start", "n0.html")
    cut = crawl(served, max_pages=5)
    assert (len(cut.items), cut.gaps) == (5, ("",))
    assert "max_pages" in cut.note
    shallow = crawl(served, max_depth=3)
    assert (len(shallow.items), shallow.gaps) == (4, ())
    assert "max_mb" in crawl(served, max_bytes=300).note


def test_requests_keep_their_distance(served: Site) -> None:
    waited: list[float] = []
    with closing(connector(served)) as web:
        web._fetcher = Fetcher(
            AddressBook(LOOPBACK), delay=0.2, may_go=lambda _: True, sleep=waited.append
        )
        web.list("")
    assert sum(wait > 0.1 for wait in waited) == len(served.requests) - 1


def test_a_page_of_a_failing_server_makes_the_listing_incomplete(served: Site) -> None:
    served.pages["/docs/a.html"] = Page(status=500)
    listing = crawl(served)
    assert listing.gaps == ("",)
    assert "/docs/a.html answers with status 500" in listing.note
    served.pages["/docs/a.html"] = Page(status=404)
    gone = crawl(served)
    assert (paths(gone), gone.gaps) == (["/docs/", "/docs/b.html"], ())
    served.pages["/docs/a.html"] = Page(status=403)
    forbidden = crawl(served)
    assert forbidden.gaps == ()
    assert [item.code for item in forbidden.items] == ["", "unreadable", ""]


def test_a_page_that_is_too_large_or_leads_astray_is_left_out_with_a_reason(served: Site) -> None:
    served.pages["/docs/a.html"] = Page(b"x" * (LIMIT + 1))
    served.redirect("/docs/b.html", "http://elsewhere.example.org/")
    codes = {item.uri.rpartition("/")[2]: item.code for item in crawl(served).items}
    assert codes == {"": "", "a.html": "too_large", "b.html": "unreadable"}
    served.redirect("/docs/b.html", "b.html")
    served.html("/docs/a.html", "fine")
    assert "more than 5 redirects" in crawl(served).items[2].reason


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"<!DOCTYPE x [<!ENTITY a 'b'>]><urlset/>", "no sitemap", id="entities"),
        pytest.param(b"nonsense", "no sitemap", id="no-xml"),
        pytest.param(gzip.compress(bytes(60_000_000)), "unpacks to more", id="bomb"),
        pytest.param(b"\x1f\x8bnonsense", "damaged", id="damaged"),
    ],
)
def test_a_hostile_sitemap_is_refused(served: Site, data: bytes, said: str) -> None:
    served.pages["/sitemap.xml"] = Page(data, "application/xml")
    with pytest.raises(SourceUnavailable, match=said):
        crawl(served, sitemap=f"{served.url}/sitemap.xml")


def test_a_crawl_can_be_stopped(served: Site) -> None:
    web = connector(served)
    web._closed.set()
    with closing(web), pytest.raises(SourceUnavailable, match="stopped"):
        web.list("")


def test_settings_that_are_no_limits_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="number"):
        Crawl.of("http://h/", {"max_pages": "many"})
    with pytest.raises(ConfigurationError, match="begin with http"):
        Crawl.of("http://h/", {"allow": "ftp://h/"})
    assert Crawl.of("http://h", {"max_depth": "2", "max_mb": "1"}) == Crawl(
        "http://h/", max_depth=2, max_bytes=1_000_000
    )


# --- where it may connect -----------------------------------------------------------------------


def refused(served: Site, private: str = "") -> int:
    """Return how many private places were refused, of three ways to get there."""
    count = 0
    for host in ("127.0.0.1", "localhost", "evil.example.org"):
        resolve = (lambda *_: ["127.0.0.1"]) if host == "evil.example.org" else None
        book = AddressBook(private, resolve)
        start = Crawl(f"http://{host}:{served.port}/docs/", delay=0)
        try:
            with closing(WebConnector(start, book=book, max_bytes=LIMIT)) as web:
                web.list("")
        except SourceUnavailable as error:
            count += "private address" in str(error)
    return count


def test_private_addresses_are_refused_unless_they_are_allowed(served: Site) -> None:
    count = refused(served)
    assert served.requests == []
    allowed = refused(served, private=LOOPBACK)
    print(f"\nways to a private address that were refused: {count} of 3 (allowed: {allowed})")
    assert (count, allowed) == (3, 0)
    assert served.requests != []


def test_a_redirect_to_a_private_address_is_refused(served: Site) -> None:
    """The start is allowed by its name; where it leads, by another name, is not."""
    served.redirect("/docs/a.html", f"http://inner.example.org:{served.port}/docs/b.html")
    requests: list[str] = []

    def listed(private: str) -> dict[str, str]:
        served.requests.clear()
        book = AddressBook(private, resolve=lambda host, _: ["127.0.0.1"])
        start = f"http://site.example.org:{served.port}/docs/"
        allow = (f"http://inner.example.org:{served.port}/docs/",)
        crawled = Crawl(start, allow=allow, delay=0)
        with closing(WebConnector(crawled, book=book, max_bytes=LIMIT)) as web:
            items = web.list("").items
        requests[:] = served.requests
        return {item.uri: item.code for item in items}

    codes = listed("site.example.org")
    assert codes[f"http://site.example.org:{served.port}/docs/a.html"] == "refused_address"
    control = listed("site.example.org,inner.example.org")
    assert f"http://inner.example.org:{served.port}/docs/b.html" in control
    print(
        f"\nredirects to a private address: followed 0 (allowed: {len(control) - len(codes) + 1})"
    )


class Rebinding:
    """Names this machine at first, and something else at each later question."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def test_the_connection_goes_to_the_address_that_was_checked(served: Site) -> None:
    """Only addresses that we resolved and checked are connected to: no second look by anybody."""
    names = Rebinding(["127.0.0.1"])
    book = AddressBook(LOOPBACK, resolve=names)
    start = f"http://rebinding.example.org:{served.port}/docs/"
    with closing(WebConnector(Crawl(start, delay=0), book=book, max_bytes=LIMIT)) as web:
        assert len(web.list("").items) == 4
    assert names.asked == len(served.requests)
    assert served.hosts == {f"rebinding.example.org:{served.port}"}


def test_a_name_that_answers_differently_later_is_checked_again(served: Site) -> None:
    names = Rebinding(["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"])
    book = AddressBook(LOOPBACK, resolve=names)
    start = f"http://rebinding.example.org:{served.port}/docs/"
    with closing(WebConnector(Crawl(start, delay=0), book=book, max_bytes=LIMIT)) as web:
        codes = Counter(item.code for item in web.list("").items)
    assert codes == {"": 1, "refused_address": 2}


def test_a_certificate_is_that_of_the_name_and_not_of_the_address(tmp_path: Path) -> None:
    file = certificate("site.example.org", tmp_path)
    offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    offered.load_cert_chain(file)
    trusted = ssl.create_default_context(cafile=str(file))
    book = AddressBook(LOOPBACK, resolve=lambda *_: ["127.0.0.1"])
    with (
        site(offered) as served,
        closing(Fetcher(book, delay=0, may_go=lambda _: True, tls=trusted)) as fetcher,
    ):
        served.html("/", "the apple text")
        right = f"https://site.example.org:{served.port}/"
        assert b"apple" in fetcher.get(right, limit=LIMIT).body
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            fetcher.get(right.replace("site", "other"), limit=LIMIT)
        with (
            closing(Fetcher(book, delay=0, may_go=lambda _: True)) as untrusting,
            pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            untrusting.get(right, limit=LIMIT)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
        "0.0.0.0", "224.0.1.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",  # noqa: S104
        "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "64:ff9b::a9fe:a9fe", "2001:db8::1", "198.18.0.1",
    ],
)  # fmt: skip
def test_no_address_but_a_public_one_is_reached(address: str) -> None:
    public = AddressBook(resolve=lambda *_: ["93.184.215.14"])
    assert public.look_up("example.org", 80) == "93.184.215.14"
    for answers in ([address], ["93.184.215.14", address]):
        book = AddressBook(resolve=lambda *_, answers=answers: answers)
        with pytest.raises(RefusedAddress):
            book.look_up("example.org", 80)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254",
                "100.100.100.200", "fe80::1", "224.0.1.1"]
)  # fmt: skip
def test_metadata_services_are_never_reached_whatever_is_allowed(address: str) -> None:
    book = AddressBook("0.0.0.0/0,::/0,example.org", resolve=lambda *_: [address])
    with pytest.raises(RefusedAddress, match="no source may reach"):
        book.look_up("example.org", 80)


def test_private_hosts_and_networks_are_allowed_by_name_or_number() -> None:
    book = AddressBook("intranet.example.org, 10.1.0.0/16, fd12::/16", lambda h, _: [ADDRESSES[h]])
    for host in ("intranet.example.org", "INTRANET.example.org", "ten", "six"):
        assert book.look_up(host, 80) == ADDRESSES[host]
    with pytest.raises(RefusedAddress, match="FOOTNOTE_CRAWL_PRIVATE"):
        book.look_up("other", 80)
    with pytest.raises(ConfigurationError, match="no network"):
        AddressBook("10.0.0.0/99")


ADDRESSES = {
    "intranet.example.org": "192.168.7.7",
    "INTRANET.example.org": "192.168.7.7",
    "ten": "10.1.2.3",
    "six": "fd12::1",
    "other": "10.2.0.1",
}


# --- through the whole story --------------------------------------------------------------------


def test_a_site_is_kept_in_sync(world: World, served: Site) -> None:
    feed = world.keep(f"{served.url}/docs/")
    again(world, served, feed)
    assert outcomes(world.sync_source(feed)) == [Outcome.INDEXED] * 4
    assert any("apple" in text for text in world.texts("apple"))
    again(world, served, feed)
    assert outcomes(world.sync_source(feed)) == [Outcome.UNCHANGED] * 4
    served.html("/docs/a.html", "the apricot text")
    served.html("/docs/b.html", "the banana text", "d.html")
    served.html("/docs/d.html", "the date text")
    again(world, served, feed)
    found = Counter(outcomes(world.sync_source(feed)))
    assert found == {Outcome.INDEXED: 3, Outcome.UNCHANGED: 1, Outcome.REMOVED: 1}
    assert not any("cherry" in text for text in world.texts("cherry"))
    assert world.keeper.feed(feed.id)[1].changes == 0  # this server does not say when


def again(world: World, served: Site, feed: Feed) -> None:
    world.connectors[feed.uri] = connector(served)


def test_the_cursor_is_small_and_plain(served: Site) -> None:
    pages = json.loads(crawl(served).cursor)
    assert set(pages[f"{served.url}/docs/"]) == {
        "kind", "etag", "modified", "changed", "print", "links"
    }  # fmt: skip


def test_a_page_under_two_names_is_one(served: Site) -> None:
    served.redirect("/docs/c.html", "a.html")
    listing = crawl(served)
    assert paths(listing) == ["/docs/", "/docs/a.html", "/docs/b.html"]
    assert replace(listing.items[1], uri="") != replace(listing.items[2], uri="")
