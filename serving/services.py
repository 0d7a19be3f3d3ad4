"""What the HTTP API needs; `footnote/wiring/` fills it with the real things."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from knowledge.models import (
    UNFILTERED,
    Effort,
    Filters,
    Gap,
    Passage,
    Principal,
    Question,
    Refused,
)
from knowledge.ports import Intake, Jobs, Library, Sources
from serving.archive import Archive
from serving.auth import Gate
from serving.events import Event
from serving.metrics import Metrics, Stock


class Searching(Protocol):
    """Finds passages; synchronous."""

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
        """Return readable passages, best first, with the steps that led to their ranks."""


class Answering(Protocol):
    """Answers a question as a stream of events; the last one is an answer or an error."""

    def stream(self, question: Question, principal: Principal) -> AsyncIterator[Event]:
        """Yield events as they come about."""


class Reindexing(Protocol):
    """Changes which generation of the index is live; synchronous."""

    def run(
        self, action: str, *, golden: Path | None, loss: float, force: bool
    ) -> Iterator[Mapping[str, Any]]:
        """Do `build`, `back` or `discard`; yield how far it is, and in the end what came of it."""

    def state(self) -> Mapping[str, Any]:
        """Return the generations, the newest first."""


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the routes."""

    answerer: Answering
    retriever: Searching
    library: Library
    intake: Intake
    jobs: Jobs
    gate: Gate
    health: Callable[[], Mapping[str, str]] = field(default=dict)
    """Name of each part → `ok`, or in a word what is wrong; synchronous and quick."""
    refusals: Callable[[], Sequence[Refused]] = field(default=tuple)
    """What is not indexed of all that was handed in, latest first; synchronous."""
    gaps: Callable[[str | None, int], Sequence[Gap]] = field(default=lambda _after, _limit: ())
    """Documents of which little or nothing can be found, by id, after one and at most so many."""
    archive: Archive | None = None
    """Where conversations are kept; None where nothing does."""
    sources: Sources | None = None
    """What keeps sources in sync; None where nothing does."""
    reindexer: Reindexing | None = None
    """What builds generations of the index; None where nothing does."""
    metrics: Metrics = field(default_factory=lambda: Metrics(Stock))
    """Counts searches and answers, and asks for the rest when it is scraped."""
    version: str = ""
    effort: Effort = Effort.LOW
    """Used where the question names none."""
    max_upload_bytes: int = 200 * 2**20
    closing: Callable[[], Awaitable[None]] = field(default=_nothing)
    """Closes what belongs to the loop that served, at its end."""
    operator: bool = False
    """Whether commands on this machine may have its files ingested by path."""
