"""The story of ranking: two searches become one list, and each stage that is on orders it anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from knowledge.models import Hit, Passage, Span, Step
from knowledge.ports import Reranker
from knowledge.ranking import Ranking
from retrieval import fuse
from retrieval.collapse import collapse
from retrieval.prefer import prefer
from retrieval.rerank import rerank
from retrieval.spread import spread
from retrieval.trust import share_of_words

Searches = tuple[Sequence[Hit], Sequence[Hit]]
"""What the search by meaning and that by words found, each best first."""


class Ranker:
    """Ranks as it is told; `reranker` reads the first passages again, if there is one."""

    def __init__(self, ranking: Ranking | None = None, reranker: Reranker | None = None) -> None:
        self._ranking = ranking or Ranking()
        self._reranker = reranker

    @property
    def follows(self) -> int:
        """How many names are followed at high effort."""
        return self._ranking.follow

    @property
    def relevance_feedback(self) -> float:
        """How far a question moves towards its best passage, to be searched again; 0: not."""
        return self._ranking.relevance_feedback

    def depth(self, limit: int) -> int:
        """Return how many passages are needed so that `limit` of them can be ranked well."""
        return max(limit, self._ranking.rerank_passages if self._reranker else 0)

    def breadth(self, depth: int) -> int:
        """Return how many passages each search is asked for, so that `depth` can be fused."""
        return max(depth, self._ranking.candidates)

    def fuse(self, query: str, tokens: Sequence[Span], found: Searches) -> list[Hit]:
        """Make one list; `tokens` are those of the query in the embedding model's vocabulary."""
        ranking = self._ranking
        if ranking.fusion == "places":
            return fuse.by_place(*found)
        words = ranking.word_weight
        if ranking.language_trust:
            words = share_of_words(query, tokens, words)
        return fuse.by_score(*found, words=words, depth=ranking.candidates)

    def order(
        self, query: str, passages: Sequence[Passage], found: Searches, *, limit: int
    ) -> list[Passage]:
        """Take the stages that follow the fusion, and return the best, ranked from 1."""
        ranking = self._ranking
        ranked: Sequence[Passage] = _explained(passages, found)
        if ranking.recency or ranking.standing:
            ranked = prefer(
                ranked,
                recency=ranking.recency,
                half_life_days=ranking.recency_days,
                standing=ranking.standing,
                now=datetime.now(UTC),
            )
        if ranking.collapse:
            ranked = collapse(ranked)
        if self._reranker is not None:
            ranked = rerank(query, ranked, self._reranker, most=ranking.rerank_passages)
        if ranking.spread:
            ranked = spread(ranked, most=ranking.spread)
        return [replace(each, rank=rank) for rank, each in enumerate(ranked[:limit], start=1)]


def _explained(passages: Sequence[Passage], found: Searches) -> list[Passage]:
    """Write down where each passage stood in the searches and after their fusion."""
    steps = fuse.steps(*found, [each.chunk_id for each in passages])
    return [
        replace(each, steps=(*steps[each.chunk_id], Step(fuse.FUSED, each.rank, each.score)))
        for each in passages
    ]
