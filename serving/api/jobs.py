"""Jobs and the quarantine over HTTP: everybody's own; all of them for administrators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from knowledge.models import Job, JobState, Principal
from serving import wire
from serving.api.guard import House, JobId, RefusedId, Who

_Limit = Annotated[int, Query(ge=1, le=1000)]


async def jobs(
    who: Who,
    services: House,
    state: Annotated[list[JobState] | None, Query()] = None,
    limit: _Limit = 100,
) -> Response:
    """List the caller's jobs, newest first."""
    found = await asyncio.to_thread(services.jobs.jobs, who, states=state or (), limit=limit)
    return JSONResponse(wire.jobs_json(found))


async def job(job_id: JobId, who: Who, services: House) -> Response:
    """Say where a job stands."""
    return await _told(services.jobs.job, job_id, who)


async def cancel(job_id: JobId, who: Who, services: House) -> Response:
    """Stop a job; one that has ended stays as it is."""
    return await _told(services.jobs.cancel, job_id, who)


async def pause(job_id: JobId, who: Who, services: House) -> Response:
    """Hold a job; the document that is under way is finished."""
    return await _told(services.jobs.pause, job_id, who)


async def resume(job_id: JobId, who: Who, services: House) -> Response:
    """Let a paused job go on."""
    return await _told(services.jobs.resume, job_id, who)


async def retry(job_id: JobId, who: Who, services: House) -> Response:
    """Try a dead, failed or retrying job now."""
    return await _told(services.jobs.retry, job_id, who)


async def _told(do: Callable[[str, Principal], Job], job_id: str, who: Principal) -> Response:
    return JSONResponse(wire.job_json(await asyncio.to_thread(do, job_id, who)))


async def quarantine(who: Who, services: House, limit: _Limit = 100) -> Response:
    """List what failed twice and is not tried again, latest first."""
    found = await asyncio.to_thread(services.jobs.quarantine, who, limit=limit)
    return JSONResponse(wire.quarantine_json(found))


async def free(refused_id: RefusedId, who: Who, services: House) -> Response:
    """Have a quarantined file tried again when it next comes by."""
    found = await asyncio.to_thread(services.jobs.free, refused_id, who)
    return JSONResponse(wire.refused_json(found))
