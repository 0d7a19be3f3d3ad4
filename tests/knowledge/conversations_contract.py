"""What every keeper of conversations does: the catalog, and the fake of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from knowledge.errors import NotFound
from knowledge.models import (
    Answer,
    Backing,
    Box,
    Citation,
    Conflict,
    Effort,
    Exchange,
    Feedback,
    Rating,
    Reason,
    Side,
    Span,
    Statement,
    Usage,
    ValueKind,
    Verdict,
)
from knowledge.ports import Conversations

WHEN = datetime(2026, 11, 1, 12, tzinfo=UTC)
_CITED = Citation(
    number=1,
    document_id="d1",
    title="Zebras \ud800",
    uri="/zebra.txt",
    revision_id="r1",
    quote="The budget is 4211 euros.",
    span=Span(4, 29),
    support=0.75,
    page=3,
    box=Box(1, 2, 3.5, 4),
)
ANSWER = Answer(
    text="It is 4211 euros. [1]",
    citations=(_CITED,),
    verdict=Verdict.PARTLY,
    model="gpt-oss-20b",
    effort=Effort.MEDIUM,
    extractive=False,
    usage=Usage(10, 5, 2),
    timings_ms={"total": 12.5},
    prompt="v7",
    statements=(Statement(Span(0, 21), (1,), Backing.PARTLY, 0.5, ("number:7",)),),
    conflicts=(
        Conflict(
            ValueKind.NUMBER,
            (
                Side("4211", _CITED, WHEN),
                Side("7", replace(_CITED, number=2, document_id="d2", quote="It is 7.")),
            ),
        ),
    ),
)
DOWN = Feedback(Rating.DOWN, WHEN, Reason.WRONG, "No.", "It is 7.")


def exchange(number: int = 1, conversation: str = "c1") -> Exchange:
    return Exchange(
        id=f"{conversation}-{number}",
        conversation_id=conversation,
        asked_at=WHEN + timedelta(minutes=number),
        question=f"How much is it? {number}",
        answer=ANSWER,
        rests_on=frozenset({"d1", "d2"}),
        settings="digest",
    )


class ConversationsContract:
    """Each test asks for the fixture `kept`."""

    def test_what_is_kept_comes_back_as_it_was(self, kept: Conversations) -> None:
        kept.keep(exchange(1), owner="alice", title="Zebras")
        kept.keep(exchange(2), owner="alice")

        assert kept.exchanges("c1", "alice") == [exchange(1), exchange(2)]
        assert kept.exchanges("c1", "alice", latest=1) == [exchange(2)]
        assert kept.exchange("c1-2", "alice") == exchange(2)
        (found,) = kept.conversations("alice")
        assert found == kept.conversation("c1", "alice")
        assert (found.id, found.owner, found.title) == ("c1", "alice", "Zebras")
        assert found.created_at == exchange(1).asked_at
        assert found.updated_at == exchange(2).asked_at

    def test_those_last_added_to_are_listed_first(self, kept: Conversations) -> None:
        for number, name in enumerate(("c1", "c2", "c3")):
            kept.keep(exchange(number, name), owner="alice", title=name)
        kept.keep(exchange(9, "c1"), owner="alice")
        kept.keep(exchange(9, "other"), owner="bob", title="other")

        assert [each.id for each in kept.conversations("alice")] == ["c1", "c3", "c2"]
        assert [each.id for each in kept.conversations("alice", limit=2)] == ["c1", "c3"]
        assert [each.id for each in kept.conversations("alice", after="c3")] == ["c2"]
        assert kept.conversations("nobody") == []

    def test_what_is_anothers_is_as_absent_as_what_never_was(self, kept: Conversations) -> None:
        kept.keep(exchange(1), owner="alice", title="Zebras")

        def told(name: str, owner: str) -> list[str]:
            calls = (
                lambda: kept.conversation(name, owner),
                lambda: kept.exchanges(name, owner),
                lambda: kept.exchange(f"{name}-1", owner),
                lambda: kept.rename(name, owner, "Mine"),
                lambda: kept.drop(name, owner),
                lambda: kept.judge(f"{name}-1", owner, DOWN),
                lambda: kept.keep(exchange(2, name), owner=owner),
                lambda: kept.conversations(owner, after=name),
            )
            said = []
            for call in calls:
                with pytest.raises(NotFound) as caught:
                    call()
                said.append(str(caught.value))
            return said

        assert told("c1", "bob") == told("none", "bob")
        assert kept.exchanges("c1", "alice") == [exchange(1)]

    def test_it_is_renamed_and_deleted_with_all_that_it_holds(self, kept: Conversations) -> None:
        for name in ("c1", "c2"):
            kept.keep(exchange(1, name), owner="alice", title=name)
            kept.judge(f"{name}-1", "alice", DOWN)

        assert kept.rename("c1", "alice", "Stripes").title == "Stripes"
        kept.drop("c1", "alice")

        assert [each.id for each in kept.conversations("alice")] == ["c2"]
        assert [each.id for each in kept.judged()] == ["c2-1"]
        with pytest.raises(NotFound):
            kept.keep(exchange(2, "c1"), owner="alice")

    def test_the_last_word_on_an_answer_counts(self, kept: Conversations) -> None:
        for number in (1, 2):
            kept.keep(exchange(number), owner="alice", title="Zebras" if number == 1 else "")
        kept.judge("c1-1", "alice", DOWN)
        up = Feedback(Rating.UP, WHEN)
        kept.judge("c1-1", "alice", up)

        assert kept.exchange("c1-1", "alice").feedback == up
        assert kept.judged() == [replace(exchange(1), feedback=up)]
        kept.judge("c1-2", "alice", DOWN)
        assert [each.id for each in kept.judged(limit=1)] == ["c1-1"]
        assert [each.feedback for each in kept.judged(after="c1-1")] == [DOWN]

    def test_what_is_old_is_deleted(self, kept: Conversations) -> None:
        kept.keep(exchange(1, "old"), owner="alice", title="old")
        kept.judge("old-1", "alice", DOWN)
        kept.keep(exchange(9, "new"), owner="bob", title="new")

        assert kept.drop_conversations(before=exchange(5).asked_at) == 1
        assert kept.drop_conversations(before=exchange(5).asked_at) == 0
        assert kept.conversations("alice") == []
        assert kept.judged() == []
        assert [each.id for each in kept.conversations("bob")] == ["new"]

    def test_answers_that_come_at_once_all_find_their_place(self, kept: Conversations) -> None:
        kept.keep(exchange(0), owner="alice", title="Zebras")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: kept.keep(exchange(n), owner="alice"), range(1, 17)))

        found = {each.id for each in kept.exchanges("c1", "alice")}
        assert found == {f"c1-{number}" for number in range(17)}
