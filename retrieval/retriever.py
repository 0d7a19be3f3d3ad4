"""The story of retrieval: a question in, a context out, under two keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypedDict

from knowledge.access import access_filter
from knowledge.models import (
    UNFILTERED,
    Context,
    Embedding,
    Filters,
    Passage,
    Principal,
    Question,
)
from knowledge.ports import Library, VectorSpace
from retrieval.context import pack

SPARE_HITS = 8
"""Fetched beyond the limit, as some hits may be of revisions that are no longer live."""
MOST_FETCHES = 6
REMEMBERED_TURNS = 2
MOST_PER_TOKEN = 8
"""Characters; prose of any language has fewer on average."""


class Narrowed(TypedDict):
    """What a search is narrowed to, under both keys alike."""

    collection: str | None
    document_ids: Collection[str] | None
    filters: Filters


class Retriever:
    """Finds passages for a principal; reads the index and the catalog, writes nothing.

    `space` returns that of the live generation, each time it is asked.
    """

    def __init__(
        self,
        *,
        space: Callable[[], VectorSpace],
        library: Library,
        context_tokens: int,
        context_passages: int,
    ) -> None:
        self._space = space
        self._library = library
        self._context_tokens = context_tokens
        self._context_passages = context_passages

    def retrieve(self, question: Question, principal: Principal) -> Context:
        """Search with the question and pack what was found into the budget.

        Raises `AccessDenied`, `IndexUnavailable` or `CatalogUnavailable`.
        """
        passages = self.search(
            condense(question),
            principal,
            collection=question.collection,
            document_ids=question.document_ids,
            filters=question.filters,
            limit=self._context_passages + SPARE_HITS,
        )
        return pack(
            question,
            passages,
            budget=self._context_tokens,
            most=self._context_passages,
            count_tokens=self.count_tokens,
        )

    def search(
        self,
        query: str,
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
        limit: int = 10,
    ) -> list[Passage]:
        """Return at most `limit` passages, ranked from 1; the same errors as `retrieve`.

        The index filters by rights and may be stale; the catalog decides. Where it turns hits
        away, more are fetched, so that a full list stays full. Where the live generation changed on
        the way, the search is made again in the new one.
        """
        narrowed: Narrowed = {
            "collection": collection,
            "document_ids": document_ids,
            "filters": filters,
        }
        access = access_filter(principal, **narrowed)
        space = self._space()
        embedding = self._embed(space, query, collection)
        depth = limit + SPARE_HITS
        for _ in range(MOST_FETCHES):
            hits = space.index.search(embedding, access, limit=depth)
            passages = self._library.passages(hits, principal, **narrowed)
            if len(passages) >= limit or len(hits) < depth:
                break
            depth *= 2
        if not passages and self._space() != space:
            return self.search(query, principal, limit=limit, **narrowed)
        return passages[:limit]

    def count_tokens(self, text: str) -> int:
        """Count by the embedding model's vocabulary: near to a language model's, and at hand.

        It takes any long word for one token; a language model does not.
        """
        return max(len(self._space().embedder.token_spans(text)), len(text) // MOST_PER_TOKEN)

    def _embed(self, space: VectorSpace, query: str, collection: str | None) -> Embedding:
        statistics = self._library.statistics(collection)
        [dense] = space.embedder.embed([query])
        return Embedding(dense=dense, sparse=space.sparse.encode_query(query, statistics))


def condense(question: Question) -> str:
    r"""Return one query for a question and what the user asked just before it.

    The question comes first: an embedding model that cuts long texts then cuts the history.

    >>> from knowledge.models import Turn
    >>> condense(Question("And in winter?", history=(Turn("user", "When does it open?"),)))
    'And in winter?\nWhen does it open?'
    """
    asked = [turn.text for turn in question.history if turn.role == "user"]
    return "\n".join([question.text, *reversed(asked[-REMEMBERED_TURNS:])])
