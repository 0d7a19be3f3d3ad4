from __future__ import annotations

from tests.quality import evidence
from tests.quality.evidence import Sought


def test_a_question_counts_when_all_its_pages_are_among_the_first_ten() -> None:
    asked = [
        Sought("both", "?", "A", "a", frozenset({("a", 1), ("a", 2)})),
        Sought("one", "?", "A", "a", frozenset({("a", 1), ("a", 99)})),
        Sought("late", "?", "B", "b", frozenset({("b", 11)})),
    ]
    ranked = {
        "both": [("a", 2), ("a", 1)],
        "one": [("a", 1)],
        "late": [("b", page) for page in range(1, 12)],
    }
    judged = evidence.tally(asked, ranked)
    assert list(judged.every) == [True, False, False]
    assert list(judged.any) == [True, True, False]
    assert str(judged) == "all  1/3 (0.00 to 1.00)   any  2/3 (0.00 to 1.00)"


def test_a_passage_counts_for_each_page_that_it_lies_on() -> None:
    found = [
        {"document": {"uri": "/x/a.pdf"}, "pages": [3, 4]},
        {"document": {"uri": "/x/b.pdf"}, "pages": [3]},
        {"document": {"uri": "/x/a.pdf"}, "pages": [4, 5]},
    ]
    assert evidence.pages(found) == [("a", 3), ("a", 4), ("b", 3), ("a", 5)]
