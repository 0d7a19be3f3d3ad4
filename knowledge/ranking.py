"""How passages are ranked: one object, whose defaults are the ones measured to be best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ranking:
    """The stages of ranking; each can be switched off."""

    fusion: str = "scores"
    """How the two searches become one: by `scores`, or by `places` alone."""
    word_weight: float = 0.475
    """Share of the search by words in a score, 0..1; 0 leaves it to meaning."""
    language_trust: bool = True
    """Whether words weigh more in languages that the embedding model does not know."""
    candidates: int = 300
    """How many passages each search hands to the fusion; the more, the fewer are known by one
    search alone, of which the other's score has to be guessed."""
    relevance_feedback: float = 0.1
    """How far the question moves towards the best passage, 0..1, before it is searched by meaning
    again; 0: it is searched once."""
    collapse: bool = False
    """Whether passages that repeat a better one come last; contexts never hold one twice anyway."""
    spread: int = 0
    """Most passages of a document before those of others; 0: any number."""
    follow: int = 12
    """Names in the first passages that are searched for as well at high effort; 0: none."""
    recency: float = 0.0
    """What a document of today adds to a score of 0 to 1."""
    recency_days: float = 365.0
    """The age at which it adds half of that."""
    standing: Mapping[str, float] = field(default_factory=dict)
    """What each status in a document's metadata adds."""
    rerank_passages: int = 20
    """How many passages a reranking model reads, where there is one."""
