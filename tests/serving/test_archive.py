"""Conversations through the API, over a house with real catalog and rights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from knowledge.errors import CatalogUnavailable
from knowledge.models import Principal
from knowledge.settings import Settings
from serving import schemas
from serving.answer import Answerer
from serving.api import create_app
from serving.archive import Archive
from serving.extractive import ExtractiveGenerator
from tests.fakes import Parrot
from tests.house import Keys, QuickHouse, bearer

ALICE = Principal("alice", frozenset({"hr"}))
BUDGET = "The zebra budget of 2031 is 4211 euros. It was approved by the herd in spring."
QUESTION = "What is the zebra budget?"
SECRETS = ("4211", "herd", "budget.txt")
Json = dict[str, Any]


class Talk:
    """Alice at the API; a model repeats what it is shown, as a careless one would."""

    def __init__(self, house: QuickHouse, keys: Keys) -> None:
        self.house, self.keys = house, keys
        self.model = Parrot(f"{BUDGET} [1]")
        answerer = Answerer(retriever=house.retriever, generator=self.model)
        self.services = replace(house.services, answerer=answerer)
        self.client = self.over()

    def over(self, **instead: object) -> TestClient:
        services = replace(self.services, **instead)  # type: ignore[arg-type]
        return TestClient(
            create_app(services), base_url="http://127.0.0.1:8765", headers=bearer(self.keys.alice)
        )

    def ask(self, question: str = QUESTION, **more: object) -> Json:
        reply = self.client.post("/v1/ask", json={"question": question, **more})
        assert reply.status_code == 200, reply.text
        body: Json = reply.json()
        schemas.AnswerOut.model_validate(body)
        return body

    def begin(self) -> tuple[str, str]:
        stored = self.ask(conversation="new")["stored"]
        return stored["conversation"], stored["answer"]

    def opened(self, conversation: str) -> Json:
        body: Json = self.client.get(f"/v1/conversations/{conversation}").json()
        schemas.OpenConversationOut.model_validate(body)
        return body


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    folder = tmp_path_factory.mktemp("talk")
    keys = Keys(folder)
    settings = Settings(_env_file=None, data_dir=folder / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        yield Talk(house, keys)


@pytest.fixture
def document(talk: Talk) -> str:
    return talk.house.take_in("budget.txt", BUDGET, ALICE)


@pytest.mark.usefixtures("document")
def test_a_conversation_is_kept_and_gone_on_with(talk: Talk) -> None:
    conversation, answer = talk.begin()
    again = talk.ask("And who approved it?", conversation=conversation)["stored"]
    assert again["conversation"] == conversation

    history = [(turn.role, turn.text) for turn in talk.model.contexts[-1].question.history]
    assert history == [("user", QUESTION), ("assistant", f"{BUDGET} [1]")]
    kept = talk.opened(conversation)
    assert kept["title"] == QUESTION
    first = kept["exchanges"][0]
    assert first["id"] == answer
    assert first == talk.client.get(f"/v1/answers/{answer}").json()
    assert first["answer"]["text"] == f"{BUDGET} [1]"
    assert [each["state"] for each in first["traces"]] == ["unchanged"]
    assert first["settings"] == talk.house.settings.digest()
    listed = talk.client.get("/v1/conversations?limit=1").json()
    schemas.ConversationsOut.model_validate(listed)
    assert listed["conversations"][0]["id"] == conversation
    renamed = talk.client.patch(f"/v1/conversations/{conversation}", json={"title": " Herd "})
    assert renamed.json()["title"] == "Herd"
    assert talk.client.delete(f"/v1/conversations/{conversation}").status_code == 204
    assert talk.client.get(f"/v1/conversations/{conversation}").status_code == 404
    assert talk.client.get(f"/v1/answers/{answer}").status_code == 404


@pytest.mark.usefixtures("document")
def test_what_shall_not_be_kept_is_not(talk: Talk) -> None:
    def count() -> int:
        return len(talk.client.get("/v1/conversations").json()["conversations"])

    before = count()
    assert talk.ask()["stored"] is None
    assert talk.ask(conversation="new", store=False)["stored"] is None
    closed = Archive(talk.house.catalog, talk.house.catalog, keeps=False)
    asked = {"question": QUESTION, "conversation": "new"}
    assert talk.over(archive=closed).post("/v1/ask", json=asked).json()["stored"] is None
    assert count() == before
    conversation, _ = talk.begin()
    talk.ask(conversation=conversation, store=False)
    assert len(talk.opened(conversation)["exchanges"]) == 1
    both = {"question": "x", "conversation": "new", "history": [{"role": "user", "text": "x"}]}
    assert talk.client.post("/v1/ask", json=both).status_code == 422


@pytest.mark.usefixtures("document")
def test_an_answer_is_stored_before_it_is_told_or_says_that_it_is_not(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"question": QUESTION, "conversation": "new", "stream": True}
    with talk.client.stream("POST", "/v1/ask", json=asked) as reply:
        for line in reply.iter_lines():
            if line.startswith("data:") and '"stored"' in line:
                stored = json.loads(line.removeprefix("data:"))["stored"]
                kept = talk.house.catalog.exchange(stored["answer"], "alice")
                assert kept.answer.text == f"{BUDGET} [1]"
                break
        else:
            pytest.fail("the answer does not say where it is kept")

    def away(*_: object, **__: object) -> None:
        raise CatalogUnavailable("The catalog does not answer.")

    monkeypatch.setattr(talk.house.catalog, "keep", away)
    with caplog.at_level(logging.WARNING):
        body = talk.ask(conversation="new")
    assert (body["text"], body["stored"]) == (f"{BUDGET} [1]", None)
    assert "4211" not in caplog.text


def test_after_a_revocation_nothing_of_the_document_leaves(talk: Talk, document: str) -> None:
    conversation, answer = talk.begin()
    path = f"/v1/conversations/{conversation}"
    talk.client.put(f"/v1/answers/{answer}/feedback", json={"rating": "up"})

    def leaks() -> int:
        """Count secrets on all ways out, the model's prompt among them."""
        talk.model.contexts.clear()
        ways: list[Callable[[], str]] = [
            lambda: talk.client.get(path).text,
            lambda: talk.client.get(f"{path}/export").text,
            lambda: talk.client.get(f"{path}/export?format=markdown").text,
            lambda: talk.client.get("/v1/conversations").text,
            lambda: talk.client.get(f"/v1/answers/{answer}").text,
            lambda: talk.client.get("/v1/feedback", headers=bearer(talk.keys.admin)).text,
            lambda: str(talk.ask("And then?", conversation=conversation, store=False)),
            lambda: str(talk.model.contexts[-1:]),
            lambda: str(talk.services.archive.take_up(conversation, ALICE)),  # type: ignore[union-attr]
        ]
        return sum(secret in way() for way in ways for secret in SECRETS)

    readable = leaks()
    talk.house.intake.set_access(document, frozenset({"u:nobody"}))
    revoked, gone_view = leaks(), talk.opened(conversation)
    control = _without_the_check(talk, conversation)
    talk.house.intake.set_access(document, ALICE.tokens())
    back = leaks()
    talk.house.intake.remove(document)
    removed_view = talk.opened(conversation)

    print(
        f"\nsecrets told: {readable} while readable, {revoked} after the revocation, "
        f"{control} without the check, {back} once given back"
    )
    assert revoked == 0
    assert min(readable, control, back) > 0
    (shown,) = gone_view["exchanges"]
    assert (shown["withheld"], shown["answer"]["text"]) == (True, "")
    assert [each["state"] for each in shown["traces"]] == ["gone"]
    assert removed_view == gone_view, "forbidden and gone look the same"


def _without_the_check(talk: Talk, conversation: str) -> int:
    """Count the same secrets where every document counts as readable."""

    class Open(Archive):
        def _readable(self, past: Any, principal: Principal) -> dict[str, str]:  # noqa: ANN401
            return {c.document_id: c.revision_id for e in past for c in e.answer.citations} | {
                name: "" for e in past for name in e.rests_on if not e.answer.citations
            }

    careless = Open(talk.house.catalog, talk.house.catalog)
    client = talk.over(archive=careless)
    path = f"/v1/conversations/{conversation}"
    told = client.get(path).text + client.get(f"{path}/export?format=markdown").text
    told += str(careless.take_up(conversation, ALICE))
    return sum(secret in told for secret in SECRETS)


def test_an_answer_that_builds_on_a_lost_one_is_lost_with_it(talk: Talk) -> None:
    first = talk.house.take_in("budget.txt", BUDGET, ALICE)
    conversation, _ = talk.begin()
    other = talk.house.take_in("lions.txt", "Lions sleep all day and all night.", ALICE)
    talk.model._pieces = ("Unlike the herd, lions sleep all day and all night. [1]",)
    talk.ask("Do lions sleep?", conversation=conversation, document_ids=[other])
    talk.model._pieces = (f"{BUDGET} [1]",)
    assert [each["withheld"] for each in talk.opened(conversation)["exchanges"]] == [False, False]

    talk.house.intake.set_access(first, frozenset({"u:nobody"}))
    assert [each["withheld"] for each in talk.opened(conversation)["exchanges"]] == [True, True]
    talk.house.intake.set_access(first, ALICE.tokens())


def test_documents_that_did_not_agree_are_shown_while_all_stand_as_they_did(talk: Talk) -> None:
    first = "The elephant parade of the zoo begins at 9 in the morning."
    cited = talk.house.take_in("parade.txt", first, ALICE)
    other = talk.house.take_in("posters.txt", first.replace("9", "11"), ALICE)
    quotes = Answerer(retriever=talk.house.retriever, generator=ExtractiveGenerator(0.0))
    asked = {"question": "How late does the elephant parade begin?", "conversation": "new"}
    narrowed = {"document_ids": [cited, other]}
    told = talk.over(answerer=quotes).post("/v1/ask", json=asked | narrowed).json()
    (conflict,) = told["conflicts"]
    assert {side["value"] for side in conflict["sides"]} == {"9", "11"}
    assert all(side["dated_at"] for side in conflict["sides"])

    def shown() -> list[Json]:
        reply = talk.client.get(f"/v1/answers/{told['stored']['answer']}").json()
        schemas.ExchangeOut.model_validate(reply)
        found: list[Json] = reply["answer"]["conflicts"]
        return found

    assert shown() == told["conflicts"]
    for hidden in (cited, other):
        talk.house.intake.set_access(hidden, frozenset({"u:nobody"}))
        assert shown() == []
        talk.house.intake.set_access(hidden, ALICE.tokens())
    assert shown() == told["conflicts"]
    talk.house.take_in("posters.txt", first, ALICE)
    assert shown() == []


def test_a_document_that_changed_shows_how_it_did(talk: Talk) -> None:
    talk.house.take_in("budget.txt", BUDGET, ALICE)
    talk.model._pieces = ("The zebra budget of 2031 is 4211 euros. [1]",)
    conversation, answer = talk.begin()
    talk.model._pieces = (f"{BUDGET} [1]",)
    talk.house.take_in("budget.txt", f"Foreword of this year. {BUDGET}", ALICE)
    (trace,) = talk.opened(conversation)["exchanges"][0]["traces"]
    assert trace["state"] == "moved"
    talk.house.take_in("budget.txt", BUDGET.replace("4211", "77"), ALICE)
    shown = talk.client.get(f"/v1/answers/{answer}").json()
    (trace,) = shown["traces"]
    assert trace["state"] == "changed"
    assert "77 euros" in trace["now"]
    assert [each["text"] for each in trace["diff"] if each["kind"] == "removed"] == ["4211"]
    assert "4211" in shown["answer"]["text"], "the answer of then is still shown"


@pytest.mark.usefixtures("document")
def test_what_is_said_of_an_answer_is_kept_with_what_it_was_about(talk: Talk) -> None:
    conversation, answer = talk.begin()
    path = f"/v1/answers/{answer}/feedback"
    said = {"rating": "down", "reason": "wrong", "comment": "No.", "correction": "It is 7."}
    assert talk.client.put(path, json=said).status_code == 204
    for wrong in (
        {},
        {"rating": "5"},
        {"rating": "up", "reason": "x"},
        said | {"comment": "x" * 2001},
    ):
        assert talk.client.put(path, json=wrong).status_code == 422

    def judged() -> list[Json]:
        reply = talk.client.get("/v1/feedback", headers=bearer(talk.keys.admin))
        body: Json = reply.json()
        schemas.JudgedOut.model_validate(body)
        return [each for each in body["feedback"] if each["id"] == answer]

    (found,) = judged()
    assert found["feedback"] | {"given_at": ""} == said | {"given_at": ""}
    assert found["question"] == QUESTION
    assert found["withheld"], "the administrator cannot read what it rests on"
    assert "alice" not in json.dumps(found)
    assert found["answer"]["model"] == "parrot"
    talk.client.delete(f"/v1/conversations/{conversation}")
    assert judged() == []


@pytest.mark.usefixtures("document")
def test_what_rests_for_longer_than_the_site_wants_is_deleted(talk: Talk) -> None:
    conversation, _ = talk.begin()
    talk.house.drop_old_conversations()
    talk.opened(conversation)
    later = datetime.now(UTC) + timedelta(days=1)
    assert talk.house.catalog.drop_conversations(before=later) > 0
    assert talk.client.get(f"/v1/conversations/{conversation}").status_code == 404


def test_reasoning_is_not_kept(talk: Talk, document: str, tmp_path: Path) -> None:
    from knowledge.models import Delta

    talk.model._pieces = (Delta(reasoning="CANARY thoughts"), f"{BUDGET} [1]")
    conversation, _ = talk.begin()
    talk.model._pieces = (f"{BUDGET} [1]",)
    assert "4211" in str(talk.house.catalog.exchanges(conversation, "alice"))
    assert "CANARY" not in str(talk.house.catalog.exchanges(conversation, "alice"))
    assert b"CANARY" not in (talk.house.settings.data_dir / "catalog.sqlite").read_bytes()
