"""A small Qdrant for tests: the part of its REST interface that Footnote uses, over a socket.

It is `qdrant-client`'s in-memory store behind HTTP, so it is exact, slow and forgets everything. An
operation it does not know, a field it does not know and a wrong key are refused, not ignored.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from qdrant_client import QdrantClient, models

Json = dict[str, Any]
Asked = TypeVar("Asked", bound=BaseModel)
OPEN_PATHS = ("/readyz", "/livez", "/healthz")


@contextlib.contextmanager
def qdrant_server(
    api_key: str = "", heard: list[tuple[str, str, Json]] | None = None
) -> Iterator[str]:
    """Serve an empty store on a free loopback port; yield its URL.

    What is asked is noted in `heard`: shards, replicas and rounding mean nothing to this store.
    """
    store = _Store(api_key, [] if heard is None else heard)
    server = _Server(store)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        store.client.close()


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Store:
    """The collections, one request at a time: the in-memory client is not made for threads."""

    def __init__(self, api_key: str, heard: list[tuple[str, str, Json]]) -> None:
        self.api_key = api_key
        self.heard = heard
        self.client = QdrantClient(":memory:")
        self.indexed: dict[str, dict[str, models.PayloadSchemaType]] = {}
        self.lock = threading.Lock()
        self.routes: list[tuple[str, re.Pattern[str], Callable[[str, Json], object]]] = [
            ("GET", _route(""), self.info),
            ("PUT", _route(""), self.create),
            ("DELETE", _route(""), self.drop),
            ("GET", _route("/exists"), self.exists),
            ("PUT", _route("/index"), self.index_field),
            ("PUT", _route("/points"), self.upsert),
            ("POST", _route("/points"), self.retrieve),
            ("POST", _route("/points/query"), self.query),
            ("POST", _route("/points/query/batch"), self.query_batch),
            ("POST", _route("/points/count"), self.count),
            ("POST", _route("/points/delete"), self.delete),
            ("POST", _route("/points/payload"), self.set_payload),
        ]

    def answer(self, method: str, path: str, body: Json) -> object:
        if path in OPEN_PATHS:
            return "all shards are ready"
        self.heard.append((method, path, body))
        for verb, pattern, action in self.routes:
            if verb == method and (match := pattern.fullmatch(path)):
                with self.lock:
                    return action(match[1], body)
        raise _Refused(HTTPStatus.NOT_IMPLEMENTED, f"the test server has no {method} {path}")

    def info(self, name: str, _: Json) -> object:
        self._known(name)
        info = self.client.get_collection(name).model_dump(mode="json")
        fields = {
            field: {"data_type": kind.value, "points": 0}
            for field, kind in self.indexed[name].items()
        }
        return info | {"payload_schema": fields}

    def create(self, name: str, body: Json) -> object:
        asked = _parse(models.CreateCollection, body)
        if name in self.indexed:
            raise _Refused(HTTPStatus.CONFLICT, f"Collection `{name}` already exists!")
        self.client.create_collection(
            name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors
        )
        self.indexed[name] = {}
        return True

    def drop(self, name: str, _: Json) -> object:
        self.indexed.pop(name, None)
        return self.client.delete_collection(name)

    def exists(self, name: str, _: Json) -> object:
        return {"exists": name in self.indexed}

    def index_field(self, name: str, body: Json) -> object:
        self._known(name)
        asked = _parse(models.CreateFieldIndex, body)
        self.indexed[name][asked.field_name] = models.PayloadSchemaType(asked.field_schema)
        return _done()

    def upsert(self, name: str, body: Json) -> object:
        self._known(name)
        self.client.upsert(name, _parse(models.PointsList, body).points, wait=True)
        return _done()

    def retrieve(self, name: str, body: Json) -> object:
        self._known(name)
        asked = _parse(models.PointRequest, body)
        found = self.client.retrieve(
            name,
            asked.ids,
            with_payload=asked.with_payload or False,
            with_vectors=asked.with_vector or False,
        )
        return [record.model_dump(mode="json") for record in found]

    def query(self, name: str, body: Json) -> object:
        self._known(name)
        asked = _parse(models.QueryRequest, body)
        found = self.client.query_points(
            name,
            query=asked.query,
            using=asked.using,
            prefetch=asked.prefetch,
            query_filter=asked.filter,
            limit=asked.limit or 10,
            with_payload=asked.with_payload or False,
        )
        return found.model_dump(mode="json")

    def query_batch(self, name: str, body: Json) -> object:
        if set(body) != {"searches"}:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"unknown fields: {sorted(body)}")
        return [self.query(name, each) for each in body["searches"]]

    def count(self, name: str, body: Json) -> object:
        self._known(name)
        asked = _parse(models.CountRequest, body)
        return {"count": self.client.count(name, asked.filter, exact=bool(asked.exact)).count}

    def delete(self, name: str, body: Json) -> object:
        self._known(name)
        self.client.delete(name, _parse(models.FilterSelector, body), wait=True)
        return _done()

    def set_payload(self, name: str, body: Json) -> object:
        self._known(name)
        asked = _parse(models.SetPayload, body)
        points = asked.filter if asked.points is None else asked.points
        if points is None:
            raise _Refused(HTTPStatus.BAD_REQUEST, "neither points nor a filter")
        self.client.set_payload(name, asked.payload, points=points, wait=True)
        return _done()

    def _known(self, name: str) -> None:
        if name not in self.indexed:
            raise _Refused(HTTPStatus.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")


def _route(tail: str) -> re.Pattern[str]:
    return re.compile(r"/collections/([^/]+)" + re.escape(tail))


def _parse(kind: type[Asked], body: Json) -> Asked:
    if unknown := set(body) - set(kind.model_fields):
        raise _Refused(HTTPStatus.BAD_REQUEST, f"unknown fields: {sorted(unknown)}")
    return kind.model_validate(body)


def _done() -> object:
    return {"operation_id": 0, "status": "completed"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, store: _Store) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = store


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        try:
            self._check_key(path)
            body = json.loads(raw) if raw else {}
            result = self.server.store.answer(self.command, path, body)
            self._send(HTTPStatus.OK, {"result": result, "status": "ok", "time": 0.0})
        except _Refused as refusal:
            self._send(refusal.status, _error(str(refusal)))
        except (ValueError, ValidationError) as error:
            self._send(HTTPStatus.BAD_REQUEST, _error(str(error)))

    do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 (names that http.server calls)

    def _check_key(self, path: str) -> None:
        key = self.server.store.api_key
        if key and path not in OPEN_PATHS and self.headers.get("api-key") != key:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "Must provide an API key")

    def _send(self, status: HTTPStatus, body: object) -> None:
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _error(message: str) -> object:
    return {"status": {"error": message}, "time": 0.0}
