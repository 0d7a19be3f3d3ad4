"""`footnote source`: places that are kept in sync."""

from __future__ import annotations

from typing import Annotated

import typer

from footnote.commands.common import AsJson, NewTags, as_text, checked_tags, examples, say
from knowledge.errors import ConfigurationError
from knowledge.models import DEFAULT_COLLECTION
from knowledge.settings import load_settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command(
    "add",
    epilog=examples(
        "footnote source add handbook ~/Documents/handbook --every 15m",
        "footnote source add reports s3://reports --set endpoint=https://s3.example.org \\",
        "    --set 'key=${env:S3_KEY}' --set 'secret=${env:S3_SECRET}' --access g:finance",
        "footnote source add share smb://files/hr --set user=ann --set 'password=${env:SHARE}'",
        "footnote source add intranet https://intranet.example.org/docs/ --every 1d",
        "footnote source add wiki reader:ConfluenceReader --set base_url=https://wiki \\",
        "    --set space_key=HR --set 'api_token=${env:WIKI}'",
    ),
)
def source_add(  # noqa: PLR0913 (what one may say of a source)
    name: Annotated[str, typer.Argument(help="What you call it.")],
    uri: Annotated[
        str,
        typer.Argument(
            help="A path, s3://bucket/prefix, webdavs://host/path, smb://host/share, "
            "https://host/path, or reader:Class."
        ),
    ],
    include: Annotated[
        list[str] | None, typer.Option(help="Only what fits a pattern as in .gitignore.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Not what fits a pattern as in .gitignore.")
    ] = None,
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Where its documents belong.")
    ] = DEFAULT_COLLECTION,
    access: Annotated[
        list[str] | None,
        typer.Option(help="Who may read them: everyone, u:<user> or g:<group>; may be repeated."),
    ] = None,
    tag: NewTags = None,
    every: Annotated[
        str | None, typer.Option(help="Time between syncs, such as 15m; else only when asked.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting key=value; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a source in sync from now on.

    What is added, changed, moved and deleted there is followed by each sync: footnote serve syncs
    on schedule, footnote source sync at once. A password is never stored: set FOOTNOTE_SECRET_… in
    the environment or in .env and write ${env:…}. What a source must not do by itself, such as
    crawl private addresses or use a reader, FOOTNOTE_CRAWL_PRIVATE and FOOTNOTE_READERS allow.
    """
    from footnote import sources

    globs = {"include": "\n".join(include or ()), "exclude": "\n".join(exclude or ())}
    body = {
        "name": name,
        "uri": uri,
        "collection": collection,
        "access": access or ["everyone"],
        "tags": checked_tags(tag or ()),
        "every": sources.every_seconds(every) if every else None,
        "settings": {key: each for key, each in globs.items() if each}
        | sources.assigned(setting or ()),
    }
    added = sources.add(load_settings(), body, say=say)
    if as_json:
        print(as_text(added))
    else:
        print(f"Added {added['name']}: {added['uri']}. Now: footnote source sync {added['name']}")


@app.command("list", epilog=examples("footnote source list", "footnote source list --json"))
def source_list(as_json: AsJson = False) -> None:
    """Show the sources, how their last sync went, and how fresh they are.

    Freshness is the time from a change at the source until it was searchable, over the latest
    change of each item.
    """
    from footnote import sources

    body = sources.listed(load_settings(), say=say)
    print(as_text(body) if as_json else sources.table(body))


@app.command(
    "sync",
    epilog=examples(
        "footnote source sync handbook",
        "footnote source sync --all --json",
        "footnote source sync handbook --watch",
        "footnote source sync handbook --dry-run",
    ),
)
def source_sync(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones.")] = None,
    every_one: Annotated[bool, typer.Option("--all", help="All that are not paused.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and sync folders whenever something changes.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell.")] = False,
    allow_removals: Annotated[
        bool, typer.Option("--allow-removals", help="Also when most items are gone at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring sources up to date now.

    A source that cannot be listed loses nothing, and one that has lost most of its items at once
    is left alone until you say --allow-removals. Exit code: 0 when everything is searchable, 1 when
    something was rejected or a source failed, 2 when nothing could be done.
    """
    from footnote import sources

    if bool(names) == every_one:
        raise ConfigurationError("name the sources, or say --all")
    options = {"dry_run": dry_run, "allow_removals": allow_removals}
    raise typer.Exit(
        sources.sync(load_settings(), names or [], options, watch=watch, as_json=as_json, say=say)
    )


@app.command(
    "remove",
    epilog=examples(
        "footnote source remove handbook", "footnote source remove handbook --keep-documents"
    ),
)
def source_remove(
    name: Annotated[str, typer.Argument(help="Which one.")],
    keep_documents: Annotated[
        bool, typer.Option("--keep-documents", help="Leave what it brought as it is.")
    ] = False,
) -> None:
    """Forget a source, and remove what it brought."""
    from footnote import sources

    removed = sources.remove(load_settings(), name, keep_documents=keep_documents, say=say)
    print(f"Forgotten. Documents removed: {removed:,}")


@app.command("pause", epilog=examples("footnote source pause handbook"))
def source_pause(name: Annotated[str, typer.Argument(help="Which one.")]) -> None:
    """Stop syncing a source on schedule; its documents stay."""
    from footnote import sources

    sources.change(load_settings(), name, {"paused": True}, say=say)
    print("Paused.")


@app.command(
    "resume",
    epilog=examples(
        "footnote source resume handbook", "footnote source resume intranet --every 1d"
    ),
)
def source_resume(
    name: Annotated[str, typer.Argument(help="Which one.")],
    every: Annotated[
        str | None, typer.Option(help="Another time between syncs, such as 15m.")
    ] = None,
) -> None:
    """Sync a source on schedule again."""
    from footnote import sources

    changed = sources.every_seconds(every) if every else None
    sources.change(load_settings(), name, {"paused": False, "every": changed}, say=say)
    print("Resumed.")
