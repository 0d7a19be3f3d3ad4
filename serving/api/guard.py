"""What stands before every route: the host, the page it came from, the caller, the body's size."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from knowledge.errors import NotFound
from knowledge.models import Principal
from serving.refusal import refuse
from serving.services import Services

ID = re.compile(r"^[0-9A-Za-z-]{1,64}$")
_JSON_BODY_BYTES = 4 * 2**20
_FORM_OVERHEAD_BYTES = 2**20


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


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def _principal(request: Request) -> Principal:
    return cast("Principal", request.state.principal)


def _document_id(document_id: str) -> str:
    return _known_form(document_id)


def _submission_id(submission_id: str) -> str:
    return _known_form(submission_id)


def _source_id(source_id: str) -> str:
    return _known_form(source_id)


def _job_id(job_id: str) -> str:
    return _known_form(job_id)


def _refused_id(refused_id: str) -> str:
    return _known_form(refused_id)


def _conversation_id(conversation_id: str) -> str:
    return _known_form(conversation_id)


def _answer_id(answer_id: str) -> str:
    return _known_form(answer_id)


def _known_form(identity: str) -> str:
    """Return an id that could exist; another one is absent, not invalid."""
    if not ID.fullmatch(identity):
        raise NotFound(identity)
    return identity


House = Annotated[Services, Depends(_services)]
Who = Annotated[Principal, Depends(_principal)]
DocumentId = Annotated[str, Depends(_document_id)]
SubmissionId = Annotated[str, Depends(_submission_id)]
SourceId = Annotated[str, Depends(_source_id)]
JobId = Annotated[str, Depends(_job_id)]
RefusedId = Annotated[str, Depends(_refused_id)]
ConversationId = Annotated[str, Depends(_conversation_id)]
AnswerId = Annotated[str, Depends(_answer_id)]
