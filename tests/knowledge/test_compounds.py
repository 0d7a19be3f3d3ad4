from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge import compounds

HELD = {word: word for word in ["spiel", "zeit", "verkehr", "minister", "akten", "note", "urlaub",
                                "antrag", "auto", "bahn"]}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "found"),
    [("spielzeit", ("spiel", "zeit")), ("verkehrsminister", ("verkehr", "minister")),
     ("aktennote", ("akten", "note")), ("autobahn", ("auto", "bahn")), ("spielplatz", ()),
     ("zeit", ()), ("", ()), ("spielzeit" * 9, ())],
)  # fmt: skip
def test_a_compound_is_taken_apart_where_both_parts_are_known(
    word: str, found: tuple[str, ...]
) -> None:
    assert compounds.parts(word, HELD.get) == found


@given(st.text("spielzetunvrkhm", max_size=30))
def test_parts_are_known_and_short_enough_to_be_in_the_word(word: str) -> None:
    found = compounds.parts(word, HELD.get)
    assert len(found) in (0, 2)
    assert all(part in HELD and part in word for part in found)
    assert sum(map(len, found)) <= len(word)
