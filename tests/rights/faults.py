"""Faults that somebody could build in: each breaks the real objects, in one place, on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import qdrant_edge as edge
from sqlalchemy import Connection, Select, bindparam, func, select

from knowledge.access import AccessFilter
from knowledge.catalog import facets, ledger, library, rights
from knowledge.catalog.rows import BLOCK_COLUMNS, DOCUMENT_COLUMNS
from knowledge.catalog.schema import blocks, chunks, documents
from knowledge.index import edge as edge_file
from knowledge.index import shape
from knowledge.index.edge import EdgeIndex
from knowledge.models import EVERYONE, Document, Filters, Principal
from retrieval.retriever import Retriever
from serving.api import documents as routes
from serving.auth import Gate
from tests.rights.world import TOKENS

Patch = pytest.MonkeyPatch


def listing_without_rights(patch: Patch) -> None:
    """The list of documents forgets to ask who wants to see it."""
    unguarded = (
        select(*DOCUMENT_COLUMNS)
        .where(documents.c.id > bindparam("after"), library.LIVE)
        .order_by(documents.c.id)
        .limit(bindparam("most"))
    )

    def that_fit(fields: frozenset[str]) -> Select[*tuple[Any, ...]]:
        return unguarded.where(*(library._NARROWED[name] for name in fields))

    patch.setattr(library, "_documents_that_fit", that_fit)


def counts_without_rights(patch: Patch) -> None:
    """The sizes of collections count what the caller may not see."""
    counted = select(documents.c.collection, func.count()).where(library.LIVE)
    patch.setattr(library, "_COLLECTIONS", counted.group_by(documents.c.collection))


def offers_without_rights(patch: Patch) -> None:
    """What can be narrowed to is counted over what anybody may read."""
    patch.setattr(facets, "tokens_of", lambda principal: {"tokens": list(TOKENS)})


def index_without_rights(patch: Patch) -> None:
    """The search in the index narrows by all but rights."""
    whole = shape.narrowing

    def narrowing(asked: AccessFilter) -> list[tuple[str, list[str]]]:
        return [each for each in whole(asked) if each[0] != shape.ACCESS]

    patch.setattr(shape, "narrowing", narrowing)


def catalog_without_rights(patch: Patch) -> None:
    """The second key checks that a passage is live, not who asks."""
    wanted = chunks.c.id.in_(bindparam("chunk_ids", expanding=True))
    live = documents.c.live_revision == chunks.c.revision_id
    columns = select(*library._PASSAGES.selected_columns)
    patch.setattr(library, "_PASSAGES", columns.join_from(chunks, documents, live).where(wanted))


def stale_groups(patch: Patch) -> None:
    """A principal is remembered by key, with the groups of the first time."""
    known: dict[str | None, Principal] = {}
    whole = Gate.principal

    def principal(self: Gate, authorization: str | None) -> Principal:
        if authorization not in known:
            known[authorization] = whole(self, authorization)
        return known[authorization]

    patch.setattr(Gate, "principal", principal)


def empty_list_is_everybody(patch: Patch) -> None:
    """A document that nobody may read has no rows, and so is taken for public."""
    whole = rights.replace_access

    def replace_access(connection: Connection, key: str, tokens: frozenset[str]) -> None:
        whole(connection, key, tokens or frozenset({EVERYONE}))

    patch.setattr(rights, "replace_access", replace_access)


def missing_payload_is_everybody(patch: Patch) -> None:
    """A point without access tokens fits everybody's filter."""
    whole = edge_file._allowed
    lacking = edge.FieldCondition(shape.ACCESS, is_empty=True)

    def allowed(asked: AccessFilter) -> edge.Filter:
        return edge.Filter(should=[whole(asked), lacking])

    patch.setattr(edge_file, "_allowed", allowed)


def revoked_in_the_catalog_alone(patch: Patch) -> None:
    """The index never learns of revoked rights, and the catalog is not asked."""
    patch.setattr(EdgeIndex, "relabel", lambda self, *documents: None)
    catalog_without_rights(patch)


def folded_groups(patch: Patch) -> None:
    """Names of groups are compared without regard to case."""
    whole = Principal.tokens

    def tokens(self: Principal) -> frozenset[str]:
        held = whole(self)
        other = {f"g:{group.swapcase()}" for group in self.groups}
        return held | other | {token.title().replace("G:", "g:") for token in held if ":" in token}

    patch.setattr(Principal, "tokens", tokens)


def collection_widens(patch: Patch) -> None:
    """A collection is joined to the rights by OR."""
    whole = edge_file._allowed

    def allowed(asked: AccessFilter) -> edge.Filter:
        if asked.collection is None:
            return whole(asked)
        where = edge.FieldCondition(shape.COLLECTION, match=edge.MatchAny([asked.collection]))
        return edge.Filter(should=[*(whole(replace(asked, collection=None)).must or []), where])

    patch.setattr(edge_file, "_allowed", allowed)


def documents_widen(patch: Patch) -> None:
    """Naming documents replaces the rights instead of narrowing them."""
    whole = shape.narrowing

    def narrowing(asked: AccessFilter) -> list[tuple[str, list[str]]]:
        fields = list(whole(asked))
        named = any(name == shape.DOCUMENT for name, _ in fields)
        return [each for each in fields if not named or each[0] != shape.ACCESS]

    patch.setattr(shape, "narrowing", narrowing)


def removed_rows_stay(patch: Patch) -> None:
    """A removed document keeps its pointer to what was live."""
    patch.setattr(
        ledger.SqlLedger, "remove", lambda self, key: bool(self.set_access(key, frozenset(TOKENS)))
    )


def shared_results(patch: Patch) -> None:
    """Results are cached by question, whoever asked it."""
    cache: dict[object, Any] = {}
    whole = Retriever.search

    def search(self: Retriever, query: str, principal: Principal, **narrowed: Any) -> Any:  # noqa: ANN401
        ids = narrowed.get("document_ids")
        key = (id(self), query, str({**narrowed, "document_ids": sorted(ids or [])}))
        if key not in cache:
            cache[key] = whole(self, query, principal, **narrowed)
        return cache[key]

    patch.setattr(Retriever, "search", search)


def filter_forgotten(patch: Patch) -> None:
    """Filters by tags, languages and dates are dropped on the way to both keys."""
    patch.setattr(Filters, "admit", lambda self, document: True)
    whole = shape.narrowing

    def narrowing(asked: AccessFilter) -> Iterable[tuple[str, list[str]]]:
        return whole(replace(asked, filters=Filters()))

    patch.setattr(shape, "narrowing", narrowing)
    patch.setattr(shape, "dates", lambda asked: None)


def file_without_rights(patch: Patch) -> None:
    """The original file is handed out to whoever knows the id."""

    def original(services: Any, document_id: str, who: Principal) -> tuple[Document, bytes]:  # noqa: ANN401
        found, revision = services.library.stored(document_id) or services.library.document(
            document_id, who
        )
        return found, services.intake.content(revision.digest)

    patch.setattr(routes, "_original", original)


def everybodys_jobs(patch: Patch) -> None:
    """The list of jobs is not narrowed to the caller's own."""
    from ingest.jobs import CatalogJobs

    whole = CatalogJobs.jobs

    def jobs(self: CatalogJobs, principal: Principal, **asked: Any) -> Sequence[Any]:  # noqa: ANN401
        return whole(self, Principal("root", roles=frozenset({"admin"})), **asked)

    patch.setattr(CatalogJobs, "jobs", jobs)


def blocks_without_rights(patch: Patch) -> None:
    """What stands around a passage is shown to whoever knows its revision."""
    anybody = select(*BLOCK_COLUMNS).where(
        blocks.c.revision_id == bindparam("revision_id"),
        blocks.c.start < bindparam("end"),
        blocks.c.end > bindparam("start"),
    )
    patch.setattr(library, "_READABLE_BLOCKS", anybody)


FAULTS: dict[str, Callable[[Patch], None]] = {
    "filter dropped in the list": listing_without_rights,
    "filter dropped in counts": counts_without_rights,
    "filter dropped in what is offered": offers_without_rights,
    "filter dropped in the index": index_without_rights,
    "catalog check dropped": catalog_without_rights,
    "stale groups": stale_groups,
    "empty list taken for everybody": empty_list_is_everybody,
    "missing payload taken for everybody": missing_payload_is_everybody,
    "revoked token in the index, catalog not asked": revoked_in_the_catalog_alone,
    "groups without regard to case": folded_groups,
    "collection joined by OR": collection_widens,
    "document ids that widen": documents_widen,
    "rows of removed documents": removed_rows_stay,
    "results cached without the caller": shared_results,
    "narrowing forgotten": filter_forgotten,
    "file handed out by id": file_without_rights,
    "everybody's jobs": everybodys_jobs,
    "neighbours by revision": blocks_without_rights,
}
