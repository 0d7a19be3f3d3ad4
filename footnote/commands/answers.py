"""Documents in, answers out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from footnote.commands.common import (
    AsJson,
    Collection,
    Format,
    From,
    Language,
    NewTags,
    Tag,
    To,
    as_text,
    checked_tags,
    examples,
    say,
)
from knowledge.errors import ConfigurationError
from knowledge.models import COLLECTION_NAME, DEFAULT_COLLECTION, LONGEST_QUESTION, Effort
from knowledge.settings import load_settings

if TYPE_CHECKING:
    from footnote.desk import Desk

app = typer.Typer()


@app.command(
    epilog=examples(
        "footnote ingest ~/Documents/handbook",
        "footnote ingest report.pdf notes.md --collection finance --tag 2026",
        "footnote ingest corpus.jsonl.gz --json > events.jsonl",
    )
)
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", exists=True)],
    collection: Annotated[
        str, typer.Option("--collection", "-c", help="Where they belong.")
    ] = DEFAULT_COLLECTION,
    tag: NewTags = None,
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
    labels = {"collection": collection, "tags": checked_tags(tag or ())}
    raise typer.Exit(run(load_settings(), paths, labels, as_json=as_json, say=say))


@app.command(
    epilog=examples(
        'footnote ask "How many days of leave do new employees have?"',
        'footnote ask "What changed in the travel policy?" --collection hr --json',
        'footnote ask "Compare the two offers" --effort high',
    )
)
def ask(  # noqa: PLR0913 (what one may narrow by)
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    collection: Collection = None,
    effort: Annotated[
        Effort | None, typer.Option(help="How long the model may think, where there is one.")
    ] = None,
    tag: Tag = None,
    kind: Format = None,
    language: Language = None,
    since: From = None,
    until: To = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question, with a verbatim quote under every claim."""
    from footnote import show
    from footnote.desk import open_desk
    from footnote.narrowing import filters

    _check_length(question)
    only = filters(tags=tag, types=kind, languages=language, since=since, until=until)
    thinks = effort.value if effort else None
    with open_desk(load_settings(), command="ask", say=say) as desk:
        body = desk.ask(question, effort=thinks, collection=collection, filters=only)
        if body["verdict"] == "not_found":
            _hint(desk, collection)
    print(as_text(body) if as_json else show.answer(body))


@app.command(
    epilog=examples(
        'footnote search "annual leave"',
        'footnote search "error E42" --limit 3 --json',
    )
)
def search(  # noqa: PLR0913 (what one may narrow by)
    query: Annotated[str, typer.Argument(help="Words or a sentence, in quotes.")],
    collection: Collection = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100)] = 10,
    tag: Tag = None,
    kind: Format = None,
    language: Language = None,
    since: From = None,
    until: To = None,
    as_json: AsJson = False,
) -> None:
    """Show the passages that fit best, without writing an answer."""
    from footnote import show
    from footnote.desk import open_desk
    from footnote.narrowing import filters

    _check_length(query)
    only = filters(tags=tag, types=kind, languages=language, since=since, until=until)
    with open_desk(load_settings(), command="search", say=say) as desk:
        body = desk.search(query, collection=collection, limit=limit, filters=only)
        if not body["passages"]:
            _hint(desk, collection)
    print(as_text(body) if as_json else show.passages(body))


@app.command(epilog=examples("footnote feedback", "footnote feedback --jsonl > feedback.jsonl"))
def feedback(
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print a JSON object a line, with all it was about.")
    ] = False,
) -> None:
    """Show what people said of answers, without their names.

    With --jsonl also the question, the answer, what it cites, the model, the version of the wording
    and a digest of the settings, to measure with.
    """
    from footnote.feedback import feedback as run

    run(load_settings(), as_json=jsonl, say=say)


@app.command(
    epilog=examples("footnote search leave --json  # shows ids", "footnote remove 0b1f6e0a-…")
)
def remove(document_id: Annotated[str, typer.Argument(help="The document's id.")]) -> None:
    """Make a document invisible at once, and clean it away."""
    from footnote.desk import open_desk

    with open_desk(load_settings(), command="remove", say=say) as desk:
        desk.remove(document_id)
    print("Removed. It comes back if its folder is ingested again while the file is there.")


def _check_length(question: str) -> None:
    if not 0 < len(question.strip()) <= LONGEST_QUESTION:
        raise ConfigurationError(f"a question has 1 to {LONGEST_QUESTION} characters")


def _hint(desk: Desk, collection: str | None) -> None:
    """Say what may be the reason that nothing was found."""
    names = [each["name"] for each in desk.collections()["collections"]]
    if not names:
        say("nothing is indexed yet; begin with: footnote ingest PATH")
    elif collection is not None and collection not in names:
        say(f"there is no collection {collection!r}; there are: {', '.join(names)}")
