"""What the commands ask for, in the API's own JSON: from the stores of this process, or over HTTP.

A command does not know which of the two it talks to; `footnote/client.py` is the other one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from footnote.owner import Service, own_or_find
from knowledge.errors import FootnoteError
from knowledge.models import Effort, Feed, JobState, Question
from knowledge.settings import Settings

if TYPE_CHECKING:
    from footnote.wiring import House

Json = dict[str, Any]

CHANGES = ("pause", "resume", "retry", "cancel")
"""What can be done to a job."""

_NEED_THE_INDEX = {"ask", "demo", "ingest", "search", "source sync"}
"""Commands that first make it whole again, where a former owner left it incomplete."""
_NEED_THE_MODEL = _NEED_THE_INDEX | {"access", "tags", "remove", "source remove"}
"""Loading it takes seconds, and the first time after an installation half a minute."""


class Desk(Protocol):
    """Serves the commands; every value has the shape that the HTTP API gives it."""

    def ask(
        self,
        question: str,
        *,
        effort: str | None,
        collection: str | None,
        filters: Json | None = None,
    ) -> Json:
        """Return an answer."""

    def search(
        self, query: str, *, collection: str | None, limit: int, filters: Json | None = None
    ) -> Json:
        """Return passages."""

    def ingest(
        self, paths: Sequence[Path], *, collection: str, tags: Sequence[str] = ()
    ) -> Iterator[Json]:
        """Yield one event per document, each after its effect is durable."""

    def documents(self, *, collection: str | None, after: str | None, limit: int) -> Json:
        """Return one page of documents."""

    def collections(self) -> Json:
        """Return collections and their sizes."""

    def submissions(self) -> Json:
        """Return the latest uploads."""

    def refusals(self) -> Json:
        """Return what is not indexed, and why, latest first."""

    def coverage(self, *, after: str | None, limit: int) -> Json:
        """Return one page of documents of which little or nothing can be found, and why."""

    def jobs(self, *, states: Sequence[str] = (), limit: int = 100) -> Json:
        """Return jobs, newest first."""

    def job(self, job_id: str) -> Json:
        """Return a job."""

    def change_job(self, job_id: str, change: str) -> Json:
        """Do one of `CHANGES` to a job, and return it."""

    def quarantine(self, *, limit: int = 100) -> Json:
        """Return what is not tried again."""

    def free(self, refused_id: str) -> Json:
        """Have a quarantined file tried again."""

    def feedback(self, *, after: str | None, limit: int) -> Json:
        """Return one page of answers that people said something of."""

    def generations(self) -> Json:
        """Return the generations of the index."""

    def reindex(
        self, action: str, *, golden: Path | None, loss: float, force: bool
    ) -> Iterator[Json]:
        """Build a generation, go back or discard one; yield how far it is."""

    def remove(self, document_id: str) -> None:
        """Remove a document."""

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Set who may read a document."""

    def set_tags(self, document_id: str, tags: Sequence[str]) -> None:
        """Set the tags of a document."""

    def sources(self) -> Json:
        """Return the sources that are kept in sync."""

    def add_source(self, body: Json) -> Json:
        """Keep a source in sync, and return it."""

    def change_source(self, source_id: str, body: Json) -> Json:
        """Pause, resume or schedule a source, and return it."""

    def sync_source(self, source_id: str, body: Json) -> Iterator[Json]:
        """Yield one event per document, each after its effect is durable."""

    def remove_source(self, source_id: str, *, keep_documents: bool) -> Json:
        """Forget a source, and return how many documents were removed."""


class LocalDesk:
    """A desk on the stores that this process has open."""

    def __init__(self, house: House) -> None:
        from serving import schemas, wire
        from serving.auth import LOCAL

        self._house = house
        self._narrow = schemas.filters
        self._wire = wire
        self._who = LOCAL

    def ask(
        self,
        question: str,
        *,
        effort: str | None,
        collection: str | None,
        filters: Json | None = None,
    ) -> Json:
        """Return an answer."""
        from serving.events import ErrorEvent

        thinks = Effort(effort or self._house.settings.effort)
        asked = Question(question, collection, effort=thinks, filters=self._narrow(filters))
        last = asyncio.run(self._house.answerer.answer(asked, self._who))
        if isinstance(last, ErrorEvent):
            raise FootnoteError(last.message)
        return self._wire.answer_json(last.answer)

    def search(
        self, query: str, *, collection: str | None, limit: int, filters: Json | None = None
    ) -> Json:
        """Return passages."""
        found = self._house.retriever.search(
            query, self._who, collection=collection, filters=self._narrow(filters), limit=limit
        )
        return self._wire.passages_json(found)

    def ingest(
        self, paths: Sequence[Path], *, collection: str, tags: Sequence[str] = ()
    ) -> Iterator[Json]:
        """Yield one event per document."""
        for event in self._house.intake.sync(paths, collection=collection, tags=frozenset(tags)):
            yield self._wire.ingest_json(event)

    def documents(self, *, collection: str | None, after: str | None, limit: int) -> Json:
        """Return one page of documents."""
        found = self._house.catalog.documents(
            self._who, collection=collection, after=after, limit=limit
        )
        more = found[-1].id if len(found) == limit else None
        listed = [self._wire.document_json(each, self._who) for each in found]
        return {"documents": listed, "next": more}

    def collections(self) -> Json:
        """Return collections and their sizes."""
        found = self._house.catalog.collections(self._who)
        return {
            "collections": [{"name": name, "documents": n} for name, n in sorted(found.items())]
        }

    def submissions(self) -> Json:
        """Return the latest uploads."""
        found = self._house.catalog.submissions(self._who)
        return {"submissions": [self._wire.submission_json(each) for each in found]}

    def refusals(self) -> Json:
        """Return what is not indexed, and why, latest first."""
        return self._wire.refusals_json(self._house.refusals())

    def coverage(self, *, after: str | None, limit: int) -> Json:
        """Return one page of documents of which little or nothing can be found, and why."""
        return self._wire.coverage_json(self._house.gaps(after, limit), limit=limit)

    def jobs(self, *, states: Sequence[str] = (), limit: int = 100) -> Json:
        """Return jobs, newest first."""
        wanted = [JobState(state) for state in states]
        return self._wire.jobs_json(self._house.jobs.jobs(self._who, states=wanted, limit=limit))

    def job(self, job_id: str) -> Json:
        """Return a job."""
        return self._wire.job_json(self._house.jobs.job(job_id, self._who))

    def change_job(self, job_id: str, change: str) -> Json:
        """Do one of `CHANGES` to a job, and return it."""
        jobs = self._house.jobs
        do = dict(zip(CHANGES, (jobs.pause, jobs.resume, jobs.retry, jobs.cancel), strict=True))
        return self._wire.job_json(do[change](job_id, self._who))

    def quarantine(self, *, limit: int = 100) -> Json:
        """Return what is not tried again."""
        return self._wire.quarantine_json(self._house.jobs.quarantine(self._who, limit=limit))

    def free(self, refused_id: str) -> Json:
        """Have a quarantined file tried again."""
        return self._wire.refused_json(self._house.jobs.free(refused_id, self._who))

    def feedback(self, *, after: str | None, limit: int) -> Json:
        """Return one page of answers that people said something of."""
        found = self._house.archive.judged(self._who, after=after, limit=limit)
        return self._wire.judged_json(found, limit=limit)

    def generations(self) -> Json:
        """Return the generations of the index."""
        return self._house.reindexer.state()

    def reindex(
        self, action: str, *, golden: Path | None, loss: float, force: bool
    ) -> Iterator[Json]:
        """Build a generation, go back or discard one; yield how far it is."""
        return self._house.reindexer.run(action, golden=golden, loss=loss, force=force)

    def remove(self, document_id: str) -> None:
        """Remove a document."""
        self._house.intake.remove(document_id)

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Set who may read a document."""
        self._house.intake.set_access(document_id, frozenset(access))

    def set_tags(self, document_id: str, tags: Sequence[str]) -> None:
        """Set the tags of a document."""
        self._house.intake.set_tags(document_id, frozenset(tags))

    def sources(self) -> Json:
        """Return the sources that are kept in sync."""
        return {"sources": [self._wire.feed_json(*each) for each in self._house.keeper.feeds()]}

    def add_source(self, body: Json) -> Json:
        """Keep a source in sync, and return it."""
        sets = {name: frozenset(body[name]) for name in ("access", "tags")}
        feed = Feed(id="", kind="", **body | sets)
        return self._source(self._house.keeper.add(feed).id)

    def change_source(self, source_id: str, body: Json) -> Json:
        """Pause, resume or schedule a source, and return it."""
        self._house.keeper.change(source_id, paused=body.get("paused"), every=body.get("every"))
        return self._source(source_id)

    def sync_source(self, source_id: str, body: Json) -> Iterator[Json]:
        """Yield one event per document."""
        for event in self._house.keeper.sync_source(source_id, **body):
            yield self._wire.ingest_json(event)

    def remove_source(self, source_id: str, *, keep_documents: bool) -> Json:
        """Forget a source, and return how many documents were removed."""
        return {"removed": self._house.keeper.remove(source_id, keep_documents=keep_documents)}

    def _source(self, source_id: str) -> Json:
        return self._wire.feed_json(*self._house.keeper.feed(source_id))


@contextmanager
def open_desk(settings: Settings, *, command: str, say: Callable[[str], None]) -> Iterator[Desk]:
    """Yield the desk for one command: over HTTP if a service owns the data folder, else our own.

    Waits while a command that does not serve owns it, and says so.
    """
    from footnote.wiring import House

    if not settings.embedded:
        with House(settings) as house:
            yield LocalDesk(house)
        return
    held = own_or_find(settings.data_dir, command=command, answers=_answers, say=say)
    if isinstance(held, Service):
        from footnote.client import ServiceDesk

        with closing(ServiceDesk(held)) as desk:
            yield desk
        return
    with held, House(settings) as house:
        if command in _NEED_THE_MODEL:
            say("loading the embedding model (footnote serve keeps it loaded) …")
        if command in _NEED_THE_INDEX:
            house.restore_index(say)
        yield LocalDesk(house)


def _answers(service: Service) -> bool:
    from footnote.client import answers

    return answers(service)
