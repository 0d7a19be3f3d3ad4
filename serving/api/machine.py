"""The machine itself over HTTP: ingest by path, health, and the description of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar, cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from knowledge.errors import FootnoteError
from serving import schemas, wire
from serving.api.guard import House
from serving.refusal import Refusal, Responses
from serving.services import Reindexing, Services

T = TypeVar("T")

NDJSON: Responses = {
    200: {
        "description": "One JSON object per document, and a last one that says `finished`",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    }
}


async def ingest(body: schemas.IngestIn, request: Request, services: House) -> Response:
    """Bring files and folders of this machine up to date; for commands on this machine."""
    _only_for_the_owner(request, services)
    paths = [Path(path) for path in body.paths]
    if relative := [path for path in paths if not path.is_absolute()]:
        message = f"paths: not an absolute path: {relative[0]}"
        raise Refusal(422, "invalid_request", message, field="paths")
    lines = ndjson(
        lambda: services.intake.sync(paths, collection=body.collection, tags=frozenset(body.tags)),
        wire.ingest_json,
    )
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def ndjson(
    start: Callable[[], Iterator[T]], shape: Callable[[T], wire.Json]
) -> AsyncIterator[str]:
    """Yield a line per event, in the shape given, and a last one that says how it ended."""
    try:
        async with aclosing(_iterate(start)) as events:
            async for event in events:
                yield wire.compact(shape(event)) + "\n"
        yield wire.compact({"finished": True}) + "\n"
    except FootnoteError as error:
        yield wire.compact(wire.error_json("failed", str(error))) + "\n"


async def _iterate(start: Callable[[], Iterator[T]]) -> AsyncGenerator[T, None]:
    """Run a blocking iterator in one thread of its own; when nobody listens, it is closed there."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(1, thread_name_prefix="footnote-ingest")
    events = await loop.run_in_executor(pool, start)
    try:
        while (event := await loop.run_in_executor(pool, next, events, None)) is not None:
            yield event
    finally:
        pool.submit(getattr(events, "close", lambda: None))
        pool.shutdown(wait=False)


async def reindex(body: schemas.ReindexIn, request: Request, services: House) -> Response:
    """Build a generation of the index, go back to the former one, or discard one."""
    _only_for_the_owner(request, services)
    golden = Path(body.golden) if body.golden else None
    if golden is not None and not golden.is_file():
        raise Refusal(422, "invalid_request", f"golden: no file at {golden}", field="golden")
    reindexer = _reindexer(services)
    lines = ndjson(
        lambda: reindexer.run(body.action, golden=golden, loss=body.loss, force=body.force), dict
    )
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def generations(request: Request, services: House) -> Response:
    """List the generations of the index, the newest first."""
    _only_for_the_owner(request, services)
    return JSONResponse(await asyncio.to_thread(_reindexer(services).state))


def _reindexer(services: Services) -> Reindexing:
    if services.reindexer is None:
        raise Refusal(404, "not_found", "This service builds no generations.")
    return services.reindexer


async def refusals(request: Request, services: House) -> Response:
    """List what is not indexed, and why; for commands on this machine."""
    _only_for_the_owner(request, services)
    return JSONResponse(wire.refusals_json(await asyncio.to_thread(services.refusals)))


def _only_for_the_owner(request: Request, services: Services) -> None:
    if not services.gate.is_owner(request.headers.get("authorization")):
        raise Refusal(403, "forbidden", "This is for commands of the account that serves.")


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
