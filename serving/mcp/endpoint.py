"""The tools at `/mcp`: streamable HTTP without sessions, with the API's own keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from knowledge.errors import FootnoteError, NotFound
from serving.mcp.server import build
from serving.mcp.tools import Json, Tools
from serving.refusal import NOT_FOUND, Refusal
from serving.services import Services

PATH = "/mcp"
_BODY_BYTES = 2**20
_OURS = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""The doorman has already asked for the host and the origin."""


class Endpoint:
    """An ASGI app; its caller is made a principal before a byte of the body is read."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._manager: StreamableHTTPSessionManager | None = None

    @property
    def route(self) -> Route:
        """The route that leads here, for exactly this path."""
        return Route(PATH, endpoint=self, methods=["GET", "POST", "DELETE"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer while this is open."""
        server = build(self._call, version=self._services.version)
        server.streamable_http_app(
            streamable_http_path=PATH,
            json_response=True,
            stateless_http=True,
            max_request_body_size=_BODY_BYTES,
            transport_security=_OURS,
        )
        async with server.session_manager.run():
            self._manager = server.session_manager
            yield
            self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; raises `AccessDenied` without a valid key."""
        authorization = Headers(scope=scope).get("authorization")
        principal = self._services.gate.principal(authorization)
        if self._manager is None:
            raise Refusal(503, "unavailable", "The service is starting or stopping.")
        scope.setdefault("state", {})["principal"] = principal
        await self._manager.handle_request(scope, receive, send)

    async def _call(self, ctx: Context[Any, Any], tool: str, argument: str) -> Json:
        request = cast("Request", ctx.request_context.request)
        services = self._services
        tools = Tools(
            services.retriever, services.library, request.state.principal, str(request.base_url)
        )
        try:
            return await asyncio.to_thread(getattr(tools, tool), argument)
        except NotFound:
            raise ToolError(NOT_FOUND) from None
        except FootnoteError as error:
            raise ToolError(str(error)) from error
