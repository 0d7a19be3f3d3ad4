"""Has a model that reads question and passage together order the first passages anew; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from knowledge.models import Passage, Step
from knowledge.ports import Reranker

RERANKED = "reranked"


def rerank(query: str, passages: Sequence[Passage], model: Reranker, *, most: int) -> list[Passage]:
    """Order the first `most` passages by the model, equal ones as they were; leave the rest."""
    first = list(passages[:most])
    scores = model.scores(query, [_read(each) for each in first])
    order = sorted(range(len(first)), key=lambda at: -scores[at])
    ranked = [
        replace(first[at], steps=(*first[at].steps, Step(RERANKED, rank, scores[at])))
        for rank, at in enumerate(order, start=1)
    ]
    return ranked + list(passages[most:])


def _read(passage: Passage) -> str:
    header = [passage.header] if passage.header else []
    return "\n".join([passage.document.title, *passage.heading, *header, passage.text])
