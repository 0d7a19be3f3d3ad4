"""The part of the page about conversations that are kept: open, rename, export, delete, judge.

Titles are in widgets that show plain text; what is opened is drawn by `ui.app`.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import streamlit as st

from knowledge.models import Answer, Rating, Reason, Trace
from ui import parts
from ui.client import ApiError, Client, FoundPassage, Kept, Queued, Step, Talk

LISTED = 50
_REASONS = {
    Reason.WRONG: "It is wrong",
    Reason.INCOMPLETE: "Something is missing",
    Reason.WRONG_SOURCE: "The source does not fit",
    Reason.OUTDATED: "It is out of date",
    Reason.NOT_FOUND_BUT_EXISTS: "The documents do answer this",
    Reason.UNCLEAR: "It is hard to understand",
    Reason.OTHER: "Something else",
}


@dataclass
class Exchange:
    """A question and what came of it so far."""

    question: str
    narrowed: str = ""
    """What it was narrowed to, in words; of what is opened again nobody knows."""
    passages: tuple[FoundPassage, ...] = ()
    step: Step | Queued | None = None
    text: str = ""
    answer: Answer | None = None
    failure: str = ""
    id: str = ""
    """The kept answer's; empty: it is not kept."""
    withheld: bool = False
    traces: dict[int, list[Trace]] = field(default_factory=dict)
    """What became of the quotes, by number; only of what was opened again."""
    rating: Rating | None = None


def current() -> str | None:
    """Return the id of the conversation on the page; None: it has not begun, or is not kept."""
    conversation: str | None = st.session_state.get("conversation")
    return conversation


def choose(client: Client) -> None:
    """Draw the list of conversations, and what can be done to the one on the page."""
    if trouble := st.session_state.pop("trouble", ""):
        st.html(parts.notice_html("That did not work", trouble, error=True))
    found = client.conversations(limit=LISTED)
    listed = _told_apart(found)
    if current() is not None and current() not in listed:
        listed[current() or ""] = "This conversation"
    if not listed:
        return
    st.session_state.talk = current()  # what the list shows is what is on the page
    st.selectbox(
        "Conversations",
        [None, *listed],
        key="talk",
        format_func=lambda name: listed[name] if name else "A new one",
        on_change=functools.partial(_changed, client),
    )
    if (conversation := current()) is not None:
        with st.expander("Rename, export, delete"):
            titles = {talk.id: talk.title for talk in found}
            _manage(client, conversation, titles.get(conversation, ""))


def _told_apart(talks: Sequence[Talk]) -> dict[str, str]:
    """Map ids to titles, equal ones numbered from the oldest: the list knows nothing else."""
    seen: Counter[str] = Counter()
    named = {}
    for talk in reversed(talks):
        seen[talk.title] += 1
        again = f" ({seen[talk.title]})" if seen[talk.title] > 1 else ""
        named[talk.id] = talk.title + again
    return {talk.id: named[talk.id] for talk in talks}


def forget() -> None:
    """Begin anew; what is kept stays."""
    st.session_state.exchanges = []
    st.session_state.conversation = None


def judge(client: Client, exchange: Exchange) -> None:
    """Draw thumbs for an answer that is kept, and a form for who has more to say."""
    if not exchange.id:
        return
    with st.container(horizontal=True):
        for rating, label in ((Rating.UP, "Helpful"), (Rating.DOWN, "Not helpful")):
            st.button(
                label,
                key=f"{rating}-{exchange.id}",
                icon=f":material/thumb_{rating}:",
                type="primary" if exchange.rating is rating else "tertiary",
                on_click=functools.partial(_rate, client, exchange, rating),
            )
    if exchange.rating is Rating.DOWN:
        _ask_why(client, exchange)


def _changed(client: Client) -> None:
    chosen = st.session_state.talk
    forget()
    if chosen is not None:
        with _told():
            st.session_state.exchanges = [_opened(each) for each in client.conversation(chosen)]
            st.session_state.conversation = chosen


def _opened(kept: Kept) -> Exchange:
    traces: dict[int, list[Trace]] = {}
    for each in kept.traces:
        traces.setdefault(each.number, []).append(each)
    return Exchange(
        kept.question,
        answer=kept.answer,
        id=kept.id,
        withheld=kept.withheld,
        traces=traces,
        rating=kept.feedback.rating if kept.feedback else None,
    )


def _manage(client: Client, conversation: str, title: str) -> None:
    with st.form(f"rename-{conversation}", border=False):
        given = st.text_input("Title", title, max_chars=200)
        if st.form_submit_button("Rename") and given.strip():
            client.rename(conversation, given.strip())
            st.rerun()
    for form, label, ending in (("markdown", "Export as text", "md"), ("json", "as JSON", "json")):
        st.download_button(
            label,
            data=functools.partial(client.export, conversation, form),  # fetched when pressed
            file_name=f"conversation.{ending}",
            key=f"export-{form}",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
    drop = functools.partial(_drop, client, conversation)
    st.button("Delete", icon=":material/delete:", type="tertiary", on_click=drop)


def _drop(client: Client, conversation: str) -> None:
    with _told():
        client.drop(conversation)
        forget()


def _rate(client: Client, exchange: Exchange, rating: Rating) -> None:
    with _told():
        client.judge(exchange.id, rating)
        exchange.rating = rating


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Keep what goes wrong until the page is drawn: what raises in a callback is shown raw."""
    try:
        yield
    except ApiError as error:
        st.session_state.trouble = str(error)


def _ask_why(client: Client, exchange: Exchange) -> None:
    with st.form(f"why-{exchange.id}"):
        reason = st.selectbox(
            "What is wrong?", list(_REASONS), format_func=_REASONS.__getitem__, index=None
        )
        comment = st.text_input("In your words", max_chars=2000)
        correction = st.text_area("What should it have said?", max_chars=8000)
        st.caption("Whoever runs Footnote reads this, with the question and the answer.")
        if st.form_submit_button("Send"):
            client.judge(exchange.id, Rating.DOWN, reason, comment, correction)
            st.html(parts.notice_html("Thank you", "It is kept with the answer."))
