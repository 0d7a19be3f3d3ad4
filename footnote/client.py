"""The service of this data folder over HTTP; the only file of `footnote` that knows httpx2."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from footnote.owner import Service
from knowledge.errors import FootnoteError, NotFound, OwnedElsewhere

Json = dict[str, Any]

_QUICK = httpx2.Timeout(5)
_PATIENT = httpx2.Timeout(600, connect=5)
_ENDLESS = httpx2.Timeout(None, connect=5)


class ServiceDesk:
    """The desk of another process, which owns the data folder."""

    def __init__(self, service: Service) -> None:
        self.url = service.url
        self._http = httpx2.Client(
            base_url=service.url,
            headers={"Authorization": f"Bearer {service.token}"},
            timeout=_PATIENT,
            trust_env=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(
        self,
        question: str,
        *,
        effort: str | None,
        collection: str | None,
        filters: Json | None = None,
    ) -> Json:
        """Return an answer."""
        body = {"question": question, "effort": effort, "collection": collection}
        return self._call("POST", "/v1/ask", json=body | {"filters": filters})

    def search(
        self, query: str, *, collection: str | None, limit: int, filters: Json | None = None
    ) -> Json:
        """Return passages."""
        body = {"query": query, "collection": collection, "filters": filters, "limit": limit}
        return self._call("POST", "/v1/search", json=body)

    def ingest(
        self, paths: Sequence[Path], *, collection: str, tags: Sequence[str] = ()
    ) -> Iterator[Json]:
        """Yield one event per document, each after the service has made its effect durable."""
        named = [str(path.absolute()) for path in paths]
        body = {"paths": named, "collection": collection, "tags": list(tags)}
        return self._stream("/v1/ingest", body)

    def _stream(self, path: str, body: Json) -> Iterator[Json]:
        try:
            with self._http.stream("POST", path, json=body, timeout=_ENDLESS) as reply:
                if reply.status_code != 200:
                    reply.read()
                    raise _refused(reply)
                yield from _events(reply)
        except httpx2.TransportError as error:
            raise self._gone(error) from error

    def documents(self, *, collection: str | None, after: str | None, limit: int) -> Json:
        """Return one page of documents."""
        given = {"collection": collection, "after": after, "limit": limit}
        return self._call(
            "GET", "/v1/documents", params={k: v for k, v in given.items() if v is not None}
        )

    def collections(self) -> Json:
        """Return collections and their sizes."""
        return self._call("GET", "/v1/collections")

    def submissions(self) -> Json:
        """Return the latest uploads."""
        return self._call("GET", "/v1/submissions")

    def refusals(self) -> Json:
        """Return what is not indexed, and why, latest first."""
        return self._call("GET", "/v1/refusals")

    def coverage(self, *, after: str | None, limit: int) -> Json:
        """Return one page of documents of which little or nothing can be found, and why."""
        given = {"limit": limit} | ({"after": after} if after else {})
        return self._call("GET", "/v1/coverage", params=given)

    def jobs(self, *, states: Sequence[str] = (), limit: int = 100) -> Json:
        """Return jobs, newest first."""
        return self._call("GET", "/v1/jobs", params={"state": list(states), "limit": limit})

    def job(self, job_id: str) -> Json:
        """Return a job."""
        return self._call("GET", f"/v1/jobs/{quote(job_id, safe='')}")

    def change_job(self, job_id: str, change: str) -> Json:
        """Do one of `desk.CHANGES` to a job, and return it."""
        path = f"/v1/jobs/{quote(job_id, safe='')}"
        if change == "cancel":
            return self._call("DELETE", path)
        return self._call("POST", f"{path}/{change}")

    def quarantine(self, *, limit: int = 100) -> Json:
        """Return what is not tried again."""
        return self._call("GET", "/v1/quarantine", params={"limit": limit})

    def free(self, refused_id: str) -> Json:
        """Have a quarantined file tried again."""
        return self._call("POST", f"/v1/quarantine/{quote(refused_id, safe='')}/retry")

    def feedback(self, *, after: str | None, limit: int) -> Json:
        """Return one page of answers that people said something of."""
        given = {"limit": limit} | ({"after": after} if after else {})
        return self._call("GET", "/v1/feedback", params=given)

    def generations(self) -> Json:
        """Return the generations of the index."""
        return self._call("GET", "/v1/generations")

    def reindex(
        self, action: str, *, golden: Path | None, loss: float, force: bool
    ) -> Iterator[Json]:
        """Build a generation, go back or discard one; yield how far it is."""
        file = str(golden.absolute()) if golden else None
        body = {"action": action, "golden": file, "loss": loss, "force": force}
        return self._stream("/v1/reindex", body)

    def remove(self, document_id: str) -> None:
        """Remove a document."""
        self._call("DELETE", f"/v1/documents/{document_id}")

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Set who may read a document."""
        self._call("PUT", f"/v1/documents/{document_id}/access", json={"access": list(access)})

    def set_tags(self, document_id: str, tags: Sequence[str]) -> None:
        """Set the tags of a document."""
        self._call("PUT", f"/v1/documents/{document_id}/tags", json={"tags": list(tags)})

    def sources(self) -> Json:
        """Return the sources that are kept in sync."""
        return self._call("GET", "/v1/sources")

    def add_source(self, body: Json) -> Json:
        """Keep a source in sync, and return it."""
        return self._call("POST", "/v1/sources", json=body)

    def change_source(self, source_id: str, body: Json) -> Json:
        """Pause, resume or schedule a source, and return it."""
        return self._call("PATCH", f"/v1/sources/{source_id}", json=body)

    def sync_source(self, source_id: str, body: Json) -> Iterator[Json]:
        """Yield one event per document, each after the service has made its effect durable."""
        return self._stream(f"/v1/sources/{source_id}/sync", body)

    def remove_source(self, source_id: str, *, keep_documents: bool) -> Json:
        """Forget a source, and return how many documents were removed."""
        kept = {"keep_documents": str(keep_documents).lower()}
        return self._call("DELETE", f"/v1/sources/{source_id}", params=kept)

    def _call(self, method: str, path: str, **content: Any) -> Json:  # noqa: ANN401
        try:
            reply = self._http.request(method, path, **content)
        except httpx2.TransportError as error:
            raise self._gone(error) from error
        if reply.status_code >= 400:
            raise _refused(reply)
        return reply.json() if reply.content else {}

    def _gone(self, error: Exception) -> OwnedElsewhere:
        return OwnedElsewhere(
            f"the service at {self.url} stopped answering ({type(error).__name__}); "
            "what it has reported is kept: run the command again"
        )


def answers(service: Service) -> bool:
    """Say whether the service speaks HTTP at all."""
    try:
        httpx2.get(f"{service.url}/v1/health", timeout=_QUICK, trust_env=False)
    except httpx2.TransportError:
        return False
    return True


def probe(url: str, *, key: str = "", seconds: float = 5) -> tuple[int, Json]:
    """Get `url`; return the status and the JSON body, (0, {}) when nothing answers in time."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx2.get(url, headers=headers, timeout=seconds, trust_env=False)
        body = reply.json()
    except httpx2.TransportError:
        return 0, {}
    except ValueError:
        return reply.status_code, {}
    return reply.status_code, body if isinstance(body, dict) else {}


def _events(reply: httpx2.Response) -> Iterator[Json]:
    for line in reply.iter_lines():
        event: Json = json.loads(line)
        if "finished" in event:
            return
        if "error" in event:
            raise FootnoteError(event["error"]["message"])
        yield event
    raise OwnedElsewhere("the service stopped before it was done; run the command again")


def _refused(reply: httpx2.Response) -> FootnoteError:
    if reply.status_code == 404:
        return NotFound(f"there is {_absent(reply.url.path)}")
    try:
        return FootnoteError(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return FootnoteError(f"the service answered with status {reply.status_code}")


def _absent(path: str) -> str:
    """Say in the service's own words what is not there."""
    named = {"/v1/documents": "document", "/v1/sources": "source"}
    return next(
        (f"no such {what}" for begins, what in named.items() if path.startswith(begins)),
        "nothing of this id",
    )
