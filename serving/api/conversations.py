"""Conversations over HTTP, everybody's own; what was said of answers, for administrators."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query, Response
from fastapi.responses import JSONResponse

from knowledge.errors import NotFound
from knowledge.models import Feedback
from serving import schemas, wire
from serving.api.guard import AnswerId, ConversationId, House, Who
from serving.archive import Archive
from serving.markdown import as_markdown
from serving.refusal import Refusal, Responses
from serving.services import Services

EXPORT: Responses = {
    200: {
        "description": "The conversation as a file",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/markdown": {"schema": {"type": "string"}},
        },
    }
}
_Limit = Annotated[int, Query(ge=1, le=1000)]
_After = Annotated[schemas.Identity | None, Query()]


async def conversations(
    who: Who, services: House, after: _After = None, limit: _Limit = 100
) -> Response:
    """List the caller's conversations, those last added to first."""
    listing = _archive(services).conversations.conversations
    found = await asyncio.to_thread(listing, who.user, after=after, limit=limit)
    more = found[-1].id if len(found) == limit else None
    listed = [wire.conversation_json(each) for each in found]
    return JSONResponse({"conversations": listed, "next": more})


async def opened(conversation_id: ConversationId, who: Who, services: House) -> Response:
    """Show a conversation as the caller may read it today, and what became of its quotes."""
    return JSONResponse(await _opened(services, conversation_id, who))


async def _opened(services: Services, conversation_id: str, who: Who) -> wire.Json:
    found, past = await asyncio.to_thread(_archive(services).open, conversation_id, who)
    return wire.conversation_json(found) | {"exchanges": [wire.opened_json(each) for each in past]}


async def export(
    conversation_id: ConversationId,
    who: Who,
    services: House,
    form: Annotated[Literal["json", "markdown"], Query(alias="format")] = "json",
) -> Response:
    """Hand out a conversation as a file, with what the caller may read of it today."""
    if form == "json":
        response: Response = JSONResponse(await _opened(services, conversation_id, who))
    else:
        found, past = await asyncio.to_thread(_archive(services).open, conversation_id, who)
        response = Response(as_markdown(found, past), media_type="text/markdown; charset=utf-8")
    name = f"conversation-{conversation_id}.{'json' if form == 'json' else 'md'}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


async def rename(
    conversation_id: ConversationId, body: schemas.RenameIn, who: Who, services: House
) -> Response:
    """Give a conversation another title."""
    change = _archive(services).conversations.rename
    found = await asyncio.to_thread(change, conversation_id, who.user, body.title)
    return JSONResponse(wire.conversation_json(found))


async def drop(conversation_id: ConversationId, who: Who, services: House) -> Response:
    """Delete a conversation with all that was said of its answers."""
    await asyncio.to_thread(_archive(services).conversations.drop, conversation_id, who.user)
    return Response(status_code=204)


async def answer(answer_id: AnswerId, who: Who, services: House) -> Response:
    """Show one answer as the caller may read it today."""
    found = await asyncio.to_thread(_archive(services).open_answer, answer_id, who)
    return JSONResponse(wire.opened_json(found))


async def judge(
    answer_id: AnswerId, body: schemas.FeedbackIn, who: Who, services: House
) -> Response:
    """Say what one thinks of an answer that one was given; it replaces what one said before."""
    said = Feedback(body.rating, datetime.now(UTC), body.reason, body.comment, body.correction)
    await asyncio.to_thread(_archive(services).judge, answer_id, who, said)
    return Response(status_code=204)


async def judged(who: Who, services: House, after: _After = None, limit: _Limit = 100) -> Response:
    """List the answers that people said something of, by id; for administrators.

    What rests on documents that the administrator cannot read is withheld.
    """
    if not who.has_role("admin"):
        raise Refusal(403, "forbidden", "This needs the role admin.")
    listing = _archive(services).judged
    found = await asyncio.to_thread(listing, who, after=after, limit=limit)
    return JSONResponse(wire.judged_json(found, limit=limit))


def _archive(services: Services) -> Archive:
    if services.archive is None:
        raise NotFound("nothing is kept here")
    return services.archive
