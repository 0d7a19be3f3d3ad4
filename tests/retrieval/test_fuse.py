from __future__ import annotations

from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Hit
from retrieval import fuse


def hits(**scores: float) -> list[Hit]:
    made = [Hit(name, score) for name, score in scores.items()]
    return sorted(made, key=lambda hit: -hit.score)


def names(found: list[Hit]) -> list[str]:
    return [hit.chunk_id for hit in found]


lists = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1), max_size=8).map(
    lambda drawn: hits(**drawn)
)


def test_scores_are_brought_to_one_scale_and_added_up() -> None:
    near = hits(a=0.8, b=0.7, c=0.3)
    sharing = hits(b=12.0, d=6.0)
    found = fuse.by_score(near, sharing, words=0.5, depth=100)
    cosine, weight = pstdev([0.8, 0.7, 0.3]), pstdev([12, 6, 0])
    sums = {"b": 0.4 / cosine + 12 / weight, "a": 0.5 / cosine, "d": 6 / weight, "c": 0.0}
    assert names(found) == sorted(sums, key=lambda name: -sums[name])
    expected = [value / sums["b"] for value in sorted(sums.values(), reverse=True)]
    assert [hit.score for hit in found] == pytest.approx(expected)


@pytest.mark.parametrize(("words", "order"), [(0.0, "abcd"), (1.0, "bdac")])
def test_with_all_the_weight_on_one_search_the_other_only_fills_up(
    words: float, order: str
) -> None:
    near, sharing = hits(a=0.8, b=0.7, c=0.3), hits(b=12.0, d=6.0)
    assert "".join(names(fuse.by_score(near, sharing, words=words, depth=100))) == order


def test_a_deeper_search_does_not_change_the_scale() -> None:
    near = hits(a=0.8, b=0.7, c=0.6, d=0.1)
    sharing = hits(c=3.0)
    short = fuse.by_score(near[:3], sharing, words=0.5, depth=3)
    deep = fuse.by_score(near, sharing, words=0.5, depth=3)
    assert deep[:3] == short and names(deep)[3] == "d"


def test_a_single_hit_counts_in_full() -> None:
    assert names(fuse.by_score(hits(a=0.2), [], words=0.5, depth=10)) == ["a"]
    assert fuse.by_score([], hits(a=7.0), words=0.5, depth=10)[0].score == 1
    one_match = fuse.by_score(hits(a=0.5, b=0.4, c=0.3), hits(c=7.0), words=0.7, depth=10)
    assert names(one_match)[0] == "c"
    assert fuse.by_score([], [], words=0.5, depth=10) == []


@given(lists, lists, st.floats(0, 1))
def test_every_hit_is_there_once_in_order_and_within_bounds(
    near: list[Hit], sharing: list[Hit], words: float
) -> None:
    for found in (
        fuse.by_score(near, sharing, words=words, depth=5), fuse.by_place(near, sharing),
    ):  # fmt: skip
        assert sorted(names(found)) == sorted({*names(near), *names(sharing)})
        scores = [hit.score for hit in found]
        assert scores == sorted(scores, reverse=True)
        assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores)


def test_places_alone_are_even_reciprocal_rank_fusion() -> None:
    found = fuse.by_place(hits(a=0.9, b=0.8), hits(b=5.0, c=1.0))
    assert names(found) == ["b", "a", "c"]
    scores = [hit.score * 2 / 61 for hit in found]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_steps_count_only_what_is_shown() -> None:
    near, sharing = hits(hidden=0.9, a=0.8, b=0.7), hits(b=5.0, hidden=4.0, a=3.0)
    found = fuse.steps(near, sharing, ["a", "b"])
    assert [(step.stage, step.rank, step.score) for step in found["a"]] == [
        ("meaning", 1, 0.8), ("words", 2, 3.0),
    ]  # fmt: skip
    assert found.keys() == {"a", "b"}
