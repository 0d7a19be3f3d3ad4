"""`footnote access`: who may read a document."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from footnote.commands.common import examples, say
from knowledge.errors import ConfigurationError
from knowledge.settings import load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "set",
    epilog=examples(
        "footnote access set 0b1f6e0a-… g:hr u:alice",
        "footnote access set 0b1f6e0a-… everyone",
    ),
)
def access_set(
    document_id: Annotated[str, typer.Argument(help="The document's id.")],
    tokens: Annotated[list[str], typer.Argument(help="everyone, u:<user> or g:<group>.")],
) -> None:
    """Set who may read a document.

    Whoever is not named may not, from now on. `footnote search … --json` shows ids.
    """
    from footnote.desk import open_desk

    for token in tokens:
        if not re.fullmatch(r"everyone|[ug]:\S+", token):
            raise ConfigurationError(f"not an access token: {token} (everyone, u:…, g:…)")
    with open_desk(load_settings(), command="access", say=say) as desk:
        desk.set_access(document_id, tokens)
    print(f"Set. Readable by: {', '.join(tokens)}")
