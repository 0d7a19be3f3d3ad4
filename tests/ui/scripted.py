"""The real HTTP API over services that follow a script, on a port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import uvicorn
from starlette.types import ASGIApp

from knowledge.errors import NotFound
from knowledge.models import (
    EVERYONE,
    UNFILTERED,
    Answer,
    Block,
    Citation,
    Document,
    Effort,
    Facets,
    Filters,
    Hit,
    IngestEvent,
    Passage,
    Principal,
    Question,
    Revision,
    Span,
    Submission,
    SubmissionState,
    Surroundings,
    TermStatistics,
    Verdict,
    derive_id,
)
from serving.api import create_app
from serving.archive import Archive
from serving.auth import Gate
from serving.events import AnswerEvent, CitationEvent, DeltaEvent, Event, PassagesEvent
from serving.services import Services
from tests.fakes import FakeConversations, FakeJobs, FakeSources

WHEN = datetime(2024, 1, 1, tzinfo=UTC)
TEXT = (
    "Backups are simple. To back up Footnote, stop the service and copy the data folder. "
    "Keep the key file with the backup."
)
QUOTE = "To back up Footnote, stop the service and copy the data folder."


def document(title: str = "Handbook", uri: str = "/shared/handbook.pdf") -> Document:
    return Document(
        id=derive_id(uri),
        source_id="source",
        uri=uri,
        title=title,
        collection="main",
        access=frozenset({EVERYONE}),
        live_revision=derive_id(uri, "1"),
        size=len(TEXT),
        updated_at=WHEN,
    )


def passage(of: Document, text: str = TEXT, *, rank: int = 1) -> Passage:
    return Passage(
        chunk_id=derive_id(of.id, str(rank)),
        document=of,
        revision_id=of.live_revision or "",
        span=Span(100, 100 + len(text)),
        text=text,
        rank=rank,
        score=1.0,
        heading=(of.title, "Backup"),
        page=2,
    )


def citation(of: Passage, quote: str = QUOTE) -> Citation:
    start = of.span.start + of.text.index(quote)
    return Citation(
        number=of.rank,
        document_id=of.document.id,
        title=of.document.title,
        uri=of.document.uri,
        revision_id=of.revision_id,
        quote=quote,
        span=Span(start, start + len(quote)),
        support=0.9,
        page=of.page,
    )


def answer(text: str, citations: Sequence[Citation], **more: object) -> Answer:
    given = {
        "verdict": Verdict.ANSWERED if citations else Verdict.NOT_FOUND,
        "model": "extractive",
        "effort": Effort.LOW,
        "extractive": True,
    }
    return Answer(text=text, citations=tuple(citations), **{**given, **more})  # type: ignore[arg-type]


def told(text: str, passages: Sequence[Passage], cited: Answer) -> list[Event]:
    """The events of an answer whose text arrives word by word."""
    words = text.split(" ")
    deltas = [DeltaEvent(word + " ") for word in words[:-1]] + [DeltaEvent(words[-1])]
    citations = [CitationEvent(each) for each in cited.citations]
    return [PassagesEvent(tuple(passages)), *deltas, *citations, AnswerEvent(cited)]


def backup() -> list[Event]:
    """How the script answers unless told otherwise."""
    found = passage(document())
    text = f"{QUOTE} [1]"
    return told(text, [found], answer(text, [citation(found)]))


@dataclass
class Script:
    """Every service behind the API, following what the test has put into the fields."""

    events: list[Event] = field(default_factory=backup)
    stored: list[Document] = field(default_factory=lambda: [document()])
    parts: Mapping[str, str] = field(default_factory=lambda: {"catalog": "ok", "index": "ok"})
    pause: float = 0.0
    """Seconds between two events."""
    going: bool = True
    """While false, an answer stops in its middle and waits."""
    refuse_upload: Exception | None = None
    course: tuple[SubmissionState, ...] = (SubmissionState.WORKING, SubmissionState.DONE)
    """The states an upload passes through, one per look."""
    reason: str = ""
    asked: list[Question] = field(default_factory=list)
    uploads: dict[str, list[Submission]] = field(default_factory=dict)
    received: dict[str, bytes] = field(default_factory=dict)

    kept: FakeConversations = field(default_factory=FakeConversations)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    sources: FakeSources = field(default_factory=FakeSources)
    offered: Facets = field(default_factory=Facets)
    offered_of: list[str | None] = field(default_factory=list)
    """The collections that were asked for what they offer."""

    # Answering and Searching

    async def stream(self, question: Question, principal: Principal) -> AsyncIterator[Event]:
        self.asked.append(question)
        for number, event in enumerate(self.events):
            await asyncio.sleep(self.pause)
            while number == len(self.events) // 2 and not self.going:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            yield event

    def search(
        self,
        query: str,
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
        limit: int = 10,
        effort: Effort = Effort.LOW,
    ) -> list[Passage]:
        return []

    # Library

    def documents(
        self,
        principal: Principal,
        *,
        collection: str | None,
        after: str | None,
        limit: int,
        filters: Filters = UNFILTERED,
    ) -> list[Document]:
        listed = sorted(self.stored, key=lambda each: each.id)
        wanted = [each for each in listed if collection in (None, each.collection)]
        fitting = [each for each in wanted if filters.admit(each)]
        return [each for each in fitting if after is None or each.id > after][:limit]

    def document(self, document_id: str, principal: Principal) -> Document:
        for each in self.stored:
            if each.id == document_id:
                return each
        raise NotFound(document_id)

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        return {d.id: d.live_revision or "" for d in self.stored if d.id in document_ids}

    def revision(self, document_id: str, principal: Principal) -> Revision:
        found = self.document(document_id, principal)
        return Revision(found.live_revision or "", found.id, "digest", TEXT, (), "", "", WHEN)

    def collections(self, principal: Principal) -> dict[str, int]:
        names = [each.collection for each in self.stored]
        return {name: names.count(name) for name in names}

    def facets(self, principal: Principal, *, collection: str | None = None) -> Facets:
        self.offered_of.append(collection)
        return self.offered

    def reads_file(self, document: Document, principal: Principal) -> bool:
        return True

    def passages(
        self,
        hits: Sequence[Hit],
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
    ) -> list[Passage]:
        return []

    def surroundings(
        self, passages: Sequence[Passage], principal: Principal, *, reach: int
    ) -> dict[str, Surroundings]:
        return {}

    def blocks(self, revision_id: str, span: Span, principal: Principal) -> tuple[Block, ...]:
        return ()

    def statistics(self, collection: str | None) -> TermStatistics:
        return TermStatistics(0, 0, {})

    # Intake

    def submit(
        self,
        stream: BinaryIO,
        *,
        name: str,
        collection: str,
        access: frozenset[str],
        by: Principal,
        tags: frozenset[str] = frozenset(),
    ) -> Submission:
        if self.refuse_upload is not None:
            raise self.refuse_upload
        self.received[name] = stream.read()
        taken = Submission(
            derive_id(name), name, "", len(self.received[name]), collection, access, by.user
        )
        states = [replace(taken, state=state) for state in self.course]
        self.uploads[taken.id] = [*states[:-1], replace(states[-1], reason=self.reason)]
        return taken

    def status(self, submission_id: str, principal: Principal) -> Submission:
        if submission_id not in self.uploads:
            raise NotFound(submission_id)
        course = self.uploads[submission_id]
        now = course.pop(0) if len(course) > 1 else course[0]
        if now.state is SubmissionState.DONE:
            title = now.name.partition(".")[0].title()
            self.stored.append(document(title, f"upload/{now.name}"))
        return now

    def recent(self, principal: Principal) -> list[Submission]:
        return []

    def cancel(self, submission_id: str, principal: Principal) -> Submission:
        return self.status(submission_id, principal)

    def remove(self, document_id: str) -> None:
        self.stored = [each for each in self.stored if each.id != document_id]

    def set_access(self, document_id: str, access: frozenset[str]) -> None:
        return

    def set_tags(self, document_id: str, tags: frozenset[str]) -> None:
        return

    def sync(
        self, paths: Sequence[Path], *, collection: str, tags: frozenset[str] = frozenset()
    ) -> Iterator[IngestEvent]:
        return iter(())

    def content(self, digest: str) -> bytes:
        return TEXT.encode()

    def health(self) -> Mapping[str, str]:
        return self.parts


@contextlib.contextmanager
def serving(script: Script, gate: Gate | None = None, *, port: int = 0) -> Iterator[str]:
    """Serve the API over the script, on any port unless one is named; yield its URL."""
    services = Services(
        answerer=script,
        retriever=script,
        library=script,
        intake=script,
        jobs=script.jobs,
        sources=script.sources,
        gate=gate or Gate(),
        archive=Archive(script.kept, script),
        health=script.health,
        version="0.1.0",
    )
    with listening(create_app(services), port) as url:
        yield url


@contextlib.contextmanager
def listening(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Run any ASGI app in a thread of its own; yield its URL."""
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", port))
        config = uvicorn.Config(app, access_log=False, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
