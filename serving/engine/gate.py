"""Only what we call is reachable: an allow-list before all routes of vLLM, as ASGI middleware.

vLLM has no such list, its key guards `/v1` alone, and some sixty routes come with it or by a flag:
`/invocations` answers like `/v1` but without a key. Paths are compared as the router will see them,
decoded and unchanged, so no spelling gets past. What is refused looks like what is not there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

ALLOWED = frozenset(
    {
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/health"),
        ("GET", "/metrics"),
    }
)
BODY = b'{"detail":"Not Found"}'


class Gate:
    """Passes on what is allowed, and the server's own start and stop."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or refuse one connection."""
        kind = scope["type"]
        known = kind == "http" and (scope["method"], scope["path"]) in ALLOWED
        if known or kind == "lifespan":
            await self._app(scope, receive, send)
        elif kind == "http":
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(BODY)).encode()),
            ]
            await send({"type": "http.response.start", "status": 404, "headers": headers})
            await send({"type": "http.response.body", "body": BODY})
        else:
            await send({"type": "websocket.close", "code": 1008})
