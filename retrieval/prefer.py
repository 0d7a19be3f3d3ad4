"""Prefers what is recent and of good standing; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from knowledge.models import Passage, Step

PREFERRED = "preferred"
STATUS = "status"
"""The field of a document's metadata that names its standing, such as draft or approved."""


def prefer(
    passages: Sequence[Passage],
    *,
    recency: float,
    half_life_days: float,
    standing: Mapping[str, float],
    now: datetime,
) -> list[Passage]:
    """Order passages anew by their scores and what their documents add to them.

    `recency` is added for a document of today and half of it for one that is `half_life_days` old;
    what `standing` says is added by the document's status. Scores are 0..1 before.
    """

    def better(passage: Passage) -> float:
        status = passage.document.metadata.get(STATUS, "").casefold()
        age = _age_in_days(passage.document.updated_at, now)
        fresh = 0.0 if age is None else recency * 0.5 ** (age / half_life_days)
        return passage.score + fresh + standing.get(status, 0.0)

    ordered = sorted(passages, key=lambda passage: -better(passage))
    return [
        replace(each, score=score, steps=(*each.steps, Step(PREFERRED, rank, score)))
        for rank, each in enumerate(ordered, start=1)
        for score in [better(each)]
    ]


def _age_in_days(moment: datetime | None, now: datetime) -> float | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (now - aware).total_seconds() / 86_400)
