"""The tools over stdin and stdout, for agents that start their servers: a way to `/mcp`."""

from __future__ import annotations

from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import TextContent

from serving.mcp.endpoint import PATH
from serving.mcp.server import build
from serving.mcp.tools import Json

_PATIENCE = httpx2.Timeout(120, connect=5)


def bridge(url: str, token: str, *, version: str) -> None:
    """Serve until stdin ends; each call goes to the service at `url` with the rights of `token`."""

    async def call(_: Context[Any, Any], tool: str, argument: str) -> Json:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        name = "query" if tool == "search" else "id"
        async with (
            httpx2.AsyncClient(headers=headers, timeout=_PATIENCE, trust_env=False) as http,
            Client(streamable_http_client(f"{url}{PATH}", http_client=http)) as client,
        ):
            result = await client.call_tool(tool, {name: argument})
        if result.is_error or result.structured_content is None:
            said = [part.text for part in result.content if isinstance(part, TextContent)]
            raise ToolError(" ".join(said))
        return dict(result.structured_content)

    build(call, version=version).run("stdio")
