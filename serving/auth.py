"""Who asks, and whether the request may be heard at all.

`Gate.principal` is the one function that makes a `Principal`. It reads the `Authorization` header
and nothing else: no other header, field or parameter can say who somebody is.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from knowledge.errors import AccessDenied, ConfigurationError
from knowledge.models import Principal
from serving.keys import ROLES, KeyRing

LOCAL = Principal(user="local", roles=ROLES)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Gate:
    """The rule of this installation: one local user on loopback, or a key for everyone."""

    keys: KeyRing | None = None
    """None: there is one user, and the service listens on loopback only."""
    owner_token: str = field(default="", repr=False)
    """Held by commands of the account that runs the service; it stands for the local user."""
    hosts: frozenset[str] = frozenset()
    """Host names answered to besides loopback; empty with keys: any."""

    def principal(self, authorization: str | None) -> Principal:
        """Make the principal from the `Authorization` header; raises `AccessDenied`."""
        bearer = _bearer(authorization)
        if self.is_owner(authorization) or self.keys is None:
            return LOCAL
        found = self.keys.find(bearer) if bearer else None
        if found is None or not found.tokens():
            raise AccessDenied("a valid API key is required: Authorization: Bearer fn_…")
        return found

    def is_owner(self, authorization: str | None) -> bool:
        """Say whether a command of the account that runs the service is asking."""
        given = _bearer(authorization).encode("utf-8", "surrogatepass")
        return bool(self.owner_token) and hmac.compare_digest(given, self.owner_token.encode())

    def answers_to(self, host: str) -> bool:
        """Say whether a `Host` header names this service; other names mean DNS rebinding."""
        if self.keys is not None and not self.hosts:
            return True
        return host_name(host) in LOOPBACK | self.hosts

    def allows_origin(self, host: str, *, origin: str | None, fetch_site: str | None) -> bool:
        """Say whether the page that sent a request, if any did, may drive this service.

        A key cannot be added by a foreign page; the local user needs none, so there a request
        from another site or origin is refused.
        """
        if self.keys is not None:
            return True
        if fetch_site is not None and fetch_site.lower() == "cross-site":
            return False
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        return origin is None or origin.lower() in own


def gate(
    *, host: str, embedded: bool, keys: KeyRing | None, hosts: Iterable[str], owner_token: str = ""
) -> Gate:
    """Build the gate; raises `ConfigurationError` where keys are needed and there are none."""
    if keys is None and not (embedded and host in LOOPBACK):
        raise ConfigurationError(
            "without API keys Footnote answers on this machine alone, with its embedded stores; "
            "make a key with: footnote keys add --user NAME, then set FOOTNOTE_API_KEYS_FILE"
        )
    return Gate(
        keys, owner_token, frozenset(name.strip().lower() for name in hosts if name.strip())
    )


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without port and brackets.

    >>> host_name("[::1]:8765"), host_name("LOCALHOST:80"), host_name("a.b")
    ('::1', 'localhost', 'a.b')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _bearer(authorization: str | None) -> str:
    scheme, _, credential = (authorization or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""
