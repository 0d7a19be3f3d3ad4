"""`footnote ingest`: bring files up to date, with a bar on a terminal and plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from footnote import show
from footnote.desk import Desk, open_desk
from knowledge.settings import Settings

Json = dict[str, Any]


def ingest(
    settings: Settings,
    paths: Sequence[Path],
    labels: Json,
    *,
    as_json: bool,
    say: Callable[[str], None],
) -> int:
    """Ingest, print what became of each document, and return the exit code.

    `labels` are the collection and the tags of what is new.
    """
    with open_desk(settings, command="ingest", say=say) as desk:
        try:
            if as_json:
                events = printed(_events(desk, paths, labels), json_line)
            else:
                events = report(_events(desk, paths, labels))
                print(show.summary(events))
        except KeyboardInterrupt:
            say("stopped; what was done is kept: run it again, and it goes on from there")
            raise
    return 1 if any(event["outcome"] == "rejected" for event in events) else 0


def report(events: Iterable[Json]) -> list[Json]:
    """Show events while they come, and return them."""
    return _with_bar(events) if sys.stdout.isatty() else printed(events, show.event)


def _events(desk: Desk, paths: Sequence[Path], labels: Json) -> Iterator[Json]:
    return desk.ingest([path.absolute() for path in paths], **labels)


def printed(events: Iterable[Json], line: Callable[[Json], str]) -> list[Json]:
    """Print a line per event at once: whoever reads it may rely on the document being safe."""
    shown = []
    for event in events:
        print(line(event), flush=True)
        shown.append(event)
    return shown


def _with_bar(events: Iterable[Json]) -> list[Json]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    shown = []
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("reading …", total=None)
        for event in events:
            total = event["total"] or None
            bar.update(
                task, completed=event["done"], total=total, description=show.clean(event["uri"])
            )
            shown.append(event)
    return shown


def json_line(event: Json) -> str:
    """Return an event as one line of JSON."""
    return json.dumps(event, ensure_ascii=False)
