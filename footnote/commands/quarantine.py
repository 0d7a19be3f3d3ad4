"""`footnote quarantine`: what failed twice."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import AsJson, examples, say
from knowledge.settings import load_settings

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def quarantine(context: typer.Context) -> None:
    """List what failed twice and is not tried again."""
    if context.invoked_subcommand is None:
        quarantine_list()


@app.command("list", epilog=examples("footnote quarantine", "footnote quarantine list"))
def quarantine_list(as_json: AsJson = False) -> None:
    """List what failed twice, and is not tried again until it, or its parser, changes."""
    from footnote.jobs import list_quarantine

    list_quarantine(load_settings(), as_json=as_json, say=say)


@app.command("retry", epilog=examples("footnote quarantine retry 0b1f6e0a-…"))
def quarantine_retry(
    refused_id: Annotated[str, typer.Argument(help="The id in the list.")], as_json: AsJson = False
) -> None:
    """Have a file tried again when it next comes by."""
    from footnote.jobs import free

    free(load_settings(), refused_id, as_json=as_json, say=say)
