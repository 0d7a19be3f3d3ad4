"""`footnote source …`: sources that are kept in sync, seen from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from footnote import show
from footnote.desk import Desk, open_desk
from footnote.ingesting import json_line, printed, report
from knowledge.durations import duration
from knowledge.errors import ConfigurationError, FootnoteError
from knowledge.settings import Settings

Json = dict[str, Any]
Say = Callable[[str], None]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LOOK_SECONDS = 1.0


def add(settings: Settings, body: Json, *, say: Say) -> Json:
    """Add a source and return it; a folder must exist."""
    path = Path(body["uri"].removeprefix("file://")).expanduser()
    if _is_path(body["uri"]):
        if not path.exists():
            raise ConfigurationError(f"no file or folder at {path}")
        body = body | {"uri": str(path.resolve())}
    with open_desk(settings, command="source add", say=say) as desk:
        return desk.add_source(body)


def listed(settings: Settings, *, say: Say) -> Json:
    """Return all sources."""
    with open_desk(settings, command="source list", say=say) as desk:
        return desk.sources()


def sync(
    settings: Settings,
    names: Sequence[str],
    options: Json,
    *,
    watch: bool,
    as_json: bool,
    say: Say,
) -> int:
    """Sync the named sources, or all that are not paused; return the exit code."""
    with open_desk(settings, command="source list", say=say) as desk:
        chosen = _chosen(desk, names)  # before the model is loaded
    with open_desk(settings, command="source sync", say=say) as desk:
        failed = sum(_sync(desk, each, options, as_json, say) for each in chosen)
        if watch:
            _watch(desk, chosen, options, as_json, say)
    return 1 if failed else 0


def change(settings: Settings, name: str, body: Json, *, say: Say) -> Json:
    """Pause or resume a source, and return it."""
    with open_desk(settings, command="source change", say=say) as desk:
        return desk.change_source(_chosen(desk, [name])[0]["id"], body)


def remove(settings: Settings, name: str, *, keep_documents: bool, say: Say) -> int:
    """Forget a source; return how many documents went with it."""
    with open_desk(settings, command="source list", say=say) as desk:
        found = _chosen(desk, [name])[0]
    with open_desk(settings, command="source remove", say=say) as desk:
        removed: int = desk.remove_source(found["id"], keep_documents=keep_documents)["removed"]
        return removed


def every_seconds(text: str) -> int:
    """Read a time between syncs, such as 90s, 15m, 2h or 1d.

    >>> every_seconds("15m"), every_seconds("1d")
    (900, 86400)
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([smhd])", text)
    if match is None:
        raise ConfigurationError(f"not a time between syncs: {text} (such as 90s, 15m, 2h, 1d)")
    return int(match[1]) * _UNITS[match[2]]


def assigned(pairs: Sequence[str]) -> dict[str, str]:
    """Read settings given as key=value.

    >>> assigned(["user=ann", "q=a=b"])
    {'user': 'ann', 'q': 'a=b'}
    """
    for pair in pairs:
        if not pair.partition("=")[1]:
            raise ConfigurationError(f"not a setting: {pair} (--set key=value)")
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}


def table(body: Json) -> str:
    """Return a line per source for a terminal."""
    if not body["sources"]:
        return "No source is kept in sync yet; begin with: footnote source add NAME PATH"
    head = ["name", "state", "documents", "last whole sync", "freshness p50/p95", "address"]
    return show.table([head, *map(_row, body["sources"])]) + _errors(body["sources"])


def brief(source: Json) -> str:
    """Return one line on how a source is.

    >>> brief({"state": "ok", "paused": False, "synced_at": None, "error": "", "every": None,
    ...        "freshness": {"documents": 3, "p50": 2.0, "p95": 61.0}})
    'ok, 3 documents, fresh within 2 s (p95 61 s)'
    """
    fresh, said = (
        source["freshness"],
        [_state(source), f"{source['freshness']['documents']:,} documents"],
    )
    if source["synced_at"]:
        said.append(f"as of {_ago(source['synced_at'])}")
    if fresh["p50"] is not None:
        said.append(f"fresh within {duration(fresh['p50'])} (p95 {duration(fresh['p95'])})")
    return ", ".join(said) + (f": {source['error']}" if source["error"] else "")


def _sync(desk: Desk, source: Json, options: Json, as_json: bool, say: Say) -> bool:
    """Sync one source and show what comes; say whether anything was rejected or it failed."""
    try:
        events = desk.sync_source(source["id"], options)
        if as_json:
            shown = printed(({"source": source["name"], **each} for each in events), json_line)
        else:
            say(f"{source['name']} …")
            shown = []
            report(_changes(events, shown))
            print(show.summary(shown))
    except KeyboardInterrupt:
        say("stopped; what was done is kept: run it again, and it goes on from there")
        raise
    except FootnoteError as error:
        say(f"{source['name']}: {error}")
        return True
    return any(each["outcome"] == "rejected" for each in shown)


def _changes(events: Iterator[Json], seen: list[Json]) -> Iterator[Json]:
    """Yield what is not unchanged, and note everything in `seen`."""
    for event in events:
        seen.append(event)
        if event["outcome"] != "unchanged":
            yield event


def _watch(desk: Desk, chosen: Sequence[Json], options: Json, as_json: bool, say: Say) -> None:
    from ingest.sources.watching import Watch

    if others := [each["name"] for each in chosen if each["kind"] != "folder"]:
        raise ConfigurationError(
            f"only folders can be watched, not {', '.join(others)}; footnote serve syncs them on "
            "schedule: footnote source add … --every 15m"
        )
    with Watch([Path(each["uri"]) for each in chosen]) as watch:
        say("watching; Ctrl-C stops it")
        while True:
            if watch.wait(_LOOK_SECONDS):
                for each in chosen:
                    _sync(desk, each, options, as_json, say)


def _chosen(desk: Desk, names: Sequence[str]) -> list[Json]:
    """Return the sources of these names; of no names all that are not paused."""
    there = {each["name"]: each for each in desk.sources()["sources"]}
    if unknown := [name for name in names if name not in there]:
        known = f"there are: {', '.join(there)}" if there else "there is none yet"
        raise ConfigurationError(f"there is no source called {unknown[0]!r}; {known}")
    if names:
        return [there[name] for name in names]
    return [each for each in there.values() if not each["paused"]]


def _is_path(uri: str) -> bool:
    return uri.startswith("file:") or not re.match(r"[A-Za-z][A-Za-z0-9]+:", uri)


def _row(source: Json) -> list[str]:
    fresh = source["freshness"]
    delays = "" if fresh["p50"] is None else f"{duration(fresh['p50'])} / {duration(fresh['p95'])}"
    synced = _ago(source["synced_at"]) if source["synced_at"] else "never"
    return [
        source["name"],
        _state(source),
        f"{fresh['documents']:,}",
        synced,
        delays or "-",
        source["uri"],
    ]


def _state(source: Mapping[str, Any]) -> str:
    return f"{source['state']}, paused" if source["paused"] else str(source["state"])


def _errors(sources: Sequence[Json]) -> str:
    told = [f"{each['name']}: {show.clean(each['error'])}" for each in sources if each["error"]]
    return "\n\n" + "\n".join(told) if told else ""


def _ago(moment: str) -> str:
    passed = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return f"{duration(max(passed, 0.0))} ago"
