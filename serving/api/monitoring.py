"""What a monitoring system scrapes, over HTTP; for administrators and the local user."""

from __future__ import annotations

import asyncio

from fastapi import Response

from serving.api.guard import House, Who
from serving.metrics import CONTENT_TYPE
from serving.refusal import Refusal, Responses

SCRAPED: Responses = {
    200: {
        "description": "Metrics in the text format of Prometheus",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


async def metrics(who: Who, services: House) -> Response:
    """Count documents, jobs, searches and answers; no label names a document or a person."""
    if not who.has_role("admin"):
        raise Refusal(403, "forbidden", "This needs the role admin.")
    text = await asyncio.to_thread(services.metrics.exposition)
    return Response(text, media_type=CONTENT_TYPE)
