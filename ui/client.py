"""The service as the page sees it: over HTTP; the only file of the page that knows httpx2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter, ValidationError

from knowledge.errors import FootnoteError
from knowledge.models import (
    Answer,
    Citation,
    Facets,
    FeedState,
    Freshness,
    JobKind,
    JobState,
    Rating,
    Reason,
    Span,
    SubmissionState,
    Trace,
    Turn,
)

LARGEST_EVENT = 16 * 2**20
"""Bytes; an event with all passages of a long context is far smaller."""
BEYOND = "zz"
"""After the id of every document: nothing is looked up where only the right is in question."""


class ApiError(FootnoteError):
    """The service did not do what was asked; the message is meant for people."""


class Unreachable(ApiError):
    """Nothing answers at the service's address."""


class KeyNeeded(ApiError):
    """The service wants a key, or another one than it was given."""


class Forbidden(ApiError):
    """The service does this for others, but not for this reader."""


# --- what the service says ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentName:
    """What a passage says about its document."""

    id: str
    title: str
    uri: str


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A passage an answer may cite; in an answer `rank` is its number."""

    document: DocumentName
    revision: str
    text: str
    span: Span
    rank: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    header: str = ""
    """Of the table in whose middle it begins; no part of `text`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A document in the list of documents."""

    id: str
    title: str
    uri: str
    collection: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """Some documents in the order of their ids; `next` is the `after` of those that follow."""

    documents: tuple[Listed, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """Where an upload stands."""

    id: str
    name: str
    state: SubmissionState
    reason: str = ""

    @property
    def final(self) -> bool:
        """Say whether nothing will change any more."""
        return self.state not in (SubmissionState.RECEIVED, SubmissionState.WORKING)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether questions can be answered; `parts` says how each part is."""

    status: str
    version: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """A job: a document or a source that is being brought in, or was to be."""

    id: str
    kind: JobKind
    name: str
    state: JobState
    reason: str = ""
    done: int = 0
    total: int = 0
    """0: not known."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A file in quarantine."""

    id: str
    uri: str
    code: str
    reason: str
    attempts: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """A source that is kept in sync, and how that goes."""

    id: str
    name: str
    uri: str
    collection: str
    paused: bool
    state: FeedState
    freshness: Freshness
    every: int | None = None
    """Seconds between syncs; None: only when asked."""
    error: str = ""
    due_at: datetime | None = None
    synced_at: datetime | None = None
    """When the last sync that saw everything began."""


@dataclass(frozen=True, slots=True)
class Passages:
    """First event of a stream: what the answer may cite; a later one replaces it."""

    passages: tuple[FoundPassage, ...]


@dataclass(frozen=True, slots=True)
class Queued:
    """The question waits for the model; its place in the line, from 1."""

    position: int


@dataclass(frozen=True, slots=True)
class Step:
    """The model looks further: by which tool, and for what."""

    tool: str
    about: str


@dataclass(frozen=True, slots=True)
class Text:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Cited:
    """One resolved citation of the text so far."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class Final:
    """Last event: the whole answer; its text stands in place of all `Text` before it."""

    answer: Answer
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an answer is kept."""

    conversation: str
    answer: str


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in the list of them."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the reader said of an answer."""

    rating: Rating


@dataclass(frozen=True, slots=True)
class Kept:
    """A question and its answer, opened again."""

    id: str
    question: str
    answer: Answer
    withheld: bool
    traces: tuple[Trace, ...]
    feedback: Judged | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Last event: there is no answer."""

    code: str
    message: str
    retryable: bool = False


Event = Passages | Queued | Step | Text | Cited | Final | Failed


# --- asking the service -------------------------------------------------------------------------


class Client:
    """One reader's line to the service; every method raises `ApiError`."""

    def __init__(self, url: str, key: str = "", *, answer_seconds: float = 150) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url = url
        self._long = httpx2.Timeout(30, connect=5, read=answer_seconds)
        self._http = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=httpx2.Timeout(30, connect=5),
            trust_env=False,  # a proxy of the site is not asked for the service
        )

    def ask_stream(
        self,
        question: str,
        *,
        collection: str | None = None,
        filters: Mapping[str, Any] | None = None,
        history: Sequence[Turn] = (),
        conversation: str | None = None,
    ) -> Iterator[Event]:
        """Yield the answer as it is written; the last event is `Final` or `Failed`.

        A `conversation` is `new` or an id, and has a history of its own.
        """
        body = {
            "question": question,
            "collection": collection,
            "filters": filters or None,
            "history": [{"role": turn.role, "text": turn.text} for turn in history],
            "conversation": conversation,
            "stream": True,
        }
        with (
            _explained(),
            self._http.stream("POST", "/v1/ask", json=body, timeout=self._long) as response,
        ):
            _check(response)
            for sent in httpx2.EventSource(response, max_event_size=LARGEST_EVENT):
                event = _event(sent.event, sent.data)
                if event is not None:
                    yield event
                if isinstance(event, Final | Failed):
                    return
        yield Failed("interrupted", "The service stopped in the middle of the answer.", True)

    def conversations(self, *, limit: int = 100) -> tuple[Talk, ...]:
        """List the reader's conversations, those last added to first; none where none is kept."""
        with _explained():
            response = self._http.get("/v1/conversations", params={"limit": limit})
        if response.status_code == httpx2.codes.NOT_FOUND:
            return ()
        _check(response)
        return _read(_TALKS, response.content).conversations

    def conversation(self, conversation_id: str) -> tuple[Kept, ...]:
        """Open a conversation, as it may be read today."""
        return _read(_OPEN, self._call("GET", _talk(conversation_id)).content).exchanges

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""
        self._call("PATCH", _talk(conversation_id), json={"title": title})

    def drop(self, conversation_id: str) -> None:
        """Delete a conversation."""
        self._call("DELETE", _talk(conversation_id))

    def export(self, conversation_id: str, form: str) -> bytes:
        """Return a conversation as a file, `markdown` or `json`."""
        params = {"format": form}
        return self._call("GET", f"{_talk(conversation_id)}/export", params=params).content

    def judge(
        self,
        answer_id: str,
        rating: Rating,
        reason: Reason | None = None,
        comment: str = "",
        correction: str = "",
    ) -> None:
        """Say what one thinks of an answer."""
        body = {"rating": rating, "reason": reason, "comment": comment, "correction": correction}
        self._call("PUT", f"/v1/answers/{quote(answer_id, safe='')}/feedback", json=body)

    def upload(self, name: str, stream: BinaryIO, *, collection: str | None = None) -> Upload:
        """Hand a file in; on return the service keeps it until it is indexed or refused."""
        response = self._call(
            "POST",
            "/v1/documents",
            files={"file": (name, stream, "application/octet-stream")},
            data={"collection": collection} if collection else {},
        )
        return _read(_UPLOAD, response.content)

    def submission(self, submission_id: str) -> Upload:
        """Say where an upload stands."""
        response = self._call("GET", f"/v1/submissions/{quote(submission_id, safe='')}")
        return _read(_UPLOAD, response.content)

    def documents(
        self,
        *,
        collection: str | None = None,
        filters: Mapping[str, Any] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Listing:
        """List readable documents, beginning after the id `after`."""
        narrowed = dict(filters or {})
        given = {
            "collection": collection,
            "after": after,
            "limit": limit,
            **narrowed.pop("date", {}),
        }
        params = {name: value for name, value in (given | narrowed).items() if value is not None}
        return _read(_LISTING, self._call("GET", "/v1/documents", params=params).content)

    def content(self, document_id: str) -> bytes:
        """Return the original file of a document."""
        path = f"/v1/documents/{quote(document_id, safe='')}/content"
        return self._call("GET", path).content

    def collections(self) -> dict[str, int]:
        """Return how many readable documents each collection has."""
        found = _read(_COLLECTIONS, self._call("GET", "/v1/collections").content)
        return {collection.name: collection.documents for collection in found.collections}

    def facets(self, collection: str | None = None) -> Facets:
        """Return what one can narrow to, of all that is readable or of one collection."""
        params = {"collection": collection} if collection else {}
        return _read(_FACETS, self._call("GET", "/v1/facets", params=params).content)

    # --- for operators --------------------------------------------------------------------------

    def operates(self) -> bool:
        """Say whether the reader may look after jobs, quarantine and sources."""
        try:
            self._call("GET", "/v1/coverage", params={"after": BEYOND, "limit": 1})
        except Forbidden:
            return False
        return True

    def tasks(self, states: Iterable[JobState], *, limit: int) -> tuple[Task, ...]:
        """List jobs in these states, the newest first."""
        params = {"state": [state.value for state in states], "limit": limit}
        return _read(_TASKS, self._call("GET", "/v1/jobs", params=params).content).jobs

    def change_task(self, task_id: str, change: str) -> None:
        """Do `pause`, `resume`, `retry` or `cancel` to a job."""
        path = f"/v1/jobs/{quote(task_id, safe='')}"
        if change == "cancel":
            self._call("DELETE", path)
        else:
            self._call("POST", f"{path}/{change}")

    def quarantine(self, *, limit: int) -> tuple[Held, ...]:
        """List what is not tried again, the latest first."""
        response = self._call("GET", "/v1/quarantine", params={"limit": limit})
        return _read(_QUARANTINE, response.content).quarantine

    def free(self, held_id: str) -> None:
        """Have a file in quarantine tried again when it next comes by."""
        self._call("POST", f"/v1/quarantine/{quote(held_id, safe='')}/retry")

    def origins(self) -> tuple[Origin, ...]:
        """List the sources that are kept in sync; raises `Forbidden` as all about them does."""
        return _read(_ORIGINS, self._call("GET", "/v1/sources").content).sources

    def sync(self, origin_id: str) -> None:
        """Have a source synced next; nobody waits for its end."""
        self._call("POST", f"{_origin(origin_id)}/sync", json={"wait": False})

    def pause_origin(self, origin_id: str, *, paused: bool) -> None:
        """Stop syncing a source by schedule, or go on with it."""
        self._call("PATCH", _origin(origin_id), json={"paused": paused})

    # --- the line itself ------------------------------------------------------------------------

    def health(self) -> Health:
        """Say how the service is; one that is not well is no error here."""
        with _explained():
            response = self._http.get("/v1/health")
        if response.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
            _check(response)
        return _read(_HEALTH, response.content)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, **more: Any) -> httpx2.Response:  # noqa: ANN401
        with _explained():
            response = self._http.request(method, path, **more)
        _check(response)
        return response


# --- reading what it says -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Collection:
    name: str
    documents: int


@dataclass(frozen=True, slots=True)
class _Collections:
    collections: tuple[_Collection, ...]


@dataclass(frozen=True, slots=True)
class _Tasks:
    jobs: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class _Quarantine:
    quarantine: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class _Origins:
    sources: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class _Talks:
    conversations: tuple[Talk, ...]


@dataclass(frozen=True, slots=True)
class _Open:
    exchanges: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class _WhereKept:
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class _Error:
    error: Failed


T = TypeVar("T")
_ANSWER = TypeAdapter(Answer)
_OPEN = TypeAdapter(_Open)
_TALKS = TypeAdapter(_Talks)
_WHERE_KEPT = TypeAdapter(_WhereKept)
_CITATION = TypeAdapter(Citation)
_COLLECTIONS = TypeAdapter(_Collections)
_ERROR = TypeAdapter(_Error)
_FACETS = TypeAdapter(Facets)
_HEALTH = TypeAdapter(Health)
_LISTING = TypeAdapter(Listing)
_MIDWAY: dict[str, TypeAdapter[Passages | Queued | Step | Text]] = {
    name: TypeAdapter(kind)
    for name, kind in (
        ("passages", Passages),
        ("queued", Queued),
        ("step", Step),
        ("delta", Text),
    )
}
_ORIGINS = TypeAdapter(_Origins)
_QUARANTINE = TypeAdapter(_Quarantine)
_TASKS = TypeAdapter(_Tasks)
_UPLOAD = TypeAdapter(Upload)


def _event(name: str, data: str) -> Event | None:
    match name:
        case "passages" | "queued" | "step" | "delta":
            return _read(_MIDWAY[name], data)
        case "citation":
            return Cited(_read(_CITATION, data))
        case "answer":
            return Final(_read(_ANSWER, data), _read(_WHERE_KEPT, data).stored)
        case "error":
            return _read(_ERROR, data).error
    return None  # a newer service may say more


def _talk(conversation_id: str) -> str:
    return f"/v1/conversations/{quote(conversation_id, safe='')}"


def _origin(origin_id: str) -> str:
    return f"/v1/sources/{quote(origin_id, safe='')}"


def _read(adapter: TypeAdapter[T], data: str | bytes) -> T:
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise ApiError("The service said something that this page does not understand.") from error


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what can go wrong on the wire into errors that people understand."""
    try:
        yield
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Unreachable("The service does not answer.") from error
    except httpx2.TimeoutException as error:
        raise ApiError("The service took too long to answer.") from error
    except httpx2.HTTPError as error:
        raise ApiError("The connection to the service broke.") from error


def _check(response: httpx2.Response) -> None:
    if response.is_success:
        return
    if response.status_code == httpx2.codes.UNAUTHORIZED:
        raise KeyNeeded("The service asks for a key.")
    with _explained():
        body = response.read()
    try:
        reason = _ERROR.validate_json(body).error.message
    except ValidationError:
        reason = f"The service answered with status {response.status_code}."
    raise (Forbidden if response.status_code == httpx2.codes.FORBIDDEN else ApiError)(reason)
