"""Fetches pages over HTTP, politely and within limits; the only connector file with httpx2."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx2

from ingest.sources.addresses import AddressBook
from knowledge.errors import SourceUnavailable, TooLarge, Unreadable

AGENT = "Footnote"
REDIRECTS = 5
PAGE_SECONDS = 60.0
_TIMEOUT = httpx2.Timeout(20, connect=10)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered, after redirects."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)


class Fetcher:
    """Gets one page at a time, `delay` seconds apart; `may_go` is asked about every redirect."""

    def __init__(
        self,
        book: AddressBook,
        *,
        delay: float,
        may_go: Callable[[str], bool],
        sleep: Callable[[float], None] = time.sleep,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Trust what this system trusts, unless `tls` says otherwise."""
        self.delay = delay
        self._may_go = may_go
        self._sleep = sleep
        self._next_at = 0.0
        self._http = httpx2.Client(
            transport=_PinnedTransport(book, tls),
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=False,
        )

    def get(self, url: str, *, limit: int, headers: Mapping[str, str] | None = None) -> Reply:
        """Return the answer of the last of at most five redirects.

        Raises `RefusedAddress` or another `Unreadable` for a page that may not be had, `TooLarge`
        above `limit` bytes, and `SourceUnavailable` when the server does not answer in time.
        """
        for _ in range(REDIRECTS + 1):
            reply = self._one(url, limit, headers or {})
            if reply.status not in {301, 302, 303, 307, 308}:
                return reply
            url = urljoin(url, reply.headers.get("location", "")).partition("#")[0]
            if not self._may_go(url):
                raise Unreadable(f"it leads to {url}, which is not part of the source")
        raise Unreadable(f"more than {REDIRECTS} redirects")

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _one(self, url: str, limit: int, headers: Mapping[str, str]) -> Reply:
        self._sleep(max(self._next_at - time.monotonic(), 0))
        try:
            with self._http.stream("GET", url, headers=headers) as reply:
                body = _body(reply, limit)
        except (httpx2.TransportError, OSError) as error:
            raise SourceUnavailable(
                f"{url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        except (httpx2.InvalidURL, httpx2.DecodingError, UnicodeError) as error:
            raise Unreadable(f"it cannot be fetched: {error}") from error
        finally:
            self._http.cookies.clear()  # they would be those of an address, not of a name
            self._next_at = time.monotonic() + self.delay
        lowered = {name.lower(): value for name, value in reply.headers.items()}
        return Reply(url, reply.status_code, lowered, body)


def _body(reply: httpx2.Response, limit: int) -> bytes:
    """Read the body of a success, within limits of size and time; of anything else nothing."""
    if reply.status_code != 200:
        return b""
    until = time.monotonic() + PAGE_SECONDS
    pieces, size = [], 0
    for piece in reply.iter_bytes():
        size += len(piece)
        if size > limit:
            raise TooLarge(f"it is over the limit of {limit / 1e6:.0f} MB")
        if time.monotonic() > until:
            raise SourceUnavailable(f"{reply.url} takes longer than {PAGE_SECONDS:.0f} s")
        pieces.append(piece)
    return b"".join(pieces)


class _PinnedTransport(httpx2.BaseTransport):
    """Connects to the address that was checked; certificates are still those of the name."""

    def __init__(self, book: AddressBook, tls: ssl.SSLContext | None) -> None:
        self._book = book
        self._tls = tls
        self._of_host: dict[str, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        port = request.url.port or {"http": 80, "https": 443}.get(request.url.scheme, 0)
        address = self._book.look_up(host, port)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)  # the Host header is set already
        # One pool per name: a connection for one name is never used for another.
        return self._transport(host).handle_request(request)

    def close(self) -> None:
        for transport in self._of_host.values():
            transport.close()

    def _transport(self, host: str) -> httpx2.HTTPTransport:
        return self._of_host.setdefault(
            host, httpx2.HTTPTransport(verify=self._tls or True, trust_env=False)
        )
