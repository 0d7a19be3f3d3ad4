"""What runs until it is stopped: the API, the page, workers, the parser."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import examples, say
from knowledge.settings import load_settings

app = typer.Typer()


@app.command(
    epilog=examples(
        "footnote serve",
        "footnote serve --ui",
        "FOOTNOTE_PORT=9000 footnote serve",
        "FOOTNOTE_HOST=0.0.0.0 FOOTNOTE_API_KEYS_FILE=keys.json footnote serve",
    )
)
def serve(
    ui: Annotated[bool, typer.Option("--ui", help="Start the page beside it.")] = False,
) -> None:
    """Answer over HTTP, and index what is uploaded.

    Listens on FOOTNOTE_HOST and FOOTNOTE_PORT. Beyond this machine it wants a file of API keys
    (footnote keys add). While it runs, the other commands go through it.
    """
    from footnote.serve import serve as run

    run(load_settings(), ui=ui, say=say)


@app.command(epilog=examples("footnote ui", "FOOTNOTE_UI_PORT=8600 footnote ui"))
def ui() -> None:
    """Start the page alone.

    The API (footnote serve) must be running, on this machine or at FOOTNOTE_API_URL.
    """
    from footnote.page import run_page

    raise typer.Exit(run_page(load_settings()))


@app.command(epilog=examples("footnote mcp", "FOOTNOTE_API_KEY=fn_… footnote mcp"))
def mcp() -> None:
    """Offer search and fetch to an agent that started this, over stdin and stdout (MCP).

    The API (footnote serve) must be running, on this machine or at FOOTNOTE_API_URL. The agent sees
    what FOOTNOTE_API_KEY may see. Agents that speak HTTP need none of this: the API itself answers
    them at /mcp.
    """
    from footnote.agent import attend

    attend(load_settings())


@app.command(epilog=examples("footnote worker", "footnote worker --once"))
def worker(
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is left to do.")] = False,
) -> None:
    """Index uploads, beside an API that runs elsewhere.

    Start as many as you like. Needs PostgreSQL and Qdrant (FOOTNOTE_DATABASE_URL,
    FOOTNOTE_QDRANT_URL): embedded stores have one owner, and `footnote serve` does this work
    itself.
    """
    from footnote.serve import work

    work(load_settings(), once=once)


@app.command(epilog=examples("FOOTNOTE_PARSER_SOCKET=/run/parser.sock footnote parser"))
def parser() -> None:
    """Parse files for workers, in a process of its own.

    They reach it by the Unix socket FOOTNOTE_PARSER_SOCKET.
    """
    from footnote.serve import parse

    parse(load_settings())
