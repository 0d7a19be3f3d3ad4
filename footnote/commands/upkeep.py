"""Looking after an installation, and the tour of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from footnote.commands.common import AsJson, examples, say
from knowledge.errors import ConfigurationError
from knowledge.settings import load_settings

app = typer.Typer()


@app.command(
    epilog=examples("footnote status", "footnote status --json", "footnote status --coverage")
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

    run(load_settings(), as_json=as_json, coverage=coverage, say=say)


@app.command(epilog=examples("footnote doctor", "footnote doctor --model"))
def doctor(
    model: Annotated[
        bool,
        typer.Option(
            "--model", help="Also have the model server answer small questions, and judge it."
        ),
    ] = False,
) -> None:
    """Check everything that Footnote needs, and say what to do.

    Looks at models, stores, model server, disk, ports, versions and settings. With --model, the
    model server is asked: whether it streams, counts like gpt-oss, cites what it reads, and takes
    efforts, a cap on reasoning and tools. Exit code 1 when something fails.
    """
    from footnote.doctor import examine

    raise typer.Exit(examine(load_settings(), model=model))


@app.command(
    epilog=examples(
        "footnote calibrate",
        "footnote calibrate --questions asked.jsonl --answered 0.9",
        "footnote calibrate --dry-run",
    )
)
def calibrate(
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            help='Lines of JSON such as {"question": "…", "answerable": false}; without it, '
            "headings are asked, with their document and without.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    answered: Annotated[
        float,
        typer.Option(
            "--answered", min=0.0, max=1.0, help="Share of the answerable to be answered."
        ),
    ] = 0.95,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show the curve; keep nothing.")
    ] = False,
) -> None:
    """Choose when to say "not found", from a curve over questions to your own documents.

    Without a language model the passages themselves tell how likely they answer. This shows what
    each threshold refuses and answers, and keeps the one that refuses most while it still answers
    the share you ask for. With forty or more questions of either kind, people's questions best,
    the weights are fitted to your documents as well.
    """
    from footnote.calibrating import Wish
    from footnote.calibrating import calibrate as run

    wish = Wish(questions=questions, answered=answered, dry_run=dry_run)
    raise typer.Exit(run(load_settings(), wish, say=say))


@app.command(
    epilog=examples(
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

    raise typer.Exit(run(load_settings(), check=check, say=say))


@app.command(
    epilog=examples(
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
    raise typer.Exit(run(load_settings(), wish, as_json=as_json, say=say))


@app.command(epilog=examples("footnote demo", "footnote demo --docs ~/Documents/handbook"))
def demo(
    docs: Annotated[
        Path | None,
        typer.Option(help="A folder of your own.", exists=True, file_okay=False),
    ] = None,
) -> None:
    """Ingest the examples (or your own folder) and ask three questions."""
    from footnote.demo import demo as run

    raise typer.Exit(run(load_settings(), docs, say=say))
