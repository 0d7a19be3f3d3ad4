"""A stub of vLLM 0.32's chat completions on a real socket, faithful to recorded shapes.

It checks requests as strictly as vLLM does, streams what a test has told it to, and notices when a
client leaves. What it does not know (answers that are not streamed, schemas) it refuses with 501,
so that no test rests on a guess; of grammars it knows that they are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "gpt-oss-20b"
KEY = "stub-key"
WINDOW = 4096
CREATED = 1_790_000_000
FINGERPRINT = "vllm-0.32.0-1a2b3c4d"
ID = "chatcmpl-0123456789abcdef"

Json = dict[str, Any]


# --- what the model does: scripts ---------------------------------------------------------------


@dataclass(frozen=True)
class Pause:
    """Silence for so many seconds, or until the client leaves."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """The connection breaks, without any end of the HTTP body."""


@dataclass(frozen=True)
class End:
    """The HTTP body ends in order, whatever was still to come."""


@dataclass(frozen=True)
class Delta:
    """One generated token: a `delta` object, and how the stream counts it."""

    delta: Json
    reasoning: bool = False


@dataclass(frozen=True)
class Finish:
    """The chunk with a finish reason."""

    reason: str
    delta: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any text as one event's data."""

    data: str


@dataclass(frozen=True)
class Bytes:
    """Any bytes, no event around them."""

    data: bytes


@dataclass(frozen=True)
class Refusal:
    """Not a stream but a response with a status and a body."""

    status: int
    body: Json | str


Step = Pause | Reset | End | Delta | Finish | Raw | Bytes
Script = tuple[Step, ...] | Refusal


def says(*pieces: str, thinking: tuple[str, ...] = (), finish: str = "stop") -> Script:
    """An ordinary answer, after some reasoning."""
    thoughts = [Delta({"reasoning": piece}, reasoning=True) for piece in thinking]
    texts = [Delta({"content": piece}) for piece in pieces]
    if finish == "length" and texts:
        return (*thoughts, *texts[:-1], Finish(finish, texts[-1].delta))
    return (*thoughts, *texts, Finish(finish))


def only_thinks(*, finish: str = "length") -> Script:
    """Reasoning to the end; with `include_reasoning: false` it is only counted."""
    return says(thinking=("Let me", " think"), finish=finish)


def writes_nothing(*, finish: str = "stop") -> Script:
    """`content` is null: no text, no reasoning, no error."""
    return (Finish(finish),)


def calls_json() -> Script:
    """`final json` is read as the recipient `json`: the answer becomes a tool call."""
    return calls(("json", '{"ok":true}'))


def calls(*wanted: tuple[str, str], thinking: tuple[str, ...] = ()) -> Script:
    """Calls of tools, each a name and its arguments, which come in two pieces."""
    thoughts = [Delta({"reasoning": piece}, reasoning=True) for piece in thinking]
    parts: list[Json] = []
    for index, (name, arguments) in enumerate(wanted):
        head = {"id": f"chatcmpl-tool-{index:016x}", "type": "function", "index": index}
        parts.append(head | {"function": {"name": name, "arguments": ""}})
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            parts.append({"index": index, "function": {"arguments": piece}})
    return (*thoughts, *(Delta({"tool_calls": [part]}) for part in parts), Finish("tool_calls"))


def leaks_markup(*before: str) -> Script:
    """Raw harmony in the content, spelled over several tokens."""
    return says(*before, "<|chan", "nel|>analysis<|mess", "age|>The canary thinks.")


def ends_with_markup(*pieces: str) -> Script:
    """The literal text `<|end|>` closes the content."""
    return says(*pieces, "<|en", "d|>")


def fails_midway(*pieces: str) -> Script:
    """An error event in a stream whose status was 200."""
    error = json.dumps({"error": INTERNAL_ERROR})
    return (*(Delta({"content": piece}) for piece in pieces), Raw(error))


def hangs(*pieces: str, seconds: float = 60) -> Script:
    """Nothing more comes, and the connection stays open."""
    return (*(Delta({"content": piece}) for piece in pieces), Pause(seconds), Finish("stop"))


def breaks(*pieces: str) -> Script:
    """The server dies."""
    return (*(Delta({"content": piece}) for piece in pieces), Reset())


def stops_short(*pieces: str) -> Script:
    """The stream ends in order, but without a finish reason and without `[DONE]`."""
    return (*(Delta({"content": piece}) for piece in pieces), End())


def refuses(status: int, message: str, kind: str = "BadRequestError") -> Script:
    return Refusal(status, _error(message, kind, status))


INTERNAL_ERROR = {
    "message": "Internal server error",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}


# --- the server ---------------------------------------------------------------------------------


class VllmStub:
    """One running stub; scripts are played in order, then `usual` again and again."""

    def __init__(self, *, reasoning_config: bool = True) -> None:
        self.url = ""
        self.usual: Script = says("Soup costs", " three euro", " [1].", thinking=("Hm.",))
        self.bodies: list[Json] = []
        self.running = 0
        self.left = 0
        """Streams whose client went away before their end."""
        self._reasoning_config = reasoning_config
        self._scripts: list[Script] = []

    def then(self, *scripts: Script) -> None:
        """Play these for the next requests."""
        self._scripts.extend(scripts)

    def until(self, condition: Callable[[], bool], *, seconds: float = 5) -> bool:
        """Wait until `condition` holds; say whether it came about."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        return condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while (request := await _read_request(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Return whether the connection may serve another request."""
        refusal = self._route(request)
        if refusal is None:
            self.bodies.append(body := json.loads(request.body))
            script = self._scripts.pop(0) if self._scripts else self.usual
            if not isinstance(script, Refusal):
                return await self._stream(script, body, reader, writer)
            refusal = script
        payload = refusal.body
        data = payload if isinstance(payload, str) else json.dumps(payload)
        kind = "text/plain; version=0.0.4" if isinstance(payload, str) else "application/json"
        head = f"HTTP/1.1 {refusal.status} X\r\ncontent-type: {kind}\r\n"
        writer.write(f"{head}content-length: {len(data.encode())}\r\n\r\n{data}".encode())
        await writer.drain()
        return True

    def _route(self, request: Request) -> Refusal | None:
        methods = {
            "/v1/chat/completions": "POST",
            "/v1/models": "GET",
            "/health": "GET",
            "/metrics": "GET",
        }
        if request.path not in methods:
            return Refusal(404, {"detail": "Not Found"})
        if request.method != methods[request.path]:
            return Refusal(405, {"detail": "Method Not Allowed"})
        if request.path in ("/health", "/metrics"):
            running = f'vllm:num_requests_running{{engine="0"}} {self.running}.0\n'
            return Refusal(200, running if request.path == "/metrics" else "")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Refusal(401, {"error": "Unauthorized"})
        if request.path == "/v1/models":
            card = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "vllm"}
            known = {**card, "root": MODEL, "parent": None, "max_model_len": WINDOW}
            return Refusal(200, {"object": "list", "data": [known]})
        return self._check(request.body)

    def _check(self, raw: bytes) -> Refusal | None:
        """Refuse what vLLM refuses, with its words."""
        try:
            body = json.loads(raw)
        except ValueError:
            return _invalid("json_invalid", "body.1")
        if not isinstance(body.get("messages"), list):
            return _invalid("missing", "body.messages")
        for complaint in (_check_model, _check_reasoning, _check_limits, _check_known):
            if refusal := complaint(body):
                return refusal
        if "thinking_token_budget" in body and not self._reasoning_config:
            return _bad("thinking_token_budget is set but reasoning_config is not configured")
        return None

    async def _stream(
        self,
        script: tuple[Step, ...],
        body: Json,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        )
        self.running += 1
        complete = False
        gone = asyncio.ensure_future(reader.read(1))
        try:
            async for data in _play(script, body, gone):
                if data is None:
                    writer.transport.abort()
                    return False
                event = data if isinstance(data, bytes) else f"data: {data}\n\n".encode()
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                await writer.drain()
            complete = not gone.done()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        finally:
            self.running -= 1
            self.left += gone.done() and not complete
            gone.cancel()
        return False


@contextlib.contextmanager
def vllm_stub(*, reasoning_config: bool = True) -> Iterator[VllmStub]:
    """Run a stub in a thread of its own on a free port of this machine."""
    stub = VllmStub(reasoning_config=reasoning_config)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
        stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        ready.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="vllm-stub")
    thread.start()
    try:
        ready.wait(10)
        yield stub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


# --- how a script becomes events ----------------------------------------------------------------


async def _play(
    script: tuple[Step, ...], body: Json, gone: asyncio.Future[bytes]
) -> AsyncIterator[str | bytes | None]:
    """Yield the data of each event, or bytes as they are; None where the connection breaks."""
    counted = _Counted(body)
    yield json.dumps(counted.first())
    for step in script:
        if counted.full:
            break
        if isinstance(step, Reset):
            yield None
            return
        if isinstance(step, Pause):
            await asyncio.wait([gone], timeout=step.seconds)
        elif data := counted.event(step):
            yield data
        await asyncio.sleep(0)
        if isinstance(step, End) or gone.done():
            return
    for data in counted.ending():
        yield data


class _Counted:
    """Makes the chunks of one stream, and counts tokens."""

    def __init__(self, body: Json) -> None:
        self.full = False
        self.finished = False
        self._body = body
        self._tokens = 0
        self._reasoning = 0

    def first(self) -> Json:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
        return self._chunk([choice]) | {"prompt_token_ids": None, "prompt_text": None}

    def event(self, step: Step) -> str | bytes | None:
        """Return the data of one step's event, None where it shows nothing."""
        if isinstance(step, Raw | Bytes):
            return step.data
        chunk = self.delta(step) if isinstance(step, Delta) else None
        if self.full and not self.finished:  # the last text comes with the reason
            last = chunk["choices"][0]["delta"] if chunk else {}
            chunk = self.finish(Finish("length", last))
        if isinstance(step, Finish):
            chunk = self.finish(step)
        return json.dumps(chunk) if chunk else None

    def delta(self, step: Delta) -> Json | None:
        self._tokens += 1
        self._reasoning += step.reasoning
        self.full = self._tokens >= self._body.get("max_tokens", WINDOW)
        if step.reasoning and self._body.get("include_reasoning") is False:
            return None
        return self._chunk([self._choice(step.delta)])

    def finish(self, step: Finish) -> Json:
        self.finished = True
        self._tokens += step.reason != "length"
        choice = self._choice(step.delta) | {
            "finish_reason": step.reason,
            "stop_reason": 200002 if step.reason == "stop" else None,
        }
        return self._chunk([choice])

    def usage(self) -> Json:
        prompt = _count_tokens(self._body)
        usage = {
            "prompt_tokens": prompt,
            "total_tokens": prompt + self._tokens,
            "completion_tokens": self._tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "created_cache_tokens": None},
            "completion_tokens_details": {"reasoning_tokens": self._reasoning},
        }
        return self._chunk([]) | {"usage": usage, "system_fingerprint": FINGERPRINT}

    def ending(self) -> Iterator[str]:
        """Yield what closes a stream that the model server itself ends."""
        if self.finished and (self._body.get("stream_options") or {}).get("include_usage"):
            yield json.dumps(self.usage())
        yield "[DONE]"

    def _choice(self, delta: Json) -> Json:
        if "content" in delta and self._body.get("include_reasoning") is False:
            delta = {**delta, "reasoning": None}
        return {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": None,
            "token_ids": None,
        }

    def _chunk(self, choices: list[Json]) -> Json:
        return {
            "id": ID,
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self._body["model"],
            "choices": choices,
        }


# --- what vLLM refuses --------------------------------------------------------------------------


def _check_model(body: Json) -> Refusal | None:
    name = body.get("model", MODEL)
    if name == MODEL:
        return None
    message = f"The model `{name}` does not exist. Valid aliases: {MODEL}."
    return Refusal(404, _error(message, "NotFoundError", 404, "model"))


def _check_reasoning(body: Json) -> Refusal | None:
    effort = body.get("reasoning_effort")
    if effort in (None, "low", "medium", "high"):
        return None
    parameter = "reasoning_effort"
    message = f"Harmony does not support reasoning_effort={effort!r} (parameter={parameter})"
    return Refusal(400, _error(message, "BadRequestError", 400, parameter))


def _check_limits(body: Json) -> Refusal | None:
    wanted = body.get("max_tokens", WINDOW)
    if wanted < 1:
        message = f"max_tokens must be at least 1, got {wanted}."
        return _bad(f"{message} (parameter=max_tokens, value={wanted})", "max_tokens")
    length = _count_tokens(body)
    if length > WINDOW:
        message = f"Input length ({length}) exceeds model's maximum context length ({WINDOW})."
        return _bad(message)
    return None


def _check_known(body: Json) -> Refusal | None:
    if not body.get("stream") or set(body.get("structured_outputs", ())) - {"grammar"}:
        return Refusal(501, {"error": "The stub does not know this."})
    if "cache_salt" in body and not (isinstance(body["cache_salt"], str) and body["cache_salt"]):
        return _bad("Parameter 'cache_salt' must be a non-empty string if provided.", "cache_salt")
    return None


def _count_tokens(body: Json) -> int:
    """Count roughly: four characters a token, and 60 tokens of harmony's own."""
    return 60 + sum(len(str(message.get("content"))) // 4 + 4 for message in body["messages"])


def _bad(message: str, param: str | None = None) -> Refusal:
    return Refusal(400, _error(message, "BadRequestError", 400, param))


def _invalid(kind: str, param: str) -> Refusal:
    message = f"1 validation error:\n  {{'type': '{kind}', 'loc': '{param}'}}"
    return Refusal(400, _error(message, "Bad Request", 400, param))


def _error(message: str, kind: str, code: int, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


# --- HTTP ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
