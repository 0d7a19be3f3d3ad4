from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Passage
from retrieval.follow import FOLLOWED, KEPT, follow, leads
from retrieval.names import names
from tests.fakes import passage

FOUND = [passage(f"{n}.", document=f"doc-{n}", title=f"Page {n}", rank=n) for n in range(1, 11)]


def about(title: str, document: str = "other") -> Passage:
    return passage("What it says.", document=document, title=title)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Travel Policy of Acme Ltd replaces it.", ["Travel Policy of Acme Ltd"]),
        ("Das Amt für Soziales leitet Frau Dr. Maria Schmidt.", ["Soziales", "Maria Schmidt"]),
        ("nothing is written large here", []),
        ("市議会は本日午前九時に開会した。", []),
        ("", []),
    ],
)
def test_names_are_runs_of_words_that_are_written_large(text: str, found: list[str]) -> None:
    assert [name for name in found if name not in names(text)] == []
    assert bool(names(text)) == bool(found)


def test_names_are_searched_in_the_order_in_which_they_occur_each_once() -> None:
    read = [
        passage("Zenobia Quarles met Ottokar Blum.", title="Minutes"),
        passage("Ottokar Blum left. Minutes follow.", title="Report", document="doc-2"),
    ]
    assert leads("Who left?", read, most=9) == ["Zenobia Quarles", "Ottokar Blum"]
    assert leads("Who left?", read, most=1) == ["Zenobia Quarles"]
    assert leads("Who is Zenobia Quarles?", read, most=9) == ["Ottokar Blum"]
    assert leads("Who?", [], most=9) == []


@pytest.mark.parametrize(
    ("name", "title", "followed"),
    [
        ("Zenobia Quarles", "Zenobia Quarles", True),
        ("Zenobia Quarles", "Zenobia Quarles (politician)", True),
        ("Zenobia", "Minutes of the meeting with Zenobia", False),
        ("Zenobia Quarles", "Ottokar Blum", False),
        ("Zenobia Quarles", "", False),
    ],
)
def test_what_is_found_counts_where_its_title_is_the_name(
    name: str, title: str, followed: bool
) -> None:
    ranked = follow(FOUND, {name: [about(title)]})
    at = [each.document.id for each in ranked].index("other") if followed else None
    assert len(ranked) == len(FOUND) + followed
    if at is not None:
        assert at == KEPT
        assert ranked[at].steps[-1].stage == FOLLOWED


@given(st.lists(st.integers(1, 14), max_size=6), st.integers(0, 10))
def test_nothing_is_lost_and_nothing_comes_twice(brought: list[int], count: int) -> None:
    """What is brought may be among what was found, before or behind."""
    further = {
        f"Page {n}": [replace(about(f"Page {n}", document=f"doc-{n}"), chunk_id=f"doc-{n}-0")]
        for n in brought
    }
    ranked = follow(FOUND[:count], further)
    ids = [each.chunk_id for each in ranked]
    assert len(ids) == len(set(ids))
    assert set(ids) >= {each.chunk_id for each in FOUND[:count]}
    assert ids[: min(count, KEPT)] == [each.chunk_id for each in FOUND[: min(count, KEPT)]]
    assert [each.rank for each in ranked] == list(range(1, len(ids) + 1))
