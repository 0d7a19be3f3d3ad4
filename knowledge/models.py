"""The nouns of Footnote: a glossary in frozen dataclasses, standard library only.

Stored things (`Chunk`) and found things (`Passage`) are two types. Ids are derived with uuid5, so
that ingesting the same thing twice changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

NAMESPACE = uuid.UUID("6f1d5b1c-5d0e-5c1f-9a55-0d0c5f007e0e")
EVERYONE = "everyone"
DEFAULT_COLLECTION = "main"
COLLECTION_NAME = r"^[^\x00-\x1f\x7f/\\]{1,100}$"
"""What a collection may be called: no control characters, no slashes."""
TAG = r"^[^\x00-\x1f\x7f]{1,100}$"
"""What a tag may be: no control characters."""
LONGEST_QUESTION = 8000
"""Characters."""


def derive_id(*parts: str) -> str:
    """Derive a stable uuid5 from `parts`; each part is length-prefixed, so no two lists collide."""
    return str(uuid.uuid5(NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts)))


# --- who asks -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks; made by the server from a key or the loopback rule, never sent by a client."""

    user: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    def tokens(self) -> frozenset[str]:
        """Return the access tokens this principal holds; none for an unknown (empty) user."""
        if not self.user:
            return frozenset()
        return frozenset({EVERYONE, f"u:{self.user}", *(f"g:{group}" for group in self.groups)})

    def has_role(self, role: str) -> bool:
        """Say whether the principal holds `role`."""
        return role in self.roles


NOBODY = Principal(user="")


# --- what is stored -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of characters `[start, end)` in a revision's text."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: {self.start}..{self.end}")

    def cut(self, text: str) -> str:
        """Return the characters of `text` that the span covers."""
        return text[self.start : self.end]

    def overlaps(self, other: Span) -> bool:
        """Say whether the two spans share at least one character."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page in points (1/72 inch), origin at the top left, y growing downwards."""

    x0: float
    y0: float
    x1: float
    y1: float


class BlockKind(StrEnum):
    """What a block is in the document's structure."""

    TITLE = "title"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE = "table"
    """One row of a table; `Block.table` says of which, `Block.header` where its header stands."""
    CAPTION = "caption"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, paragraph, table …: its place in the revision's text and on the page."""

    kind: BlockKind
    span: Span
    page: int | None = None
    """1-based; a slide number in presentations; None where the format has no pages."""
    box: Box | None = None
    heading: tuple[str, ...] = ()
    """The path of headings above this block, outermost first; a heading's own text is included."""
    table: int | None = None
    """The number of the table in its document that a row belongs to, from 1; None for the rest."""
    header: Span | None = None
    """The header rows of that table; None in the header itself and in a table without one."""
    place: str = ""
    """The cells of a row in a spreadsheet, such as `Costs!A7:F7`; empty elsewhere."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what a file holds came through its parser, as far as that can be told."""

    pages: int = 0
    """0 where the format has none."""
    empty_pages: tuple[int, ...] = ()
    """Pages, from 1, that gave no text, neither from a text layer nor by recognition."""
    layer_characters: int = 0
    """Characters other than white space in the file's own text layer; 0: not known."""
    characters: int = 0
    """Characters other than white space that were extracted, recognised ones included."""
    ocr_pages: tuple[int, ...] = ()
    """Pages, from 1, whose text was recognised in an image."""
    ocr_confidence: float | None = None
    """Mean certainty of the recognised words, 0..1; None without recognition."""
    tables: int = 0
    skipped_bytes: int = 0
    """Of embedded things that were not read: pictures, attachments of unknown formats."""

    @property
    def share(self) -> float:
        """Return the part of the known content that was extracted, 0..1; empty pages count."""
        text = min(1.0, self.characters / self.layer_characters) if self.layer_characters else 1.0
        return text * (1 - len(self.empty_pages) / self.pages) if self.pages else text


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a parser made of one file, of one part of it, or of one line of a JSON-lines file."""

    title: str
    text: str
    blocks: tuple[Block, ...]
    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    """Why one line of a JSON-lines file could not be read; then `text` is empty."""
    part: str = ""
    """The name of a document within the file, such as an attachment's; empty for the file itself.

    Unique in the file; the file itself comes before its parts.
    """
    coverage: Coverage = Coverage()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parser said of a document besides its text and blocks; kept, so that none is lost."""

    title: str = ""
    """Empty where it only repeats the name of the file."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What it warned of."""
    part: str = ""
    parts: int = 0
    """How many documents the file gave, this one included; 0: not known."""
    job: str = ""
    """The upload's job that brought it; one that is cancelled takes it away again."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A MinHash signature of a text, and how like another's one must be to be of its family."""

    numbers: tuple[int, ...]
    """128 numbers below 2**32."""
    threshold: float
    """Of the Jaccard similarity that two signatures estimate."""


@dataclass(frozen=True, slots=True)
class Source:
    """A place documents come from: a folder, an upload area, a connector."""

    id: str
    kind: str
    uri: str
    collection: str = DEFAULT_COLLECTION


@dataclass(frozen=True, slots=True)
class Document:
    """One thing at a source; what it says is in its live revision."""

    id: str
    source_id: str
    uri: str
    title: str
    collection: str
    access: frozenset[str]
    """Tokens of those who may read it: `everyone`, `u:<user>`, `g:<group>`; empty is nobody."""
    external_id: str | None = None
    classification: str = "internal"
    media_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    live_revision: str | None = None
    size: int = 0
    updated_at: datetime | None = None
    language: str = ""
    """An ISO 639-1 code, as `knowledge.language_code` tells it; empty: unknown."""
    tags: frozenset[str] = frozenset()
    """Words that people have given it."""
    dated_at: datetime | None = None
    """Its own date, else when it last changed at its source; None: nobody could say."""
    family: str = ""
    """The same for documents that say nearly the same; empty: too short to tell.

    It may be named for one that its reader may not read, so it is not shown.
    """


class RevisionState(StrEnum):
    """How far a revision has come; only the catalog's live pointer makes it visible."""

    RECEIVED = "received"
    PARSED = "parsed"
    EMBEDDED = "embedded"
    UPSERTED = "upserted"
    LIVE = "live"
    STANDBY = "standby"
    """Complete, in the index of a generation that is being built or was live before."""
    DEAD = "dead"
    """Superseded or removed; its points are still to be cleaned away."""


class GenerationState(StrEnum):
    """Where a generation stands; at most one is of each state."""

    BUILDING = "building"
    LIVE = "live"
    FORMER = "former"
    """Live before the present one, and kept whole so that one can go back to it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An index of its own, made by one embedder, chunker and parser from all live documents."""

    number: int
    """From 1; the index of a later one lies beside the first."""
    versions: str
    """Everything that shapes a revision besides its bytes."""
    model: str
    """The folder of its embedding model; empty for the bundled one."""
    dimension: int
    """Of its dense vectors."""
    chunk_tokens: int
    state: GenerationState
    started_at: datetime
    switched_at: datetime | None = None
    recall_before: float | None = None
    """recall@10 of the golden set in what was live when this one was ready; None: not measured."""
    recall_after: float | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """One content of a document: who parsed it, and the text that quotes are cut from."""

    id: str
    document_id: str
    digest: str
    """sha256 (hex) of the bytes that were read."""
    text: str
    blocks: tuple[Block, ...]
    parser: str
    chunker: str
    seen_at: datetime
    coverage: Coverage = Coverage()
    reading: Reading = Reading()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a revision that is embedded; its text is always `span.cut(revision.text)`."""

    id: str
    revision_id: str
    ordinal: int
    span: Span
    heading: tuple[str, ...] = ()
    page: int | None = None
    header: str = ""
    """The header of the table in whose middle it begins; embedded with it, no part of it."""
    imprint: str = ""
    """Names what is embedded for it and by which model: equal ones have equal vectors."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A live document of which little or nothing can be found, and why, in words."""

    document_id: str
    uri: str
    title: str
    collection: str
    share: float
    """The part of its known content that was extracted, 0..1."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Weights per term id; `indices` are unique unsigned 32-bit numbers, both of equal length."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


NO_WORDS = SparseVector((), ())
"""Of a search by meaning alone."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text as it will be indexed, but for its dense vectors; of no revision yet."""

    chunks: tuple[Chunk, ...]
    texts: tuple[str, ...]
    """What is embedded, one per chunk."""
    sparse: tuple[SparseVector, ...]
    """One per chunk."""
    sketch: Sketch | None
    language: str
    """ISO 639-1; empty: unknown."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """The two vectors a text is searched by; `dense` has unit length."""

    dense: tuple[float, ...]
    sparse: SparseVector


@dataclass(frozen=True, slots=True)
class Point:
    """What the index keeps of a chunk: its vectors and the payload that filters use."""

    chunk_id: str
    document_id: str
    revision_id: str
    collection: str
    access: frozenset[str]
    embedding: Embedding
    source_id: str = ""
    media_type: str = ""
    language: str = ""
    tags: frozenset[str] = frozenset()
    dated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """What the index found: an id and a score, never text; higher scores are better."""

    chunk_id: str
    score: float


@dataclass(frozen=True, slots=True)
class TermStatistics:
    """A frozen snapshot of how many chunks hold each term, over chunks everyone may read."""

    generation: int
    chunks: int
    frequencies: Mapping[int, int]


# --- how it comes in ----------------------------------------------------------------------------


class SubmissionState(StrEnum):
    """Where an upload stands; `done`, `failed` and `cancelled` are final."""

    RECEIVED = "received"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Submission:
    """A file that was handed in and is kept until it is indexed or refused with a reason."""

    id: str
    name: str
    digest: str
    size: int
    collection: str
    access: frozenset[str]
    submitted_by: str
    state: SubmissionState = SubmissionState.RECEIVED
    reason: str = ""
    document_ids: tuple[str, ...] = ()
    attempts: int = 0
    received_at: datetime | None = None
    tags: frozenset[str] = frozenset()
    """To be given to what it becomes."""


class JobKind(StrEnum):
    """What a job does."""

    UPLOAD = "upload"
    """Its subject is a submission, whose id it shares."""
    SYNC = "sync"
    """Its subject is a source that is kept in sync."""


class JobState(StrEnum):
    """Where a job stands; `done`, `failed`, `dead` and `cancelled` are final."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    RETRYING = "retrying"
    """It waits for `Job.next_at`, since something that it needs did not answer."""
    DONE = "done"
    FAILED = "failed"
    """What it was given cannot be used; `Job.reason` says what to do."""
    DEAD = "dead"
    """Given up for no known fault of what it was given; kept, and may be retried."""
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Say whether nothing more happens by itself."""
        return self in (JobState.DONE, JobState.FAILED, JobState.DEAD, JobState.CANCELLED)


class Lane(StrEnum):
    """Where a job queues, so that what is quick never waits behind what is not."""

    QUICK = "quick"
    LARGE = "large"
    BULK = "bulk"


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that survives its worker; coarse, and safe to be done over."""

    id: str
    kind: JobKind
    subject: str
    name: str
    """What people call the subject: a file's name, a source's."""
    owner: str
    """Who handed it in and may look at it; empty: nobody but administrators."""
    state: JobState = JobState.WAITING
    reason: str = ""
    lane: Lane = Lane.QUICK
    attempts: int = 0
    """How often it was begun."""
    stops: int = 0
    """How often its worker ended in the middle of it."""
    run: int = 0
    """Counts up whenever it is queued anew; an earlier run that comes late does nothing."""
    done: int = 0
    """Documents."""
    total: int = 0
    """0: not known."""
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_at: datetime | None = None
    """When it is tried again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file or line that is not indexed, and why; quarantined ones are not tried again."""

    id: str
    source_id: str
    uri: str
    code: str
    reason: str
    seen_at: datetime
    first_seen_at: datetime
    attempts: int = 0
    """How often this content failed in this parser; 0 where that was not looked at."""
    digest: str = ""
    tried_with: str = ""
    """The parser's version and limits."""
    quarantined: bool = False


class Outcome(StrEnum):
    """How one document ended in an ingest run."""

    INDEXED = "indexed"
    UNCHANGED = "unchanged"
    EMPTY = "empty"
    """Readable, but without any text: kept in the catalog, not searchable, reported."""
    MOVED = "moved"
    """At another place of its source now: the same document, with the rights it had."""
    REMOVED = "removed"
    REJECTED = "rejected"
    """Not indexed; `IngestEvent.reason` says why and what to do."""


@dataclass(frozen=True, slots=True)
class IngestEvent:
    """One line of progress of an ingest run; written only after its effect is durable."""

    uri: str
    outcome: Outcome
    document_id: str | None = None
    chunks: int = 0
    reason: str = ""
    code: str = ""
    """Machine-readable reason, such as `encrypted`, `too_large`, `unsupported`."""
    done: int = 0
    total: int = 0


# --- what is kept in sync -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a source lists: a file, an object, a page."""

    uri: str
    """Without a `#`, which marks a part within the item."""
    name: str
    """A file name: its ending says the format, and its stem stands in for a missing title."""
    media_type: str = "application/octet-stream"
    size: int = 0
    """Bytes, as far as the source says."""
    fingerprint: str = ""
    """Equal fingerprints mean equal bytes; empty when the source cannot vouch for that."""
    modified_at: datetime | None = None
    """When it last changed at its source."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    """What its connector reads it by."""
    code: str = ""
    reason: str = ""
    """Why it is left out, with a `code`; else both are empty."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds at one moment."""

    items: Sequence[Item]
    gaps: tuple[str, ...] = ()
    """What could not be seen: uris with everything below them; `""` is the whole source."""
    note: str = ""
    """Why there are gaps."""
    cursor: str = ""
    """Handed to the next listing."""


@dataclass(frozen=True, slots=True)
class KeptItem:
    """What is remembered of an item that was brought in."""

    uri: str
    seed: str
    """What the ids of its documents derive from: the uri it was first seen at."""
    fingerprint: str
    digest: str
    """sha256 (hex) of its bytes."""
    versions: str
    documents: int
    """How many live documents it had then."""
    feed_id: str | None = None
    modified_at: datetime | None = None
    indexed_at: datetime | None = None
    """When its present content became searchable."""
    lag: float | None = None
    """Seconds from the change at the source to `indexed_at`; None where nobody could say."""


class FeedState(StrEnum):
    """How the last sync of a feed went."""

    NEVER = "never"
    RUNNING = "running"
    OK = "ok"
    PARTLY = "partly"
    """Not all could be seen, or removals were held back; the error says which."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Feed:
    """A source that somebody asked to have kept in sync, and how that goes."""

    id: str
    name: str
    kind: str
    """folder, s3, webdav, smb, web or reader."""
    uri: str
    collection: str = DEFAULT_COLLECTION
    access: frozenset[str] = frozenset({EVERYONE})
    """Who may read the documents it brings; one that an administrator has set stays."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """No secrets: `${env:NAME}` stands for FOOTNOTE_SECRET_NAME."""
    every: int | None = None
    """Seconds between syncs; None: only when asked."""
    paused: bool = False
    added_at: datetime | None = None
    due_at: datetime | None = None
    state: FeedState = FeedState.NEVER
    started_at: datetime | None = None
    finished_at: datetime | None = None
    synced_at: datetime | None = None
    """When the last sync that saw everything began: what is searchable is as of then."""
    error: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Outcomes of the last sync."""
    tags: frozenset[str] = frozenset()
    """Given to the documents it brings, beside those that they have."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long changes of a feed took from the source to being searchable, in seconds."""

    documents: int
    changes: int
    """Items whose delay is known."""
    p50: float | None = None
    p95: float | None = None


# --- a question on its way ----------------------------------------------------------------------


class Effort(StrEnum):
    """How long the model may think."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: str
    """`user` or `assistant`."""
    text: str


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search or a list is narrowed to, besides collection and documents.

    A document fits when it fits every field that is not None: where several values are given, one
    of them has to be its own. What is unknown of it fits none. An empty field is refused with
    `ValueError`: it would fit nothing, and somebody could take it for everything.
    """

    sources: frozenset[str] | None = None
    types: frozenset[str] | None = None
    """Media types."""
    languages: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    since: datetime | None = None
    """The first moment that fits."""
    until: datetime | None = None
    """The first moment that fits no more."""

    def __post_init__(self) -> None:
        for values in (self.sources, self.types, self.languages, self.tags):
            if values is not None and not (values and all(values)):
                raise ValueError("a filter by nothing at all")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("a filter by a time that ends before it begins")

    def admit(self, document: Document) -> bool:
        """Say whether the document fits."""
        return (
            (self.sources is None or document.source_id in self.sources)
            and (self.types is None or document.media_type in self.types)
            and (self.languages is None or document.language in self.languages)
            and (self.tags is None or not self.tags.isdisjoint(document.tags))
            and self._admit_date(document.dated_at)
        )

    def _admit_date(self, moment: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        return (
            moment is not None
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment < self.until)
        )


UNFILTERED = Filters()


@dataclass(frozen=True, slots=True)
class Facet:
    """A value that readable documents have, and how many of them."""

    value: str
    documents: int
    name: str
    """What people call it; of a source how the uris of its readable documents begin."""


@dataclass(frozen=True, slots=True)
class Facets:
    """What `Filters` can name that fits something, the commonest first, and a range of dates."""

    sources: tuple[Facet, ...] = ()
    """Without uploads, each of which is one of its own."""
    types: tuple[Facet, ...] = ()
    languages: tuple[Facet, ...] = ()
    tags: tuple[Facet, ...] = ()
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know."""

    text: str
    collection: str | None = None
    history: tuple[Turn, ...] = ()
    effort: Effort = Effort.LOW
    document_ids: tuple[str, ...] | None = None
    """Only look into these; None: into all."""
    filters: Filters = UNFILTERED
    query: str = ""
    """What to search with, where somebody has written it; else it is made of the user's turns."""
    asker: str = ""
    """Who waits for the answer, so that the model serves all in turn; says nothing of rights."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a passage stood after one stage of ranking, among the passages that may be read."""

    stage: str
    rank: int
    """From 1."""
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found for a question; never stored. `rank` counts from 1."""

    chunk_id: str
    document: Document
    revision_id: str
    span: Span
    text: str
    rank: int
    score: float
    heading: tuple[str, ...] = ()
    page: int | None = None
    blocks: tuple[Block, ...] = ()
    """Blocks that overlap `span`, in order; they give a quote its page and box."""
    header: str = ""
    """The header of the table in whose middle the passage begins; not part of `text`."""
    steps: tuple[Step, ...] = ()
    """How it came to its rank."""

    def cut(self, span: Span) -> str:
        """Return the characters that `span`, in characters of the revision, covers."""
        return self.text[span.start - self.span.start : span.end - self.span.start]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a passage in its revision: `text` is the revision's own, at `span`."""

    span: Span
    text: str
    blocks: tuple[Block, ...]
    chunks: tuple[Chunk, ...]
    """All that lie within `span`, in order, the passage's own among them."""

    def cut(self, span: Span) -> str:
        """Return the characters that `span`, in characters of the revision, covers."""
        return self.text[span.start - self.span.start : span.end - self.span.start]


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A number that was worked out from numbers of documents."""

    value: str
    """In figures."""
    inputs: tuple[tuple[str, Span], ...]
    """Where those stand: a revision, and the line in its text."""

    def rests_on(self, passages: Sequence[Passage]) -> bool:
        """Say whether these passages hold everything it was worked out from."""
        return all(
            any(
                passage.revision_id == revision
                and passage.span.start <= span.start
                and span.end <= passage.span.end
                for passage in passages
            )
            for revision, span in self.inputs
        )


@dataclass(frozen=True, slots=True)
class Context:
    """The passages that fit the model's budget; passage i (from 0) is cited as number i + 1."""

    question: Question
    passages: tuple[Passage, ...]
    tokens: int = 0
    reckoned: tuple[Reckoned, ...] = ()
    """What the model had worked out on the way; a sentence may say it that cites its inputs."""
    found: tuple[str, ...] = ()
    """Ids of all chunks that the search found, best first: what else there is on the subject."""


# --- an answer ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote that resolves: `quote == span.cut(text of the revision)`, always."""

    number: int
    document_id: str
    title: str
    uri: str
    revision_id: str
    quote: str
    span: Span
    support: float
    """How far the quote carries the cited sentence, 0..1."""
    page: int | None = None
    box: Box | None = None
    external_id: str | None = None


class Backing(StrEnum):
    """How far a sentence of an answer is carried by the passages it cites."""

    SUPPORTED = "supported"
    PARTLY = "partly"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of an answer that claims something, held against what it cites."""

    span: Span
    """In characters of the answer's text; its marks are part of it."""
    numbers: tuple[int, ...]
    """The passages it cites."""
    backing: Backing
    support: float
    """How far the best quote carries it, 0..1."""
    reasons: tuple[str, ...] = ()
    """What is missing, such as `uncited`, `weak`, `number:15`, `name:Lee`, `negation`."""


@dataclass(frozen=True, slots=True)
class Inference:
    """How surely one text follows from another, and how surely it is denied by it, 0..1."""

    follows: float
    denied: float


class Unsupported(StrEnum):
    """What becomes of sentences that what they cite does not carry."""

    MARK = "mark"
    """They are shown, and marked."""
    WITHHOLD = "withhold"
    """They are left out; where nothing else is left, nothing was found."""
    REPAIR = "repair"
    """The model is asked once to correct them; what is still not carried is marked."""


class ValueKind(StrEnum):
    """What a question asks for, where sources can be compared by it."""

    DATE = "date"
    NUMBER = "number"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the documents that do not agree, and what it says."""

    value: str
    """What others say differently, as it is written."""
    citation: Citation
    dated_at: datetime | None = None
    """The document's own date, else when it was last taken in; None: not known."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Documents that answer the same question differently; which is right is not decided."""

    kind: ValueKind
    sides: tuple[Side, ...]
    """Two or more, the latest first."""


class Verdict(StrEnum):
    """What kind of answer it is."""

    ANSWERED = "answered"
    """Every statement is supported."""
    PARTLY = "partly"
    """Some are, or it says itself that something is missing."""
    UNSUPPORTED = "unsupported"
    """No statement is carried by what it cites, and the site shows such answers."""
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens spent; reasoning tokens are part of the completion tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; nothing of it has been checked."""

    id: str
    name: str
    arguments: str
    """JSON, if the model wrote it well."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a generator's stream; reasoning is kept apart and never shown to staff."""

    text: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    call: ToolCall | None = None
    """A tool to be called; only from a model that was offered tools."""
    waiting: int = 0
    """Its place in the line before the model, from 1; 0: its turn has come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says, and what it rests on."""

    text: str
    citations: tuple[Citation, ...]
    verdict: Verdict
    model: str
    effort: Effort
    extractive: bool
    """True when the text consists of sentences quoted from the documents, with no model writing."""
    fallback_reason: str = ""
    """Why the extractive writer stepped in for the model; empty when it did not."""
    dropped_markers: int = 0
    """Citation marks the model wrote that pointed at nothing; removed from the text."""
    usage: Usage = Usage()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    prompt: str = ""
    """The version of the wording that the model was asked with; empty where none was asked."""
    statements: tuple[Statement, ...] = ()
    """Its sentences that claim something, in order; lead-ins and headings claim nothing."""
    withheld: int = 0
    """Sentences left out since what they cited did not carry them."""
    repaired: bool = False
    """Whether the model was asked again for sentences that nothing carried, and did better."""
    conflicts: tuple[Conflict, ...] = ()
    """Where another document says something else than one that is cited."""


# --- what is kept of conversations --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions of one person that follow upon each other; nobody else sees that it exists."""

    id: str
    owner: str
    """A user's id."""
    title: str
    created_at: datetime
    updated_at: datetime
    """When it was last added to."""


class Rating(StrEnum):
    """Whether an answer helped."""

    UP = "up"
    DOWN = "down"


class Reason(StrEnum):
    """What is wrong with an answer, or right."""

    CORRECT = "correct"
    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    WRONG_SOURCE = "wrong_source"
    """What it cites does not carry it, or is not what one would cite."""
    OUTDATED = "outdated"
    NOT_FOUND_BUT_EXISTS = "not_found_but_exists"
    UNCLEAR = "unclear"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says of an answer that was given to him."""

    rating: Rating
    given_at: datetime
    reason: Reason | None = None
    comment: str = ""
    correction: str = ""
    """What the answer should have been."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and the answer that was given, as they are kept; its id is the answer's.

    No reasoning is part of it, and no passage beyond the quotes.
    """

    id: str
    conversation_id: str
    asked_at: datetime
    question: str
    answer: Answer
    rests_on: frozenset[str] = frozenset()
    """Ids of all documents that its words may come from, those of earlier answers included."""
    settings: str = ""
    """A digest of the settings it was made with."""
    feedback: Feedback | None = None


class Staleness(StrEnum):
    """What has become of a quote since it was cited."""

    UNCHANGED = "unchanged"
    MOVED = "moved"
    """It says the same at another place."""
    CHANGED = "changed"
    """It says something else, or nothing like it is left."""
    GONE = "gone"
    """Its document is absent, or this reader may not read it; the two look the same on purpose."""


@dataclass(frozen=True, slots=True)
class Change:
    """A piece of the way from an old text to a new one."""

    kind: str
    """`same`, `removed` or `added`."""
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """How a citation stands today, in the live revision of its document."""

    number: int
    """The citation's."""
    state: Staleness
    now: str = ""
    """What is nearest to the quote today; empty where that is the quote itself, or nothing."""
    span: Span | None = None
    """Where that is, in characters of the live revision."""
    diff: tuple[Change, ...] = ()
    """From the quote to `now`; only where it has changed."""
