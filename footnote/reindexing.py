"""`footnote reindex`: a new generation of the index, built with a bar, judged by a number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from footnote import show
from footnote.desk import open_desk
from knowledge.errors import ConfigurationError
from knowledge.settings import Settings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command was asked to do."""

    action: str
    """`build`, `back`, `discard` or `status`."""
    golden: Path | None = None
    loss: float = 0.02
    force: bool = False


def reindex(settings: Settings, wish: Wish, *, as_json: bool, say: Callable[[str], None]) -> int:
    """Do it; return 1 when a generation was built and is not good enough."""
    with open_desk(settings, command="reindex", say=say) as desk:
        if wish.action == "status":
            body = desk.generations()
            print(json.dumps(body, indent=2) if as_json else _table(body))
            return 0
        steps = desk.reindex(wish.action, golden=wish.golden, loss=wish.loss, force=wish.force)
        last = _shown(steps)
    print(json.dumps(last) if as_json else verdict(wish, last))
    return 1 if last.get("switched") is False else 0


def _shown(steps: Iterable[Json]) -> Json:
    columns = (TextColumn("documents"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last: Json = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        for last in steps:
            bar.update(task, completed=last["done"], total=last["total"])
    return last


def verdict(wish: Wish, last: Json) -> str:
    """Return what people are told of the last step."""
    if wish.action == "discard":
        return "Discarded; its room on the disk is free again."
    if last["note"]:
        return f"Not switched: {last['note']}. Questions are answered as before."
    if wish.action == "back":
        return "The former generation is live again. To return: footnote reindex --back"
    recall = f"recall@10 of the golden set: {last['before']:.3f} before, {last['after']:.3f} after"
    kept = f" {last['kept']:,} documents kept their text: their files are not at hand."
    told = f"{recall}.{kept if last['kept'] else ''}"
    if last["switched"]:
        return f"Switched. {told} To undo it: footnote reindex --back"
    return (
        f"Not switched: {told} Questions are answered as before. Look into the settings and run "
        "it again, or: footnote reindex --force, footnote reindex --discard"
    )


def _table(body: Json) -> str:
    if not body["generations"]:
        raise ConfigurationError("nothing is indexed yet; begin with: footnote ingest PATH")
    rows = [["", "state", "documents", "model", "chunk tokens", "recall@10 before, after"]]
    for each in body["generations"]:
        recall = (each["recall_before"], each["recall_after"])
        rows.append(
            [
                str(each["number"]),
                each["state"],
                f"{each['documents']:,} of {each['of']:,}",
                each["model"],
                str(each["chunk_tokens"]),
                ", ".join(f"{value:.3f}" for value in recall if value is not None) or "-",
            ]
        )
    return show.table(rows)
