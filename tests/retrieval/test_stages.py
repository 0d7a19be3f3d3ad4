"""The stages after the fusion: each a pure function from passages to passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.errors import ConfigurationError
from knowledge.models import Passage, Span
from knowledge.ranking import Ranking
from knowledge.settings import Settings
from retrieval.collapse import collapse
from retrieval.prefer import prefer
from retrieval.rerank import rerank
from retrieval.spread import spread
from retrieval.trust import FLUENT, MOST, share_of_words
from tests.fakes import passage

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LONG = "Leave is granted after six months to each employee who has asked for it in writing "


def texts(passages: Sequence[Passage]) -> list[str]:
    return [each.text for each in passages]


def ranked(*said: str) -> list[Passage]:
    return [passage(text, rank=n, document=f"d{n}") for n, text in enumerate(said, start=1)]


class TestCollapse:
    def test_what_repeats_a_better_passage_comes_last_and_none_is_lost(self) -> None:
        found = collapse(ranked("One  and the same.", "one and the SAME.", "Another."))
        assert texts(found) == ["One  and the same.", "Another.", "one and the SAME."]

    def test_other_figures_make_another_passage(self) -> None:
        said = (LONG + "in 2021", LONG + "in 2022", LONG + "in 2021 again")
        assert texts(collapse(ranked(*said, "Last."))) == [*said[:2], "Last.", said[2]]

    def test_what_shares_half_its_words_is_another(self) -> None:
        said = (LONG, LONG + "but never in the year of the move to the other house, nor after it")
        assert texts(collapse(ranked(*said, "Last."))) == [*said, "Last."]

    @given(st.lists(st.sampled_from(["a b", "A b", "c", "c 1", "c 2", ""]), max_size=8))
    def test_the_same_passages_are_there(self, said: list[str]) -> None:
        found = collapse(ranked(*said))
        assert sorted(texts(found)) == sorted(said)
        distinct = {text.casefold() for text in said}
        assert {text.casefold() for text in texts(found)[: len(distinct)]} == distinct


class TestSpread:
    def test_more_than_so_many_of_a_document_come_after_the_others(self) -> None:
        found = [passage(str(n), document=document) for n, document in enumerate("aaabab")]
        assert texts(spread(found, most=2)) == ["0", "1", "3", "5", "2", "4"]
        assert texts(spread(found, most=9)) == texts(found)


class TestPrefer:
    def test_a_recent_document_and_one_of_good_standing_gain(self) -> None:
        old, new, approved = ranked("old", "new", "approved")
        found = prefer(
            [
                _dated(old, NOW - timedelta(days=730)),
                replace(_dated(new, NOW), score=0.9),
                _standing(replace(approved, score=0.5), "Approved"),
            ],
            recency=0.2,
            half_life_days=365,
            standing={"approved": 0.55, "draft": -1.0},
            now=NOW,
        )
        assert texts(found) == ["new", "old", "approved"]
        assert [each.score for each in found] == pytest.approx([1.1, 1.05, 1.05])
        assert found[0].steps[-1].stage == "preferred" and found[0].steps[-1].rank == 1

    def test_a_document_without_date_or_status_keeps_its_score(self) -> None:
        [found] = prefer(
            ranked("x"), recency=1, half_life_days=1, standing={"draft": -1.0}, now=NOW
        )
        assert found.score == 1

    def test_standings_are_read_from_the_setting(self) -> None:
        given = Settings(_env_file=None, standing="Approved=0.1, draft=-0.2")
        assert given.ranking.standing == {"approved": 0.1, "draft": -0.2}
        assert Settings(_env_file=None).ranking == Ranking()
        with pytest.raises(ConfigurationError, match="FOOTNOTE_STANDING"):
            _ = Settings(_env_file=None, standing="approved").ranking


class TestRerank:
    def test_the_model_orders_the_first_and_leaves_the_rest(self) -> None:
        class ByLength:
            def scores(self, query: str, texts: Sequence[str]) -> list[float]:
                assert query == "q" and all(text.startswith("Handbook\n") for text in texts)
                return [float(len(text)) for text in texts]

        found = rerank("q", ranked("a", "bbb", "bb", "cc", "zzzz"), ByLength(), most=4)
        assert texts(found) == ["bbb", "bb", "cc", "a", "zzzz"]
        assert [len(each.steps) for each in found] == [1, 1, 1, 1, 0]


class TestTrust:
    def test_words_weigh_more_as_the_model_splinters_them(self) -> None:
        def share(letters: int) -> float:
            query = "abcdef" * 10
            tokens = [Span(at, at + letters) for at in range(0, len(query), letters)]
            return share_of_words(query, tokens, 0.5)

        assert share(4) == share(6) == 0.5
        assert 0.5 < share(3) < share(2) < share(1) == MOST
        assert FLUENT < 4

    def test_marks_and_blanks_do_not_count(self) -> None:
        assert share_of_words("?!", [Span(0, 1), Span(1, 2)], 0.4) == 0.4
        assert share_of_words("leave?", [Span(0, 5), Span(5, 6)], 0.4) == 0.4

    @given(st.text(max_size=20), st.floats(0, 1))
    def test_the_share_stays_between_the_usual_and_all(self, query: str, usual: float) -> None:
        tokens = [Span(at, at + 1) for at in range(len(query))]
        assert usual <= share_of_words(query, tokens, usual) <= max(usual, MOST)


def _dated(found: Passage, moment: datetime) -> Passage:
    return replace(found, score=1.0, document=replace(found.document, updated_at=moment))


def _standing(found: Passage, status: str) -> Passage:
    return replace(found, document=replace(found.document, metadata={"status": status}))
