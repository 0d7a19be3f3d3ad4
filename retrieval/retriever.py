"""The story of retrieval: a question in, a context out, under two keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TypedDict

from knowledge.access import AccessFilter, access_filter
from knowledge.models import (
    NO_WORDS,
    UNFILTERED,
    Context,
    Effort,
    Embedding,
    Filters,
    Hit,
    Passage,
    Principal,
    Question,
)
from knowledge.ports import Library, VectorSpace
from retrieval.context import Cost, pack
from retrieval.feedback import moved
from retrieval.follow import LOOKED_AT, follow, leads
from retrieval.ranker import Ranker
from retrieval.widen import REACH, widen

SPARE_HITS = 8
"""Fetched beyond the limit, as some hits may be of revisions that are no longer live."""
SURROUNDINGS = 32
"""Passages that are found for a question, though fewer are read: the rest tell what is usual."""
MOST_FETCHES = 6
REMEMBERED_TURNS = 2


class Narrowed(TypedDict):
    """What a search is narrowed to, under both keys alike."""

    collection: str | None
    document_ids: Collection[str] | None
    filters: Filters


class Retriever:
    """Finds passages for a principal; reads the index and the catalog, writes nothing.

    `space` returns that of the live generation, each time it is asked; `budget` says how many
    tokens of passages may stand beside a question.
    """

    def __init__(
        self,
        *,
        space: Callable[[], VectorSpace],
        library: Library,
        cost: Cost,
        budget: Callable[[Question], int],
        context_passages: int,
        per_document: int | None = None,
        ranker: Ranker | None = None,
    ) -> None:
        self._space = space
        self._library = library
        self._cost = cost
        self._budget = budget
        self._context_passages = context_passages
        self._per_document = per_document
        self._ranker = ranker or Ranker()

    def retrieve(self, question: Question, principal: Principal) -> Context:
        """Search with the question, pack what was found into the budget, and widen it.

        Raises `AccessDenied`, `IndexUnavailable` or `CatalogUnavailable`.
        """
        passages = self.search(
            condense(question),
            principal,
            collection=question.collection,
            document_ids=question.document_ids,
            filters=question.filters,
            limit=max(self._context_passages + SPARE_HITS, SURROUNDINGS),
            effort=question.effort,
        )
        budget = self._budget(question)
        packed = pack(
            question,
            passages,
            budget=budget,
            most=self._context_passages,
            cost=self._cost,
            per_document=self._per_document,
        )
        around = self._library.surroundings(packed.passages, principal, reach=REACH)
        context = widen(packed, around, budget=budget, cost=self._cost)
        return replace(context, found=tuple(passage.chunk_id for passage in passages))

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        """Map those documents that are live and readable now to their live revisions."""
        return self._library.readable(document_ids, principal)

    def search(
        self,
        query: str,
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
        limit: int = 10,
        effort: Effort = Effort.LOW,
    ) -> list[Passage]:
        """Return at most `limit` passages, ranked from 1; the same errors as `retrieve`.

        At high effort, names in the first passages are searched, too: each of those searches goes
        by the same rights and is narrowed to the same.
        """
        narrowed: Narrowed = {
            "collection": collection,
            "document_ids": document_ids,
            "filters": filters,
        }
        found = self._find(query, principal, narrowed, limit=limit)
        if effort is not Effort.HIGH or not (most := self._ranker.follows):
            return found
        further = {
            name: self._find(name, principal, narrowed, limit=LOOKED_AT)
            for name in leads(query, found, most=most)
        }
        return follow(found, further)[:limit]

    def _find(
        self, query: str, principal: Principal, narrowed: Narrowed, *, limit: int
    ) -> list[Passage]:
        """Search once.

        The index filters by rights and may be stale; the catalog decides. Where it turns hits
        away, more are fetched, so that a full list stays full. Where the live generation changed on
        the way, the search is made again in the new one.
        """
        access = access_filter(principal, **narrowed)
        space = self._space()
        embedding = self._embed(space, query, narrowed["collection"])
        tokens = space.embedder.token_spans(query)
        depth = self._ranker.depth(limit) + SPARE_HITS
        for _ in range(MOST_FETCHES):
            breadth = self._ranker.breadth(depth)
            found = space.index.search_each(embedding, access, limit=breadth)
            hits = self._ranker.fuse(query, tokens, found)[:depth]
            readable = self._library.passages(hits, principal, **narrowed)
            if self._ranker.relevance_feedback and readable:  # nothing else may steer a search
                near = self._nearer(space, embedding, access, readable[0], limit=breadth)
                found = near or found[0], found[1]
                hits = self._ranker.fuse(query, tokens, found)[:depth]
                readable = self._library.passages(hits, principal, **narrowed)
            if len(readable) >= limit or len(hits) < depth:
                break
            depth *= 2
        if not readable and self._space() != space:
            return self._find(query, principal, narrowed, limit=limit)
        return self._ranker.order(query, readable, found, limit=limit)

    def _nearer(
        self,
        space: VectorSpace,
        embedding: Embedding,
        access: AccessFilter,
        best: Passage,
        *,
        limit: int,
    ) -> list[Hit]:
        """Search by meaning once more, with the question moved towards its best passage."""
        vectors = space.index.vectors([best.chunk_id])
        if best.chunk_id not in vectors:
            return []
        share = self._ranker.relevance_feedback
        dense = moved(embedding.dense, vectors[best.chunk_id], share=share)
        return space.index.search_each(Embedding(dense, NO_WORDS), access, limit=limit)[0]

    def _embed(self, space: VectorSpace, query: str, collection: str | None) -> Embedding:
        statistics = self._library.statistics(collection)
        [dense] = space.embedder.embed([query])
        return Embedding(dense=dense, sparse=space.sparse.encode_query(query, statistics))


def condense(question: Question) -> str:
    r"""Return one query for a question and what the user asked just before it.

    One that was written for it is taken as it is. Else the question comes first: an embedding
    model that cuts long texts then cuts the history.

    >>> from knowledge.models import Turn
    >>> condense(Question("And in winter?", history=(Turn("user", "When does it open?"),)))
    'And in winter?\nWhen does it open?'
    """
    if question.query:
        return question.query
    asked = [turn.text for turn in question.history if turn.role == "user"]
    return "\n".join([question.text, *reversed(asked[-REMEMBERED_TURNS:])])
