from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message

from knowledge.errors import CatalogUnavailable, FootnoteError, IndexUnavailable, TooLarge
from knowledge.models import UNFILTERED, Effort, Filters, Passage, Principal, Question
from knowledge.settings import Settings
from serving import schemas
from serving.api import create_app
from serving.auth import LOCAL
from serving.events import DeltaEvent, ErrorEvent, Event, PassagesEvent
from tests.house import QuickHouse, bearer
from tests.ingest.world import MailParser

ZEBRA = "The zebra budget of 2031 is 4211 euros. It was approved by the herd in spring."
ABSENT = "00000000-0000-5000-8000-000000000000"


@pytest.fixture
def house(settings: Settings) -> Iterator[QuickHouse]:
    with QuickHouse(settings.model_copy(update={"max_file_mb": 1})) as house:
        yield house


@pytest.fixture
def client(house: QuickHouse) -> TestClient:
    return over(house)


def over(house: QuickHouse, **instead: object) -> TestClient:
    """Return a client of the house's API, with some of its services replaced."""
    app = create_app(replace(house.services, **instead))  # type: ignore[arg-type]
    return TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)


# --- questions ----------------------------------------------------------------------------------


def test_an_answer_cites_a_verbatim_quote(house: QuickHouse, client: TestClient) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    answer = client.post("/v1/ask", json={"question": "What is the zebra budget?"}).json()
    schemas.AnswerOut.model_validate(answer)
    assert answer["verdict"] == "answered"
    assert answer["extractive"] is True
    (citation,) = answer["citations"]
    content = client.get(f"/v1/documents/{citation['document_id']}/content").text
    start, end = citation["span"]["start"], citation["span"]["end"]
    assert citation["quote"] == content[start:end]
    assert "4211" in citation["quote"]


def test_the_stream_ends_with_the_answer_that_json_gives(
    house: QuickHouse, client: TestClient
) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    question = {"question": "What is the zebra budget?"}
    reply = client.post("/v1/ask", json=question | {"stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = list(read_events(reply))
    names = [name for name, _ in events]
    assert names[0] == "passages"
    assert names[-1] == "answer"
    assert names.count("answer") + names.count("error") == 1
    whole = client.post("/v1/ask", json=question).json()
    last = events[-1][1]
    assert last | {"timings_ms": {}} == whole | {"timings_ms": {}}
    assert "".join(data["text"] for name, data in events if name == "delta") == last["text"]
    assert [data for name, data in events if name == "citation"] == last["citations"]
    numbers = [passage["rank"] for passage in events[0][1]["passages"]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_no_document_says_is_not_found(house: QuickHouse, client: TestClient) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    answer = client.post("/v1/ask", json={"question": "Who painted the Mona Lisa?"}).json()
    assert (answer["verdict"], answer["citations"]) == ("not_found", [])


def test_a_search_explains_each_rank_when_asked_and_only_to_those_who_may_read(
    house: QuickHouse, client: TestClient
) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    asked = {"query": "zebra", "explain": True}
    body = client.post("/v1/search", json=asked).json()
    schemas.SearchOut.model_validate(body)
    steps = body["passages"][0]["explain"]
    assert [(step["stage"], step["rank"]) for step in steps][-1] == ("fused", 1)
    secret = house.take_in("secret.txt", "zebra zebra", Principal("bob"))
    assert client.post("/v1/search", json=asked).json() == body
    house.intake.set_access(secret, frozenset({"everyone"}))  # the control: it would be told
    assert client.post("/v1/search", json=asked).json() != body
    assert client.post("/v1/search", json=asked | {"explain": 1}).status_code == 422


@pytest.mark.parametrize(("effort", "found"), [("high", True), ("low", False)])
def test_a_search_follows_names_at_high_effort(
    settings: Settings, effort: str, found: bool
) -> None:
    with QuickHouse(settings.model_copy(update={"candidates": 10})) as house:
        house.take_in("a.txt", "The budget of the herd is approved by Zenobia Quarles.", LOCAL)
        for number in range(12):
            house.take_in(f"{number}.txt", f"The herd has a budget for meal {number}.", LOCAL)
        house.take_in("Zenobia Quarles.txt", "Zenobia Quarles works in room 12.", LOCAL)
        asked = {"query": "Whose office approves the budget of the herd?", "effort": effort}
        body = over(house).post("/v1/search", json=asked | {"limit": 8}).json()
    assert any("room 12" in passage["text"] for passage in body["passages"]) is found


def test_a_search_gives_passages_of_the_promised_shape(
    house: QuickHouse, client: TestClient
) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    body = client.post("/v1/search", json={"query": "zebra", "limit": 1}).json()
    schemas.SearchOut.model_validate(body)
    (passage,) = body["passages"]
    where = {"document", "revision", "page", "pages", "heading", "header", "span"}
    assert set(passage) == where | {"text", "rank"}
    assert set(passage["document"]) == {"id", "external_id", "title", "uri"}
    assert passage["text"] == ZEBRA[passage["span"]["start"] : passage["span"]["end"]]
    elsewhere = client.post("/v1/search", json={"query": "zebra", "collection": "other"}).json()
    assert elsewhere == {"passages": []}
    for document_id, passages in (passage["document"]["id"], [passage]), (ABSENT, []):
        asked = {"query": "zebra", "limit": 1, "document_ids": [document_id]}
        assert client.post("/v1/search", json=asked).json() == {"passages": passages}
        asked = {"question": "What is the zebra budget?", "document_ids": [document_id]}
        answer = client.post("/v1/ask", json=asked).json()
        assert answer["verdict"] == ("answered" if passages else "not_found")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        pytest.param("/v1/ask", {}, "question", id="nothing"),
        pytest.param("/v1/ask", {"question": " \n "}, "question", id="blank"),
        pytest.param("/v1/ask", {"question": "x" * 8001}, "question", id="too-long"),
        pytest.param("/v1/ask", {"question": 5}, "question", id="a-number"),
        pytest.param("/v1/ask", {"question": "\ud800"}, "question", id="no-text"),
        pytest.param("/v1/ask", {"question": "x", "user": "root"}, "user", id="unknown-field"),
        pytest.param("/v1/ask", {"question": "x", "effort": "max"}, "effort", id="effort"),
        pytest.param("/v1/ask", {"question": "x", "stream": "yes"}, "stream", id="stream"),
        pytest.param("/v1/ask", {"question": "x", "collection": "a/b"}, "collection", id="slash"),
        pytest.param(
            "/v1/ask",
            {"question": "x", "history": [{"role": "system", "text": "x"}]},
            "history.0.role",
            id="a-system-message",
        ),
        pytest.param("/v1/ask", {"question": "x", "document_ids": []}, "document_ids", id="no-id"),
        pytest.param("/v1/search", {"query": "x", "document_ids": []}, "document_ids", id="none"),
        pytest.param("/v1/search", {"query": "x", "document_ids": "a"}, "document_ids", id="text"),
        pytest.param("/v1/search", {"query": "x", "limit": 0}, "limit", id="limit-low"),
        pytest.param("/v1/search", {"query": "x", "limit": 101}, "limit", id="limit-high"),
        pytest.param("/v1/search", {"query": "x", "limit": True}, "limit", id="limit-true"),
        pytest.param("/v1/search", {"query": "x", "collection": "\0"}, "collection", id="nul"),
        *(
            pytest.param(path, {words: "x", "filters": given}, f"filters.{field}", id=field)
            for path, words in (("/v1/search", "query"), ("/v1/ask", "question"))
            for given, field in (
                ({"tag": ["hr"]}, "tag"),
                ({"tags": "hr"}, "tags"),
                ({"tags": []}, "tags"),
                ({"tags": ["hr", " "]}, "tags.1"),
                ({"types": ["pdf", "word"]}, "types.1"),
                ({"languages": ["german"]}, "languages.0"),
                ({"sources": ["../x"]}, "sources.0"),
                ({"date": "2026"}, "date"),
                ({"date": {"since": "2026-01-01"}}, "date.since"),
                ({"date": {"from": "01.02.2026"}}, "date.from"),
                ({"date": {"from": "2026-01-02", "to": "2026-01-01"}}, "date.to"),
                ({"date": {"to": 5}}, "date.to"),
            )
        ),
    ],
)
def test_a_bad_request_names_the_field(
    client: TestClient, path: str, body: dict[str, Any], field: str
) -> None:
    reply = client.post(path, content=json.dumps(body), headers=JSON)
    assert reply.status_code == 422
    error = refusal(reply)
    assert error["code"] == "invalid_request"
    assert error["field"] == field
    assert field in error["message"]


def test_the_longest_question_and_the_whole_range_of_limits_are_allowed(client: TestClient) -> None:
    for limit in (1, 100):
        assert client.post("/v1/search", json={"query": "x", "limit": limit}).status_code == 200
    assert client.post("/v1/ask", json={"question": "x" * 8000}).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        pytest.param(b"{", 422, "invalid_json", id="cut"),
        pytest.param(b"\xff", 400, "bad_request", id="no-utf-8"),
        pytest.param(b"[" * 100_000, 400, "bad_request", id="deep"),
        pytest.param(b"[]", 422, "invalid_request", id="a-list"),
        pytest.param(b"", 422, "invalid_request", id="empty"),
        pytest.param(b" " * (5 * 2**20), 413, "too_large", id="large"),
    ],
)
def test_a_body_that_is_no_json_is_a_clear_refusal(
    client: TestClient, content: bytes, status: int, code: str
) -> None:
    reply = client.post("/v1/ask", content=content, headers=JSON)
    assert (reply.status_code, refusal(reply)["code"]) == (status, code)


# --- what is narrowed ---------------------------------------------------------------------------


@pytest.fixture
def labelled(house: QuickHouse) -> dict[str, str]:
    """Three documents by the language they are in; the German one is tagged."""
    texts = {
        "en": "The zebra budget of the year is for all of us, and it is not to be spent.",
        "de": "Das zebra budget für das Jahr ist für alle von uns, und es wird nicht ausgegeben.",
        "": "zebra budget 4211 4212 4213",
    }
    names = {"en": "zebra.txt", "de": "zebra.md", "": "zebra.csv"}
    made = {key: house.take_in(names[key], text, LOCAL) for key, text in texts.items()}
    house.intake.set_tags(made["de"], frozenset({"tiere", "2026"}))
    return made


NARROWED: list[Any] = [
    ({"languages": ["EN"]}, {"en"}),
    ({"languages": ["de", "en"]}, {"en", "de"}),
    ({"languages": ["fr"]}, set()),
    ({"tags": ["tiere", "none"]}, {"de"}),
    ({"tags": ["Tiere"]}, set()),
    ({"types": ["md", "text/csv"]}, {"de", ""}),
    ({"types": ["txt"], "languages": ["de"]}, set()),
    ({"types": ["txt"], "languages": ["en"]}, {"en"}),
    ({"date": {"from": "2020-01-01"}}, {"en", "de", ""}),
    ({"date": {"to": "2020-01-01T00:00:00+02:00"}}, set()),
    ({}, {"en", "de", ""}),
]


@pytest.mark.parametrize(("asked", "expected"), NARROWED)
def test_search_answers_and_lists_are_narrowed_alike(
    client: TestClient, labelled: dict[str, str], asked: dict[str, Any], expected: set[str]
) -> None:
    ids = {labelled[key] for key in expected}
    found = client.post("/v1/search", json={"query": "zebra", "filters": asked}).json()
    assert {each["document"]["id"] for each in found["passages"]} == ids
    question = {"question": "What is the zebra budget?", "filters": asked}
    cited = client.post("/v1/ask", json=question).json()["citations"]
    assert {each["document_id"] for each in cited} <= ids
    given = {name: words for name, words in asked.items() if name != "date"}
    listed = client.get("/v1/documents", params=given | asked.get("date", {})).json()
    assert {each["id"] for each in listed["documents"]} == ids


def test_a_day_is_a_whole_day_at_both_ends(client: TestClient, house: QuickHouse) -> None:
    key = house.take_in("zebra.txt", ZEBRA, LOCAL)
    dated = client.get(f"/v1/documents/{key}").json()["dated_at"]
    day = dated[:10]
    for given, found in (
        ({"from": day, "to": day}, 1),
        ({"from": dated, "to": dated}, 1),
        ({"to": "1999-12-31"}, 0),
    ):
        assert len(client.get("/v1/documents", params=given).json()["documents"]) == found


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tag": "hr"}, "tag"),
        ({"tags": ["hr", " "]}, "tags.1"),
        ({"types": "word"}, "types.0"),
        ({"from": "soon"}, "from"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "to"),
        ({"limit": "0"}, "limit"),
        ({"after": "../x"}, "after"),
    ],
)
def test_a_bad_list_names_the_field(client: TestClient, given: dict[str, Any], field: str) -> None:
    reply = client.get("/v1/documents", params=given)
    assert reply.status_code == 422
    assert refusal(reply)["field"] == field


def test_tags_come_with_an_upload_and_can_be_changed(
    client: TestClient, house: QuickHouse, labelled: dict[str, str]
) -> None:
    file = {"file": ("otter.txt", b"The otter budget.")}
    taken = client.post("/v1/documents", files=file, data={"tags": ["b", " a "]}).json()
    assert taken["tags"] == ["a", "b"]
    while house.worker.work_one():
        pass
    (key,) = client.get(taken["status_url"]).json()["documents"]
    path = f"/v1/documents/{key}"
    assert client.get(path).json()["tags"] == ["a", "b"]
    assert client.put(f"{path}/tags", json={"tags": ["c"]}).status_code == 204
    assert client.get(path).json()["tags"] == ["c"]
    found = client.post("/v1/search", json={"query": "otter", "filters": {"tags": ["c"]}}).json()
    assert [each["document"]["id"] for each in found["passages"]] == [key]
    for bad in (["a\nb"], [""], "a", [1]):
        assert client.put(f"{path}/tags", json={"tags": bad}).status_code == 422
    reply = client.post("/v1/documents", files=file, data={"tags": ["a\tb"]})
    assert (reply.status_code, refusal(reply)["field"]) == (422, "tags")


# --- what goes wrong ----------------------------------------------------------------------------


class Scripted:
    """An answerer that plays events; an exception among them is raised."""

    def __init__(self, *events: Event | Exception) -> None:
        self._events = events
        self.closed = asyncio.Event()

    async def stream(self, question: Question, principal: Principal) -> AsyncIterator[Event]:
        for event in self._events:
            if isinstance(event, Exception):
                raise event
            yield event


def test_a_failed_answer_is_an_error_in_either_form(house: QuickHouse) -> None:
    failed = ErrorEvent("model_down", "The model is away.", retryable=True)
    asked = over(house, answerer=Scripted(PassagesEvent(()), failed))
    reply = asked.post("/v1/ask", json={"question": "x"})
    assert reply.status_code == 503
    assert reply.headers["retry-after"]
    assert refusal(reply)["code"] == "model_down"
    events = list(read_events(asked.post("/v1/ask", json={"question": "x", "stream": True})))
    assert [name for name, _ in events] == ["passages", "error"]
    assert events[-1][1]["error"]["retryable"] is True


def test_a_store_that_dies_amid_the_stream_still_gives_one_terminal_event(
    house: QuickHouse,
) -> None:
    dying = Scripted(PassagesEvent(()), DeltaEvent("So"), CatalogUnavailable("it is gone"))
    asked = over(house, answerer=dying)
    events = list(read_events(asked.post("/v1/ask", json={"question": "x", "stream": True})))
    assert [name for name, _ in events] == ["passages", "delta", "error"]


class Broken:
    """A retriever that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def search(
        self,
        query: str,
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
        limit: int = 10,
        effort: Effort = Effort.LOW,
    ) -> list[Passage]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(IndexUnavailable("qdrant is away"), 503, "index_unavailable", id="index"),
        pytest.param(CatalogUnavailable("no database"), 503, "catalog_unavailable", id="catalog"),
        pytest.param(TooLarge("too big"), 413, "too_large", id="large"),
        pytest.param(FootnoteError("/srv/secret/path"), 500, "internal", id="ours"),
        pytest.param(KeyError("/srv/secret/path"), 500, "internal", id="a-bug"),
        pytest.param(OSError(errno.EIO, "/srv/secret/path"), 500, "internal", id="disk-broken"),
        pytest.param(OSError(errno.ENOSPC, "/srv/secret/path"), 507, "disk_full", id="disk-full"),
    ],
)
def test_each_failure_has_its_status_and_shows_no_internals(
    house: QuickHouse, error: Exception, status: int, code: str
) -> None:
    reply = over(house, retriever=Broken(error)).post("/v1/search", json={"query": "x"})
    assert (reply.status_code, refusal(reply)["code"]) == (status, code)
    assert "secret" not in reply.text


def test_there_is_one_shape_for_unknown_paths_and_methods(client: TestClient) -> None:
    missing = client.get("/v1/nothing")
    assert (missing.status_code, refusal(missing)["code"]) == (404, "not_found")
    wrong = client.patch("/v1/ask")
    assert (wrong.status_code, refusal(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    for path in ("/docs", "/redoc", "/v1/documents/"):
        assert client.get(path, follow_redirects=False).status_code == 404


class Endless:
    """An answerer that writes for ever, and notes when it is stopped."""

    def __init__(self) -> None:
        self.stopped = False

    async def stream(self, question: Question, principal: Principal) -> AsyncIterator[Event]:
        try:
            while True:
                yield DeltaEvent("and ")
                await asyncio.sleep(0.001)
        finally:
            self.stopped = True


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_stops_the_writing(house: QuickHouse, stream: bool) -> None:
    endless = Endless()
    app = create_app(replace(house.services, answerer=endless))
    asyncio.run(asyncio.wait_for(_ask_and_leave(app, stream=stream), 20))
    assert endless.stopped


async def _ask_and_leave(app: FastAPI, *, stream: bool) -> None:
    """Leave after the first words, or, where they only come all together, before them."""
    body = json.dumps({"question": "x", "stream": stream}).encode()
    asked, heard = asyncio.Event(), asyncio.Event()
    if not stream:
        heard.set()

    async def receive() -> Message:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": body, "more_body": False}
        await heard.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message.get("body"):
            heard.set()

    await app(post("/v1/ask", b"application/json"), receive, send)


# --- documents ----------------------------------------------------------------------------------


def test_an_upload_becomes_a_document_and_goes_again(house: QuickHouse, client: TestClient) -> None:
    reply = client.post(
        "/v1/documents",
        files={"file": ("Zebra Büro.txt", ZEBRA.encode())},
        data={"collection": "zoo"},
    )
    assert reply.status_code == 202
    taken = reply.json()
    schemas.SubmissionOut.model_validate(taken)
    assert taken["state"] == "received"
    assert reply.headers["location"] == taken["status_url"]
    house.worker.work_one()
    done = client.get(taken["status_url"]).json()
    assert done["state"] == "done"
    (document_id,) = done["documents"]
    found = client.get(f"/v1/documents/{document_id}").json()
    schemas.DocumentOut.model_validate(found)
    assert (found["collection"], found["access"]) == ("zoo", ["everyone"])
    assert client.get("/v1/collections").json() == {
        "collections": [{"name": "zoo", "documents": 1}]
    }
    assert client.delete(f"/v1/documents/{document_id}").status_code == 204
    assert client.get(f"/v1/documents/{document_id}").status_code == 404
    assert client.post("/v1/search", json={"query": "zebra"}).json() == {"passages": []}


def test_an_original_is_saved_and_never_shown_as_part_of_the_site(
    house: QuickHouse, client: TestClient
) -> None:
    page = "<html><title>Z</title><p>The zebra page.</p><script>alert(1)</script></html>"
    document_id = house.take_in('Büro "a";\r\nX: y.html', page, LOCAL)
    reply = client.get(f"/v1/documents/{document_id}/content")
    assert reply.text == page
    assert reply.headers["content-type"] == "text/html"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-security-policy"] == "sandbox; default-src 'none'"
    disposition = reply.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="B_ro _a__')
    assert "filename*=UTF-8''B%C3%BCro%20%22a%22" in disposition
    assert "x" not in reply.headers


class MailHouse(QuickHouse):
    @property
    def parser(self) -> MailParser:  # type: ignore[override]
        return MailParser()


def test_a_part_is_handed_out_as_its_whole_file_to_whoever_may_read_all_of_it(
    settings: Settings,
) -> None:
    with MailHouse(settings) as house:
        client = over(house)
        files = {"file": ("a.eml", b"the message|plan.txt=the plan")}
        submitted = client.post("/v1/documents", files=files).json()["id"]
        house.work(once=True)
        message, part = client.get(f"/v1/submissions/{submitted}").json()["documents"]
        for each in (message, part):
            reply = client.get(f"/v1/documents/{each}/content")
            assert reply.content == files["file"][1]
            assert "filename*=UTF-8''a.eml" in reply.headers["content-disposition"]
        client.put(f"/v1/documents/{part}/access", json={"access": ["u:somebody"]})
        assert client.get(f"/v1/documents/{message}").status_code == 200
        assert client.get(f"/v1/documents/{message}/content").status_code == 404


@pytest.mark.parametrize(
    ("form", "status", "code", "field"),
    [
        pytest.param({}, 422, "invalid_request", "file", id="nothing"),
        pytest.param({"data": {"file": "text"}}, 422, "invalid_request", "file", id="no-file"),
        pytest.param({"files": {"file": ("", b"x")}}, 422, "invalid_request", "file", id="no-name"),
        pytest.param(
            {"files": {"file": ("a.txt", b"x")}, "data": {"by": "root"}},
            422,
            "invalid_request",
            "by",
            id="unknown-field",
        ),
        pytest.param(
            {"files": {"file": ("a.txt", b"x")}, "data": {"collection": "../x"}},
            422,
            "invalid_request",
            "collection",
            id="collection",
        ),
        pytest.param({"files": {"file": ("a.exe", b"x")}}, 415, "unsupported", None, id="format"),
        pytest.param(
            {"files": {"file": ("a.txt", b"x" * (2**20 + 1))}}, 413, "too_large", None, id="large"
        ),
        pytest.param(
            {"files": {"file": ("a.txt", b"x" * (3 * 2**20))}}, 413, "too_large", None, id="larger"
        ),
        pytest.param({"json": {}}, 422, "invalid_request", "file", id="no-form"),
        pytest.param(
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "bad_request",
            None,
            id="no-boundary",
        ),
    ],
)
def test_a_bad_upload_is_refused_and_nothing_is_kept(
    house: QuickHouse,
    client: TestClient,
    form: dict[str, Any],
    status: int,
    code: str,
    field: str | None,
) -> None:
    reply = client.post("/v1/documents", **form)
    assert (reply.status_code, refusal(reply)["code"]) == (status, code)
    assert refusal(reply).get("field") == field
    assert client.get("/v1/submissions").json() == {"submissions": []}
    kept = [path for path in (house.settings.data_dir / "blobs").rglob("*") if path.is_file()]
    assert kept == []


def test_a_body_without_a_length_is_cut_off_at_the_cap(house: QuickHouse) -> None:
    status, taken = asyncio.run(_upload_for_ever(house.app))
    assert status == 413
    assert taken < 4 * 2**20


async def _upload_for_ever(app: FastAPI) -> tuple[int, int]:
    """Return the status, and how many bytes were taken until it came."""
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    taken = 0
    sent: list[Message] = []

    async def receive() -> Message:
        nonlocal taken
        piece = b"x" * 2**16 if taken else head
        taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": taken < 2**26}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(post("/v1/documents", b"multipart/form-data; boundary=b"), receive, send)
    return sent[0]["status"], taken


def test_a_file_that_cannot_be_read_is_told_to_its_sender(
    house: QuickHouse, client: TestClient
) -> None:
    taken = client.post("/v1/documents", files={"file": ("a.pdf", b"no pdf")}).json()
    house.worker.work_one()
    seen = client.get(taken["status_url"]).json()
    assert seen["state"] == "failed"
    assert seen["reason"]


def test_an_upload_can_be_cancelled_before_its_turn(house: QuickHouse, client: TestClient) -> None:
    taken = client.post("/v1/documents", files={"file": ("z.txt", ZEBRA.encode())}).json()
    assert client.delete(taken["status_url"]).json()["state"] == "cancelled"
    assert not house.worker.work_one()
    assert client.get("/v1/documents").json()["documents"] == []
    listed = client.get("/v1/submissions").json()
    schemas.SubmissionsOut.model_validate(listed)
    assert [each["state"] for each in listed["submissions"]] == ["cancelled"]


def test_documents_are_listed_page_by_page(house: QuickHouse, client: TestClient) -> None:
    made = {house.take_in(f"{n}.txt", f"Text number {n}.", LOCAL, "everyone") for n in range(5)}
    seen, after, pages = [], None, 0
    while True:
        given = {"limit": 2} if after is None else {"limit": 2, "after": after}
        page = client.get("/v1/documents", params=given).json()
        schemas.DocumentsOut.model_validate(page)
        seen += [each["id"] for each in page["documents"]]
        after, pages = page["next"], pages + 1
        if after is None:
            break
    assert (set(seen), len(seen), pages) == (made, 5, 3)
    assert seen == sorted(seen)


@pytest.mark.parametrize("identity", [ABSENT, "x", "a b", "%00", "..%2f..", "é", "x" * 65])
def test_an_id_that_cannot_be_is_just_absent(client: TestClient, identity: str) -> None:
    bodies = set()
    for path in (f"/v1/documents/{identity}", f"/v1/submissions/{identity}"):
        for method in ("GET", "DELETE"):
            reply = client.request(method, path)
            assert reply.status_code == 404
            bodies.add(reply.content)
    assert len(bodies) == 1


def test_an_administrator_sets_who_may_read(house: QuickHouse, client: TestClient) -> None:
    document_id = house.take_in("z.txt", ZEBRA, LOCAL)
    path = f"/v1/documents/{document_id}/access"
    assert client.put(path, json={"access": ["g:hr"]}).status_code == 204
    assert client.get(f"/v1/documents/{document_id}").status_code == 404
    assert client.put(path, json={"access": ["everyone"]}).status_code == 204
    assert client.get(f"/v1/documents/{document_id}").json()["access"] == ["everyone"]
    assert client.put(path, json={"access": []}).status_code == 204  # nobody
    assert client.get(f"/v1/documents/{document_id}").status_code == 404
    absent = f"/v1/documents/{ABSENT}/access"
    assert client.put(absent, json={"access": ["everyone"]}).status_code == 404
    for bad in (["hr"], ["u:"], ["g:a b"], [""], "everyone", ["everyone"] * 300):
        assert client.put(path, json={"access": bad}).status_code == 422


# --- the machine itself -------------------------------------------------------------------------


def test_health_says_what_is_wrong_and_nothing_else(house: QuickHouse, client: TestClient) -> None:
    body = client.get("/v1/health").json()
    schemas.HealthOut.model_validate(body)
    assert body["status"] == "ok"
    down = over(house, health=lambda: {"catalog": "ok", "index": "unavailable"})
    reply = down.get("/v1/health")
    assert reply.status_code == 503
    assert reply.json()["status"] == "unavailable"
    assert reply.json()["parts"]["index"] == "unavailable"


def test_only_the_owners_commands_have_files_of_the_machine_ingested(
    house: QuickHouse, client: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "zebra.txt").write_text(ZEBRA)
    body = {"paths": [str(tmp_path / "in")], "collection": "zoo"}
    assert client.post("/v1/ingest", json=body).status_code == 403
    owner = bearer(house.owner_token)
    reply = client.post("/v1/ingest", json=body, headers=owner)
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert [line.get("outcome") for line in lines] == ["indexed", None]
    assert lines[-1] == {"finished": True}
    missing = {"paths": [str(tmp_path / "none")]}
    refused = client.post("/v1/ingest", json=missing, headers=owner)
    assert "error" in json.loads(refused.text.splitlines()[-1])
    relative = client.post("/v1/ingest", json={"paths": ["in"]}, headers=owner)
    assert refusal(relative)["field"] == "paths"


def test_only_the_owners_commands_are_told_what_is_not_indexed(
    house: QuickHouse, client: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "tool.exe").write_bytes(b"MZ")
    (event,) = house.intake.sync([tmp_path / "in"], collection="zoo")
    assert event.outcome == "rejected"
    assert client.get("/v1/refusals").status_code == 403
    reply = client.get("/v1/refusals", headers=bearer(house.owner_token))
    (refused,) = schemas.RefusalsOut.model_validate(reply.json()).refusals
    assert (refused.uri, refused.code) == (event.uri, "unsupported")


def test_the_document_describes_every_status_that_is_given(
    house: QuickHouse, client: TestClient
) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    for path, item in described["paths"].items():
        for method, operation in item.items():
            declared = set(operation["responses"])
            assert {"403", "421", "500"} <= declared, (method, path)
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path != "/v1/health":
                    (content,) = response["content"].values()
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorOut"}


JSON = {"Content-Type": "application/json"}


def refusal(reply: httpx2.Response) -> dict[str, Any]:
    """Return the error of a reply, which has the one shape."""
    body = reply.json()
    schemas.ErrorOut.model_validate(body)
    error: dict[str, Any] = body["error"]
    return error


def post(path: str, content_type: bytes) -> dict[str, Any]:
    """Return the ASGI scope of a request."""
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", content_type)],
    }


def read_events(reply: httpx2.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    for block in reply.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_what_holds_little_text_is_listed_page_by_page(
    house: QuickHouse, client: TestClient
) -> None:
    house.take_in("zebra.txt", ZEBRA, LOCAL)
    blank = sorted(house.take_in(f"{n}.txt", " ", LOCAL) for n in range(3))
    first = schemas.CoverageOut.model_validate(client.get("/v1/coverage?limit=2").json())
    rest = client.get(f"/v1/coverage?limit=2&after={first.next}").json()
    assert [gap.document_id for gap in first.documents] == blank[:2]
    assert [gap["document_id"] for gap in rest["documents"]] == blank[2:]
    assert rest["next"] is None
    assert all("no text" in gap.reasons[0] for gap in first.documents)


# --- jobs and the quarantine --------------------------------------------------------------------


def hand_in(client: TestClient, name: str, data: bytes) -> dict[str, Any]:
    taken = client.post("/v1/documents", files={"file": (name, data)})
    assert taken.status_code == 202
    body: dict[str, Any] = taken.json()
    return body


def work(house: QuickHouse) -> None:
    while house.worker.work_one():
        pass


def test_a_job_is_shown_held_and_let_go_on(house: QuickHouse, client: TestClient) -> None:
    url = "/v1/jobs/" + hand_in(client, "a.txt", b"a text")["id"]
    listed = client.get("/v1/jobs").json()
    schemas.JobsOut.model_validate(listed)
    assert [job["status_url"] for job in listed["jobs"]] == [url]
    assert client.post(f"{url}/pause").json()["state"] == "paused"
    assert client.get("/v1/submissions").json()["submissions"][0]["state"] == "received"
    work(house)
    refused = client.post(f"{url}/pause")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_now")
    assert client.post(f"{url}/resume").json()["state"] == "waiting"
    work(house)
    done = client.get(url).json()
    assert (done["state"], done["done"], done["total"]) == ("done", 1, 1)
    assert client.get("/v1/jobs", params={"state": "done"}).json()["jobs"] == [done]
    assert client.get("/v1/jobs", params={"state": ["dead", "paused"]}).json()["jobs"] == []
    assert client.get("/v1/jobs", params={"state": "lost"}).status_code == 422
    assert client.delete(url).json() == done
    assert client.get(f"/v1/jobs/{ABSENT}").status_code == 404


def test_what_failed_twice_is_listed_and_freed(house: QuickHouse, client: TestClient) -> None:
    for _ in range(2):
        hand_in(client, "a.pdf", b"no pdf")
        work(house)
    body = client.get("/v1/quarantine").json()
    schemas.QuarantineOut.model_validate(body)
    (held,) = body["quarantine"]
    assert (held["code"], held["attempts"]) == ("wrong_type", 2)
    freed = client.post(f"/v1/quarantine/{held['id']}/retry").json()
    assert freed["quarantined"] is False
    assert client.get("/v1/quarantine").json() == {"quarantine": []}
    assert client.post(f"/v1/quarantine/{ABSENT}/retry").status_code == 404
