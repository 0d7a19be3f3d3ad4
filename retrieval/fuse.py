"""Makes one list of what the search by meaning and the one by words found; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, sqrt
from statistics import fmean

from knowledge.models import Hit, Step

_TINY = 1e-9
EVEN_K = 60
"""Of reciprocal rank fusion, as its authors chose it."""
MEANING, WORDS, FUSED = "meaning", "words", "fused"


def by_score(near: Sequence[Hit], sharing: Sequence[Hit], *, words: float, depth: int) -> list[Hit]:
    """Add up standard scores, of which `words` (0..1) is the share of the search by words.

    A standard score counts from the mean of the first `depth` hits, in standard deviations. What
    shares no word scores 0 by words, and those count in the mean, so that a word that few hold
    weighs much; what meaning did not find is taken to be as far as the last that it did. Sums are
    brought to 0..1; equal ones are in the order of meaning. Both lists come best first.
    """
    cosines = [hit.score for hit in near[:depth]]
    weights = [hit.score for hit in sharing[:depth]]
    meant = _Scale(cosines, absent=cosines[-1] if cosines else 0.0)
    said = _Scale(weights + [0.0] * (len(cosines) - len(weights)), absent=0.0)
    sums = {hit.chunk_id: [meant.absent, said.absent] for hit in (*near, *sharing)}
    for hit in near:
        sums[hit.chunk_id][0] = max(meant.absent, meant.standard(hit.score))
    for hit in sharing:
        sums[hit.chunk_id][1] = said.standard(hit.score)
    low = (1 - words) * meant.absent + words * said.absent
    scores = {each: (1 - words) * m + words * s - low for each, (m, s) in sums.items()}
    top = max(scores.values(), default=0.0) or 1.0
    return _ordered(near, {each: score / top for each, score in scores.items()})


def by_place(near: Sequence[Hit], sharing: Sequence[Hit], *, k: int = EVEN_K) -> list[Hit]:
    """Add up 1 / (k + place), places from 1, brought to 0..1: even reciprocal rank fusion."""
    scores: dict[str, float] = {}
    for hits in (near, sharing):
        for place, hit in enumerate(hits, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + (k + 1) / (k + place) / 2
    return _ordered(near, scores)


def steps(
    near: Sequence[Hit], sharing: Sequence[Hit], shown: Sequence[str]
) -> dict[str, tuple[Step, ...]]:
    """Return where each of the chunks `shown` stood in the two searches, among those shown.

    What the index found but the catalog turned away leaves no gap by which it could be noticed.
    """
    found: dict[str, tuple[Step, ...]] = dict.fromkeys(shown, ())
    for name, hits in ((MEANING, near), (WORDS, sharing)):
        seen = [hit for hit in hits if hit.chunk_id in found]
        for rank, hit in enumerate(seen, start=1):
            found[hit.chunk_id] += (Step(name, rank, hit.score),)
    return found


class _Scale:
    """Brings the scores of one search to a scale that the other's can be added to."""

    def __init__(self, scores: Sequence[float], *, absent: float) -> None:
        self._mean = fmean(scores) if scores else 0.0
        around = hypot(*(score - self._mean for score in scores))
        self._deviation = around / sqrt(len(scores) or 1)  # statistics.pstdev: ten times slower
        self.absent = self.standard(absent)

    def standard(self, score: float) -> float:
        if self._deviation < _TINY:  # all the same, or a single hit
            return 1.0 if score > 0 else 0.0
        return (score - self._mean) / self._deviation


def _ordered(near: Sequence[Hit], scores: Mapping[str, float]) -> list[Hit]:
    cosines = {hit.chunk_id: hit.score for hit in near}
    order = sorted(
        scores, key=lambda each: (-scores[each], -cosines.get(each, float("-inf")), each)
    )
    return [Hit(each, scores[each]) for each in order]
