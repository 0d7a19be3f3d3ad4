"""The HTTP API: one table of routes over the services.

Every route but health is guarded: its caller is made a `Principal` before the body is read. What a
caller may not see answers exactly like what does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI, Response, Security
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from serving import schemas
from serving.api import conversations, documents, jobs, machine, monitoring, questions, sources
from serving.api.guard import Doorman, Guarded, GuardedUpload
from serving.mcp.endpoint import Endpoint
from serving.refusal import Responses, documented, install
from serving.services import Services

THREADS = 32


def create_app(services: Services) -> FastAPI:
    """Build the app; it opens nothing and ends with its services still open."""
    app = FastAPI(
        title="Footnote",
        version=services.version,
        description="Cited answers from your own documents.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.services = services
    app.state.agents = Endpoint(services)
    app.include_router(_public())
    kept, talked = services.sources is not None, services.archive is not None
    app.include_router(_guarded(kept=kept, talked=talked, operated=services.operator))
    app.router.routes.append(app.state.agents.route)
    app.add_middleware(Doorman, services=services)
    install(app)
    return app


@cache
def _public() -> APIRouter:
    router = APIRouter()
    down: Responses = {503: {"model": schemas.HealthOut, "description": "A part is unavailable"}}
    router.add_api_route(
        "/v1/health",
        machine.health,
        response_model=schemas.HealthOut,
        responses=documented() | down,
    )
    return router


@cache
def _guarded(*, kept: bool, talked: bool, operated: bool) -> APIRouter:
    """Make the routes once for all apps of a process; they find their services by the request."""
    bearer = HTTPBearer(auto_error=False, description="An API key: fn_<id>_<secret>")
    router = APIRouter(route_class=Guarded, dependencies=[Security(bearer)])
    tables = (ARCHIVE_TABLE, talked), (SOURCES_TABLE, kept), (OPERATOR_TABLE, operated)
    for row in chain(TABLE, *(table for table, is_served in tables if is_served)):
        router.add_api_route(
            row.path,
            row.endpoint,
            methods=[row.method],
            status_code=row.status,
            response_model=row.gives,
            responses=documented(*row.refusals) | row.also,
            **row.more,
        )
    router.add_api_route("/openapi.json", machine.openapi, include_in_schema=False)
    return router


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="footnote-api")
    asyncio.get_running_loop().set_default_executor(pool)
    async with app.state.agents.running():
        yield
    await app.state.services.closing()
    pool.shutdown(wait=False, cancel_futures=True)


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
_SOURCE = "/v1/sources/{source_id}"
_SUBMISSION = "/v1/submissions/{submission_id}"
_JOB = "/v1/jobs/{job_id}"
_CONVERSATION = "/v1/conversations/{conversation_id}"
_ANSWER = "/v1/answers/{answer_id}"
_BODY = (400, 413, 422, 503)
_ONE = (404, 422, 503)
_UPLOAD = {"openapi_extra": documents.UPLOAD_BODY, "route_class_override": GuardedUpload}
_PLAIN = {"response_class": Response}
_STREAM = {"response_class": StreamingResponse}

TABLE = (
    Row(
        "POST",
        "/v1/ask",
        questions.ask,
        schemas.AnswerOut,
        (404, *_BODY),
        also=questions.EVENTS,
    ),
    Row("POST", "/v1/search", questions.search, schemas.SearchOut, _BODY),
    Row(
        "POST",
        "/v1/documents",
        documents.upload,
        schemas.SubmissionOut,
        (415, 507, *_BODY),
        202,
        more=_UPLOAD,
    ),
    Row("GET", "/v1/documents", documents.documents, schemas.DocumentsOut, (422, 503)),
    Row("GET", _DOCUMENT, documents.document, schemas.DocumentOut, _ONE),
    Row(
        "GET",
        f"{_DOCUMENT}/content",
        documents.content,
        None,
        _ONE,
        also=documents.CONTENT,
        more=_PLAIN,
    ),
    Row("DELETE", _DOCUMENT, documents.remove, None, _ONE, 204),
    Row("PUT", f"{_DOCUMENT}/access", documents.set_access, None, (404, *_BODY), 204),
    Row("PUT", f"{_DOCUMENT}/tags", documents.set_tags, None, (404, *_BODY), 204),
    Row("GET", "/v1/submissions", documents.submissions, schemas.SubmissionsOut, (503,)),
    Row("GET", _SUBMISSION, documents.submission, schemas.SubmissionOut, _ONE),
    Row("DELETE", _SUBMISSION, documents.cancel, schemas.SubmissionOut, _ONE),
    Row("GET", "/v1/coverage", documents.coverage, schemas.CoverageOut, (422, 503)),
    Row("GET", "/v1/jobs", jobs.jobs, schemas.JobsOut, (422, 503)),
    Row("GET", _JOB, jobs.job, schemas.JobOut, _ONE),
    Row("DELETE", _JOB, jobs.cancel, schemas.JobOut, _ONE),
    Row("POST", f"{_JOB}/pause", jobs.pause, schemas.JobOut, (409, *_ONE)),
    Row("POST", f"{_JOB}/resume", jobs.resume, schemas.JobOut, (409, *_ONE)),
    Row("POST", f"{_JOB}/retry", jobs.retry, schemas.JobOut, (409, *_ONE)),
    Row("GET", "/v1/quarantine", jobs.quarantine, schemas.QuarantineOut, (422, 503)),
    Row("POST", "/v1/quarantine/{refused_id}/retry", jobs.free, schemas.QuarantinedOut, _ONE),
    Row("GET", "/v1/collections", documents.collections, schemas.CollectionsOut, (503,)),
    Row("GET", "/v1/facets", documents.facets, schemas.FacetsOut, (422, 503)),
    Row(
        "GET",
        "/metrics",
        monitoring.metrics,
        None,
        (503,),
        also=monitoring.SCRAPED,
        more=_PLAIN,
    ),
)
ARCHIVE_TABLE = (
    Row(
        "GET",
        "/v1/conversations",
        conversations.conversations,
        schemas.ConversationsOut,
        (404, 422, 503),
    ),
    Row("GET", _CONVERSATION, conversations.opened, schemas.OpenConversationOut, _ONE),
    Row("PATCH", _CONVERSATION, conversations.rename, schemas.ConversationOut, (404, *_BODY)),
    Row("DELETE", _CONVERSATION, conversations.drop, None, _ONE, 204),
    Row(
        "GET",
        f"{_CONVERSATION}/export",
        conversations.export,
        None,
        _ONE,
        also=conversations.EXPORT,
        more=_PLAIN,
    ),
    Row("GET", _ANSWER, conversations.answer, schemas.ExchangeOut, _ONE),
    Row("PUT", f"{_ANSWER}/feedback", conversations.judge, None, (404, *_BODY), 204),
    Row("GET", "/v1/feedback", conversations.judged, schemas.JudgedOut, (422, 503)),
)
SOURCES_TABLE = (
    Row("GET", "/v1/sources", sources.sources, schemas.SourcesOut, (503,)),
    Row("POST", "/v1/sources", sources.add, schemas.SourceOut, _BODY, 201),
    Row("GET", _SOURCE, sources.source, schemas.SourceOut, _ONE),
    Row("PATCH", _SOURCE, sources.change, schemas.SourceOut, (404, *_BODY)),
    Row("DELETE", _SOURCE, sources.remove, schemas.RemovedOut, _ONE),
    Row(
        "POST",
        f"{_SOURCE}/sync",
        sources.sync,
        None,
        (404, *_BODY),
        also=sources.SYNC,
        more=_STREAM,
    ),
)
OPERATOR_TABLE = (
    Row(
        "POST",
        "/v1/ingest",
        machine.ingest,
        None,
        (400, 413, 422),
        also=machine.NDJSON,
        more=_STREAM,
    ),
    Row(
        "POST",
        "/v1/reindex",
        machine.reindex,
        None,
        (400, 404, 413, 422),
        also=machine.NDJSON,
        more=_STREAM,
    ),
    Row("GET", "/v1/generations", machine.generations, schemas.GenerationsOut, (404, 503)),
    Row("GET", "/v1/refusals", machine.refusals, schemas.RefusalsOut, (503,)),
)
