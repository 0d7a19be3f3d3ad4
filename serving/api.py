"""The HTTP API: one table of routes over the services; the only file that builds a FastAPI app.

Every route but health is guarded: its caller is made a `Principal` before the body is read. What a
caller may not see answers exactly like what does not exist.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, cast
from urllib.parse import quote, unquote

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response, Security
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.datastructures import Headers, MutableHeaders, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from knowledge.errors import FootnoteError, NotFound
from knowledge.models import (
    DEFAULT_COLLECTION,
    EVERYONE,
    Document,
    IngestEvent,
    Principal,
    Question,
    Turn,
)
from serving import schemas, wire
from serving.events import AnswerEvent, ErrorEvent, Event
from serving.refusal import Refusal, Responses, documented, install, refuse
from serving.services import Services

THREADS = 32
_JSON_BODY_BYTES = 4 * 2**20
_FORM_OVERHEAD_BYTES = 2**20
_ID = re.compile(r"^[0-9A-Za-z-]{1,64}$")
_COLLECTION: TypeAdapter[str] = TypeAdapter(schemas.CollectionName)
_TOKENS: TypeAdapter[list[str]] = TypeAdapter(list[schemas.AccessToken])


def create_app(services: Services) -> FastAPI:
    """Build the app; it opens nothing and ends with its services still open."""
    app = FastAPI(
        title="Footnote",
        version=services.version,
        description="Cited answers from your own documents.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.include_router(_public())
    app.include_router(_guarded(services))
    app.add_middleware(Doorman, services=services)
    install(app)
    return app


def _public() -> APIRouter:
    router = APIRouter()
    down: Responses = {503: {"model": schemas.HealthOut, "description": "A part is unavailable"}}
    router.add_api_route(
        "/v1/health", health, response_model=schemas.HealthOut, responses=documented() | down
    )
    return router


def _guarded(services: Services) -> APIRouter:
    bearer = HTTPBearer(auto_error=False, description="An API key: fn_<id>_<secret>")
    router = APIRouter(route_class=Guarded, dependencies=[Security(bearer)])
    for row in TABLE + (OPERATOR_TABLE if services.operator else ()):
        router.add_api_route(
            row.path,
            row.endpoint,
            methods=[row.method],
            status_code=row.status,
            response_model=row.gives,
            responses=documented(*row.refusals) | row.also,
            **row.more,
        )
    router.add_api_route("/openapi.json", openapi, include_in_schema=False)
    return router


# --- before a route -----------------------------------------------------------------------------


class Guarded(APIRoute):
    """A route whose caller is known before a byte of the body is read, and whose body is capped."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the route with the making of its principal."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            services = _services(request)
            principal = services.gate.principal(request.headers.get("authorization"))
            request.state.principal = principal
            receive = _capped(request, self.most_bytes(services))
            return await handle(Request(request.scope, receive))

        return guarded

    def most_bytes(self, _: Services) -> int:
        """Return how many bytes a body may have."""
        return _JSON_BODY_BYTES


class GuardedUpload(Guarded):
    """A guarded route that takes a file."""

    def most_bytes(self, services: Services) -> int:
        """Return how many bytes a form with a file may have."""
        return services.max_upload_bytes + _FORM_OVERHEAD_BYTES


def _capped(request: Request, most: int) -> Receive:
    """Return the request's receiver, which refuses to go on beyond `most` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise HTTPException(413)
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413)
        return message

    return receive


class Doorman:
    """Turns away requests for other hosts and from foreign pages; sets headers on every answer."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._gate = services.gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it whatever its path is."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_safely)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._gate.answers_to(hosts[0]):
            message = "This service does not answer to that host name (FOOTNOTE_ALLOWED_HOSTS)."
            return refuse(421, "misdirected_request", message)
        fetch_site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if not self._gate.allows_origin(hosts[0], origin=origin, fetch_site=fetch_site):
            return refuse(403, "foreign_page", "A page of another site may not use this service.")
        return None


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="footnote-api")
    asyncio.get_running_loop().set_default_executor(pool)
    yield
    pool.shutdown(wait=False, cancel_futures=True)


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def _principal(request: Request) -> Principal:
    return cast("Principal", request.state.principal)


def _document_id(document_id: str) -> str:
    return _known_form(document_id)


def _submission_id(submission_id: str) -> str:
    return _known_form(submission_id)


def _known_form(identity: str) -> str:
    """Return an id that could exist; another one is absent, not invalid."""
    if not _ID.fullmatch(identity):
        raise NotFound(identity)
    return identity


House = Annotated[Services, Depends(_services)]
Who = Annotated[Principal, Depends(_principal)]
DocumentId = Annotated[str, Depends(_document_id)]
SubmissionId = Annotated[str, Depends(_submission_id)]


# --- questions ----------------------------------------------------------------------------------

_EVENTS: Responses = {
    200: {
        "description": "The answer; with `stream`, events: passages, delta, citation, and then "
        "exactly one of answer and error",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


async def ask(body: schemas.AskIn, who: Who, services: House) -> Response:
    """Answer a question from the documents that the caller may read."""
    question = Question(
        text=body.question,
        collection=body.collection,
        history=tuple(Turn(turn.role, turn.text) for turn in body.history),
        effort=body.effort or services.effort,
    )
    if body.stream:
        headers = {"X-Accel-Buffering": "no"}
        events = _event_stream(services, question, who)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)
    async with aclosing(_events(services, question, who)) as events_:
        async for event in events_:
            if isinstance(event, AnswerEvent):
                return JSONResponse(wire.answer_json(event.answer))
            if isinstance(event, ErrorEvent):
                raise Refusal(503 if event.retryable else 500, event.code, event.message)
    raise Refusal(500, "internal", "The answer ended without a word.")


async def _event_stream(
    services: Services, question: Question, who: Principal
) -> AsyncIterator[bytes]:
    """Write the events down; a failure after the first byte becomes the terminal event."""
    try:
        async with aclosing(_events(services, question, who)) as events:
            async for event in events:
                yield wire.sse(*wire.event_json(event))
    except FootnoteError as error:
        failed = ErrorEvent("unavailable", str(error), retryable=True)
        yield wire.sse(*wire.event_json(failed))


def _events(services: Services, question: Question, who: Principal) -> AsyncGenerator[Event, None]:
    """Open the stream as what it is, so that a caller who leaves can close it at once."""
    return cast("AsyncGenerator[Event, None]", services.answerer.stream(question, who))


async def search(body: schemas.SearchIn, who: Who, services: House) -> Response:
    """Find the passages that fit a query best, among those the caller may read."""
    find = services.retriever.search
    passages = await asyncio.to_thread(
        find, body.query, who, collection=body.collection, limit=body.limit
    )
    return JSONResponse(wire.passages_json(passages))


# --- documents ----------------------------------------------------------------------------------

_UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "collection": {"type": "string", "default": DEFAULT_COLLECTION},
                        "access": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Who may read it, among the caller's own tokens",
                        },
                    },
                }
            }
        },
    }
}
_CONTENT: Responses = {
    200: {
        "description": "The original bytes",
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
}


async def upload(request: Request, who: Who, services: House) -> Response:
    """Take a file in; it is durable when this answers, and indexed soon after."""
    form = await request.form(max_files=1, max_fields=300, max_part_size=4096)
    try:
        if unknown := set(form) - {"file", "collection", "access"}:
            raise _invalid(sorted(unknown)[0], "there is no such field")
        file = form.get("file")
        if not isinstance(file, UploadFile) or not _file_name(file):
            raise _invalid("file", "a file with a name is required")
        collection = _checked(_COLLECTION, "collection", form.get("collection", DEFAULT_COLLECTION))
        access = _access(services, who, form.getlist("access"))
        taken = await asyncio.to_thread(
            services.intake.submit,
            file.file,
            name=_file_name(file),
            collection=collection,
            access=access,
            by=who,
        )
    finally:
        await form.close()
    body = wire.submission_json(taken)
    return JSONResponse(body, status_code=202, headers={"Location": body["status_url"]})


def _access(services: Services, who: Principal, given: list[Any]) -> frozenset[str]:
    """Return who may read an upload; a caller cannot name anybody he does not belong to."""
    if not given:
        return frozenset({EVERYONE if services.gate.keys is None else f"u:{who.user}"})
    tokens = frozenset(_checked(_TOKENS, "access", given))
    if not tokens <= who.tokens():
        raise _invalid("access", "only your own tokens can be given")
    return tokens


def _file_name(file: UploadFile) -> str:
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[-255:]


def _checked(adapter: TypeAdapter[Any], field: str, value: object) -> Any:  # noqa: ANN401
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise _invalid(field, error.errors()[0]["msg"]) from error


def _invalid(field: str, reason: str) -> Refusal:
    return Refusal(422, "invalid_request", f"{field}: {reason}", field=field)


async def documents(
    who: Who,
    services: House,
    collection: Annotated[schemas.CollectionName | None, Query()] = None,
    after: Annotated[str | None, Query(pattern=_ID.pattern, max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the documents that the caller may read, by id."""
    found = await asyncio.to_thread(
        services.library.documents, who, collection=collection, after=after, limit=limit
    )
    more = found[-1].id if len(found) == limit else None
    listed = [wire.document_json(each, who) for each in found]
    return JSONResponse({"documents": listed, "next": more})


async def document(document_id: DocumentId, who: Who, services: House) -> Response:
    """Show one document."""
    found = await asyncio.to_thread(services.library.document, document_id, who)
    return JSONResponse(wire.document_json(found, who))


async def content(document_id: DocumentId, who: Who, services: House) -> Response:
    """Hand out the original file, to be saved and never to be shown as part of this site."""
    found, data = await asyncio.to_thread(_original, services, document_id, who)
    return Response(
        data,
        headers={
            "Content-Type": found.media_type,
            "Content-Disposition": _attachment(found),
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def _original(services: Services, document_id: str, who: Principal) -> tuple[Document, bytes]:
    found = services.library.document(document_id, who)
    revision = services.library.revision(document_id, who)
    return found, services.intake.content(revision.digest)


def _attachment(found: Document) -> str:
    """Return the header with the file's name, in plain ASCII and in full (RFC 6266, RFC 5987)."""
    name = unquote(PurePosixPath(found.uri.partition("#")[0]).name) or found.id
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def remove(document_id: DocumentId, who: Who, services: House) -> Response:
    """Make a document invisible at once, and have it cleaned away."""
    await asyncio.to_thread(_remove, services, document_id, who)
    return Response(status_code=204)


def _remove(services: Services, document_id: str, who: Principal) -> None:
    found = services.library.document(document_id, who)
    if not (who.has_role("admin") or who.has_role("editor") or _uploaded_by(found, who)):
        raise _forbidden("editor")
    services.intake.remove(document_id)


def _uploaded_by(found: Document, who: Principal) -> bool:
    return found.metadata.get("uploaded_by") == who.user


async def set_access(
    document_id: DocumentId, body: schemas.AccessIn, who: Who, services: House
) -> Response:
    """Set who may read a document, effective at once; for administrators."""
    await asyncio.to_thread(_set_access, services, document_id, frozenset(body.access), who)
    return Response(status_code=204)


def _set_access(
    services: Services, document_id: str, access: frozenset[str], who: Principal
) -> None:
    if not who.has_role("admin"):
        services.library.document(document_id, who)
        raise _forbidden("admin")
    services.intake.set_access(document_id, access)


def _forbidden(role: str) -> Refusal:
    return Refusal(403, "forbidden", f"This needs the role {role}.")


async def collections(who: Who, services: House) -> Response:
    """List the collections in which the caller may read something."""
    found = await asyncio.to_thread(services.library.collections, who)
    listed = [{"name": name, "documents": count} for name, count in sorted(found.items())]
    return JSONResponse({"collections": listed})


# --- uploads ------------------------------------------------------------------------------------


async def submissions(who: Who, services: House) -> Response:
    """List the caller's latest uploads, newest first."""
    found = await asyncio.to_thread(services.intake.recent, who)
    return JSONResponse({"submissions": [wire.submission_json(each) for each in found]})


async def submission(submission_id: SubmissionId, who: Who, services: House) -> Response:
    """Say where an upload stands."""
    found = await asyncio.to_thread(services.intake.status, submission_id, who)
    return JSONResponse(wire.submission_json(found))


async def cancel(submission_id: SubmissionId, who: Who, services: House) -> Response:
    """Stop an upload that is not yet done; one that is done stays as it is."""
    found = await asyncio.to_thread(services.intake.cancel, submission_id, who)
    return JSONResponse(wire.submission_json(found))


# --- the machine itself -------------------------------------------------------------------------

_NDJSON: Responses = {
    200: {
        "description": "One JSON object per document, and a last one that says `finished`",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


async def ingest(body: schemas.IngestIn, request: Request, services: House) -> Response:
    """Bring files and folders of this machine up to date; for commands on this machine."""
    if not services.gate.is_owner(request.headers.get("authorization")):
        raise Refusal(403, "forbidden", "This is for commands of the account that serves.")
    paths = [Path(path) for path in body.paths]
    if relative := [path for path in paths if not path.is_absolute()]:
        raise _invalid("paths", f"not an absolute path: {relative[0]}")
    lines = _lines(lambda: services.intake.sync(paths, collection=body.collection))
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _lines(start: Callable[[], Iterator[IngestEvent]]) -> AsyncIterator[str]:
    try:
        async with aclosing(_iterate(start)) as events:
            async for event in events:
                yield wire.compact(wire.ingest_json(event)) + "\n"
        yield wire.compact({"finished": True}) + "\n"
    except FootnoteError as error:
        yield wire.compact(wire.error_json("failed", str(error))) + "\n"


async def _iterate(
    start: Callable[[], Iterator[IngestEvent]],
) -> AsyncGenerator[IngestEvent, None]:
    """Run a blocking iterator in one thread of its own; when nobody listens, it is closed there."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1, thread_name_prefix="footnote-ingest")
    events = start()
    try:
        while (event := await loop.run_in_executor(pool, next, events, None)) is not None:
            yield event
    finally:
        pool.submit(getattr(events, "close", lambda: None))
        pool.shutdown(wait=False)


async def health(services: House) -> Response:
    """Say whether questions can be answered; open to everybody, so it tells nothing else."""
    parts = dict(await asyncio.to_thread(services.health))
    needed = [parts.get(part, "ok") for part in ("catalog", "index")]
    good = all(word == "ok" for word in needed)
    body = {
        "status": "ok" if good else "unavailable",
        "version": services.version,
        "parts": parts,
    }
    return JSONResponse(body, status_code=200 if good else 503)


async def openapi(request: Request) -> Response:
    """Describe this API."""
    return JSONResponse(cast("FastAPI", request.app).openapi())


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A guarded route: what answers, with what, and which refusals it may give."""

    method: str
    path: str
    endpoint: Callable[..., Coroutine[Any, Any, Response]]
    gives: type[BaseModel] | None
    refusals: tuple[int, ...]
    status: int = 200
    also: Responses = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)


_DOCUMENT = "/v1/documents/{document_id}"
_SUBMISSION = "/v1/submissions/{submission_id}"
_BODY = (400, 413, 422, 503)
_ONE = (404, 422, 503)
_UPLOAD = {"openapi_extra": _UPLOAD_BODY, "route_class_override": GuardedUpload}
_PLAIN = {"response_class": Response}
_STREAM = {"response_class": StreamingResponse}

TABLE = (
    Row("POST", "/v1/ask", ask, schemas.AnswerOut, _BODY, also=_EVENTS),
    Row("POST", "/v1/search", search, schemas.SearchOut, _BODY),
    Row("POST", "/v1/documents", upload, schemas.SubmissionOut, (415, *_BODY), 202, more=_UPLOAD),
    Row("GET", "/v1/documents", documents, schemas.DocumentsOut, (422, 503)),
    Row("GET", _DOCUMENT, document, schemas.DocumentOut, _ONE),
    Row("GET", f"{_DOCUMENT}/content", content, None, _ONE, also=_CONTENT, more=_PLAIN),
    Row("DELETE", _DOCUMENT, remove, None, _ONE, 204),
    Row("PUT", f"{_DOCUMENT}/access", set_access, None, (404, *_BODY), 204),
    Row("GET", "/v1/submissions", submissions, schemas.SubmissionsOut, (503,)),
    Row("GET", _SUBMISSION, submission, schemas.SubmissionOut, _ONE),
    Row("DELETE", _SUBMISSION, cancel, schemas.SubmissionOut, _ONE),
    Row("GET", "/v1/collections", collections, schemas.CollectionsOut, (503,)),
)
OPERATOR_TABLE = (
    Row("POST", "/v1/ingest", ingest, None, (400, 413, 422), also=_NDJSON, more=_STREAM),
)
