"""`footnote tags`: words that documents are given, and that questions can be narrowed to."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import checked_tags, examples, say
from knowledge.settings import load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def tags() -> None:
    """Give documents tags, which questions can be narrowed to."""


@app.command(
    "set",
    epilog=examples(
        "footnote tags set 0b1f6e0a-… travel 2026", "footnote tags set 0b1f6e0a-…  # none"
    ),
)
def tags_set(
    document_id: Annotated[str, typer.Argument(help="The document's id.")],
    tags: Annotated[list[str] | None, typer.Argument(help="All that it is to have.")] = None,
) -> None:
    """Set the tags of a document.

    `footnote search … --tag` and `footnote ask … --tag` then look into what has a tag. `footnote
    search … --json` shows ids.
    """
    from footnote.desk import open_desk

    given = checked_tags(tags or ())
    with open_desk(load_settings(), command="tags", say=say) as desk:
        desk.set_tags(document_id, given)
    print(f"Set. Tags: {', '.join(given)}" if given else "Set. It has no tags.")
