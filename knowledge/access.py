"""Who may see what: the one place where a principal becomes a filter."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.errors import AccessDenied
from knowledge.models import Principal


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """An allow-list that every index search carries; it cannot be built empty.

    `tokens` are joined by OR; `collection`, when given, narrows further and can never widen.
    """

    tokens: frozenset[str]
    collection: str | None = None

    def __post_init__(self) -> None:
        if not self.tokens or not all(self.tokens):
            raise AccessDenied("a search without an access token would match everything; refused")


def access_filter(principal: Principal, *, collection: str | None = None) -> AccessFilter:
    """Build the filter for `principal`; raises `AccessDenied` for nobody."""
    return AccessFilter(tokens=principal.tokens(), collection=collection)
