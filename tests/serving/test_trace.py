from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Block, BlockKind, Citation, Revision, Span, Staleness
from serving.trace import changes, trace

QUOTE = "The budget is 4211 euros."
LEAD = "Of zebras."


def cited(quote: str = QUOTE, start: int = 11) -> Citation:
    return Citation(1, "d", "Zebras", "z.txt", "old", quote, Span(start, start + len(quote)), 0.9)


def live(text: str, revision: str = "new") -> Revision:
    starts = [0, *(at + 2 for at in range(len(text)) if text.startswith("\n\n", at))]
    ends = [*(start - 2 for start in starts[1:]), len(text)]
    blocks = (Block(BlockKind.PARAGRAPH, Span(a, b)) for a, b in zip(starts, ends, strict=True))
    return Revision(
        revision, "d", "", text, tuple(blocks), "", "", datetime(2026, 1, 1, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("text", "state", "now"),
    [
        pytest.param(f"{LEAD} {QUOTE}", Staleness.UNCHANGED, "", id="same-place"),
        pytest.param(f"New.\n\n{LEAD} {QUOTE}", Staleness.MOVED, "", id="further-down"),
        pytest.param(
            "The  budget is\n4211 euros. It is.",
            Staleness.MOVED,
            "The  budget is\n4211 euros.",
            id="set-anew",
        ),
        pytest.param(
            "Zebras eat.\n\nThe budget is 7 euros. They eat grass.",
            Staleness.CHANGED,
            "The budget is 7 euros.",
            id="another-number",
        ),
        pytest.param("Nothing of it is left here.", Staleness.CHANGED, "", id="nothing-like-it"),
        pytest.param("", Staleness.CHANGED, "", id="empty"),
    ],
)
def test_a_quote_is_found_again_as_far_as_it_is_there(
    text: str, state: Staleness, now: str
) -> None:
    found = trace(cited(), live(text))
    assert (found.state, found.now) == (state, now)
    if found.span is not None:
        assert found.span.cut(text) == (now or QUOTE)


def test_what_changed_is_told_word_by_word() -> None:
    told = trace(cited(), live("The budget is 7 euros.")).diff
    assert [(each.kind, each.text) for each in told if each.kind != "same"] == [
        ("removed", "4211"),
        ("added", "7"),
    ]


def test_without_a_readable_document_nothing_is_told() -> None:
    assert trace(cited(), None).state is Staleness.GONE
    assert trace(cited(), None).now == ""


def test_the_revision_it_was_cited_from_is_not_even_looked_at() -> None:
    assert trace(cited(), live("Other.", revision="old")).state is Staleness.UNCHANGED


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_diff_gives_back_both_texts(old: str, new: str) -> None:
    told = changes(old, new)
    assert "".join(each.text for each in told if each.kind != "added") == old
    assert "".join(each.text for each in told if each.kind != "removed") == new


@given(st.text(max_size=80), st.text(min_size=1, max_size=40), st.text(max_size=80))
def test_a_quote_that_is_in_the_text_has_not_changed(before: str, quote: str, after: str) -> None:
    text = before + quote + after
    found = trace(cited(quote, start=0), live(text))
    assert found.state in (Staleness.UNCHANGED, Staleness.MOVED)
    assert found.span is not None
    assert found.span.cut(text) == quote
