"""The command `footnote`: one small function per command; what they do is in the other files.

Heavy libraries are imported by the commands that use them, so that `--help` is quick.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowledge.disk import DISK_FULL
from knowledge.errors import ConfigurationError, FootnoteError
from knowledge.models import COLLECTION_NAME, DEFAULT_COLLECTION, LONGEST_QUESTION, Effort, JobState
from knowledge.settings import Settings, go_offline, load_settings

if TYPE_CHECKING:
    from footnote.desk import Desk

app = typer.Typer(
    name="footnote",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Cited answers from your own documents, on your own machine.\n\n"
    '\b\nStart with:\n  footnote ingest ~/Documents\n  footnote ask "How do I …?"\n'
    "  footnote serve --ui\n\n"
    "Settings come from FOOTNOTE_… variables and from .env; `footnote doctor` says what is wrong.",
)
keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
access_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
source_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
jobs_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
quarantine_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)

Collection = Annotated[
    str | None, typer.Option("--collection", "-c", help="Only look into this collection.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def _examples(*lines: str) -> str:
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


# --- documents in, answers out ------------------------------------------------------------------


@app.command(
    epilog=_examples(
        "footnote ingest ~/Documents/handbook",
        "footnote ingest report.pdf notes.md --collection finance",
        "footnote ingest corpus.jsonl.gz --json > events.jsonl",
    )
)
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", exists=True)],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Where they belong.")
    ] = DEFAULT_COLLECTION,
    as_json: AsJson = False,
) -> None:
    """Bring files and folders up to date.

    New files come in, changed ones are replaced, unchanged ones are skipped; what has vanished from
    a folder is removed. Each line is printed once its document is safe on the disk. Exit code: 0
    when everything is searchable, 1 when a file was rejected (each is listed with the reason; the
    rest is searchable), 2 when nothing could be done.
    """
    from footnote.ingesting import ingest as run

    if not re.fullmatch(COLLECTION_NAME, collection):
        raise ConfigurationError("a collection is named by 1 to 100 characters, without slashes")
    raise typer.Exit(run(_settings(), paths, collection=collection, as_json=as_json, say=_say))


@app.command(
    epilog=_examples(
        'footnote ask "How many days of leave do new employees have?"',
        'footnote ask "What changed in the travel policy?" --collection hr --json',
        'footnote ask "Compare the two offers" --effort high',
    )
)
def ask(
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    collection: Collection = None,
    effort: Annotated[
        Effort | None, typer.Option(help="How long the model may think, where there is one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question, with a verbatim quote under every claim."""
    from footnote import show
    from footnote.desk import open_desk

    _check_length(question)
    with open_desk(_settings(), command="ask", say=_say) as desk:
        body = desk.ask(question, effort=effort.value if effort else None, collection=collection)
        if body["verdict"] == "not_found":
            _hint(desk, collection)
    print(_json(body) if as_json else show.answer(body))


@app.command(
    epilog=_examples(
        'footnote search "annual leave"',
        'footnote search "error E42" --limit 3 --json',
    )
)
def search(
    query: Annotated[str, typer.Argument(help="Words or a sentence, in quotes.")],
    collection: Collection = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show the passages that fit best, without writing an answer."""
    from footnote import show
    from footnote.desk import open_desk

    _check_length(query)
    with open_desk(_settings(), command="search", say=_say) as desk:
        body = desk.search(query, collection=collection, limit=limit)
        if not body["passages"]:
            _hint(desk, collection)
    print(_json(body) if as_json else show.passages(body))


@app.command(
    epilog=_examples("footnote search leave --json  # shows ids", "footnote remove 0b1f6e0a-…")
)
def remove(document_id: Annotated[str, typer.Argument(help="The document's id.")]) -> None:
    """Make a document invisible at once, and clean it away."""
    from footnote.desk import open_desk

    with open_desk(_settings(), command="remove", say=_say) as desk:
        desk.remove(document_id)
    print("Removed. It comes back if its folder is ingested again while the file is there.")


@access_app.command(
    "set",
    epilog=_examples(
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
    with open_desk(_settings(), command="access", say=_say) as desk:
        desk.set_access(document_id, tokens)
    print(f"Set. Readable by: {', '.join(tokens)}")


# --- sources that are kept in sync --------------------------------------------------------------


@source_app.command(
    "add",
    epilog=_examples(
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
        "every": sources.every_seconds(every) if every else None,
        "settings": {key: each for key, each in globs.items() if each}
        | sources.assigned(setting or ()),
    }
    added = sources.add(_settings(), body, say=_say)
    if as_json:
        print(_json(added))
    else:
        print(f"Added {added['name']}: {added['uri']}. Now: footnote source sync {added['name']}")


@source_app.command("list", epilog=_examples("footnote source list", "footnote source list --json"))
def source_list(as_json: AsJson = False) -> None:
    """Show the sources, how their last sync went, and how fresh they are.

    Freshness is the time from a change at the source until it was searchable, over the latest
    change of each item.
    """
    from footnote import sources

    body = sources.listed(_settings(), say=_say)
    print(_json(body) if as_json else sources.table(body))


@source_app.command(
    "sync",
    epilog=_examples(
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
        sources.sync(_settings(), names or [], options, watch=watch, as_json=as_json, say=_say)
    )


@source_app.command(
    "remove",
    epilog=_examples(
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

    removed = sources.remove(_settings(), name, keep_documents=keep_documents, say=_say)
    print(f"Forgotten. Documents removed: {removed:,}")


@source_app.command("pause", epilog=_examples("footnote source pause handbook"))
def source_pause(name: Annotated[str, typer.Argument(help="Which one.")]) -> None:
    """Stop syncing a source on schedule; its documents stay."""
    from footnote import sources

    sources.change(_settings(), name, {"paused": True}, say=_say)
    print("Paused.")


@source_app.command(
    "resume",
    epilog=_examples(
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
    sources.change(_settings(), name, {"paused": False, "every": changed}, say=_say)
    print("Resumed.")


# --- services -----------------------------------------------------------------------------------


@app.command(
    epilog=_examples(
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

    run(_settings(), ui=ui, say=_say)


@app.command(epilog=_examples("footnote ui", "FOOTNOTE_UI_PORT=8600 footnote ui"))
def ui() -> None:
    """Start the page alone.

    The API (footnote serve) must be running, on this machine or at FOOTNOTE_API_URL.
    """
    from footnote.page import run_page

    raise typer.Exit(run_page(_settings()))


@app.command(epilog=_examples("footnote worker", "footnote worker --once"))
def worker(
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is left to do.")] = False,
) -> None:
    """Index uploads, beside an API that runs elsewhere.

    Start as many as you like. Needs PostgreSQL and Qdrant (FOOTNOTE_DATABASE_URL,
    FOOTNOTE_QDRANT_URL): embedded stores have one owner, and `footnote serve` does this work
    itself.
    """
    from footnote.serve import work

    work(_settings(), once=once)


@app.command(epilog=_examples("FOOTNOTE_PARSER_SOCKET=/run/parser.sock footnote parser"))
def parser() -> None:
    """Parse files for workers, in a process of its own.

    They reach it by the Unix socket FOOTNOTE_PARSER_SOCKET.
    """
    from footnote.serve import parse

    parse(_settings())


# --- looking after it ---------------------------------------------------------------------------


@app.command(
    epilog=_examples("footnote status", "footnote status --json", "footnote status --coverage")
)
def status(
    coverage: Annotated[
        bool,
        typer.Option("--coverage", help="List every document that was read badly or in part."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is indexed, what is waiting, what was refused, and what holds little text."""
    from footnote.status import status as run

    run(_settings(), as_json=as_json, coverage=coverage, say=_say)


JobId = Annotated[str, typer.Argument(help="The job's id.")]


@jobs_app.callback()
def jobs(context: typer.Context) -> None:
    """List jobs, newest first."""
    if context.invoked_subcommand is None:
        jobs_list()


@jobs_app.command("list", epilog=_examples("footnote jobs", "footnote jobs list --state dead"))
def jobs_list(
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only these; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 100,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first: id, kind, state, documents done, name, reason."""
    from footnote.jobs import list_jobs

    states = [each.value for each in state or ()]
    list_jobs(_settings(), states=states, limit=limit, as_json=as_json, say=_say)


@jobs_app.command("show", epilog=_examples("footnote jobs show 0b1f6e0a-… --wait"))
def jobs_show(
    job_id: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="Until it is over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one job.

    Exit code 1 when it failed, died or was cancelled.
    """
    from footnote.jobs import show_job

    raise typer.Exit(show_job(_settings(), job_id, wait=wait, as_json=as_json, say=_say))


@jobs_app.command("pause", epilog=_examples("footnote jobs pause 0b1f6e0a-…"))
def jobs_pause(job_id: JobId, as_json: AsJson = False) -> None:
    """Hold a job; the document that is under way is finished."""
    _change(job_id, "pause", as_json=as_json)


@jobs_app.command("resume", epilog=_examples("footnote jobs resume 0b1f6e0a-…"))
def jobs_resume(job_id: JobId, as_json: AsJson = False) -> None:
    """Let a paused job go on."""
    _change(job_id, "resume", as_json=as_json)


@jobs_app.command("retry", epilog=_examples("footnote jobs retry 0b1f6e0a-…"))
def jobs_retry(job_id: JobId, as_json: AsJson = False) -> None:
    """Try a dead, failed or retrying job now."""
    _change(job_id, "retry", as_json=as_json)


@jobs_app.command("cancel", epilog=_examples("footnote jobs cancel 0b1f6e0a-…"))
def jobs_cancel(job_id: JobId, as_json: AsJson = False) -> None:
    """Stop a job; one that has ended stays as it is."""
    _change(job_id, "cancel", as_json=as_json)


def _change(job_id: str, change: str, *, as_json: bool) -> None:
    from footnote.jobs import change_job

    change_job(_settings(), job_id, change, as_json=as_json, say=_say)


@quarantine_app.callback()
def quarantine(context: typer.Context) -> None:
    """List what failed twice and is not tried again."""
    if context.invoked_subcommand is None:
        quarantine_list()


@quarantine_app.command("list", epilog=_examples("footnote quarantine", "footnote quarantine list"))
def quarantine_list(as_json: AsJson = False) -> None:
    """List what failed twice, and is not tried again until it, or its parser, changes."""
    from footnote.jobs import list_quarantine

    list_quarantine(_settings(), as_json=as_json, say=_say)


@quarantine_app.command("retry", epilog=_examples("footnote quarantine retry 0b1f6e0a-…"))
def quarantine_retry(
    refused_id: Annotated[str, typer.Argument(help="The id in the list.")], as_json: AsJson = False
) -> None:
    """Have a file tried again when it next comes by."""
    from footnote.jobs import free

    free(_settings(), refused_id, as_json=as_json, say=_say)


@app.command(epilog=_examples("footnote doctor"))
def doctor() -> None:
    """Check everything that Footnote needs, and say what to do.

    Looks at models, stores, model server, disk, ports, versions and settings. Exit code 1 when
    something fails.
    """
    from footnote.doctor import examine

    raise typer.Exit(examine(_settings()))


@app.command(
    epilog=_examples(
        "footnote rebuild --check",
        "footnote rebuild",
        "docker compose run --rm worker footnote rebuild",
    )
)
def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is missing; exit code 1 if anything is.")
    ] = False,
) -> None:
    """Make the search index whole again from the catalog.

    The index is disposable: delete its folder, or attach an empty Qdrant server, and this embeds
    what is missing from the stored text. Nothing is read or parsed anew, rights are those of now,
    and search finds what is there meanwhile. If it is interrupted, run it again: it goes on where
    it stopped. On one machine footnote serve does this by itself when it starts.
    """
    from footnote.rebuilding import rebuild as run

    raise typer.Exit(run(_settings(), check=check, say=_say))


@app.command(
    epilog=_examples(
        "FOOTNOTE_EMBEDDING_MODEL=~/models/e5 footnote reindex",
        "footnote reindex --golden questions.jsonl --max-loss 0",
        "footnote reindex --status",
        "footnote reindex --back",
    )
)
def reindex(
    golden: Annotated[
        Path | None,
        typer.Option(
            help='Your own questions, a line each: {"query": …, "uri": …}.',
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    max_loss: Annotated[
        float, typer.Option(help="How much recall@10 may fall.", min=0, max=1)
    ] = 0.02,
    force: Annotated[bool, typer.Option("--force", help="Switch even if it is worse.")] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Make the former generation live again.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Give up one that is not live; frees its disk.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only show the generations.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the index anew beside the live one, and switch when it is as good.

    Needed after a change of the embedding model, of the chunk size, or of Footnote's parsers. All
    documents are read, cut and embedded into an index of its own while questions are answered as
    before; then a golden set of questions is asked of both. The former index is kept: --back
    returns to it. If it is interrupted, run it again. Exit code 1: built, but not switched.
    """
    from footnote.reindexing import Wish
    from footnote.reindexing import reindex as run

    chosen = [name for name, on in (("back", back), ("discard", discard), ("status", status)) if on]
    if len(chosen) > 1:
        raise ConfigurationError(f"--{chosen[0]} and --{chosen[1]} do not go together")
    wish = Wish(chosen[0] if chosen else "build", golden, max_loss, force)
    raise typer.Exit(run(_settings(), wish, as_json=as_json, say=_say))


@app.command(epilog=_examples("footnote demo", "footnote demo --docs ~/Documents/handbook"))
def demo(
    docs: Annotated[
        Path | None,
        typer.Option(help="A folder of your own.", exists=True, file_okay=False),
    ] = None,
) -> None:
    """Ingest the examples (or your own folder) and ask three questions."""
    from footnote.demo import demo as run

    raise typer.Exit(run(_settings(), docs, say=_say))


@keys_app.command(
    "add",
    epilog=_examples(
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

    add(_settings(), user, groups=group or [], roles=role or [], say=_say)


@keys_app.command("list", epilog=_examples("footnote keys list"))
def keys_list() -> None:
    """List whose keys there are."""
    from footnote.keys import show_all

    show_all(_settings())


@keys_app.command("remove", epilog=_examples("footnote keys remove 1f3a9c07"))
def keys_remove(
    identity: Annotated[str, typer.Argument(help="The id in the list, fn_<id>_…")],
) -> None:
    """Take a key away, effective at once."""
    from footnote.keys import remove as run

    run(_settings(), identity)


app.add_typer(
    keys_app,
    name="keys",
    help="Make, list and remove API keys.",
    epilog=_examples("footnote keys add --user alice --group hr"),
)
app.add_typer(
    jobs_app,
    name="jobs",
    help="List, hold, resume, retry and cancel jobs.",
    epilog=_examples("footnote jobs", "footnote jobs retry 0b1f6e0a-…"),
)
app.add_typer(
    quarantine_app,
    name="quarantine",
    help="List and free what failed twice.",
    epilog=_examples("footnote quarantine", "footnote quarantine retry 0b1f6e0a-…"),
)
app.add_typer(
    access_app,
    name="access",
    help="Say who may read a document.",
    epilog=_examples("footnote access set 0b1f6e0a-… g:hr"),
)


app.add_typer(
    source_app,
    name="source",
    help="Keep folders, buckets, shares, sites and wikis in sync.",
    epilog=_examples("footnote source add handbook ~/Documents/handbook --every 15m"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a known failure is one line on standard error and exit code 2."""
    go_offline()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(list(arguments) if arguments is not None else None)
    except FootnoteError as error:
        _say(str(error))
        sys.exit(2)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        _say(f"the disk is full ({error.filename or 'no file named'}); make room and start again")
        sys.exit(2)


def _terminated(number: int, _: object) -> None:
    """End like any other exit, so that what is open gets closed."""
    sys.exit(128 + number)


def _check_length(question: str) -> None:
    if not 0 < len(question.strip()) <= LONGEST_QUESTION:
        raise ConfigurationError(f"a question has 1 to {LONGEST_QUESTION} characters")


def _hint(desk: Desk, collection: str | None) -> None:
    """Say what may be the reason that nothing was found."""
    names = [each["name"] for each in desk.collections()["collections"]]
    if not names:
        _say("nothing is indexed yet; begin with: footnote ingest PATH")
    elif collection is not None and collection not in names:
        _say(f"there is no collection {collection!r}; there are: {', '.join(names)}")


def _settings() -> Settings:
    return load_settings()


def _say(message: str) -> None:
    print(f"footnote: {message}", file=sys.stderr, flush=True)


def _json(body: Any) -> str:  # noqa: ANN401
    return json.dumps(body, ensure_ascii=False, indent=2)


if __name__ == "__main__":
    main()
