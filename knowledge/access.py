"""Who may see what: the one place where a principal becomes a filter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from knowledge.errors import AccessDenied
from knowledge.models import UNFILTERED, Filters, Principal


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """An allow-list that every index search carries; it cannot be built empty.

    `tokens` are joined by OR; `collection`, `document_ids` and `filters`, when given, narrow
    further and can never widen.
    """

    tokens: frozenset[str]
    collection: str | None = None
    document_ids: frozenset[str] | None = None
    filters: Filters = UNFILTERED

    def __post_init__(self) -> None:
        if not self.tokens or not all(self.tokens):
            raise AccessDenied("a search without an access token would match everything; refused")
        if self.document_ids is not None and not self.document_ids:
            raise AccessDenied("a search in no document at all; refused")


def access_filter(
    principal: Principal,
    *,
    collection: str | None = None,
    document_ids: Iterable[str] | None = None,
    filters: Filters = UNFILTERED,
) -> AccessFilter:
    """Build the filter for `principal`; raises `AccessDenied` for nobody, and for no documents."""
    only = None if document_ids is None else frozenset(document_ids)
    return AccessFilter(principal.tokens(), collection, only, filters)
