"""Fits what tells answerable questions from others; knows scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from serving.answerable import Weights

STRENGTH = 0.03
"""Of the fit against its regularisation; chosen on the sets of docs/measurements.md."""
FOLDS = 10
FEWEST = 40
"""Questions of either kind below which a fit of one's own is no better than the one that ships."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question's features, whether it is answered, and what it belongs to, such as a title."""

    features: tuple[float, ...]
    answered: bool
    group: str


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold does: shares of questions, 0..1."""

    threshold: float
    precision: float
    """Of refusal: how many of the refused have no answer."""
    recall: float
    """Of refusal: how many of those without an answer are refused."""
    answered: float
    """How many of those with an answer are answered."""


def fit(examples: Sequence[Example], embedder: str) -> Weights:
    """Return the weights that fit all examples, with the threshold of even odds."""
    from sklearn.linear_model import LogisticRegression

    means, scales = zip(
        *map(_spread, zip(*(e.features for e in examples), strict=True)), strict=True
    )
    model = LogisticRegression(C=STRENGTH, max_iter=3000)
    model.fit(
        [
            [
                0.0 if math.isnan(value) else (value - mean) / scale
                for value, mean, scale in zip(each.features, means, scales, strict=True)
            ]
            for each in examples
        ],
        [each.answered for each in examples],
    )
    return Weights(
        embedder=embedder,
        means=means,
        scales=scales,
        weights=tuple(map(float, model.coef_[0])),
        bias=float(model.intercept_[0]),
        threshold=0.5,
    )


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation of what is a number; 0 and 1 where that says nothing."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return 0.0, 1.0
    return fmean(known), pstdev(known) or 1.0


def held_out(examples: Sequence[Example], *, seed: int = 0) -> list[float]:
    """Return each example's probability by weights that no example of its group was fitted to."""
    from sklearn.model_selection import GroupKFold

    groups = [each.group for each in examples]
    folds = GroupKFold(min(FOLDS, len(set(groups))), shuffle=True, random_state=seed)
    found = [0.0] * len(examples)
    for known, unknown in folds.split(groups, groups=groups):
        weights = fit([examples[i] for i in known], "")
        for i in unknown:
            found[i] = weights.probability(examples[i].features)
    return found


def area(probabilities: Sequence[float], answered: Sequence[bool]) -> float:
    """Return how often an answered question has the greater probability of the two."""
    yes = [p for p, is_so in zip(probabilities, answered, strict=True) if is_so]
    no = [p for p, is_so in zip(probabilities, answered, strict=True) if not is_so]
    pairs = sum((a > b) + (a == b) / 2 for a in yes for b in no)
    return pairs / (len(yes) * len(no))


def curve(probabilities: Sequence[float], answered: Sequence[bool]) -> list[Point]:
    """Return what each threshold from 0.05 to 0.95 does."""
    return [_point(step / 20, probabilities, answered) for step in range(1, 20)]


def choose(points: Sequence[Point], *, answered: float) -> Point:
    """Return the point that refuses most while it answers a share of what can be answered."""
    good = [point for point in points if point.answered >= answered] or [points[0]]
    return max(good, key=lambda point: point.threshold)


def _point(threshold: float, probabilities: Sequence[float], answered: Sequence[bool]) -> Point:
    refused = [p < threshold for p in probabilities]
    right = sum(no and not is_so for no, is_so in zip(refused, answered, strict=True))
    kept = sum(not no and is_so for no, is_so in zip(refused, answered, strict=True))
    return Point(
        threshold=threshold,
        precision=right / max(1, sum(refused)),
        recall=right / max(1, len(answered) - sum(answered)),
        answered=kept / max(1, sum(answered)),
    )
