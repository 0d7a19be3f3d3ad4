from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from knowledge.errors import TooLarge
from knowledge.models import SubmissionState, Turn, Verdict
from serving.auth import Gate
from serving.events import DeltaEvent, ErrorEvent
from serving.keys import KeyRing, add_key
from tests.service import free_port
from tests.ui import scripted
from tests.ui.scripted import Script
from ui.client import (
    ApiError,
    Cited,
    Client,
    Failed,
    Final,
    KeyNeeded,
    Listed,
    Passages,
    Text,
    Unreachable,
    Upload,
)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def client(script: Script) -> Iterator[Client]:
    with scripted.serving(script) as url:
        client = Client(url)
        yield client
        client.close()


def test_an_answer_arrives_as_passages_text_citations_and_the_whole(client: Client) -> None:
    events = list(client.ask_stream("How do I back up?"))

    passages, *_, cited, final = events
    assert isinstance(cited, Cited)
    assert isinstance(passages, Passages) and isinstance(final, Final)
    assert passages.passages[0].text == scripted.TEXT
    assert passages.passages[0].heading == ("Handbook", "Backup")
    assert final.answer.verdict is Verdict.ANSWERED
    assert final.answer.citations[0].quote == scripted.QUOTE
    assert final.answer.citations[0].span.cut(" " * 100 + scripted.TEXT) == scripted.QUOTE
    written = "".join(event.text for event in events if isinstance(event, Text))
    assert written == final.answer.text


def test_the_question_goes_with_its_history_and_collection(client: Client, script: Script) -> None:
    history = [Turn("user", "What is a backup?"), Turn("assistant", "A copy. [1]")]

    list(client.ask_stream("How?", collection="main", history=history))

    asked = script.asked[0]
    assert (asked.text, asked.collection, asked.history) == ("How?", "main", tuple(history))


def test_an_error_event_ends_the_stream(client: Client, script: Script) -> None:
    script.events = [DeltaEvent("To "), ErrorEvent("index_unavailable", "Try again.", True)]

    events = list(client.ask_stream("How?"))

    assert events == [Text("To "), Failed("index_unavailable", "Try again.", True)]


def test_an_upload_is_followed_until_it_is_done(client: Client, script: Script) -> None:
    taken = client.upload("travel.txt", io.BytesIO(b"By train."), collection="main")
    states = [client.submission(taken.id) for _ in range(2)]

    assert script.received == {"travel.txt": b"By train."}
    assert (taken.name, taken.state, taken.final) == (
        "travel.txt",
        SubmissionState.RECEIVED,
        False,
    )
    assert [each.state for each in states] == [SubmissionState.WORKING, SubmissionState.DONE]
    assert states[-1].final


def test_a_failed_upload_says_why(client: Client, script: Script) -> None:
    script.course, script.reason = (SubmissionState.FAILED,), "the file is encrypted"

    taken = client.upload("secret.pdf", io.BytesIO(b"%PDF"))

    assert client.submission(taken.id).reason == "the file is encrypted"


def test_a_refused_upload_says_why(client: Client, script: Script) -> None:
    script.refuse_upload = TooLarge("the file has more than 200 MB")

    with pytest.raises(ApiError, match="more than 200 MB"):
        client.upload("big.pdf", io.BytesIO(b"%PDF"))


def test_documents_come_in_batches_that_join_to_all(client: Client, script: Script) -> None:
    script.stored = [scripted.document(f"Paper {n}", f"/shared/{n}.pdf") for n in range(5)]

    seen: list[Listed] = []
    after = None
    while True:
        listing = client.documents(after=after, limit=2)
        seen += listing.documents
        after = listing.next
        if after is None:
            break

    assert sorted(each.title for each in seen) == [f"Paper {n}" for n in range(5)]
    assert client.documents(collection="other").documents == ()


def test_collections_are_counted(client: Client) -> None:
    assert client.collections() == {"main": 1}


def test_the_original_of_a_document_is_fetched(client: Client) -> None:
    listed = client.documents().documents[0]

    assert client.content(listed.id) == scripted.TEXT.encode()


def test_a_document_that_is_not_there_is_an_error_for_people(client: Client) -> None:
    with pytest.raises(ApiError, match="nothing here that you may see"):
        client.content("gone/../../v1/health")


def test_an_ill_service_still_says_how_it_is(client: Client, script: Script) -> None:
    script.parts = {"catalog": "ok", "index": "does not answer"}

    health = client.health()

    assert (health.status, health.parts["index"]) == ("unavailable", "does not answer")


def test_a_key_is_asked_for_and_opens(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "reader", groups=(), roles=())
    with scripted.serving(Script(), Gate(keys=KeyRing(keys))) as url:
        for wrong in (Client(url), Client(url, "fn_00_wrong")):
            with pytest.raises(KeyNeeded):
                wrong.collections()
            with pytest.raises(KeyNeeded):
                list(wrong.ask_stream("How?"))
            wrong.close()
        right = Client(url, key)
        assert right.collections() == {"main": 1}
        right.close()


def test_nobody_there_is_said_as_such() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Unreachable):
        client.health()
    with pytest.raises(Unreachable):
        list(client.ask_stream("How?"))
    client.close()


def test_no_proxy_of_the_site_gets_to_see_a_question(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    again = Client(client.url)

    assert again.health().status == "ok"
    again.close()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "stopped in the middle"),
        (b'event: delta\ndata: {"text":"To"}\n\n', "stopped in the middle"),
        (b'event: delta\ndata: {"words":"To"}\n\n', "does not understand"),
        (b"event: answer\ndata: nonsense\n\n", "does not understand"),
        (b"event: answer\ndata: {}\n\n", "does not understand"),
    ],
    ids=["nothing", "cut", "foreign", "garbage", "empty answer"],
)
def test_a_stream_that_breaks_ends_with_one_clear_word(body: bytes, complaint: str) -> None:
    with scripted.listening(_says(body)) as url:
        client = Client(url)
        said = _last_word(client)
        client.close()

    assert complaint in said


def test_an_event_of_a_newer_service_is_passed_over() -> None:
    body = (
        b'event: thinking\ndata: {"a":1}\n\n: a comment\n\n'
        b'event: error\ndata: {"error":{"code":"x","message":"No.","retryable":false}}\n\n'
    )
    with scripted.listening(_says(body)) as url:
        client = Client(url)
        events = list(client.ask_stream("How?"))
        client.close()

    assert events == [Failed("x", "No.", False)]


def test_an_upload_knows_when_it_is_over() -> None:
    final = {state for state in SubmissionState if _upload(state).final}

    assert final == {SubmissionState.DONE, SubmissionState.FAILED, SubmissionState.CANCELLED}


def _upload(state: SubmissionState) -> Upload:
    return Upload("id", "name", state)


def _last_word(client: Client) -> str:
    try:
        last = list(client.ask_stream("How?"))[-1]
    except ApiError as error:
        return str(error)
    assert isinstance(last, Failed)
    return last.message


def _says(body: bytes) -> ASGIApp:
    """An app that answers everything with these bytes as an event stream."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
