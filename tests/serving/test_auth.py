from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message

from knowledge.errors import AccessDenied, ConfigurationError
from knowledge.models import Feed, Principal
from knowledge.settings import Settings
from serving.auth import LOCAL, Gate, gate
from serving.keys import KeyRing, add_key, read_keys, remove_key
from tests.house import Keys, QuickHouse, bearer

ALICE = Principal("alice", frozenset({"hr"}))
ABSENT = "00000000-0000-5000-8000-000000000000"

# --- the keys file ------------------------------------------------------------------------------


def test_a_key_opens_for_whom_it_was_made(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "alice", groups=["hr"], roles=["editor"])
    assert KeyRing(path).find(key) == Principal(
        "alice", frozenset({"hr"}), roles=frozenset({"editor"})
    )


def test_the_file_holds_no_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "alice", groups=[], roles=[])
    (row,) = json.loads(path.read_text())
    assert row["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    secret = key.split("_", 2)[2]  # which may hold further underscores
    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda key: key[:-1], id="cut"),
        pytest.param(lambda key: key + "x", id="longer"),
        pytest.param(lambda key: key.replace("fn_", "FN_"), id="another-prefix"),
        pytest.param(lambda key: key[:3] + "00000000" + key[11:], id="another-id"),
        pytest.param(lambda key: key[:-1] + chr(ord(key[-1]) ^ 1), id="one-letter"),
        pytest.param(lambda key: "", id="empty"),
        pytest.param(lambda key: "\ud800", id="no-text"),
    ],
)
def test_anything_else_opens_nothing(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "alice", groups=[], roles=[])
    ring = KeyRing(path)
    assert ring.find(spoil(key)) is None
    assert ring.find(key) is not None


def test_a_removed_key_stops_working_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    kept, lost = (add_key(path, user, groups=[], roles=[]) for user in ("alice", "bob"))
    ring = KeyRing(path)
    assert remove_key(path, lost.split("_")[1])
    assert ring.find(lost) is None
    assert ring.find(kept) is not None
    assert not remove_key(path, "deadbeef")


def test_a_file_that_breaks_while_serving_admits_nobody(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "alice", groups=[], roles=[])
    ring = KeyRing(path)
    good = path.read_text()
    path.write_text("[{")
    assert ring.find(key) is None
    path.write_text(good)
    assert ring.find(key) is not None


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda n: add_key(path, f"u{n}", groups=[], roles=[]), range(24)))
    ring = KeyRing(path)
    assert all(ring.find(key) for key in keys)


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        pytest.param("[]", 0o644, "open to everybody", id="world-readable"),
        pytest.param("{}", 0o600, "not a JSON list", id="no-list"),
        pytest.param("[{", 0o600, "not readable", id="no-json"),
        pytest.param('[{"id": "a"}]', 0o600, "not of the form", id="no-hash"),
        pytest.param('[{"id":"a","sha256":"b","user":""}]', 0o600, "not of the form", id="no-user"),
        pytest.param(
            '[{"id":"a","sha256":"b","user":"c","groups":"hr"}]', 0o600, "not of", id="no-groups"
        ),
    ],
)
def test_a_bad_keys_file_is_refused_at_the_start(
    tmp_path: Path, text: str, mode: int, said: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said):
        KeyRing(path)


def test_a_missing_keys_file_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="footnote keys add"):
        read_keys(tmp_path / "none.json")


def test_names_that_could_forge_a_token_are_refused(tmp_path: Path) -> None:
    for name in ("", "a b", "g:hr", "../x"):
        with pytest.raises(ConfigurationError):
            add_key(tmp_path / "keys.json", name, groups=[], roles=[])
    with pytest.raises(ConfigurationError, match="no such role"):
        add_key(tmp_path / "keys.json", "alice", groups=[], roles=["god"])


# --- the gate -----------------------------------------------------------------------------------


def test_only_loopback_with_embedded_stores_needs_no_keys(tmp_path: Path) -> None:
    assert gate(host="127.0.0.1", embedded=True, keys=None, hosts=[]).principal(None) == LOCAL
    for host, embedded in (("0.0.0.0", True), ("127.0.0.1", False)):  # noqa: S104
        with pytest.raises(ConfigurationError, match="footnote keys add"):
            gate(host=host, embedded=embedded, keys=None, hosts=[])
        add_key(tmp_path / "keys.json", "alice", groups=[], roles=[])
        keys = KeyRing(tmp_path / "keys.json")
        with pytest.raises(AccessDenied):
            gate(host=host, embedded=embedded, keys=keys, hosts=[]).principal(None)


def test_the_owner_token_is_the_local_user_even_among_keys(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", "alice", groups=[], roles=[])
    token = secrets.token_urlsafe(32)
    guarded = Gate(KeyRing(tmp_path / "keys.json"), token)
    assert guarded.principal(f"Bearer {token}") == LOCAL
    with pytest.raises(AccessDenied):
        guarded.principal(f"Bearer {token}x")
    assert not Gate(None).is_owner("Bearer ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 200, id="plain"),
        pytest.param({"Host": "localhost:8765"}, 200, id="localhost"),
        pytest.param({"Host": "[::1]:8765"}, 200, id="six"),
        pytest.param({"Host": "evil.example"}, 421, id="rebinding"),
        pytest.param({"Host": "127.0.0.1.evil.example"}, 421, id="lookalike"),
        pytest.param({"Host": "evil.example/v1/health?"}, 421, id="a-path-in-the-host"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="foreign-origin"),
        pytest.param({"Origin": "null"}, 403, id="sandboxed-origin"),
        pytest.param({"Origin": "http://127.0.0.1:9999"}, 403, id="another-port"),
        pytest.param({"Origin": "http://127.0.0.1:8765"}, 200, id="own-origin"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="foreign-site"),
        pytest.param({"Sec-Fetch-Site": "none"}, 200, id="typed-by-hand"),
    ],
)
def test_a_web_page_cannot_drive_the_local_service(
    local: TestClient, headers: dict[str, str], status: int
) -> None:
    for path in ("/v1/health", "/v1/collections", "/nothing"):
        expected = 404 if (status, path) == (200, "/nothing") else status
        assert local.get(path, headers=headers).status_code == expected


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("data"))
    with QuickHouse(settings) as house:
        yield TestClient(house.app, base_url="http://127.0.0.1:8765")


# --- every route, every caller ------------------------------------------------------------------


class World:
    """A served house in which alice has a document and an upload, and bob has nothing."""

    def __init__(self, house: QuickHouse, keys: Keys) -> None:
        self.house = house
        self.keys = keys
        self.client = TestClient(house.app, base_url="http://127.0.0.1:8765")
        self.document = house.take_in("secret.txt", "The zebra budget is 4211 euros.", ALICE)
        (self.submission,) = (each.id for each in house.intake.recent(ALICE))
        self.source = house.keeper.add(Feed("", "empty", "", "/nowhere/at/all")).id
        house.catalog.reject("s", "upload:alice/bad.pdf", code="damaged", reason="It is damaged.")
        (self.refused,) = (each.id for each in house.catalog.refused())
        self.conversation, self.answer = self.talk()

    def talk(self) -> tuple[str, str]:
        """Let alice ask, and say what she thinks of the answer; return what is kept of it."""
        asked = QUESTION | {"conversation": "new"}
        kept = self.client.post("/v1/ask", json=asked, headers=bearer(self.keys.alice)).json()
        answer = kept["stored"]["answer"]
        path = f"/v1/answers/{answer}/feedback"
        self.client.put(path, json=FEEDBACK, headers=bearer(self.keys.alice))
        return kept["stored"]["conversation"], answer

    def call(
        self, operation: str, headers: Mapping[str, str], *, absent: bool = False
    ) -> httpx2.Response:
        method, _, path = operation.partition(" ")
        path = path.replace("{document_id}", ABSENT if absent else self.document)
        path = path.replace("{submission_id}", ABSENT if absent else self.submission)
        path = path.replace("{job_id}", ABSENT if absent else self.submission)
        path = path.replace("{source_id}", ABSENT if absent else self.source)
        path = path.replace("{conversation_id}", ABSENT if absent else self.conversation)
        path = path.replace("{answer_id}", ABSENT if absent else self.answer)
        path = path.replace("{refused_id}", ABSENT if absent else self.refused)
        return self.client.request(method, path, headers=headers, **BODIES.get(operation, {}))


QUESTION = {"question": "What is the zebra budget?"}
FEEDBACK = {"rating": "down", "reason": "wrong", "correction": "It is 7."}
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/ask": {"json": QUESTION},
    "POST /v1/search": {"json": {"query": "zebra budget"}},
    "POST /v1/documents": {"files": {"file": ("note.txt", b"A note.")}},
    "PUT /v1/documents/{document_id}/access": {"json": {"access": ["g:hr"]}},
    "PUT /v1/documents/{document_id}/tags": {"json": {"tags": ["travel"]}},
    "PATCH /v1/conversations/{conversation_id}": {"json": {"title": "Zebras"}},
    "PUT /v1/answers/{answer_id}/feedback": {"json": FEEDBACK},
    "POST /v1/ingest": {"json": {"paths": ["/nowhere"]}},
    "POST /v1/reindex": {"json": {"action": "discard"}},
    "POST /v1/sources": {"json": {"name": "docs", "uri": "/nowhere"}},
    "PATCH /v1/sources/{source_id}": {"json": {"paused": True}},
    "POST /v1/sources/{source_id}/sync": {"json": {}},
}
# Of each operation: what bob gets, what alice gets, what an administrator of her group gets.
GUARDED = {
    "POST /v1/ask": (200, 200, 200),
    "POST /v1/search": (200, 200, 200),
    "POST /v1/documents": (202, 202, 202),
    "GET /v1/documents": (200, 200, 200),
    "GET /v1/documents/{document_id}": (404, 200, 404),
    "GET /v1/documents/{document_id}/content": (404, 200, 404),
    "PUT /v1/documents/{document_id}/access": (404, 403, 204),
    "PUT /v1/documents/{document_id}/tags": (404, 204, 404),
    "DELETE /v1/documents/{document_id}": (404, 204, 404),
    "GET /v1/submissions": (200, 200, 200),
    "GET /v1/submissions/{submission_id}": (404, 200, 200),
    "DELETE /v1/submissions/{submission_id}": (404, 200, 200),
    "GET /v1/jobs": (200, 200, 200),
    "GET /v1/jobs/{job_id}": (404, 200, 200),
    "DELETE /v1/jobs/{job_id}": (404, 200, 200),
    "POST /v1/jobs/{job_id}/pause": (404, 409, 409),  # it is done
    "POST /v1/jobs/{job_id}/resume": (404, 409, 409),
    "POST /v1/jobs/{job_id}/retry": (404, 409, 409),
    "GET /v1/quarantine": (200, 200, 200),
    "POST /v1/quarantine/{refused_id}/retry": (404, 200, 200),
    "GET /v1/collections": (200, 200, 200),
    "GET /v1/facets": (200, 200, 200),
    "GET /v1/conversations": (200, 200, 200),
    "GET /v1/conversations/{conversation_id}": (404, 200, 404),
    "PATCH /v1/conversations/{conversation_id}": (404, 200, 404),
    "DELETE /v1/conversations/{conversation_id}": (404, 204, 404),
    "GET /v1/conversations/{conversation_id}/export": (404, 200, 404),
    "GET /v1/answers/{answer_id}": (404, 200, 404),
    "PUT /v1/answers/{answer_id}/feedback": (404, 204, 404),
    "GET /v1/feedback": (403, 403, 200),
    "GET /v1/coverage": (403, 403, 200),
    "GET /metrics": (403, 403, 200),
    "GET /v1/sources": (403, 403, 200),
    "POST /v1/sources": (403, 403, 403),  # a folder is added where it lies
    "GET /v1/sources/{source_id}": (403, 403, 200),
    "PATCH /v1/sources/{source_id}": (403, 403, 200),
    "POST /v1/sources/{source_id}/sync": (403, 403, 200),
    "DELETE /v1/sources/{source_id}": (403, 403, 200),
    "POST /v1/ingest": (403, 403, 403),
    "POST /v1/reindex": (403, 403, 403),
    "GET /v1/generations": (403, 403, 403),
    "GET /v1/refusals": (403, 403, 403),
}
PUBLIC = {"GET /v1/health"}
STRANGERS: list[Any] = [
    pytest.param({}, id="no-key"),
    pytest.param({"Authorization": "Bearer fn_00000000_bad"}, id="bad-key"),
    pytest.param({"Authorization": "Bearer "}, id="empty-key"),
    pytest.param({"Authorization": "Basic {alice}"}, id="another-scheme"),
    pytest.param({"X-API-Key": "{alice}"}, id="key-in-another-header"),
    pytest.param({"Cookie": "Authorization=Bearer {alice}"}, id="key-in-a-cookie"),
    pytest.param({"X-User": "alice", "X-Forwarded-User": "alice"}, id="forged-user"),
    pytest.param({"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}, id="forged-ip"),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield from _world(tmp_path)


@pytest.fixture(scope="module")
def still_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world for tests that change nothing in it."""
    yield from _world(tmp_path_factory.mktemp("world"))


def _world(folder: Path) -> Iterator[World]:
    keys = Keys(folder)
    settings = Settings(_env_file=None, data_dir=folder / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        yield World(house, keys)


def test_every_operation_has_its_callers_declared(still_world: World) -> None:
    described = still_world.client.get("/openapi.json", headers=bearer(still_world.keys.bob)).json()
    operations = {
        f"{method.upper()} {path}" for path, item in described["paths"].items() for method in item
    }
    assert operations == GUARDED.keys() | PUBLIC
    for operation in GUARDED:
        method, _, path = operation.partition(" ")
        assert described["paths"][path][method.lower()]["security"], operation


@pytest.mark.parametrize("headers", STRANGERS)
def test_no_operation_but_health_hears_a_stranger(
    still_world: World, headers: dict[str, str]
) -> None:
    given = {
        name: text.replace("{alice}", still_world.keys.alice) for name, text in headers.items()
    }
    bodies = set()
    for operation in [*GUARDED, "GET /openapi.json"]:
        for absent in (False, True):
            reply = still_world.call(operation, absent=absent, headers=given)
            assert reply.status_code == 401, operation
            assert reply.headers["www-authenticate"] == "Bearer"
            bodies.add(reply.content)
    assert len(bodies) == 1
    assert still_world.call("GET /v1/health", headers=given).status_code == 200
    assert (
        still_world.house.catalog.document(still_world.document, ALICE).id == still_world.document
    )


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/documents"])
def test_a_stranger_is_refused_before_his_body_is_read(still_world: World, path: str) -> None:
    def answered(key: str) -> tuple[int, bool]:
        return asyncio.run(_send_without_a_body(still_world.house.app, path, key))

    assert answered("fn_00000000_bad") == (401, False)
    _, was_read = answered(still_world.keys.alice)
    assert was_read  # the control


async def _send_without_a_body(app: ASGIApp, path: str, key: str) -> tuple[int, bool]:
    """Return the status of a request, and whether anything asked for its body."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"content-type", b"multipart/form-data; boundary=b"),
            (b"authorization", f"Bearer {key}".encode()),
        ],
    }
    sent: list[Message] = []
    asked = []

    async def receive() -> Message:
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], bool(asked)


@pytest.mark.parametrize("operation", GUARDED)
def test_each_caller_gets_what_is_declared(world: World, operation: str) -> None:
    bob, alice, admin = GUARDED[operation]
    forged = bearer(world.keys.bob) | {"X-User": "alice", "X-Groups": "hr"}
    seen = world.call(operation, headers=forged)
    assert seen.status_code == bob
    assert world.document not in seen.text
    assert "4211" not in seen.text
    assert world.call(operation, headers=bearer(world.keys.admin)).status_code == admin
    if operation != "PUT /v1/documents/{document_id}/access":  # it has just been taken from alice
        assert world.call(operation, headers=bearer(world.keys.alice)).status_code == alice


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_nobody_goes_on_with_a_conversation_of_another(world: World, stream: bool) -> None:
    def going_on(key: str, conversation: str) -> httpx2.Response:
        asked = QUESTION | {"conversation": conversation, "stream": stream}
        return world.client.post("/v1/ask", json=asked, headers=bearer(key))

    forbidden = going_on(world.keys.bob, world.conversation)
    absent = going_on(world.keys.bob, ABSENT)
    assert (forbidden.status_code, forbidden.content) == (404, absent.content)
    assert going_on(world.keys.admin, world.conversation).status_code == 404
    assert going_on(world.keys.alice, world.conversation).status_code == 200
    path = f"/v1/conversations?after={world.conversation}"
    assert world.client.get(path, headers=bearer(world.keys.bob)).status_code == 404
    path = f"/v1/conversations/{world.conversation}"
    kept = world.client.get(path, headers=bearer(world.keys.alice)).json()
    assert len(kept["exchanges"]) == 2


def test_a_reader_may_not_say_who_else_may_read(world: World) -> None:
    operation = "PUT /v1/documents/{document_id}/access"
    assert world.call(operation, headers=bearer(world.keys.alice)).status_code == 403


@pytest.mark.parametrize("operation", [name for name in GUARDED if "_id}" in name])
def test_forbidden_and_absent_are_the_same_bytes(still_world: World, operation: str) -> None:
    forbidden = still_world.call(operation, headers=bearer(still_world.keys.bob))
    absent = still_world.call(operation, absent=True, headers=bearer(still_world.keys.bob))
    assert forbidden.status_code == absent.status_code == GUARDED[operation][0]
    assert forbidden.status_code in (403, 404)
    assert forbidden.content == absent.content
    assert forbidden.headers.keys() == absent.headers.keys()


def test_what_alice_keeps_for_herself_bob_cannot_find(still_world: World) -> None:
    def found(key: str) -> list[object]:
        reply = still_world.call("POST /v1/search", headers=bearer(key))
        passages: list[object] = reply.json()["passages"]
        return passages

    assert found(still_world.keys.bob) == []
    assert len(found(still_world.keys.alice)) == 1  # the control: it is there to be found
    bob = still_world.call("POST /v1/ask", headers=bearer(still_world.keys.bob)).json()
    assert (bob["verdict"], bob["citations"]) == ("not_found", [])
    listed = still_world.call("GET /v1/collections", headers=bearer(still_world.keys.bob)).json()
    assert listed == {"collections": []}
    facets = {
        name: still_world.call("GET /v1/facets", headers=bearer(key)).json()
        for name, key in (("bob", still_world.keys.bob), ("alice", still_world.keys.alice))
    }
    assert not any(facets["bob"].values())
    assert [each["documents"] for each in facets["alice"]["types"]] == [1]  # the control


def test_an_upload_is_its_senders_alone_unless_he_shares_it(world: World) -> None:
    def upload(**data: list[str]) -> httpx2.Response:
        return world.client.post(
            "/v1/documents",
            files={"file": ("note.txt", b"A note.")},
            data=data,
            headers=bearer(world.keys.alice),
        )

    assert upload().json()["access"] == ["u:alice"]
    assert upload(access=["g:hr", "u:alice"]).json()["access"] == ["g:hr", "u:alice"]
    assert upload(access=["everyone"]).json()["access"] == ["everyone"]
    for foreign in (["g:board"], ["u:bob"], ["g:hr", "u:bob"], ["root"], [""]):
        reply = upload(access=foreign)
        assert reply.status_code == 422
        assert reply.json()["error"]["field"] == "access"


def test_a_lost_right_is_lost_at_the_next_request(world: World) -> None:
    operation = "PUT /v1/documents/{document_id}/access"
    assert world.call("POST /v1/search", headers=bearer(world.keys.alice)).json()["passages"]
    world.house.intake.set_access(world.document, frozenset({"u:root"}))
    assert not world.call("POST /v1/search", headers=bearer(world.keys.alice)).json()["passages"]
    assert world.call(operation, headers=bearer(world.keys.alice)).status_code == 404
