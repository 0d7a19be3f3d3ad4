"""The command `footnote`: its families are in `footnote/commands/`, in the order of the help.

Heavy libraries are imported by the commands that use them, so that `--help` is quick.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence

import typer

from footnote.commands import (
    access,
    answers,
    engine,
    jobs,
    keys,
    quarantine,
    services,
    source,
    tags,
    upkeep,
)
from footnote.commands.common import examples, say
from knowledge.disk import DISK_FULL
from knowledge.errors import FootnoteError
from knowledge.settings import go_offline

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
for family in (answers, services, upkeep):
    app.add_typer(family.app)
app.add_typer(
    keys.app,
    name="keys",
    help="Make, list and remove API keys.",
    epilog=examples("footnote keys add --user alice --group hr"),
)
app.add_typer(
    jobs.app,
    name="jobs",
    help="List, hold, resume, retry and cancel jobs.",
    epilog=examples("footnote jobs", "footnote jobs retry 0b1f6e0a-…"),
)
app.add_typer(
    quarantine.app,
    name="quarantine",
    help="List and free what failed twice.",
    epilog=examples("footnote quarantine", "footnote quarantine retry 0b1f6e0a-…"),
)
app.add_typer(
    access.app,
    name="access",
    help="Say who may read a document.",
    epilog=examples("footnote access set 0b1f6e0a-… g:hr"),
)
app.add_typer(
    tags.app,
    name="tags",
    help="Give documents tags, which questions can be narrowed to.",
    epilog=examples("footnote tags set 0b1f6e0a-… travel 2026"),
)
app.add_typer(
    engine.app,
    name="engine",
    help="Say how vLLM is started, look at its weights, tune its kernels.",
    epilog=examples(
        "footnote engine check", "footnote engine command", "footnote engine tune --out ./tables"
    ),
)
app.add_typer(
    source.app,
    name="source",
    help="Keep folders, buckets, shares, sites and wikis in sync.",
    epilog=examples("footnote source add handbook ~/Documents/handbook --every 15m"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; a known failure is one line on standard error and exit code 2."""
    go_offline()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(list(arguments) if arguments is not None else None)
    except FootnoteError as error:
        say(str(error))
        sys.exit(2)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        say(f"the disk is full ({error.filename or 'no file named'}); make room and start again")
        sys.exit(2)


def _terminated(number: int, _: object) -> None:
    """End like any other exit, so that what is open gets closed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
