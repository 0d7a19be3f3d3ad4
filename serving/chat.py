"""Asks a language model over streamed OpenAI-compatible chat completions; knows httpx2.

A model server may hang, lie or die. Whatever it does, `generate` ends, or raises `ModelError` with
a code that names the fault: `unavailable`, `timeout`, `reset`, `unauthorized`, `context_overflow`,
`http_<status>`, `stream_error`, `empty`, `null_content`, `reasoning_only`, `json_tool_call`,
`harmony_markup`, `endless`, or `length` (the text so far was cut at the token limit).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2

from knowledge.errors import ConfigurationError, ModelError
from knowledge.models import Context, Delta, ToolCall, Usage
from knowledge.text import clean
from serving.prompt import build_messages, citation_grammar
from serving.window import Window

CONNECT_SECONDS = 5.0
LARGEST_ERROR = 64 * 1024
"""Bytes of an error's body that are read."""
LONGEST_ANSWER = 200_000
"""Characters; far beyond any limit on tokens that a server keeps."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may cost, in seconds for the whole and its first text, and in tokens."""

    seconds: float
    first_seconds: float
    window: Window


class ChatGenerator:
    """Implements the `Generator` door over HTTP. Closing an iterator closes its connection."""

    extractive = False

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str,
        limits: Limits,
        grammar: bool = False,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Take the server's base URL (ending in `/v1`); `extra` fields go into each request.

        With `grammar` the server holds answers to citations of passages that are there.

        Raises `ConfigurationError` for an address or key that cannot be one.
        """
        self.name = model
        self._limits = limits
        self._grammar = grammar
        self._extra = dict(extra or {})
        self._salt = secrets.token_bytes(32)
        try:
            self._client = httpx2.AsyncClient(
                base_url=url.rstrip("/"),
                headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
                timeout=httpx2.Timeout(limits.seconds, connect=CONNECT_SECONDS),
                trust_env=False,  # a proxy in the environment would carry passages elsewhere
            )
        except (httpx2.InvalidURL, UnicodeError) as error:
            message = f"The address or key of the model server is malformed: {url}"
            raise ConfigurationError(message) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def window(self) -> int | None:
        """Return the longest request and answer together that the server says it takes, in tokens.

        None where it says nothing of it, which is no error.
        """
        try:
            told = _parse((await self._client.get("/models")).text, strict=False)
        except httpx2.HTTPError:
            return None
        ours = (each for each in _dicts(told.get("data")) if each.get("id") == self.name)
        return next((_count(each.get("max_model_len")) or None for each in ours), None)

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        """Yield reasoning and text as they come, the usage last; raises `ModelError`."""
        body = self._body(context, build_messages(context, mark=secrets.token_hex(4)))
        if self._grammar:
            body["structured_outputs"] = {"grammar": citation_grammar(len(context.passages))}
        async with aclosing(self._reply(body)) as deltas:
            async for delta in deltas:
                yield delta

    async def converse(
        self,
        context: Context,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]] = (),
    ) -> AsyncGenerator[Delta, None]:
        """Go on with a conversation: like `generate`, and the calls of `tools` come at the end.

        `context` says how hard to think and with whose rights the messages were made.
        """
        body = self._body(context, messages, tools)
        async with aclosing(self._reply(body)) as deltas:
            async for delta in deltas:
                yield delta

    async def _reply(self, body: dict[str, object]) -> AsyncGenerator[Delta, None]:
        reply = _Reply(offered="tools" in body)
        async with aclosing(self._events(body)) as events:
            deadline = _Deadline(self._limits)
            while (data := await deadline.next(events, begun=reply.begun)) is not None:
                for delta in reply.take(data):
                    yield delta
        reply.check()
        for call in reply.calls:
            yield Delta(call=call)

    def _body(
        self,
        context: Context,
        messages: Sequence[Mapping[str, object]],
        tools: Sequence[Mapping[str, object]] = (),
    ) -> dict[str, object]:
        window, effort = self._limits.window, context.question.effort
        room = window.room(messages, tools, effort)
        body: dict[str, object] = {
            "model": self.name,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
            "max_tokens": room,
            "reasoning_effort": effort.value,
            "include_reasoning": False,
            "cache_salt": self._cache_salt(context),
        }
        if cap := window.thinking.get(effort, 0):
            body["thinking_token_budget"] = min(cap, room - window.answer)
        if tools:
            body["tools"] = tools
            body["include_reasoning"] = True  # the next round needs what was thought in this one
        return body | self._extra

    def _cache_salt(self, context: Context) -> str:
        """Return hex digits that only requests over passages with the same rights share.

        A prefix cache would otherwise tell by its speed what others have asked about.
        """
        rights = [sorted(passage.document.access) for passage in context.passages]
        private = json.dumps([rights, [turn.text for turn in context.question.history]])
        return hashlib.blake2b(private.encode(), key=self._salt, digest_size=16).hexdigest()

    async def _events(self, body: dict[str, object]) -> AsyncGenerator[str, None]:
        """Yield the data of each server-sent event up to `[DONE]`."""
        try:
            async with self._client.stream("POST", "/chat/completions", json=body) as response:
                await _check_status(response)
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        return
                    yield data
        except httpx2.TimeoutException as error:
            raise ModelError("The model server did not answer in time.", code="timeout") from error
        except (httpx2.ConnectError, httpx2.UnsupportedProtocol) as error:
            message = "The model server cannot be reached."
            raise ModelError(message, code="unavailable") from error
        except httpx2.HTTPError as error:
            message = "The connection to the model server broke."
            raise ModelError(message, code="reset") from error


class _Deadline:
    """Bounds each wait for the server by what is left of the limits."""

    def __init__(self, limits: Limits) -> None:
        self._first = time.monotonic() + limits.first_seconds
        self._last = time.monotonic() + limits.seconds

    async def next(self, events: AsyncIterator[str], *, begun: bool) -> str | None:
        """Return the next event, None after the last one."""
        until = self._last if begun else min(self._first, self._last)
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                return await anext(events, None)
        except TimeoutError as error:
            late = "finish its answer" if begun else "begin to answer"
            raise ModelError(f"The model did not {late} in time.", code="timeout") from error


class _Reply:
    """Reads the chunks of one reply, and judges it at its end."""

    def __init__(self, *, offered: bool = False) -> None:
        self.begun = False
        """Whether any text or call has come."""
        self._offered = offered
        self._finish = ""
        self._reasoned = False
        self._written = False
        self._calls: dict[int, ToolCall] = {}
        self._tail = ""
        self._length = 0

    def take(self, data: str) -> list[Delta]:
        """Return what one chunk adds; raises `ModelError` for an error event or for markup."""
        chunk = _parse(data)
        if "error" in chunk:
            raise ModelError(_message(chunk), code="stream_error")
        deltas = [self._read_choice(choice) for choice in _dicts(chunk.get("choices"))]
        if usage := _usage(chunk.get("usage")):
            self._reasoned = self._reasoned or usage.reasoning_tokens > 0
            deltas.append(Delta(usage=usage))
        return [delta for delta in deltas if delta != Delta()]

    def check(self) -> None:
        """Raise `ModelError` unless the reply came to a proper end with text in it."""
        if not self._finish:
            if self.begun or self._reasoned:
                raise ModelError("The model's answer broke off.", code="reset")
            raise ModelError("The model server sent an empty stream.", code="empty")
        if self._written or (self.calls and self._offered):
            if self._finish == "length":
                raise ModelError("The answer was cut at the token limit.", code="length")
            return
        if self.calls:
            message = f"The model called a tool {self.calls[0].name!r} that was not offered."
            raise ModelError(message, code="json_tool_call")
        if self._reasoned:
            raise ModelError("The model only thought, and wrote nothing.", code="reasoning_only")
        code = "length" if self._finish == "length" else "null_content"
        raise ModelError("The model wrote nothing.", code=code)

    def _read_choice(self, choice: Mapping[str, Any]) -> Delta:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {}
        self._finish = _text(choice.get("finish_reason")) or self._finish
        reasoning = _text(delta.get("reasoning")) or _text(delta.get("reasoning_content"))
        self._reasoned = self._reasoned or bool(reasoning)
        for call in _dicts(delta.get("tool_calls")):
            self._read_call(call)
        return Delta(text=self._read_text(_text(delta.get("content"))), reasoning=reasoning)

    @property
    def calls(self) -> list[ToolCall]:
        """Return the calls so far; the last one may not be complete."""
        return list(self._calls.values())

    def _read_call(self, part: Mapping[str, Any]) -> None:
        """Add a part of a call to what came of it before."""
        place, function = _count(part.get("index")), part.get("function")
        if not isinstance(function, dict):
            return
        known = self._calls.get(place, ToolCall("", "", ""))
        arguments = known.arguments + _text(function.get("arguments"))
        if len(arguments) > LONGEST_ANSWER:
            raise ModelError("The model wrote without end.", code="endless")
        self.begun = True
        self._calls[place] = ToolCall(
            id=known.id or _text(part.get("id")) or f"call-{place}",
            name=known.name or _text(function.get("name")),
            arguments=arguments,
        )

    def _read_text(self, text: str) -> str:
        """Refuse text without end, and markup that opens a channel: thoughts may follow it."""
        self._length += len(text)
        if self._length > LONGEST_ANSWER:
            raise ModelError("The model wrote without end.", code="endless")
        seen = self._tail + text
        if _CHANNEL_MARKUP.search(seen):
            raise ModelError("The model's answer held raw markup.", code="harmony_markup")
        self._tail = seen[-LONGEST_MARKUP:]
        self._written = self._written or bool(text.strip())
        self.begun = self.begun or self._written
        return text


_CHANNEL_MARKUP = re.compile(r"<\|(?:start|message|channel|constrain|call)\|>")
LONGEST_MARKUP = len("<|constrain|>")


async def _check_status(response: httpx2.Response) -> None:
    """Raise `ModelError` unless a stream of events follows."""
    kind = response.headers.get("content-type", "")
    if response.status_code == httpx2.codes.OK and kind.startswith("text/event-stream"):
        return
    raw = bytearray()
    async for piece in response.aiter_bytes():
        raw += piece
        if len(raw) > LARGEST_ERROR:
            break
    message = _message(_parse(raw[:LARGEST_ERROR].decode(errors="replace"), strict=False))
    raise ModelError(
        f"The model server refused: {message}", code=_code(response.status_code, message)
    )


def _code(status: int, message: str) -> str:
    if status in (401, 403):
        return "unauthorized"
    if status == 400 and "context length" in message:
        return "context_overflow"
    return "stream_error" if status < 400 else f"http_{status}"


def _parse(data: str, *, strict: bool = True) -> dict[str, Any]:
    """Read one JSON object; anything else is a `ModelError`, or `{}` when not `strict`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        if strict:
            raise ModelError("The model server sent no JSON.", code="stream_error") from error
        return {}
    if not isinstance(value, dict):
        if strict:
            raise ModelError("The model server sent no object.", code="stream_error")
        return {}
    return value


def _message(body: Mapping[str, Any]) -> str:
    """Find the text of an error: vLLM sends a string, an object, or FastAPI's `detail`."""
    error = body.get("error", body.get("detail", ""))
    if isinstance(error, dict):
        error = error.get("message", "")
    return " ".join(_text(error).split())[:300] or "it gave no reason"


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    details = value.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, dict) else 0
    return Usage(
        prompt_tokens=_count(value.get("prompt_tokens")),
        completion_tokens=_count(value.get("completion_tokens")),
        reasoning_tokens=_count(thought),
    )


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a string that can be sent on: JSON may spell characters that UTF-8 cannot."""
    return clean(value) if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
