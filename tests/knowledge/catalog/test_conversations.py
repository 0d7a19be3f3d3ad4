from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from knowledge.catalog.database import journal_mode
from knowledge.catalog.nouns import noun, plain
from knowledge.catalog.store import SqlCatalog
from knowledge.models import Answer
from knowledge.ports import Conversations
from tests.catalogs import ALICE, BOB, document, publish
from tests.fakes import FakeConversations
from tests.knowledge.conversations_contract import ANSWER, ConversationsContract, exchange


@pytest.fixture
def kept(catalog: SqlCatalog) -> Conversations:
    return catalog


class TestSqlConversations(ConversationsContract):
    pass


class TestFakeConversations(ConversationsContract):
    @pytest.fixture
    def kept(self) -> Conversations:
        return FakeConversations()


def test_an_answer_of_another_version_is_still_read() -> None:
    told = plain(ANSWER)
    assert noun(Answer, told) == ANSWER
    del told["statements"], told["prompt"]
    told["mood"] = "good"
    told["citations"][0]["colour"] = "red"
    assert noun(Answer, told).citations == ANSWER.citations
    assert noun(Answer, told).statements == ()


def test_a_deleted_conversation_is_not_in_the_files_any_more(tmp_path: Path) -> None:
    def is_there() -> bool:
        return any(b"4211 euros" in file.read_bytes() for file in tmp_path.iterdir())

    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    catalog.keep(exchange(1), owner="alice", title="Zebras")
    assert is_there()
    catalog.drop("c1", "alice")
    assert not is_there() or journal_mode(sqlite3.sqlite_version_info) == "WAL"
    catalog.close()
    assert not is_there()


def test_it_is_told_at_once_which_documents_can_be_read_now(catalog: SqlCatalog) -> None:
    mine = document("mine", access=frozenset({"g:legal"}))
    gone = document("gone")
    for each in (mine, gone):
        publish(catalog, each, "text")
    catalog.remove(gone.id)
    asked = [mine.id, gone.id, "never", *(f"{number}" for number in range(1000))]

    (found,) = catalog.readable(asked, ALICE).items()
    assert found == (mine.id, catalog.revision(mine.id, ALICE).id)
    assert catalog.readable(asked, BOB) == {}
    assert catalog.readable([], ALICE) == {}
