"""A file's bytes become live revisions: the story of ingestion.

Receive, parse, prepare, store, embed, upsert under a new revision, verify the count; then one
catalog transaction makes it visible in place of the old one, and what is dead is cleaned away.
Documents go in groups, so that a thousand small ones do not cost a thousand times five disk
syncs; each still becomes visible whole or not at all. While a group is embedded, the next one is
read and cut; groups are finished in their order. A crash anywhere leaves what was visible before,
or what is visible after, and something for `ingest.recover` to clean.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import NamedTuple, Protocol, TypeAlias

from ingest.chunk import CHUNKER, MAX_CHUNKS, belonging
from ingest.dating import own_date
from ingest.discover import quote
from ingest.prepare import Likeness, PreparerHere
from ingest.recover import clean, copy_labels
from knowledge.errors import IndexUnavailable, IngestError, TooLarge
from knowledge.models import (
    Chunk,
    Document,
    Embedding,
    IngestEvent,
    Outcome,
    Parsed,
    Point,
    Prepared,
    Reading,
    Refused,
    Revision,
    RevisionState,
    Source,
    derive_id,
)
from knowledge.ports import Embedder, Ledger, Parser, Preparer, SparseEncoder, VectorSpace

UPLOADED_BY = "uploaded_by"
"""The metadata of an upload that names who handed it in, and so who may remove it."""
UNAVAILABLE = "unavailable"
"""The code of a `ParserFailed` that is no fault of the file."""
EMBED_TEXTS = 64
"""How many texts the embedder is handed at once."""
LISTED_LINES = 1000
"""Refused lines of one file that are each noted; noting takes a transaction, and a file of nothing
else can have a million."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large things may be on their way, and how like."""

    chunk_tokens: int = 256
    max_documents: int = 200_000
    """In one JSON-lines file."""
    max_chunks: int = MAX_CHUNKS
    """Of one document."""
    group_documents: int = 64
    group_characters: int = 100_000
    """A group is carried on when it reaches either of the two."""
    likeness: Likeness | None = None
    """How near-duplicates are told; None: not at all."""
    parse_limits: str = ""
    """What a parser may use, in any words: a file that failed is tried again when it changes."""


class Known(NamedTuple):
    """What the catalog holds of a live document."""

    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class File:
    """One file as it arrived, and what the catalog holds of it already."""

    source: Source
    uri: str
    name: str
    data: bytes
    access: frozenset[str]
    media_type: str = "application/octet-stream"
    holds_lines: bool = False
    """A JSON-lines file: its documents come and go one by one, those of other files together."""
    known: Mapping[str, Known] = field(default_factory=dict)
    """The live documents that came from this file, by id; those no longer in it are removed."""
    seed: str = ""
    """What its documents' ids derive from, unless from its uri: the uri it had before it moved."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Goes before what the file says of itself."""
    sets_access: bool = False
    """Also give documents that are live already this access list; else they keep theirs."""
    job: str = ""
    """The upload's job that brings it."""
    tags: frozenset[str] = frozenset()
    """Given to all its documents, beside those that they have."""
    modified_at: datetime | None = None
    """When it last changed at its source; None: unknown."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A document that is new or changed, on its way."""

    document: Document
    parsed: Parsed
    """Titled as the document is."""
    digest: str
    reading: Reading
    file: File | None = None
    """Where it came from; None for what the catalog held already."""
    prepared: Prepared | None = None
    """As on arrival; None for what the catalog held already."""

    def is_copy_of(self, digest: str, media_type: str) -> bool:
        """Say whether it was made of these bytes, read in the same way."""
        return (self.digest, self.document.media_type) == (digest, media_type)

    def as_read(self) -> Parsed:
        """Return what the parser gave, but for a title that only repeats the file's name."""
        return replace(self.parsed, title=self.reading.title)


@dataclass(frozen=True, slots=True)
class _Work:
    """A draft with its revision; not yet visible."""

    draft: _Draft
    revision_id: str
    prepared: Prepared
    chunks: Sequence[Chunk]
    """Those of `prepared`, as the revision's own."""


@dataclass(frozen=True, slots=True)
class _BadLine:
    """A line of a JSON-lines file that is no document."""

    uri: str
    code: str
    reason: str


_Dense: TypeAlias = dict[str, tuple[float, ...]]
"""Vectors by the imprint of their text."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A group whose vectors are being made."""

    works: Sequence[_Work]
    parsed: Sequence[_Work]
    """Those of them that nobody has given up meanwhile."""
    dense: Future[_Dense]


class _Quarantined(Exception):
    """The file failed before, as it is, and is not tried again."""

    def __init__(self, note: Refused) -> None:
        super().__init__(note.uri)
        self.note = note


class Pipeline:
    """Makes files answerable; safe to use from several threads as far as its doors are.

    `passed` is told each state that is durably reached: received, parsed, embedded, upserted,
    switched, cleaning. Nothing is made visible while another generation than the
    space's is live. `versions` are those of the generation, where they are older than what is at
    hand. The same bytes are left as they are, whatever is at hand: a new generation is for that.
    """

    def __init__(
        self,
        *,
        parser: Parser,
        space: VectorSpace,
        ledger: Ledger,
        sizes: Sizes | None = None,
        preparer: Preparer | None = None,
        passed: Callable[[str], None] | None = None,
        versions: str = "",
    ) -> None:
        self._parser = parser
        self._embedder = space.embedder
        self._sparse = space.sparse
        self._index = space.index
        self._generation = space.generation
        self._ledger = ledger
        self._sizes = sizes or Sizes()
        self._preparer = preparer or preparer_here(space, self._sizes)
        self._passed = passed or _ignore
        self._versions = versions

    @property
    def versions(self) -> str:
        """Name the generation: what its documents are made with."""
        return self._versions or versions_at_hand(
            self._parser.version, self._sizes.chunk_tokens, self._embedder, self._sparse
        )

    @property
    def tried_with(self) -> str:
        """Name everything that decides whether a file can be read at all."""
        sizes = self._sizes
        limits = f"{sizes.max_documents}|{sizes.max_chunks}|{sizes.parse_limits}"
        return f"{self._parser.version}|{limits}"

    def ingest(self, files: Iterable[File]) -> Iterator[IngestEvent]:
        """Bring the documents of each file up to date; each event follows its durable effect.

        A bad file or line is reported and the rest goes on; the document it was before stays.
        Raises `IndexUnavailable`, `CatalogUnavailable`, or `ParserFailed` with the code
        `unavailable`, when one of them is down; nothing is half visible then.
        """
        before: _Flight | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="ahead") as aside:
            for found in self._groups(files):
                if isinstance(found, IngestEvent):
                    yield found
                    continue
                flight = self._begin(found, before, aside) if found else None
                if before is not None and (flight is not None or before.dense.done()):
                    yield from self._index_group(before)
                    before = None
                before = flight or before
            if before is not None:
                yield from self._index_group(before)

    def stand_by(
        self, readings: Sequence[tuple[Document, Parsed, str, Reading]], generation: int
    ) -> set[str]:
        """Bring live documents, each with its text and the digest of its file, to wait there.

        Nothing becomes visible. Returns the ids of the documents that made it; the others were
        changed or removed meanwhile. Raises as `ingest` does.
        """
        drafts = [_Draft(*reading) for reading in readings]

        def wait(work: _Work) -> None:
            self._ledger.stand_by(work.revision_id, generation)

        with ThreadPoolExecutor(1, thread_name_prefix="ahead") as aside:
            flight = self._begin(drafts, None, aside)
            waiting, rest = self._land(flight, wait, RevisionState.STANDBY)
        list(self._give_up(rest))
        clean(self._ledger, self._index, self._passed)
        return {work.draft.document.id for work in waiting}

    # --- what is in a file ----------------------------------------------------------------------

    def _groups(self, files: Iterable[File]) -> Iterator[list[_Draft] | IngestEvent]:
        """Yield what is new or changed in groups, an empty one after each file that fills none."""
        group: list[_Draft] = []
        before: list[_Draft] = []
        for file in files:
            for found in self._read(file, [*before, *group]):
                if isinstance(found, IngestEvent):
                    yield found
                    continue
                group.append(found)
                if file.holds_lines and self._is_full(group):
                    yield group
                    before, group = group, []
            if self._is_full(group):
                yield group
                before, group = group, []
            else:
                yield []
        if group:
            yield group

    def _read(self, file: File, near: Sequence[_Draft]) -> Iterator[_Draft | IngestEvent]:
        """Yield what is new or changed as drafts, and an event for everything else.

        Only a file of lines is yielded as it is read. Of any other nothing is yielded until all of
        it is there: it becomes visible whole, or stays what it was.
        """
        seen: set[str] = set()
        digest = hashlib.sha256(file.data).hexdigest()
        found = self._documents(file, digest, near, seen)
        try:
            yield from found if file.holds_lines else _counted(list(found))
        except _Quarantined as known:
            yield _not_again(known.note)
        except IngestError as refusal:
            if refusal.code == UNAVAILABLE:
                raise
            code, reason = refusal.code, str(refusal)
            yield self._refuse(file, file.uri, code=code, reason=reason, digest=digest)
        else:
            vanished = {key: known for key, known in file.known.items() if key not in seen}
            yield from remove_documents(self._ledger, vanished)

    def _documents(
        self, file: File, digest: str, near: Sequence[_Draft], seen: set[str]
    ) -> Iterator[_Draft | IngestEvent]:
        if self._is_unchanged(file, digest):
            seen.update(file.known)
            for identity, known in file.known.items():
                yield self._unchanged(file, known.uri, identity)
            return
        note = self._ledger.quarantined(
            file.source.id, file.uri, digest=digest, tried_with=self.tried_with
        )
        if note is not None:
            raise _Quarantined(note)
        read = enumerate(self._parse(file, digest, near), start=1)
        found = (self._document(file, parsed, number, digest, seen) for number, parsed in read)
        yield from self._noted(file, found)

    def _noted(
        self, file: File, found: Iterable[_Draft | IngestEvent | _BadLine]
    ) -> Iterator[_Draft | IngestEvent]:
        """Refuse the bad lines: the first of them one by one, the rest together."""
        bad = 0
        for each in found:
            if not isinstance(each, _BadLine):
                yield each
                continue
            bad += 1
            if bad <= LISTED_LINES:
                yield self._refuse(file, each.uri, code=each.code, reason=each.reason)
        if bad > LISTED_LINES:
            more = bad - LISTED_LINES
            reason = f"{more} more lines were refused; the first {LISTED_LINES} are listed"
            yield self._refuse(file, f"{file.uri}#more lines", code="bad_line", reason=reason)

    def _parse(self, file: File, digest: str, near: Sequence[_Draft]) -> Iterable[Parsed]:
        """Read the file, unless the same bytes were read before and what they gave is at hand."""
        if file.holds_lines:
            return self._parser.parse(file.data, name=file.name)
        copies = [each for each in near if each.is_copy_of(digest, file.media_type)]
        if copies:
            first = copies[0].file
            return [each.as_read() for each in copies if each.file is first]
        known = self._ledger.parsed(digest, versions=self.versions, media_type=file.media_type)
        return known or self._parser.parse(file.data, name=file.name)

    def _document(
        self, file: File, parsed: Parsed, number: int, digest: str, seen: set[str]
    ) -> _Draft | IngestEvent | _BadLine:
        if number > self._sizes.max_documents:
            raise TooLarge(
                f"more than {self._sizes.max_documents} documents in one file; "
                "split it, or raise FOOTNOTE_MAX_DOCUMENTS_PER_FILE"
            )
        key = _key(file, parsed, number)
        uri = f"{file.uri}#{quote(key)}" if key else file.uri
        if parsed.error:
            return _BadLine(f"{file.uri}#{parsed.title}", "bad_line", parsed.error)
        identity = document_id(file.source, file.seed or file.uri, key)
        if identity in seen:
            reason = f"the id {key!r} stands in this file more than once; the first one counts"
            return _BadLine(f"{uri}#line {number}", "duplicate_id", reason)
        seen.add(identity)
        if file.holds_lines:
            digest = _line_digest(parsed)
        if self._is_known(file, identity, digest):
            return self._unchanged(file, uri, identity)
        return self._prepare(_draft(file, uri, parsed, digest=digest, key=key), file)

    def _prepare(self, draft: _Draft, file: File) -> _Draft | IngestEvent:
        """Prepare it; raises `TooLarge` for a file, refuses a line, that makes too many chunks."""
        try:
            made = self._preparer.prepare(draft.parsed, most=self._sizes.max_chunks)
        except TooLarge as error:
            if not file.holds_lines:
                raise
            uri, code, reason = draft.document.uri, error.code, str(error)
            return self._refuse(file, uri, code=code, reason=reason)
        document = replace(draft.document, language=made.language)
        return replace(draft, document=document, prepared=made)

    def _is_unchanged(self, file: File, digest: str) -> bool:
        """Say whether all that came of these very bytes is still there; lines say it one by one."""
        if file.holds_lines or not file.known:
            return False
        return all(self._is_known(file, identity, digest) for identity in file.known)

    def _is_known(self, file: File, identity: str, digest: str) -> bool:
        known = file.known.get(identity)
        return known is not None and known.digest == digest

    def _unchanged(self, file: File, uri: str, identity: str) -> IngestEvent:
        """Leave the document as it is; only its rights and tags can still be new."""
        if file.sets_access:
            self._ledger.set_access(identity, file.access)
        if file.tags:
            self._ledger.add_tags(identity, file.tags)
        return IngestEvent(uri, Outcome.UNCHANGED, identity)

    def _refuse(
        self, file: File, uri: str, *, code: str, reason: str, digest: str = ""
    ) -> IngestEvent:
        """Note it; with a `digest` as one failed attempt at the whole file."""
        self._ledger.reject(
            file.source.id,
            uri,
            code=code,
            reason=reason,
            digest=digest,
            tried_with=self.tried_with if digest else "",
        )
        return IngestEvent(uri, Outcome.REJECTED, reason=reason, code=code)

    # --- a group of documents on its way --------------------------------------------------------

    def _is_full(self, group: Sequence[_Draft]) -> bool:
        characters = sum(len(draft.parsed.text) for draft in group)
        sizes = self._sizes
        return len(group) >= sizes.group_documents or characters >= sizes.group_characters

    def _index_group(self, flight: _Flight) -> Iterator[IngestEvent]:
        """Carry the group to visibility."""
        live, rest = self._land(flight, self._switch, "switched")
        with suppress(IndexUnavailable):  # the catalog obeys already; the worker copies it later
            copy_labels(self._ledger, self._index)  # points carry what the source says
        yield from map(_indexed, live)
        yield from self._give_up(rest)
        clean(self._ledger, self._index, self._passed)

    def _begin(self, drafts: Sequence[_Draft], before: _Flight | None, aside: Executor) -> _Flight:
        """Take the first steps for all drafts together, and have them embedded in a thread aside.

        What was begun `before` need not be done with.
        """
        works = self._receive(drafts)
        parsed = self._advance(works, self._store_parsed, RevisionState.PARSED)
        texts = {
            each.imprint: text
            for work in parsed
            for each, text in zip(work.chunks, work.prepared.texts, strict=True)
        }
        held = self._held_vectors(texts)
        making = aside.submit(self._embed, texts, held, before.dense if before else None)
        return _Flight(works, parsed, making)

    def _land(
        self, flight: _Flight, finish: Callable[[_Work], None], state: str
    ) -> tuple[list[_Work], list[_Work]]:
        """Take the other steps; return what is finished, and what is not."""
        dense = flight.dense.result()
        points = {work.revision_id: list(_points(work, dense)) for work in flight.parsed}
        embedded = self._advance(flight.parsed, self._mark_embedded, RevisionState.EMBEDDED)
        self._upsert(embedded, points)
        upserted = self._advance(embedded, self._mark_upserted, RevisionState.UPSERTED)
        finished = self._advance(upserted, finish, state)
        kept = {work.revision_id for work in finished}
        return finished, [work for work in flight.works if work.revision_id not in kept]

    def _receive(self, drafts: Sequence[_Draft]) -> list[_Work]:
        with self._ledger.transaction():
            revision_ids = [
                self._ledger.receive(draft.document, digest=draft.digest, versions=self.versions)
                for draft in drafts
            ]
        self._passed("received")
        return [self._work(*pair) for pair in zip(drafts, revision_ids, strict=True)]

    def _work(self, draft: _Draft, revision_id: str) -> _Work:
        made = draft.prepared or self._preparer.prepare(draft.parsed)
        return _Work(draft, revision_id, made, belonging(made.chunks, revision_id))

    def _advance(
        self, works: Sequence[_Work], step: Callable[[_Work], None], state: str
    ) -> list[_Work]:
        """Take the step for all works in one transaction; leave out those given up meanwhile."""
        advanced = []
        with self._ledger.transaction():
            for work in works:
                with suppress(IngestError):  # removed, abandoned, or overtaken by a later revision
                    step(work)
                    advanced.append(work)
        self._passed(str(state))
        return advanced

    def _store_parsed(self, work: _Work) -> None:
        revision = Revision(
            id=work.revision_id,
            document_id=work.draft.document.id,
            digest=work.draft.digest,
            text=work.draft.parsed.text,
            blocks=work.draft.parsed.blocks,
            parser=self._parser.version,
            chunker=_chunker(self._sizes.chunk_tokens),
            seen_at=datetime.now(UTC),
            coverage=work.draft.parsed.coverage,
            reading=work.draft.reading,
        )
        terms = [vector.indices for vector in work.prepared.sparse]
        self._ledger.store_parsed(revision, work.chunks, terms, work.prepared.sketch)

    def _embed(
        self, texts: Mapping[str, str], held: _Dense, before: Future[_Dense] | None
    ) -> _Dense:
        """Return the vectors by imprint; no text is embedded that has one already.

        One may be `held` in the index, or be among those made just `before`. Runs aside: it asks
        nothing but the embedder.
        """
        made = before.result() if before is not None else {}
        dense = held | {each: made[each] for each in texts if each in made}
        lacking = [imprint for imprint in texts if imprint not in dense]
        for start in range(0, len(lacking), EMBED_TEXTS):
            batch = lacking[start : start + EMBED_TEXTS]
            vectors = self._embedder.embed([texts[imprint] for imprint in batch])
            dense.update(zip(batch, vectors, strict=True))
        return dense

    def _held_vectors(self, imprints: Collection[str]) -> _Dense:
        """Return what the index holds of copies and of former revisions, by imprint."""
        chunk_ids = self._ledger.imprinted(imprints)
        held = self._index.vectors(list(chunk_ids.values()))
        return {each: held[where] for each, where in chunk_ids.items() if where in held}

    def _mark_embedded(self, work: _Work) -> None:
        self._ledger.mark(work.revision_id, RevisionState.EMBEDDED)

    def _upsert(self, works: Sequence[_Work], points: Mapping[str, Sequence[Point]]) -> None:
        """Store the points and count what arrived."""
        self._index.upsert([point for work in works for point in points[work.revision_id]])
        for work in works:
            stored = self._index.count(work.revision_id)
            if stored != len(work.chunks):
                raise IndexUnavailable(
                    f"the index holds {stored} of the {len(work.chunks)} passages of "
                    f"{work.draft.document.uri}, which stays as it was"
                )

    def _mark_upserted(self, work: _Work) -> None:
        self._ledger.mark(work.revision_id, RevisionState.UPSERTED)

    def _switch(self, work: _Work) -> None:
        """Make it visible: the only place where what users see changes."""
        document = work.draft.document
        self._ledger.switch(document, work.revision_id, generation=self._generation)
        file = work.draft.file
        if file is not None and file.sets_access:
            self._ledger.set_access(document.id, document.access)

    def _give_up(self, works: Sequence[_Work]) -> Iterator[IngestEvent]:
        """Delete points that came after somebody else had cleaned up."""
        if works:
            self._index.delete([work.revision_id for work in works])
        reason = "it was removed, or replaced by a later version, while it was being indexed"
        for work in works:
            uri = work.draft.document.uri
            yield IngestEvent(uri, Outcome.REJECTED, reason=reason, code="superseded")


class Ingestion(Protocol):
    """What makes files answerable, for whoever finds them."""

    @property
    def versions(self) -> str:
        """As in `Pipeline`."""

    def ingest(self, files: Iterable[File]) -> Iterator[IngestEvent]:
        """As in `Pipeline`."""


class Following:
    """Ingests through the pipeline of whatever generation is live when a run begins."""

    def __init__(self, current: Callable[[], Pipeline]) -> None:
        self._current = current

    @property
    def versions(self) -> str:
        """Name the live generation."""
        return self._current().versions

    def ingest(self, files: Iterable[File]) -> Iterator[IngestEvent]:
        """Ingest as `Pipeline` does; `IndexUnavailable`, too, when another one becomes live."""
        return self._current().ingest(files)


def preparer_here(space: VectorSpace, sizes: Sizes) -> PreparerHere:
    """Return what prepares documents for this space, in this process."""
    return PreparerHere(
        token_spans=space.embedder.token_spans,
        embedder=space.embedder.name,
        sparse=space.sparse,
        chunk_tokens=sizes.chunk_tokens,
        likeness=sizes.likeness,
    )


def versions_at_hand(
    parser: str, chunk_tokens: int, embedder: Embedder, sparse: SparseEncoder
) -> str:
    """Name everything that shapes a revision besides its bytes."""
    return "|".join((parser, _chunker(chunk_tokens), embedder.name, sparse.version))


def remove_documents(ledger: Ledger, held: Mapping[str, Known]) -> list[IngestEvent]:
    """Make the documents invisible, in one transaction; return an event for each."""
    with ledger.transaction():
        return [
            IngestEvent(known.uri, Outcome.REMOVED, identity)
            for identity, known in held.items()
            if ledger.remove(identity)
        ]


def to_point(document: Document, chunk: Chunk, embedding: Embedding) -> Point:
    """Return what the index is given for a chunk of the document's text."""
    return Point(
        chunk_id=chunk.id,
        document_id=document.id,
        revision_id=chunk.revision_id,
        collection=document.collection,
        access=document.access,
        embedding=embedding,
        source_id=document.source_id,
        media_type=document.media_type,
        language=document.language,
        tags=document.tags,
        dated_at=document.dated_at,
    )


def document_id(source: Source, uri: str, key: str = "") -> str:
    """Return the id of the document first seen at `uri`, or of the one called `key` there.

    The key is the part's name, or the id or number of a line.
    """
    return derive_id(source.id, uri, key)


def _key(file: File, parsed: Parsed, number: int) -> str:
    """Return what names a document within its file; nothing names the file itself."""
    return (parsed.external_id or f"line {number}") if file.holds_lines else parsed.part


def _chunker(chunk_tokens: int) -> str:
    return f"{CHUNKER}/{chunk_tokens}"


def _draft(file: File, uri: str, parsed: Parsed, *, digest: str, key: str) -> _Draft:
    stem = " ".join(PurePath(file.name).stem.split())
    title = parsed.title or parsed.part or stem or file.name
    reading = Reading(
        title="" if parsed.title == stem else parsed.title,
        metadata=parsed.metadata,
        notes=parsed.warnings,
        part=parsed.part,
        job=file.job,
    )
    metadata = _metadata(file, parsed)
    document = Document(
        id=document_id(file.source, file.seed or file.uri, key),
        source_id=file.source.id,
        uri=uri,
        title=title,
        collection=file.source.collection,
        access=file.access,
        external_id=parsed.external_id,
        media_type=file.media_type,
        metadata=metadata,
        size=len(parsed.text.encode(errors="replace")) if key else len(file.data),
        tags=file.tags,
        dated_at=own_date(metadata) or file.modified_at,
    )
    return _Draft(document, replace(parsed, title=title), digest, reading, file)


def _counted(found: Sequence[_Draft | IngestEvent]) -> Iterator[_Draft | IngestEvent]:
    """Write into the drafts of one whole file how many documents it gave."""
    for each in found:
        if isinstance(each, IngestEvent):
            yield each
        else:
            yield replace(each, reading=replace(each.reading, parts=len(found)))


def _metadata(file: File, parsed: Parsed) -> dict[str, str]:
    """Join what both say; a file cannot claim who handed it in."""
    claimed = {name: value for name, value in parsed.metadata.items() if name != UPLOADED_BY}
    return {**claimed, **file.metadata}


def _line_digest(parsed: Parsed) -> str:
    content = [parsed.title, parsed.text, sorted(parsed.metadata.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _points(work: _Work, dense: _Dense) -> Iterator[Point]:
    """Join each chunk of `work` with its dense vector and its sparse one."""
    for each, sparse in zip(work.chunks, work.prepared.sparse, strict=True):
        yield to_point(work.draft.document, each, Embedding(dense[each.imprint], sparse))


def _not_again(note: Refused) -> IngestEvent:
    reason = f"{note.reason} (it failed {note.attempts} times, and is in quarantine)"
    return IngestEvent(note.uri, Outcome.REJECTED, reason=reason, code=note.code)


def _indexed(work: _Work) -> IngestEvent:
    document = work.draft.document
    notes = "; ".join(work.draft.parsed.warnings)
    if work.chunks:
        outcome, code = Outcome.INDEXED, ""
    else:
        outcome, code, notes = Outcome.EMPTY, "empty", notes or "it holds no text"
    return IngestEvent(
        document.uri, outcome, document.id, chunks=len(work.chunks), reason=notes, code=code
    )


def _ignore(_state: str) -> None:
    """Tell nobody."""
