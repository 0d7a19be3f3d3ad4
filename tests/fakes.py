"""Fakes of the doors in `knowledge/ports.py`: small, deterministic, and true to their contracts."""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from knowledge.access import AccessFilter
from knowledge.errors import NotFound
from knowledge.models import (
    EVERYONE,
    Block,
    Context,
    Conversation,
    Delta,
    Document,
    Embedding,
    Exchange,
    Feed,
    Feedback,
    Filters,
    Freshness,
    Hit,
    IngestEvent,
    Job,
    JobState,
    Passage,
    Point,
    Principal,
    Question,
    Refused,
    Span,
    SparseVector,
    derive_id,
)
from knowledge.text import words


class FakeEmbedder:
    """Texts that share words get similar vectors; a word's direction is drawn from its hash."""

    name = "fake-embedder"

    def __init__(self, *, dimension: int = 64, max_tokens: int = 64) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [self._vector(text) for text in texts]

    def token_spans(self, text: str) -> list[Span]:
        return [Span(*match.span()) for match in re.finditer(r"\w+|[^\w\s]", text)]

    def _vector(self, text: str) -> tuple[float, ...]:
        seen = words(text)[: self.max_tokens] or ["empty"]
        return unit(
            [sum(axis) for axis in zip(*(_direction(w, self.dimension) for w in seen), strict=True)]
        )


class FakeIndex:
    """The `Index` door by brute force over a dict: the slow, readable twin of the real stores."""

    def __init__(self, *, depth: int = 100, k: int = 60, words: float = 1.0) -> None:
        self.points: dict[str, Point] = {}
        self._depth = depth
        self._k = k
        self._words = words

    def upsert(self, points: Sequence[Point]) -> None:
        self.points.update((point.chunk_id, point) for point in points)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        return {k: self.points[k].embedding.dense for k in chunk_ids if k in self.points}

    def search(self, embedding: Embedding, access: AccessFilter, *, limit: int) -> list[Hit]:
        allowed = [point for point in self.points.values() if _allows(access, point)]
        dense = {p.chunk_id: cosine(embedding.dense, p.embedding.dense) for p in allowed}
        sparse = {p.chunk_id: overlap(embedding.sparse, p.embedding.sparse) for p in allowed}
        matched = {chunk_id: score for chunk_id, score in sparse.items() if score > 0}
        depth = max(self._depth, limit)
        lists = [_best(dense, depth), _best(matched, depth)]
        fused = fuse(lists, weights=[1.0, self._words], k=self._k)
        return [Hit(chunk_id, fused[chunk_id]) for chunk_id in _best(fused, limit)]

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        allowed = [point for point in self.points.values() if _allows(access, point)]
        dense = {p.chunk_id: cosine(embedding.dense, p.embedding.dense) for p in allowed}
        sparse = {p.chunk_id: overlap(embedding.sparse, p.embedding.sparse) for p in allowed}
        matched = {chunk_id: score for chunk_id, score in sparse.items() if score > 0}
        return (
            [Hit(chunk_id, dense[chunk_id]) for chunk_id in _best(dense, limit)],
            [Hit(chunk_id, matched[chunk_id]) for chunk_id in _best(matched, limit)],
        )

    def count(self, revision_id: str | None = None) -> int:
        return sum(revision_id in (None, point.revision_id) for point in self.points.values())

    def delete(self, revision_ids: Sequence[str]) -> None:
        gone = set(revision_ids)
        self.points = {k: p for k, p in self.points.items() if p.revision_id not in gone}

    def relabel(self, *documents: Document) -> None:
        known = {document.id: document for document in documents}
        for chunk_id, point in self.points.items():
            if document := known.get(point.document_id):
                self.points[chunk_id] = replace(
                    point,
                    access=document.access,
                    collection=document.collection,
                    source_id=document.source_id,
                    media_type=document.media_type,
                    language=document.language,
                    tags=document.tags,
                    dated_at=document.dated_at,
                )

    def close(self) -> None:
        pass


def fuse(
    rankings: Iterable[Sequence[str]], *, weights: Iterable[float], k: int
) -> dict[str, float]:
    """Reciprocal rank fusion as Qdrant counts it, with places from 0."""
    scores: dict[str, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for place, chunk_id in enumerate(ranking):
            share = 1 / ((place + 1) / weight + k - 1)
            scores[chunk_id] = scores.get(chunk_id, 0.0) + share
    return scores


def unit(vector: Sequence[float]) -> tuple[float, ...]:
    length = math.hypot(*vector) or 1.0
    return tuple(value / length for value in vector)


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(unit(a), unit(b), strict=True))


def overlap(a: SparseVector, b: SparseVector) -> float:
    weights = dict(zip(a.indices, a.values, strict=True))
    return sum(weights.get(i, 0.0) * value for i, value in zip(b.indices, b.values, strict=True))


def _allows(access: AccessFilter, point: Point) -> bool:
    fits = access.collection in (None, point.collection)
    meant = access.document_ids is None or point.document_id in access.document_ids
    return fits and meant and _fits(access.filters, point) and bool(access.tokens & point.access)


def _fits(only: Filters, point: Point) -> bool:
    """Say the same as `Filters.admit`, in other words."""
    asked = [
        (only.sources, {point.source_id}),
        (only.types, {point.media_type}),
        (only.languages, {point.language}),
        (only.tags, point.tags),
    ]
    if any(words is not None and not words & own for words, own in asked):
        return False
    moment = point.dated_at.timestamp() if point.dated_at else math.nan
    late = only.since is None or moment >= only.since.timestamp()
    early = only.until is None or moment < only.until.timestamp()
    return late and early


def _best(scores: dict[str, float], limit: int) -> list[str]:
    return sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:limit]


@lru_cache(maxsize=10_000)
def _direction(word: str, dimension: int) -> tuple[float, ...]:
    drawn = hashlib.shake_128(word.encode()).digest(dimension)
    return unit([byte - 127.5 for byte in drawn])


class Parrot:
    """The `Generator` door: says the given pieces one by one, then fails if it was told to.

    Deltas are passed on as they are; strings become text. `closed` says that a reader left early
    or reached the end.
    """

    name = "parrot"

    def __init__(
        self,
        *pieces: str | Delta,
        failure: Exception | None = None,
        extractive: bool = False,
        forever: bool = False,
    ) -> None:
        self.extractive = extractive
        self.contexts: list[Context] = []
        self.closed = False
        self._pieces = pieces
        self._failure = failure
        self._forever = forever

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        self.contexts.append(context)
        try:
            while True:
                for piece in self._pieces:
                    yield Delta(text=piece) if isinstance(piece, str) else piece
                if not self._forever:
                    break
            if self._failure is not None:
                raise self._failure
        finally:
            self.closed = True


def passage(
    text: str,
    *,
    rank: int = 1,
    title: str = "Handbook",
    document: str = "doc-1",
    start: int = 0,
    blocks: Sequence[Block] = (),
    heading: tuple[str, ...] = (),
    page: int | None = None,
    access: frozenset[str] = frozenset({EVERYONE}),
) -> Passage:
    """A passage that begins at character `start` of its document's only revision."""
    return Passage(
        chunk_id=f"{document}-{start}",
        document=Document(
            id=document,
            source_id="source",
            uri=f"{document}.md",
            title=title,
            collection="main",
            access=access,
        ),
        revision_id=f"{document}-revision",
        span=Span(start, start + len(text)),
        text=text,
        rank=rank,
        score=1 / rank,
        heading=heading,
        page=page,
        blocks=tuple(blocks),
    )


class Unchanged:
    """Says that the documents of `passage` are as they were."""

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        return {each: f"{each}-revision" for each in document_ids}


def context(question: str, *texts: str) -> Context:
    """A context with one passage per text, each from a document of its own."""
    passages = tuple(
        passage(text, rank=n, document=f"doc-{n}") for n, text in enumerate(texts, start=1)
    )
    return Context(question=Question(question), passages=passages)


class FakeJobs:
    """The `Jobs` door over a dict; who owns a job may do anything to it, and so may an `admin`."""

    def __init__(self, *jobs: Job) -> None:
        self.kept = {job.id: job for job in jobs}
        self.refused: list[Refused] = []

    def jobs(
        self, principal: Principal, *, states: Iterable[JobState] = (), limit: int = 100
    ) -> list[Job]:
        wanted = set(states) or set(JobState)
        mine = [job for job in self.kept.values() if job.state in wanted and _sees(principal, job)]
        return mine[:limit]

    def job(self, job_id: str, principal: Principal) -> Job:
        job = self.kept.get(job_id)
        if job is None or not _sees(principal, job):
            raise NotFound("there is no such job")
        return job

    def pause(self, job_id: str, principal: Principal) -> Job:
        return self._become(JobState.PAUSED, job_id, principal)

    def resume(self, job_id: str, principal: Principal) -> Job:
        return self._become(JobState.WAITING, job_id, principal)

    def retry(self, job_id: str, principal: Principal) -> Job:
        return self._become(JobState.WAITING, job_id, principal)

    def cancel(self, job_id: str, principal: Principal) -> Job:
        return self._become(JobState.CANCELLED, job_id, principal)

    def _become(self, state: JobState, job_id: str, principal: Principal) -> Job:
        self.kept[job_id] = replace(self.job(job_id, principal), state=state)
        return self.kept[job_id]

    def quarantine(self, principal: Principal, *, limit: int = 100) -> list[Refused]:
        return self.refused

    def free(self, refused_id: str, principal: Principal) -> Refused:
        for each in self.refused:
            if each.id == refused_id:
                self.refused.remove(each)
                return replace(each, attempts=0, quarantined=False)
        raise NotFound("nothing of this id is refused")


def _sees(principal: Principal, job: Job) -> bool:
    return principal.has_role("admin") or job.owner == principal.user


class FakeSources:
    """The `Sources` door over a dict; a sync is only noted."""

    def __init__(self, *feeds: tuple[Feed, Freshness]) -> None:
        self.kept = {feed.id: (feed, fresh) for feed, fresh in feeds}

    def add(self, feed: Feed) -> Feed:
        added = replace(feed, id=derive_id("feed", feed.name), kind=self.kind(feed.uri))
        self.kept[added.id] = added, Freshness(0, 0)
        return added

    def kind(self, uri: str) -> str:
        return "web" if uri.startswith("http") else "folder"

    def feeds(self) -> list[tuple[Feed, Freshness]]:
        return sorted(self.kept.values(), key=lambda each: each[0].name)

    def feed(self, feed_id: str) -> tuple[Feed, Freshness]:
        if feed_id not in self.kept:
            raise NotFound("there is no such source")
        return self.kept[feed_id]

    def change(self, feed_id: str, *, paused: bool | None, every: int | None) -> None:
        feed, fresh = self.feed(feed_id)
        feed = feed if paused is None else replace(feed, paused=paused)
        self.kept[feed_id] = (feed if every is None else replace(feed, every=every or None)), fresh

    def sync_source(
        self, feed_id: str, *, allow_removals: bool = False, dry_run: bool = False
    ) -> Iterator[IngestEvent]:
        self.feed(feed_id)
        return iter(())

    def request(self, feed_id: str) -> None:
        feed, fresh = self.feed(feed_id)
        self.kept[feed_id] = replace(feed, due_at=datetime.now(UTC)), fresh

    def remove(self, feed_id: str, *, keep_documents: bool) -> int:
        _, fresh = self.feed(feed_id)
        del self.kept[feed_id]
        return 0 if keep_documents else fresh.documents


class FakeConversations:
    """The `Conversations` door over dicts."""

    def __init__(self) -> None:
        self._begun: dict[str, Conversation] = {}
        self._kept: dict[str, list[Exchange]] = {}
        self._lock = threading.Lock()

    def keep(self, exchange: Exchange, *, owner: str, title: str = "") -> None:
        with self._lock:
            key, now = exchange.conversation_id, exchange.asked_at
            if title:
                self._begun[key] = Conversation(key, owner, title, now, now)
            self._begun[key] = replace(self.conversation(key, owner), updated_at=now)
            self._kept.setdefault(key, []).append(exchange)

    def conversations(
        self, owner: str, *, after: str | None = None, limit: int = 100
    ) -> list[Conversation]:
        if after is not None:
            self.conversation(after, owner)
        mine = [each for each in self._begun.values() if each.owner == owner]
        mine.sort(key=lambda each: (each.updated_at, each.id), reverse=True)
        start = [each.id for each in mine].index(after) + 1 if after else 0
        return mine[start:][:limit]

    def conversation(self, conversation_id: str, owner: str) -> Conversation:
        found = self._begun.get(conversation_id)
        if found is None or found.owner != owner:
            raise NotFound("there is no such conversation")
        return found

    def exchanges(
        self, conversation_id: str, owner: str, *, latest: int | None = None
    ) -> list[Exchange]:
        self.conversation(conversation_id, owner)
        return self._kept[conversation_id][-latest if latest else 0 :]

    def exchange(self, exchange_id: str, owner: str) -> Exchange:
        for key, kept in self._kept.items():
            for each in kept:
                if each.id == exchange_id and self._begun[key].owner == owner:
                    return each
        raise NotFound("there is no such answer")

    def rename(self, conversation_id: str, owner: str, title: str) -> Conversation:
        found = replace(self.conversation(conversation_id, owner), title=title)
        self._begun[conversation_id] = found
        return found

    def drop(self, conversation_id: str, owner: str) -> None:
        self.conversation(conversation_id, owner)
        del self._begun[conversation_id], self._kept[conversation_id]

    def judge(self, exchange_id: str, owner: str, feedback: Feedback) -> None:
        try:
            about = self.exchange(exchange_id, owner)
        except NotFound as error:
            raise NotFound("there is no such conversation") from error
        kept = self._kept[about.conversation_id]
        kept[kept.index(about)] = replace(about, feedback=feedback)

    def judged(self, *, after: str | None = None, limit: int = 100) -> list[Exchange]:
        every = sorted((e for kept in self._kept.values() for e in kept), key=lambda e: e.id)
        return [e for e in every if e.feedback is not None and e.id > (after or "")][:limit]

    def drop_conversations(self, *, before: datetime) -> int:
        old = [each for each in self._begun.values() if each.updated_at < before]
        for each in old:
            self.drop(each.id, each.owner)
        return len(old)


class ThreadEngine:
    """The `Engine` door by plain threads, without any durability: one per run, at once."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self._threads: list[threading.Thread] = []

    def start(self, perform: Callable[[str, int], None]) -> None:
        self._perform = perform

    def queue(self, jobs: Sequence[Job], *, stale: timedelta) -> list[str]:
        lost = []
        for job in jobs:
            if job.next_at is not None and job.next_at > datetime.now(UTC):
                continue
            run = (job.id, job.run)
            if run in self._seen:
                lost.append(job.id)
                continue
            self._seen.add(run)
            thread = threading.Thread(target=self._perform, args=run)
            thread.start()
            self._threads.append(thread)
        return lost

    def forget(self, *, before: datetime) -> None:
        pass

    def stop(self) -> None:
        for thread in self._threads:
            thread.join()
