"""`footnote status`: what is indexed, what is waiting, what was refused, who has the data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from footnote import show, sources
from footnote.client import ServiceDesk
from footnote.desk import Desk, open_desk
from knowledge.settings import Settings

FINAL = {"done", "failed", "cancelled"}
NOT_OVER = ("waiting", "running", "paused", "retrying", "dead")
MOST_SHOWN = 10
"""Refusals, and documents with little text; `--json` holds more."""
PAGE = 100


def status(
    settings: Settings, *, as_json: bool, coverage: bool, say: Callable[[str], None]
) -> None:
    """Print it; with `coverage`, every document of which little or nothing can be found."""
    with open_desk(settings, command="status", say=say) as desk:
        body = {
            "data_dir": str(settings.data_dir),
            "service": desk.url if isinstance(desk, ServiceDesk) else None,
            "collections": desk.collections()["collections"],
            "sources": desk.sources()["sources"],
            "submissions": desk.submissions()["submissions"],
            "jobs": desk.jobs(states=NOT_OVER, limit=1000)["jobs"],
            "quarantine": desk.quarantine(limit=1000)["quarantine"],
            "refusals": desk.refusals()["refusals"],
            "coverage": list(_gaps(desk, whole=coverage)),
        }
    most = None if coverage else MOST_SHOWN
    print(json.dumps(body, ensure_ascii=False, indent=2) if as_json else _text(body, most=most))


def _gaps(desk: Desk, *, whole: bool) -> Iterator[dict[str, Any]]:
    """Yield the first page of them, or all."""
    after = None
    while True:
        page = desk.coverage(after=after, limit=PAGE)
        yield from page["documents"]
        after = page["next"]
        if after is None or not whole:
            return


def _jobs(body: dict[str, Any]) -> list[list[str]]:
    """Count jobs by state, and what is in quarantine; say nothing where there is nothing."""
    states = Counter(job["state"] for job in body["jobs"])
    rows = [["jobs", ", ".join(f"{states[name]} {name}" for name in NOT_OVER if states[name])]]
    held = f"{len(body['quarantine'])} files, not tried again (footnote quarantine)"
    rows.append(["quarantine", held if body["quarantine"] else ""])
    return [row for row in rows if row[1]]


def _text(body: dict[str, Any], *, most: int | None) -> str:
    rows = [["data folder", body["data_dir"]]]
    rows.append(["service", body["service"] or "not running (footnote serve)"])
    for collection in body["collections"]:
        rows.append([f"collection {collection['name']}", f"{collection['documents']:,} documents"])
    if not body["collections"]:
        rows.append(["documents", "none yet (footnote ingest PATH)"])
    rows += [[f"source {each['name']}", sources.brief(each)] for each in body["sources"]]
    for upload in body["submissions"]:
        if upload["state"] not in FINAL:
            rows.append([f"waiting: {upload['name']}", upload["state"]])
        elif upload["state"] == "failed":
            rows.append([f"failed: {upload['name']}", upload["reason"]])
    rows += _jobs(body)
    # failed uploads are listed above
    refused = [each for each in body["refusals"] if not each["uri"].startswith("upload:")]
    rows += [["not indexed", f"{each['uri']}: {each['reason']}"] for each in refused[:MOST_SHOWN]]
    if len(refused) > MOST_SHOWN:
        rows.append(["", "and more (footnote status --json)"])
    gaps = body["coverage"]
    rows += [
        ["little text", f"{each['uri']}: {'; '.join(each['reasons'])}"] for each in gaps[:most]
    ]
    if most is not None and len(gaps) > most:
        rows.append(["", "and more (footnote status --coverage)"])
    return show.table(rows)
