"""Sources that are kept in sync, over HTTP; for administrators and commands on this machine."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from knowledge.errors import ConfigurationError
from knowledge.models import Feed
from knowledge.ports import Sources
from serving import schemas, wire
from serving.api.guard import House, SourceId, Who
from serving.api.machine import NDJSON, ndjson
from serving.refusal import Refusal, Responses

SYNC: Responses = NDJSON | {202: {"description": "A worker syncs it next"}}


async def _operator(request: Request, who: Who, services: House) -> bool:
    """Say whether the owner of the machine asks; refuse everybody else but administrators."""
    owner = services.gate.is_owner(request.headers.get("authorization"))
    if not owner and (services.gate.keys is None or not who.has_role("admin")):
        raise Refusal(403, "forbidden", "This needs the role admin.")
    return owner


def _kept(services: House) -> Sources:
    return cast("Sources", services.sources)  # without, these routes are not there


Owner = Annotated[bool, Depends(_operator)]
Kept = Annotated[Sources, Depends(_kept)]


async def sources(_: Owner, kept: Kept) -> Response:
    """List the sources that are kept in sync."""
    found = await asyncio.to_thread(kept.feeds)
    return JSONResponse({"sources": [wire.feed_json(*each) for each in found]})


async def source(source_id: SourceId, _: Owner, kept: Kept) -> Response:
    """Show one source, how its last sync went, and how fresh it is."""
    return JSONResponse(wire.feed_json(*await asyncio.to_thread(kept.feed, source_id)))


async def add(body: schemas.SourceIn, owner: Owner, kept: Kept) -> Response:
    """Keep a source in sync from now on; with a schedule, its first sync begins at once."""
    try:
        added = await asyncio.to_thread(_add, kept, body, owner)
    except ConfigurationError as error:
        raise Refusal(422, "invalid_request", str(error)) from error
    shown = wire.feed_json(*await asyncio.to_thread(kept.feed, added.id))
    return JSONResponse(shown, status_code=201, headers={"Location": f"/v1/sources/{added.id}"})


def _add(kept: Sources, body: schemas.SourceIn, owner: bool) -> Feed:
    if kept.kind(body.uri) == "folder" and not owner:
        message = (
            "A folder is added where it lies: footnote source add NAME PATH, on that machine or in "
            "its worker container."
        )
        raise Refusal(403, "forbidden", message, field="uri")
    feed = Feed(
        id="",
        name=body.name,
        kind="",
        uri=body.uri,
        collection=body.collection,
        access=frozenset(body.access),
        tags=frozenset(body.tags),
        settings=body.settings,
        every=body.every or None,
    )
    return kept.add(feed)


async def change(
    source_id: SourceId, body: schemas.SourceChangeIn, _: Owner, kept: Kept
) -> Response:
    """Pause or resume a source, or set how often it is synced."""
    await asyncio.to_thread(kept.change, source_id, paused=body.paused, every=body.every)
    return JSONResponse(wire.feed_json(*await asyncio.to_thread(kept.feed, source_id)))


async def sync(
    source_id: SourceId, body: schemas.SyncIn, _: Owner, kept: Kept, services: House
) -> Response:
    """Bring a source up to date now: a line per document where this service does it itself.

    Where workers do it, or nobody waits, this answers 202, and the source says how it went. A
    source that is paused stays so.
    """
    found, _freshness = await asyncio.to_thread(kept.feed, source_id)
    if not (services.operator and body.wait):
        if body.dry_run or body.allow_removals:
            message = "Where workers sync: footnote source sync, in a worker container."
            raise Refusal(422, "invalid_request", message)
        await asyncio.to_thread(kept.request, found.id)
        return JSONResponse({"status_url": f"/v1/sources/{found.id}"}, status_code=202)
    lines = ndjson(
        lambda: kept.sync_source(
            found.id, allow_removals=body.allow_removals, dry_run=body.dry_run
        ),
        wire.ingest_json,
    )
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def remove(
    source_id: SourceId,
    _: Owner,
    kept: Kept,
    keep_documents: Annotated[bool, Query()] = False,
) -> Response:
    """Forget a source, and remove what it brought unless told to keep that."""
    removed = await asyncio.to_thread(kept.remove, source_id, keep_documents=keep_documents)
    return JSONResponse({"removed": removed})
