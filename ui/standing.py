"""How jobs, the quarantine and the sources stand, as HTML; pure, like `ui.parts`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import unquote

from knowledge.durations import duration
from knowledge.models import FeedState, JobKind, JobState
from ui.client import Held, Origin, Task
from ui.parts import file_name
from ui.render import plain

_TASKS = {
    JobState.WAITING: ("waiting", ""),
    JobState.RUNNING: ("under way", "fn-busy"),
    JobState.PAUSED: ("paused", ""),
    JobState.RETRYING: ("to be retried", "fn-warn"),
    JobState.DONE: ("done", "fn-good"),
    JobState.FAILED: ("failed", "fn-bad"),
    JobState.DEAD: ("given up", "fn-bad"),
    JobState.CANCELLED: ("cancelled", ""),
}
"""Words, and a class of style."""
_ORIGINS = {
    FeedState.NEVER: ("not synced yet", ""),
    FeedState.RUNNING: ("being synced", "fn-busy"),
    FeedState.OK: ("in sync", "fn-good"),
    FeedState.PARTLY: ("in sync in part", "fn-warn"),
    FeedState.FAILED: ("failed", "fn-bad"),
}
_KINDS = {JobKind.UPLOAD: "document", JobKind.SYNC: "source"}
_UPLOAD = "upload:"


def tally_html(tasks: Sequence[Task]) -> str:
    """Return how many documents and sources are on their way."""
    kinds = [task.kind for task in tasks]
    counts = [_many(kinds.count(kind), word) for kind, word in _KINDS.items() if kind in kinds]
    return f'<div class="fn-place">{" and ".join(counts)} on the way</div>' if counts else ""


def task_html(task: Task, now: datetime) -> str:
    """Return where a job stands."""
    chip = _chip(*_TASKS[task.state])
    facts = " · ".join([_KINDS[task.kind].capitalize(), *_task_facts(task, now)])
    return _standing(task.name, chip, facts, _bar(task), task.reason)


def held_html(held: Held, now: datetime) -> str:
    """Return a file in quarantine, why it is there and since when."""
    tries = f"failed {held.attempts} times, last {_ago(held.seen_at, now)}"
    return _standing(
        file_name(held.uri),
        _chip(held.code, "fn-code"),
        f"{_place(held.uri)} · {tries}",
        "",
        held.reason,
    )


def origin_html(origin: Origin, now: datetime) -> str:
    """Return a source, how fresh it is and what went wrong last."""
    word, look = _ORIGINS[origin.state]
    chip = _chip("paused", "") if origin.paused and look != "fn-busy" else _chip(word, look)
    facts = " · ".join(_origin_facts(origin, now))
    return _standing(origin.name, chip, f"{origin.uri}\n{facts}", "", origin.error)


def waits(origin: Origin, now: datetime) -> bool:
    """Say whether a source is about to be synced."""
    due = origin.due_at is not None and origin.due_at <= now
    return due and not origin.paused and origin.state is not FeedState.RUNNING


def _task_facts(task: Task, now: datetime) -> Iterator[str]:
    if task.state in (JobState.RUNNING, JobState.PAUSED) and task.kind is JobKind.SYNC:
        of = f" of {task.total:,}" if task.total else ""
        yield f"{task.done:,}{of} looked at"
    if task.finished_at:
        yield _ago(task.finished_at, now)
    elif task.next_at:
        yield f"next try {_in(task.next_at, now)}"
    elif task.state is JobState.RUNNING and task.started_at:
        yield f"for {duration(_passed(task.started_at, now))}"
    elif task.created_at:
        yield f"came {_ago(task.created_at, now)}"


def _origin_facts(origin: Origin, now: datetime) -> Iterator[str]:
    fresh = origin.freshness
    yield _many(fresh.documents, "document")
    if origin.synced_at:
        yield f"as of {_ago(origin.synced_at, now)}"
    if fresh.p50 is not None and fresh.p95 is not None:
        yield f"changes found after {duration(fresh.p50)}, 19 of 20 in {duration(fresh.p95)}"
    if waits(origin, now):
        yield "about to be synced"
    elif origin.every and not origin.paused:
        yield f"every {duration(origin.every)}"
        if origin.due_at and origin.due_at > now:
            yield f"next {_in(origin.due_at, now)}"
    elif not origin.paused:
        yield "only when asked"


def _bar(task: Task) -> str:
    """Return how far a source has come; of what is not counted, nothing."""
    if task.state not in (JobState.RUNNING, JobState.PAUSED) or task.total < 2:
        return ""
    share = min(task.done / task.total, 1.0)
    return f'<div class="fn-bar" aria-hidden="true"><i style="width:{share:.0%}"></i></div>'


def _standing(title: str, chip: str, facts: str, bar: str, why: str) -> str:
    told = f'<div class="fn-why">{plain(why)}</div>' if why else ""
    return (
        f'<div class="fn-standing"><div><span class="fn-title">{plain(title)}</span> {chip}</div>'
        f'<div class="fn-place">{plain(facts)}</div>{bar}{told}</div>'
    )


def _chip(word: str, look: str) -> str:
    return f'<span class="fn-chip {look}">{plain(word)}</span>'


def _place(uri: str) -> str:
    """Say where a file lies.

    >>> _place("upload:ann/plan%201.pdf"), _place("/shared/hr/plan.pdf")
    ('handed in by ann', '/shared/hr/plan.pdf')
    """
    if uri.startswith(_UPLOAD):
        return f"handed in by {unquote(uri.removeprefix(_UPLOAD).partition('/')[0])}"
    return unquote(uri)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("s" if count != 1 else "")


def _passed(moment: datetime, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0)


def _ago(moment: datetime, now: datetime) -> str:
    seconds = _passed(moment, now)
    return f"{duration(seconds)} ago" if seconds >= 1 else "just now"


def _in(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 1 else "now"
