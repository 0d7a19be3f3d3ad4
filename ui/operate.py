"""The part of the page for operators: jobs, quarantine, sources; it looks again by itself.

Whatever the service does not say now is told in its place, and looked for again a moment later.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import streamlit as st

from knowledge.models import FeedState, JobKind, JobState
from ui import parts, standing
from ui.client import ApiError, Client, Forbidden, Held, KeyNeeded, Origin, Task, Unreachable

LOOK_SECONDS = 3.0
MOST_TASKS = 50
MOST_ENDED = 10
MOST_HELD = 50
_OPEN = tuple(state for state in JobState if not state.final)
_ENDED = (JobState.DEAD, JobState.FAILED)
_PAUSE, _RESUME, _RETRY, _CANCEL = "pause", "resume", "retry", "cancel"
_CHANGES = {
    JobState.WAITING: (_PAUSE, _CANCEL),
    JobState.RUNNING: (_PAUSE, _CANCEL),
    JobState.PAUSED: (_RESUME, _CANCEL),
    JobState.RETRYING: (_RETRY, _PAUSE, _CANCEL),
    JobState.DEAD: (_RETRY,),
}
_LABELS = {_PAUSE: "Pause", _RESUME: "Resume", _RETRY: "Retry", _CANCEL: "Cancel"}
_FREED = (
    "It is tried again when it next comes by: at the next sync of its source, or when it is "
    "handed in again."
)
_NO_TASKS = "Nothing is on its way. What is added or synced shows up here until it can be found."
_NOTHING_HELD = "No file is in quarantine. One that fails twice is put here, and not tried again."
_NO_ORIGINS = (
    "No source is kept in sync yet. Add one where it lies: `footnote source add NAME PATH --every "
    "15m`, with a folder, a bucket, a share or a web site."
)
_OTHERS_ORIGINS = (
    "Sources are looked after by commands on the machine that serves: `footnote source list`."
)


def may(client: Client) -> bool:
    """Say whether the reader sees any of this; the service decides about each thing again."""
    if "operates" not in st.session_state:
        st.session_state.operates = client.operates()
    operates: bool = st.session_state.operates
    return operates


def show(client: Client) -> None:
    """Draw all of it, again and again while it is looked at."""
    st.fragment(_look, run_every=LOOK_SECONDS)(client)


def _look(client: Client) -> None:
    now = datetime.now(UTC)
    if told := st.session_state.get("told"):
        title, text, error = told
        st.html(parts.notice_html(title, text, error=error))
    try:
        st.html(parts.health_html(client.health()))
        for title, draw in _SECTIONS:
            with st.container(key=f"section-{title.lower()}"):
                st.html(parts.section_html(title))
                with _explained():
                    draw(client, now)
    except KeyNeeded:
        st.rerun()  # the whole page asks for it
    except ApiError as error:
        said = f"{error} It is looked for again every few seconds."
        st.html(parts.notice_html("The service cannot be reached", said, error=True))


@contextmanager
def _explained() -> Iterator[None]:
    """Say what one part lacks, and go on with the others."""
    try:
        yield
    except (KeyNeeded, Unreachable):
        raise
    except ApiError as error:
        st.html(parts.notice_html("This cannot be shown", str(error), error=True))


# --- the sections -------------------------------------------------------------------------------


def _tasks(client: Client, now: datetime) -> None:
    tasks = client.tasks(_OPEN, limit=MOST_TASKS)
    ended = client.tasks(_ENDED, limit=MOST_ENDED)
    st.html(standing.tally_html(tasks) or parts.hint_html(_NO_TASKS))
    for task in tasks:
        _task(client, task, now)
    if len(tasks) == MOST_TASKS:
        st.caption(f"The latest {MOST_TASKS} are listed; `footnote jobs` lists more.")
    if ended:
        with st.container(key="section-ended"):
            st.html(parts.section_html("Failed lately"))
            for task in ended:
                _task(client, task, now)


def _task(client: Client, task: Task, now: datetime) -> None:
    changes = _CHANGES.get(task.state, ())
    if task.state is JobState.FAILED and task.kind is JobKind.SYNC:
        changes = (_RETRY,)
    buttons = [
        (_LABELS[change], functools.partial(client.change_task, task.id, change), True)
        for change in changes
    ]
    _row(task.id, standing.task_html(task, now), buttons, task.name)


def _quarantine(client: Client, now: datetime) -> None:
    found = client.quarantine(limit=MOST_HELD)
    if not found:
        st.html(parts.hint_html(_NOTHING_HELD))
    for held in found:
        _held(client, held, now)
    if len(found) == MOST_HELD:
        st.caption(f"The latest {MOST_HELD} are listed; `footnote quarantine` lists more.")


def _held(client: Client, held: Held, now: datetime) -> None:
    free = functools.partial(client.free, held.id)
    name = parts.file_name(held.uri)
    _row(held.id, standing.held_html(held, now), [("Try again", free, True)], name, _FREED)


def _origins(client: Client, now: datetime) -> None:
    try:
        found = client.origins()
    except Forbidden:
        st.html(parts.hint_html(_OTHERS_ORIGINS))
        return
    if not found:
        st.html(parts.hint_html(_NO_ORIGINS))
    for origin in found:
        _origin(client, origin, now)


def _origin(client: Client, origin: Origin, now: datetime) -> None:
    busy = origin.state is FeedState.RUNNING or standing.waits(origin, now)
    paused = functools.partial(client.pause_origin, origin.id, paused=not origin.paused)
    buttons = [
        ("Sync now", functools.partial(client.sync, origin.id), not (busy or origin.paused)),
        (_LABELS[_RESUME if origin.paused else _PAUSE], paused, True),
    ]
    _row(origin.id, standing.origin_html(origin, now), buttons, origin.name)


_SECTIONS = (("Jobs", _tasks), ("Quarantine", _quarantine), ("Sources", _origins))


# --- one row, and what can be done to it --------------------------------------------------------


def _row(
    row_id: str,
    html: str,
    buttons: Sequence[tuple[str, Callable[[], None], bool]],
    name: str,
    success: str = "",
) -> None:
    with st.container(key=f"row-{row_id}", horizontal=True, vertical_alignment="center"):
        st.html(html)
        with st.container(horizontal=True, width="content", gap="xsmall"):
            for label, do, enabled in buttons:
                st.button(
                    label,
                    key=f"{label}-{row_id}",
                    disabled=not enabled,
                    on_click=functools.partial(_do, do, f"{label}: {name}", success),
                )


def _do(do: Callable[[], None], title: str, success: str) -> None:
    """Do it, and keep what came of it until something else is done; nothing may be raised here."""
    st.session_state.told = None
    try:
        do()
    except ApiError as error:
        st.session_state.told = (title, str(error), True)
    else:
        st.session_state.told = (title, success, False) if success else None
