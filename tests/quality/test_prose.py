"""The judge of prose is just: what is there counts, columns read across the page do not."""

from __future__ import annotations

from tests.quality.prose import in_order, word_recall

LEFT = [
    "The first sentence tells of the river, the bridge",
    "and the town. A second sentence then tells of",
    "the people who live there now.",
]
RIGHT = [
    "The third sentence was set in the other column",
    "of this page. The fourth sentence of them all is",
    "the last one on the page.",
]
REFERENCE = f"# A town\n\n{' '.join(LEFT)}\n\n{' '.join(RIGHT)}\n\n| a | table |\n"


def test_what_is_read_column_by_column_is_in_order() -> None:
    assert in_order(REFERENCE, "\n".join(LEFT + RIGHT)) == (3, 3)


def test_what_is_read_across_two_columns_is_not() -> None:
    across = "\n".join(f"{a} {b}" for a, b in zip(LEFT, RIGHT, strict=True))
    assert word_recall(REFERENCE, across)[0] == word_recall(REFERENCE, "\n".join(LEFT + RIGHT))[0]
    assert in_order(REFERENCE, across)[0] <= 1


def test_columns_in_the_wrong_order_cost_the_pair_where_they_meet() -> None:
    assert in_order(REFERENCE, "\n".join(RIGHT + LEFT)) == (2, 3)


def test_a_missing_sentence_costs_its_pairs() -> None:
    assert in_order(REFERENCE, "\n".join(LEFT)) == (1, 3)


def test_words_are_counted_each_time_and_in_small_letters() -> None:
    assert word_recall("Fish &amp; fish <!-- image -->, di\ufb03cult", "fish and DIFFICULT") == (
        2,
        3,
    )
