"""Every answer that is not a success, in one shape.

It shows no internals, and nothing that would tell what is forbidden from what is absent.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from knowledge.disk import DISK_FULL
from knowledge.errors import (
    AccessDenied,
    CatalogUnavailable,
    FootnoteError,
    IndexUnavailable,
    IngestError,
    NotFound,
    NotNow,
    TooLarge,
    Unsupported,
)
from serving.schemas import ErrorOut
from serving.wire import error_json

Responses = dict[int | str, dict[str, Any]]
"""What OpenAPI says of a route's responses, by status."""

NOT_FOUND = "There is nothing here that you may see."
INTERNAL = "Something went wrong inside; the log of the service has the details."

_STATUS: tuple[tuple[type[FootnoteError], int, str], ...] = (
    (AccessDenied, 401, "unauthorized"),
    (NotFound, 404, "not_found"),
    (TooLarge, 413, "too_large"),
    (Unsupported, 415, "unsupported"),
    (NotNow, 409, "not_now"),
    (IngestError, 422, "unreadable"),
    (IndexUnavailable, 503, "index_unavailable"),
    (CatalogUnavailable, 503, "catalog_unavailable"),
)
_CODES = {413: "too_large"}
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}


class Refusal(Exception):
    """A refusal with its status, a stable code and a message for people."""

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def documented(*statuses: int) -> Responses:
    """Return the OpenAPI declaration of the refusals of a route, with those any route may give."""
    every = sorted({*statuses, 401, 403, 421, 500})
    return {
        status: {"model": ErrorOut, "description": HTTPStatus(status).phrase} for status in every
    }


def refuse(status: int, code: str, message: str, field: str | None = None) -> JSONResponse:
    """Return the response for a refusal."""
    body = error_json(code, message, field)
    return JSONResponse(body, status_code=status, headers=_HEADERS.get(status))


def install(app: FastAPI) -> None:
    """Make `app` answer every error in the one shape."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(FootnoteError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(Exception, _unexpected)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)  # noqa: S101
    return refuse(error.status, error.code, error.message, error.field)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            said = error.code if isinstance(error, IngestError) else code
            return refuse(status, said, NOT_FOUND if status == 404 else str(error))
    return refuse(500, "internal", INTERNAL)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path"})
    if first["type"] == "json_invalid":
        return refuse(422, "invalid_json", "The body is not valid JSON.")
    message = f"{where}: {first['msg']}" if where else str(first["msg"])
    return refuse(422, "invalid_request", message, where or None)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = error.status_code
    phrase = HTTPStatus(status).phrase
    code = _CODES.get(status) or phrase.lower().replace(" ", "_").replace("-", "_")
    response = refuse(status, code, NOT_FOUND if status == 404 else f"{phrase}.")
    response.headers.update(error.headers or {})
    return response


async def _system(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        message = "The disk of this service is full; nothing was taken in. Its operator can help."
        return refuse(507, "disk_full", message)
    raise error


async def _unexpected(_: Request, __: Exception) -> JSONResponse:
    return refuse(500, "internal", INTERNAL)
