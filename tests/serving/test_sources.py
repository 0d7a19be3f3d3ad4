from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from knowledge.models import Principal
from knowledge.settings import Settings
from serving import schemas
from serving.api import create_app
from tests.house import Keys, QuickHouse, bearer

PUBLIC = {"name": "site", "uri": "https://example.org/docs/", "settings": {"max_pages": "5"}}


@pytest.fixture
def house(settings: Settings) -> Iterator[QuickHouse]:
    with QuickHouse(settings) as house:
        yield house


@pytest.fixture
def client(house: QuickHouse) -> TestClient:
    app = create_app(house.services)
    return TestClient(app, base_url="http://127.0.0.1:8765", headers=bearer(house.owner_token))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "zebra.txt").write_text("The zebra budget is 4211 euros.")
    return folder


def test_a_source_is_added_synced_shown_and_removed(
    client: TestClient, house: QuickHouse, docs: Path
) -> None:
    given = {"name": "docs", "uri": str(docs), "access": ["everyone"], "every": 900}
    added = client.post("/v1/sources", json=given)
    assert added.status_code == 201
    place = added.headers["location"]
    shown = schemas.SourceOut.model_validate(client.get(place).json())
    assert (shown.kind, shown.state, shown.every) == ("folder", "never", 900)
    assert lines(client.post(f"{place}/sync", json={}))[0]["outcome"] == "indexed"
    assert len(lines(client.post(f"{place}/sync", json={"dry_run": True}))) == 1
    body = schemas.SourcesOut.model_validate(client.get("/v1/sources").json())
    assert body.sources[0].freshness.documents == 1
    assert body.sources[0].counts == {"indexed": 1}
    paused = client.patch(place, json={"paused": True, "every": 0}).json()
    assert (paused["paused"], paused["every"]) == (True, None)
    assert client.delete(place).json() == {"removed": 1}
    assert client.get(place).status_code == 404
    assert house.catalog.documents(Principal("ann"), collection=None, after=None, limit=9) == []


def test_who_does_not_wait_has_the_source_synced_next(client: TestClient, docs: Path) -> None:
    place = client.post("/v1/sources", json={"name": "docs", "uri": str(docs)}).headers["location"]
    taken = client.post(f"{place}/sync", json={"wait": False})
    assert (taken.status_code, taken.json()) == (202, {"status_url": place})
    shown = client.get(place).json()
    assert (shown["state"], shown["due_at"] is None) == ("never", False)
    told = client.post(f"{place}/sync", json={"wait": False, "dry_run": True})
    assert told.status_code == 422


def test_documents_can_outlive_their_source(
    client: TestClient, house: QuickHouse, docs: Path
) -> None:
    place = client.post("/v1/sources", json={"name": "docs", "uri": str(docs)}).headers["location"]
    client.post(f"{place}/sync", json={})
    assert client.delete(f"{place}?keep_documents=true").json() == {"removed": 0}
    assert len(house.catalog.documents(Principal("a"), collection=None, after=None, limit=9)) == 1


def test_a_source_that_fails_says_so_in_the_last_line_and_later(
    client: TestClient, docs: Path
) -> None:
    place = client.post("/v1/sources", json={"name": "docs", "uri": str(docs)}).headers["location"]
    (docs / "zebra.txt").unlink()
    docs.rmdir()
    (last,) = lines(client.post(f"{place}/sync", json={}), finished=False)
    assert "no file or folder at" in last["error"]["message"]
    assert client.get(place).json()["state"] == "failed"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({"name": "x"}, "uri", id="no-address"),
        pytest.param({"name": "a/b", "uri": "https://h/"}, "not a name", id="name"),
        pytest.param({"name": "x", "uri": "gopher://h/"}, "gopher", id="scheme"),
        pytest.param({"name": "x", "uri": "https://u:p@h/"}, "no user and password", id="userinfo"),
        pytest.param({"name": "x", "uri": "https://h/", "every": 3}, "10 seconds", id="every"),
        pytest.param({"name": "x", "uri": "https://h/", "settings": {"max_pages": "all"}},
                     "number", id="limit"),
        pytest.param({"name": "x", "uri": "https://h/", "access": ["hr"]}, "access.0", id="token"),
        pytest.param({"name": "x", "uri": "https://h/", "owner": "me"}, "owner", id="field"),
        pytest.param({"name": "x", "uri": "s3://b", "settings": {"secret": "hush"}},
                     "FOOTNOTE_SECRET_NAME", id="secret"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_a_reason(
    client: TestClient, body: dict[str, Any], said: str
) -> None:
    reply = client.post("/v1/sources", json=body)
    assert reply.status_code == 422
    error = schemas.ErrorOut.model_validate(reply.json()).error
    assert said in f"{error.message} {error.field}"
    assert client.get("/v1/sources").json() == {"sources": []}


def test_who_holds_no_token_of_the_owner_may_not_look(house: QuickHouse) -> None:
    client = TestClient(create_app(house.services), base_url="http://127.0.0.1:8765")
    assert client.get("/v1/sources").status_code == 403
    assert client.post("/v1/sources", json=PUBLIC).status_code == 403


def test_an_administrator_adds_all_but_folders_and_workers_sync(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        app = create_app(replace(house.services, operator=False))
        client = TestClient(app, base_url="http://127.0.0.1:8765", headers=bearer(keys.admin))
        folder = client.post("/v1/sources", json={"name": "etc", "uri": "/etc"})
        assert folder.status_code == 403
        assert "footnote source add" in folder.json()["error"]["message"]
        for other in ("file:///etc", "C:/etc", "~"):
            assert client.post("/v1/sources", json={"name": "e", "uri": other}).status_code == 403
        place = client.post("/v1/sources", json=PUBLIC).headers["location"]
        assert client.get(place).json()["due_at"] is None
        taken = client.post(f"{place}/sync", json={})
        assert (taken.status_code, taken.json()) == (202, {"status_url": place})
        assert client.get(place).json()["due_at"] is not None
        assert client.post(f"{place}/sync", json={"dry_run": True}).status_code == 422


def lines(reply: httpx2.Response, *, finished: bool = True) -> list[dict[str, Any]]:
    """Return the events of a sync; the last line must say that it came to its end, or not."""
    assert reply.headers["content-type"] == "application/x-ndjson"
    told: list[dict[str, Any]] = [json.loads(line) for line in reply.text.splitlines()]
    assert (told[-1] == {"finished": True}) is finished
    return told[:-1] if finished else told
