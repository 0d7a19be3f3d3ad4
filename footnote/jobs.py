"""`footnote jobs` and `footnote quarantine`: look at them, hold, go on, try again, give up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from footnote import show
from footnote.desk import open_desk
from knowledge.settings import Settings

Json = dict[str, Any]
FINAL = ("done", "failed", "dead", "cancelled")
_LOOK_SECONDS = 0.5


def list_jobs(
    settings: Settings,
    *,
    states: Sequence[str],
    limit: int,
    as_json: bool,
    say: Callable[[str], None],
) -> None:
    """Print jobs, newest first."""
    with open_desk(settings, command="jobs", say=say) as desk:
        body = desk.jobs(states=states, limit=limit)
    rows = [_row(job) for job in body["jobs"]]
    _print(body, show.table(rows) if rows else "no jobs", as_json=as_json)


def show_job(
    settings: Settings, job_id: str, *, wait: bool, as_json: bool, say: Callable[[str], None]
) -> int:
    """Print a job, with `wait` once it is over; return 1 when it did not come to a good end."""
    with open_desk(settings, command="jobs", say=say) as desk:
        body = desk.job(job_id)
        while wait and body["state"] not in FINAL:
            say(_progress(body))
            time.sleep(_LOOK_SECONDS)
            body = desk.job(job_id)
    _print(body, show.table([[name, str(body[name] or "")] for name in body]), as_json=as_json)
    return 1 if body["state"] in FINAL[1:] else 0


def change_job(
    settings: Settings, job_id: str, change: str, *, as_json: bool, say: Callable[[str], None]
) -> None:
    """Pause, resume, retry or cancel a job, and print it."""
    with open_desk(settings, command="jobs", say=say) as desk:
        body = desk.change_job(job_id, change)
    _print(body, show.table([_row(body)]), as_json=as_json)


def list_quarantine(settings: Settings, *, as_json: bool, say: Callable[[str], None]) -> None:
    """Print what is not tried again."""
    with open_desk(settings, command="quarantine", say=say) as desk:
        body = desk.quarantine()
    rows = [
        [each["id"], each["code"], f"{each['attempts']} attempts", each["uri"], each["reason"]]
        for each in body["quarantine"]
    ]
    _print(body, show.table(rows) if rows else "nothing is in quarantine", as_json=as_json)


def free(settings: Settings, refused_id: str, *, as_json: bool, say: Callable[[str], None]) -> None:
    """Have a quarantined file tried again."""
    with open_desk(settings, command="quarantine", say=say) as desk:
        body = desk.free(refused_id)
    again = "hand it in again" if body["uri"].startswith("upload:") else "ingest its folder again"
    text = f"{show.clean(body['uri'])} is tried again when it next comes by: {again}"
    _print(body, text, as_json=as_json)


def _row(job: Json) -> list[str]:
    return [job["id"], job["kind"], job["state"], _progress(job), job["name"], job["reason"]]


def _progress(job: Json) -> str:
    return f"{job['done']}/{job['total'] or '?'}"


def _print(body: Json, text: str, *, as_json: bool) -> None:
    print(json.dumps(body, ensure_ascii=False, indent=2) if as_json else text)
