"""The page: ask, watch the answer, read its footnotes, add documents; `streamlit run ui/app.py`.

It knows the service only through `ui.client`. Text from outside reaches the page only as HTML from
`ui.parts` or in widgets that show plain text. Nothing is cached: Streamlit's caches are shared by
all readers.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from knowledge.models import Answer, Citation, SubmissionState, Turn, Verdict
from knowledge.settings import Settings
from ui import narrow, operate, parts, talks
from ui.client import (
    ApiError,
    Client,
    Event,
    Failed,
    Final,
    KeyNeeded,
    Listed,
    Passages,
    Queued,
    Step,
    Text,
    Unreachable,
    Upload,
)
from ui.narrow import Narrowed
from ui.talks import Exchange

HERE = Path(__file__).resolve().parent
TYPES = [
    *("pdf", "docx", "docm", "pptx", "pptm", "ppsx", "xlsx", "xlsm", "odt", "ods", "odp", "rtf"),
    *("html", "htm", "xhtml", "xml", "epub", "md", "txt", "rst", "org", "csv", "tsv"),
    *("eml", "msg", "json", "jsonl", "gz", "png", "jpg", "jpeg", "tif", "tiff"),
]
REDRAW_SECONDS = 0.06
POLL_SECONDS = 1.0
TURNS_SENT = 20
LONGEST_TURN = 32_000
"""Characters; the service takes no longer ones."""
PAGE_OF_DOCUMENTS = 8
MOST_LISTED = 500
ALL = ""
QUESTIONS, OPERATIONS = "Questions", "Operations"
MOST_BATCHES = 10
"""Batches of `MOST_LISTED` documents that are looked through for a title."""


def main() -> None:
    """Draw the page; Streamlit calls it again after every action of the reader."""
    settings = Settings()
    st.set_page_config(page_title="Footnote", page_icon=str(HERE / "icon.svg"))
    st.html(HERE / "style.css")
    st.html(parts.HEADER)
    client = _client(settings)
    try:
        if _view(client) == OPERATIONS:
            operate.show(client)
        else:
            _questions(client)
    except KeyNeeded:
        _ask_for_key(wrong="key" in st.session_state)
    except Unreachable:
        _say_unreachable(client)
    except ApiError as error:
        st.html(parts.notice_html("That did not work", str(error), error=True))


def _view(client: Client) -> str:
    """Return what the reader looks at; only operators have a choice."""
    if not operate.may(client):
        return QUESTIONS
    views = [QUESTIONS, OPERATIONS]
    chosen = st.sidebar.segmented_control(
        "View",
        views,
        default=QUESTIONS,
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    return chosen or QUESTIONS


def _questions(client: Client) -> None:
    collections = client.collections()
    collection = _choose(collections) if len(collections) > 1 else None
    documents = collections.get(collection, 0) if collection else sum(collections.values())
    with st.container():  # outside of one, the box would stick to the bottom and scroll the page
        question = _box(collection, documents)
    narrowed = narrow.choose(client, collection, documents=documents)
    _sidebar(client, collection, narrowed, documents=documents)
    _conversation(client, question, collection, narrowed, documents=documents)
    with st.sidebar:
        st.html(parts.health_html(client.health()))


# --- the line to the service --------------------------------------------------------------------


def _client(settings: Settings) -> Client:
    url = settings.api_url or f"http://127.0.0.1:{settings.port}"
    key = st.session_state.get("key") or settings.api_key.get_secret_value()
    if st.session_state.get("line") != (url, key):
        if "client" in st.session_state:
            st.session_state.client.close()
        st.session_state.line = (url, key)
        st.session_state.pop("operates", None)
        st.session_state.client = Client(url, key, answer_seconds=settings.model_timeout + 30)
    client: Client = st.session_state.client
    return client


def _ask_for_key(*, wrong: bool) -> None:
    said = "This key is not accepted." if wrong else "This service answers only with a key."
    st.html(parts.notice_html("A key is needed", said, error=wrong))
    with st.form("key-form", border=False):
        key = st.text_input("Your key", type="password", autocomplete="off")
        if st.form_submit_button("Continue", type="primary") and key.strip():
            st.session_state.key = key.strip()
            st.rerun()
    st.caption("The key is kept for this visit only. Whoever runs Footnote gives out keys.")


def _say_unreachable(client: Client) -> None:
    how = (
        f"Nothing answers at `{client.url}`. Start the service with `footnote serve`, then try "
        "again. If it runs elsewhere, set `FOOTNOTE_API_URL` for this page."
    )
    st.html(parts.notice_html("The service cannot be reached", how, error=True))
    st.button("Try again", type="primary")


# --- the sidebar --------------------------------------------------------------------------------


def _sidebar(client: Client, collection: str | None, narrowed: Narrowed, *, documents: int) -> None:
    with st.sidebar:
        talks.choose(client)
        _take_in(client, collection)
        if st.session_state.get("uploads"):
            _show_uploads(client)
        if documents:
            _list_documents(client, collection, narrowed)
        if st.session_state.get("exchanges"):
            st.button("New conversation", icon=":material/edit_note:", on_click=talks.forget)


def _choose(collections: dict[str, int]) -> str | None:
    if st.session_state.get("collection") not in collections:
        st.session_state.collection = ALL
    chosen = st.sidebar.selectbox(
        "Ask about",
        [ALL, *collections],
        format_func=lambda name: name or "All collections",
        key="collection",
        persist_state="session",
    )
    return chosen or None


def _take_in(client: Client, collection: str | None) -> None:
    batch = st.session_state.setdefault("batch", 0)
    files = st.file_uploader(
        "Add documents", type=TYPES, accept_multiple_files=True, key=f"files-{batch}"
    )
    for file in files:
        try:
            upload = client.upload(file.name, file, collection=collection)
        except ApiError as error:
            upload = Upload("", file.name, SubmissionState.FAILED, str(error))
        st.session_state.setdefault("uploads", []).insert(0, upload)
    if files:
        st.session_state.batch += 1  # an uploader of its own for the next files
        st.rerun()


def _show_uploads(client: Client) -> None:
    pending = not all(upload.final for upload in st.session_state.uploads)
    st.fragment(_follow, run_every=POLL_SECONDS if pending else None)(client)


def _follow(client: Client) -> None:
    before: list[Upload] = st.session_state.uploads
    now = [each if each.final else _look_after(client, each) for each in before]
    st.session_state.uploads = now
    st.html(parts.uploads_html(now))
    if now != before and all(upload.final for upload in now):
        st.rerun()


def _look_after(client: Client, upload: Upload) -> Upload:
    try:
        return client.submission(upload.id)
    except Unreachable:
        return upload  # it is looked after again a moment later
    except ApiError as error:
        return replace(upload, state=SubmissionState.FAILED, reason=str(error))


def _list_documents(client: Client, collection: str | None, narrowed: Narrowed) -> None:
    st.html(parts.section_html("Documents that fit" if narrowed.filters else "Documents"))
    wanted = st.text_input(
        "Find a document",
        placeholder="Find by title or file name",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    matching = _matching(client, collection, narrowed, wanted.casefold())
    found = list(itertools.islice(matching, MOST_LISTED))
    found.sort(key=lambda document: document.title.casefold())
    last = max(0, len(found) - 1) // PAGE_OF_DOCUMENTS
    page = min(st.session_state.get("page", 0), last)
    st.html(parts.documents_html(found[page * PAGE_OF_DOCUMENTS :][:PAGE_OF_DOCUMENTS]))
    if last:
        _turn_pages(page, last=last)
    if len(found) == MOST_LISTED:
        st.caption(f"The first {MOST_LISTED:,} are listed; find others by their title.")


def _matching(
    client: Client, collection: str | None, narrowed: Narrowed, wanted: str
) -> Iterator[Listed]:
    after = None
    for _ in range(MOST_BATCHES):
        listing = client.documents(
            collection=collection, filters=narrowed.filters, after=after, limit=MOST_LISTED
        )
        for document in listing.documents:
            if wanted in f"{document.title} {parts.file_name(document.uri)}".casefold():
                yield document
        after = listing.next
        if after is None:
            return


def _turn_pages(page: int, *, last: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, step in (("Back", -1), ("More", 1)):
            if st.button(label, disabled=not 0 <= page + step <= last):
                st.session_state.page = page + step
                st.rerun()
        st.caption(f"{page + 1} of {last + 1}")


# --- the conversation ---------------------------------------------------------------------------


def _box(collection: str | None, documents: int) -> str | None:
    about = f" about {collection}" if collection else ""
    return st.chat_input(
        f"Ask a question{about}" if documents else "Add a document first",
        key="question",
        disabled=not documents,
        max_chars=8000,
        submit_mode="stop",
    )


def _conversation(
    client: Client,
    question: str | None,
    collection: str | None,
    narrowed: Narrowed,
    *,
    documents: int,
) -> None:
    """Draw the newest answer first, below the box: an answer is read from its beginning."""
    exchanges: list[Exchange] = st.session_state.setdefault("exchanges", [])
    newest = st.container()
    for number, exchange in reversed(list(enumerate(exchanges))):
        _draw_question(exchange)
        _draw_answer(client, exchange, number)
    with newest:
        if question and question.strip():
            _ask(client, exchanges, question.strip(), collection, narrowed)
        elif not exchanges:
            st.html(parts.welcome_html(documents) if documents else parts.NO_DOCUMENTS)


def _ask(
    client: Client,
    exchanges: list[Exchange],
    question: str,
    collection: str | None,
    narrowed: Narrowed,
) -> None:
    history = _history(exchanges) if talks.current() is None else []
    exchange = Exchange(question, narrowed.words)
    exchanges.append(exchange)
    _draw_question(exchange)
    place = st.empty()
    events = client.ask_stream(
        question,
        collection=collection,
        filters=narrowed.filters,
        history=history,
        conversation=talks.current() or (None if history else "new"),
    )  # where nothing is kept, we send the history
    _write(exchange, place, events)
    with place.container():
        _draw_answer(client, exchange, len(exchanges) - 1)
    if exchange.id and not history and len(exchanges) == 1:
        st.rerun()  # so that the list has the conversation that has begun


def _history(exchanges: list[Exchange]) -> list[Turn]:
    turns = []
    for exchange in exchanges:
        if exchange.answer is not None:
            turns.append(Turn("user", exchange.question[:LONGEST_TURN]))
            turns.append(Turn("assistant", exchange.answer.text[:LONGEST_TURN]))
    return turns[-TURNS_SENT:]


def _draw_question(exchange: Exchange) -> None:
    st.html(parts.question_html(exchange.question, exchange.narrowed))


def _write(exchange: Exchange, place: DeltaGenerator, events: Iterator[Event]) -> None:
    """Follow the stream; what has arrived stays in `exchange`, even if the reader stops it."""
    drawn = 0.0
    place.html(parts.writing_html("", ()))
    try:
        for event in events:
            _note(exchange, event)
            if time.monotonic() - drawn > REDRAW_SECONDS:
                place.html(parts.writing_html(exchange.text, exchange.passages, exchange.step))
                drawn = time.monotonic()
    except ApiError as error:
        exchange.failure = str(error)


def _note(exchange: Exchange, event: Event) -> None:
    match event:
        case Passages():
            exchange.passages = event.passages
        case Step() | Queued():
            exchange.step = event
        case Text():
            exchange.text += event.text
        case Final():
            exchange.answer = event.answer
            if event.stored is not None:
                exchange.id = event.stored.answer
                st.session_state.conversation = event.stored.conversation
        case Failed():
            exchange.failure = event.message


def _draw_answer(client: Client, exchange: Exchange, number: int) -> None:
    answer = exchange.answer
    if answer is None:
        said = exchange.failure or "The answer was stopped before its end."
        st.html(parts.notice_html("There is no answer", said, error=bool(exchange.failure)))
        return
    if exchange.withheld:
        st.html(parts.WITHHELD)
    else:
        _draw_text(answer)
    if answer.citations:
        st.html('<div class="fn-notes-title">Footnotes</div>')
    elif answer.verdict is Verdict.NOT_FOUND and exchange.passages:
        st.html(parts.closest_html(exchange.passages))
    for mark, citations in _by_number(answer.citations):
        with st.container(border=True):
            passage = next((each for each in exchange.passages if each.rank == mark), None)
            traces = exchange.traces.get(mark, [])
            st.html(parts.citation_html(citations, passage, traces))
            if citations[0].document_id:
                _offer_original(client, citations[0], key=f"original-{number}-{mark}")
    talks.judge(client, exchange)


def _draw_text(answer: Answer) -> None:
    if answer.fallback_reason:
        st.html(parts.fallback_html(answer.fallback_reason))
    st.html(parts.answered_html(answer))
    for conflict in answer.conflicts:
        st.html(parts.conflict_html(conflict))


def _by_number(citations: tuple[Citation, ...]) -> Iterator[tuple[int, list[Citation]]]:
    def number(citation: Citation) -> int:
        return citation.number

    for mark, same in itertools.groupby(sorted(citations, key=number), number):
        yield mark, list(same)


def _offer_original(client: Client, citation: Citation, *, key: str) -> None:
    st.download_button(
        "Download the original",
        data=functools.partial(client.content, citation.document_id),  # fetched when pressed
        file_name=parts.file_name(citation.uri) or citation.document_id,
        mime="application/octet-stream",
        key=key,
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )


main()
