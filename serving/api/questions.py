"""Questions over HTTP: a whole answer, a stream of events, or passages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, cast

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from knowledge.errors import FootnoteError
from knowledge.models import UNFILTERED, Principal, Question, Turn
from serving import schemas, wire
from serving.api.guard import House, Who
from serving.archive import Archive, Thread
from serving.events import AnswerEvent, ErrorEvent, Event, Stored
from serving.refusal import Refusal, Responses
from serving.services import Services

EVENTS: Responses = {
    200: {
        "description": "The answer; with `stream`, events: passages, queued, step, delta, "
        "citation, and then exactly one of answer and error",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""How often it is looked whether a caller who waits for a whole answer is still there."""


async def ask(body: schemas.AskIn, request: Request, who: Who, services: House) -> Response:
    """Answer a question from the documents that the caller may read."""
    thread = await _taken_up(services, body, who)
    given = tuple(Turn(turn.role, turn.text) for turn in body.history)
    question = Question(
        text=body.question,
        collection=body.collection,
        history=thread.history if thread else given,
        effort=body.effort or services.effort,
        document_ids=None if body.document_ids is None else tuple(body.document_ids),
        filters=body.filters.made() if body.filters else UNFILTERED,
        asker=who.user,
    )
    if body.stream:
        headers = {"X-Accel-Buffering": "no"}
        events = _event_stream(services, question, who, thread)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)
    return await _while_present(request, _whole_answer(services, question, who, thread))


async def _while_present(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """Wait for the answer, but stop writing it once the caller has left."""
    writing = asyncio.ensure_future(answer)
    try:
        while not (await asyncio.wait([writing], timeout=LOOK_SECONDS))[0]:
            if await request.is_disconnected():
                return Response(status_code=503)  # which nobody reads
        return writing.result()
    finally:
        writing.cancel()


async def _taken_up(services: Services, body: schemas.AskIn, who: Principal) -> Thread | None:
    if services.archive is None or body.conversation is None:
        return None
    take_up = services.archive.take_up
    return await asyncio.to_thread(take_up, body.conversation, who, store=body.store)


async def _whole_answer(
    services: Services, question: Question, who: Principal, thread: Thread | None
) -> Response:
    async with aclosing(_events(services, question, who, thread)) as events:
        async for event in events:
            if isinstance(event, AnswerEvent):
                return JSONResponse(wire.answer_json(event.answer, event.stored))
            if isinstance(event, ErrorEvent):
                raise Refusal(503 if event.retryable else 500, event.code, event.message)
    raise Refusal(500, "internal", "The answer ended without a word.")


async def _event_stream(
    services: Services, question: Question, who: Principal, thread: Thread | None
) -> AsyncIterator[bytes]:
    """Write the events down; a failure after the first byte becomes the terminal event."""
    try:
        async with aclosing(_events(services, question, who, thread)) as events:
            async for event in events:
                yield wire.sse(*wire.event_json(event))
    except FootnoteError as error:
        failed = ErrorEvent("unavailable", str(error), retryable=True)
        yield wire.sse(*wire.event_json(failed))


async def _events(
    services: Services, question: Question, who: Principal, thread: Thread | None
) -> AsyncGenerator[Event, None]:
    """Pass the stream on and count how it ends; a caller who leaves closes it at once."""
    stream = cast("AsyncGenerator[Event, None]", services.answerer.stream(question, who))
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, AnswerEvent):
                extractive = event.answer.extractive
                services.metrics.answered(event.answer.verdict, extractive=extractive)
                if thread is not None and thread.kept and services.archive is not None:
                    keep = partial(_kept, services.archive, question, event, thread, who)
                    event = replace(event, stored=await asyncio.to_thread(keep))
            elif isinstance(event, ErrorEvent):
                services.metrics.failed()
            yield event


def _kept(
    archive: Archive, question: Question, event: AnswerEvent, thread: Thread, who: Principal
) -> Stored | None:
    """Store the answer before it is told; None, which the caller is told, where that fails."""
    try:
        return archive.keep(question.text, event, thread, who)
    except FootnoteError as error:
        log.warning("an answer of conversation %s is not kept: %s", thread.conversation_id, error)
        return None


async def search(body: schemas.SearchIn, who: Who, services: House) -> Response:
    """Find the passages that fit a query best, among those the caller may read."""
    find = services.retriever.search
    with services.metrics.searching():
        passages = await asyncio.to_thread(
            find,
            body.query,
            who,
            collection=body.collection,
            document_ids=body.document_ids,
            filters=body.filters.made() if body.filters else UNFILTERED,
            limit=body.limit,
            effort=body.effort,
        )
    return JSONResponse(wire.passages_json(passages, explain=body.explain))
