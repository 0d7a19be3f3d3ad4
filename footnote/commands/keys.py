"""`footnote keys`: who may ask over the network."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import examples, say
from knowledge.settings import load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "add",
    epilog=examples(
        "footnote keys add --user alice --group hr --role editor",
        "FOOTNOTE_API_KEYS_FILE=/etc/footnote/keys.json footnote keys add --user intranet",
    ),
)
def keys_add(
    user: Annotated[str, typer.Option(help="Whose key it is.")],
    group: Annotated[list[str] | None, typer.Option(help="A group; may be repeated.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="admin, editor or auditor; may be repeated.")
    ] = None,
) -> None:
    """Make an API key and print it, once; only its hash is kept."""
    from footnote.keys import add

    add(load_settings(), user, groups=group or [], roles=role or [], say=say)


@app.command("list", epilog=examples("footnote keys list"))
def keys_list() -> None:
    """List whose keys there are."""
    from footnote.keys import show_all

    show_all(load_settings())


@app.command("remove", epilog=examples("footnote keys remove 1f3a9c07"))
def keys_remove(
    identity: Annotated[str, typer.Argument(help="The id in the list, fn_<id>_…")],
) -> None:
    """Take a key away, effective at once."""
    from footnote.keys import remove as run

    run(load_settings(), identity)
