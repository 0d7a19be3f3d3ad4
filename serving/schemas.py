"""The shapes of the HTTP API, checked by pydantic on the way in and published as OpenAPI.

On the way out `serving/wire.py` builds the same shapes directly; a test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from knowledge.errors import ConfigurationError
from knowledge.formats import MEDIA_TYPES
from knowledge.models import (
    COLLECTION_NAME,
    LONGEST_QUESTION,
    TAG,
    UNFILTERED,
    Backing,
    Effort,
    FeedState,
    Filters,
    GenerationState,
    JobKind,
    JobState,
    Lane,
    Rating,
    Reason,
    Staleness,
    SubmissionState,
    ValueKind,
    Verdict,
)

CollectionName = Annotated[str, StringConstraints(pattern=COLLECTION_NAME)]
DocumentIds = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]],
    Field(min_length=1, max_length=100),
]
AccessToken = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^(everyone|[ug]:[^\x00-\x20\x7f]+)$")
]
MOST_NAMED = 50
"""Values of one filter."""


def _media_type(name: str) -> str:
    """Return the media type that a short name stands for; one in full stands for itself."""
    if "/" not in name and name not in MEDIA_TYPES:
        raise ValueError(f"no such format; known are {', '.join(MEDIA_TYPES)} and media types")
    return MEDIA_TYPES.get(name, name)


def _moment(text: str) -> str:
    """Check a date or time of ISO 8601."""
    _begins(text)
    return text


def _begins(text: str) -> datetime:
    """Return the moment, or the beginning of the day, that `text` names; UTC unless it says so."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ends(text: str) -> datetime:
    """Return the first moment after the one, or the day, that `text` names."""
    if len(text) == len("2026-01-31"):
        return _begins(text) + timedelta(days=1)
    return _begins(text) + timedelta(microseconds=1)


Tag = Annotated[str, StringConstraints(strip_whitespace=True, pattern=TAG)]
Tags = Annotated[list[Tag], Field(max_length=MOST_NAMED)]
MediaType = Annotated[
    str,
    StringConstraints(to_lower=True, strip_whitespace=True, pattern=r"^[!-~]{1,127}$"),
    AfterValidator(_media_type),
]
Language = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[A-Za-z]{2,3}$")]
Identity = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,64}$")]
Moment = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"examples": ["2026-01-31"]}),
    AfterValidator(_moment),
]
Some = Field(None, min_length=1, max_length=MOST_NAMED)
LONGEST_TITLE = 200
QuestionText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION)
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- what comes in ------------------------------------------------------------------------------


class TurnIn(_In):
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    text: str = Field(max_length=32_000)


class DatesIn(_In):
    """A range of time, both ends included; a day is a whole day in UTC."""

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: str | None, info: ValidationInfo) -> str | None:
        since = info.data.get("since")
        if since and until and _begins(since) >= _ends(until):
            raise ValueError("it ends before it begins")
        return until

    @property
    def first(self) -> datetime | None:
        """Return the first moment that fits."""
        return _begins(self.since) if self.since else None

    @property
    def end(self) -> datetime | None:
        """Return the first moment that fits no more."""
        return _ends(self.until) if self.until else None


class FiltersIn(_In):
    """Narrows to documents that fit every field given; where a field names several, to any of them.

    What is not known of a document fits no filter by it.
    """

    sources: list[Identity] | None = Some
    """As documents name theirs."""
    types: list[MediaType] | None = Some
    """Formats such as `pdf`, or media types."""
    languages: list[Language] | None = Some
    """ISO 639-1 codes."""
    tags: list[Tag] | None = Some
    date: DatesIn | None = None
    """The document's own date, where it has one, else when it last changed at its source."""

    def made(self) -> Filters:
        """Return what it means."""
        return _filters(self, self.date or DatesIn())


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _filters(named: FiltersIn | DocumentsIn, dates: DatesIn) -> Filters:
    return Filters(
        sources=_set(named.sources),
        types=_set(named.types),
        languages=_set(named.languages),
        tags=_set(named.tags),
        since=dates.first,
        until=dates.end,
    )


def filters(given: dict[str, Any] | None) -> Filters:
    """Return the filters that JSON names; raises `ConfigurationError` with where it is wrong."""
    if not given:
        return UNFILTERED
    try:
        return FiltersIn.model_validate(given).made()
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


class DocumentsIn(DatesIn):
    """Which documents to list; a list is given by naming its field several times."""

    collection: CollectionName | None = None
    after: Identity | None = None
    limit: int = Field(100, ge=1, le=1000)
    sources: list[Identity] | None = Some
    types: list[MediaType] | None = Some
    languages: list[Language] | None = Some
    tags: list[Tag] | None = Some

    def made(self) -> Filters:
        """Return the filters it names."""
        return _filters(self, self)


class AskIn(_In):
    """A question."""

    question: QuestionText
    collection: CollectionName | None = None
    document_ids: DocumentIds | None = None
    filters: FiltersIn | None = None
    history: list[TurnIn] = Field(default_factory=list, max_length=50)
    effort: Effort | None = None
    stream: StrictBool = False
    conversation: Identity | None = None
    """`new`, or the id of one that is gone on with; its history comes from the service."""
    store: StrictBool = True
    """Whether the answer is kept in the conversation."""

    @field_validator("conversation")
    @classmethod
    def _one_history(cls, conversation: str | None, info: ValidationInfo) -> str | None:
        if conversation is not None and info.data.get("history"):
            raise ValueError("a conversation has its own history")
        return conversation


class RenameIn(_In):
    """Another title."""

    title: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TITLE)
    ]


class FeedbackIn(_In):
    """What somebody says of an answer; whoever runs the service reads it, with the question."""

    rating: Rating
    reason: Reason | None = None
    comment: str = Field("", max_length=2000)
    correction: str = Field("", max_length=8000)
    """What the answer should have been."""


class SearchIn(_In):
    """A search."""

    query: QuestionText
    collection: CollectionName | None = None
    document_ids: DocumentIds | None = None
    filters: FiltersIn | None = None
    limit: StrictInt = Field(10, ge=1, le=100)
    effort: Effort = Effort.LOW
    """At `high`, names that the first passages bring up are searched, too."""
    explain: StrictBool = False
    """Whether to tell how each passage came to its rank."""


class AccessIn(_In):
    """Who may read a document from now on; an empty list is nobody."""

    access: list[AccessToken] = Field(max_length=256)


class TagsIn(_In):
    """The tags of a document from now on."""

    tags: Tags


class IngestIn(_In):
    """Files and folders of this machine to bring up to date."""

    paths: list[str] = Field(min_length=1, max_length=1000)
    collection: CollectionName = "main"
    tags: Tags = Field(default_factory=list)


class SourceIn(_In):
    """A source to keep in sync; a secret in `settings` is written `${env:NAME}`."""

    name: str = Field(min_length=1, max_length=100)
    uri: str = Field(min_length=1, max_length=4000)
    collection: CollectionName = "main"
    access: list[AccessToken] = Field(default_factory=lambda: ["everyone"], max_length=256)
    tags: Tags = Field(default_factory=list)
    settings: dict[str, str] = Field(default_factory=dict, max_length=64)
    every: StrictInt | None = Field(None, ge=0, le=31_536_000)


class SourceChangeIn(_In):
    """What to change of a source; `every` is seconds between syncs, 0 for none."""

    paused: StrictBool | None = None
    every: StrictInt | None = Field(None, ge=0, le=31_536_000)


class SyncIn(_In):
    """How to sync: `dry_run` only tells; `allow_removals` also when most items are gone.

    Without `wait`, whoever syncs by schedule does it next, which needs neither of the two.
    """

    allow_removals: StrictBool = False
    dry_run: StrictBool = False
    wait: StrictBool = True


class ReindexIn(_In):
    """What to do with the generations of the index."""

    action: Literal["build", "back", "discard"]
    golden: str | None = Field(None, max_length=4096)
    """A file of this machine with a question a line; without it, headings are the questions."""
    loss: float = Field(0.02, ge=0, le=1)
    """How much of the golden set's recall@10 the new generation may lose."""
    force: StrictBool = False
    """Switch even so."""


# --- what goes out ------------------------------------------------------------------------------


class ErrorDetail(_Out):
    """What went wrong; `code` is stable, `message` is for people, `field` names a bad input."""

    code: str
    message: str
    field: str | None = None
    retryable: bool | None = None


class ErrorOut(_Out):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class SpanOut(_Out):
    """A half-open range of characters in the revision's text."""

    start: int
    end: int


class BoxOut(_Out):
    """A rectangle on a page, in points from the top left."""

    x0: float
    y0: float
    x1: float
    y1: float


class PassageDocument(_Out):
    """The document a passage is from."""

    id: str
    external_id: str | None
    title: str
    uri: str


class StepOut(_Out):
    """Where a passage stood after one stage, among the passages that the caller may read.

    `meaning` and `words` are the two searches, with a cosine and a BM25 score; `fused` is both;
    `preferred` and `reranked` follow where they are switched on.
    """

    stage: str
    rank: int
    score: float


class PassageOut(_Out):
    """A found passage; `rank` counts from 1, and is the number it is cited by in an answer."""

    document: PassageDocument
    revision: str
    page: int | None
    pages: list[int]
    """All that it lies on; `page` is the first."""
    heading: list[str]
    header: str
    """The header of the table in whose middle it begins; no part of `text`, and not citable."""
    text: str
    span: SpanOut
    rank: int
    explain: list[StepOut] | None = None
    """Only where it was asked for."""


class SearchOut(_Out):
    """Passages, best first."""

    passages: list[PassageOut]


class CitationOut(_Out):
    """A verbatim quote and where it stands."""

    number: int
    document_id: str
    external_id: str | None
    title: str
    uri: str
    revision_id: str
    page: int | None
    box: BoxOut | None
    quote: str
    span: SpanOut
    support: float


class StatementOut(_Out):
    """A sentence of an answer, in characters of its text, and how far what it cites carries it."""

    span: SpanOut
    numbers: list[int]
    backing: Backing
    support: float
    reasons: list[str]


class SideOut(_Out):
    """What one of the documents says that do not agree."""

    value: str
    citation: CitationOut
    """Its number is that of its passage; the answer's text need not have it."""
    dated_at: str | None


class ConflictOut(_Out):
    """Documents that answer the question differently, the latest first."""

    kind: ValueKind
    sides: list[SideOut]


class UsageOut(_Out):
    """Tokens spent by the model."""

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int


class StoredOut(_Out):
    """Where an answer is kept."""

    conversation: str
    answer: str


class AnswerOut(_Out):
    """An answer and what it rests on."""

    text: str
    verdict: Verdict
    citations: list[CitationOut]
    statements: list[StatementOut]
    conflicts: list[ConflictOut]
    model: str
    effort: Effort
    prompt: str
    """The version of the wording that the model was asked with; empty where none was asked."""
    extractive: bool
    fallback_reason: str
    dropped_markers: int
    withheld: int
    repaired: bool
    usage: UsageOut
    timings_ms: dict[str, float]
    stored: StoredOut | None
    """Null: it is not kept."""


class ConversationOut(_Out):
    """A conversation of the caller's."""

    id: str
    title: str
    created_at: str
    updated_at: str


class ConversationsOut(_Out):
    """A page, those last added to first; `next`, when not null, is the `after` of the next page."""

    conversations: list[ConversationOut]
    next: str | None


class ChangeOut(_Out):
    """A piece of the way from an old text to a new one."""

    kind: Literal["same", "removed", "added"]
    text: str


class TraceOut(_Out):
    """What has become of a citation; `gone` is what is absent or may not be read any more."""

    number: int
    state: Staleness
    now: str
    span: SpanOut | None
    diff: list[ChangeOut]


class FeedbackOut(_Out):
    """What somebody said of an answer."""

    rating: Rating
    reason: Reason | None
    comment: str
    correction: str
    given_at: str


class ExchangeOut(_Out):
    """A question and its answer, as the caller may read them today."""

    id: str
    asked_at: str
    question: str
    answer: AnswerOut
    """Without text if it is withheld; a citation that is gone has nothing but its number."""
    withheld: bool
    """Whether it rests on a document that the caller cannot read, or that is no more."""
    traces: list[TraceOut]
    """One for each citation, in order."""
    settings: str
    """A digest of the settings it was made with."""
    feedback: FeedbackOut | None


class OpenConversationOut(ConversationOut):
    """A whole conversation."""

    exchanges: list[ExchangeOut]


class JudgedOut(_Out):
    """A page of answers that have feedback, by id; `next` is the `after` of the next page."""

    feedback: list[ExchangeOut]
    next: str | None


class DocumentOut(_Out):
    """A document; `access` is shown to administrators only."""

    id: str
    external_id: str | None
    title: str
    uri: str
    collection: str
    classification: str
    media_type: str
    metadata: dict[str, str]
    revision: str | None
    size: int
    updated_at: str | None
    source: str
    language: str
    """An ISO 639-1 code; empty: unknown."""
    tags: list[str]
    dated_at: str | None
    """Its own date, else when it last changed at its source."""
    access: list[str] | None = None


class DocumentsOut(_Out):
    """A page of documents; `next`, when not null, is the `after` of the next page."""

    documents: list[DocumentOut]
    next: str | None


class SubmissionOut(_Out):
    """Where an upload stands; `done`, `failed` and `cancelled` are final."""

    id: str
    name: str
    size: int
    collection: str
    access: list[str]
    tags: list[str]
    state: SubmissionState
    reason: str
    documents: list[str]
    received_at: str | None
    status_url: str


class SubmissionsOut(_Out):
    """The caller's latest uploads, newest first."""

    submissions: list[SubmissionOut]


class CollectionOut(_Out):
    """A collection and how many documents in it the caller may read."""

    name: str
    documents: int


class CollectionsOut(_Out):
    """Collections with at least one document that the caller may read."""

    collections: list[CollectionOut]


class FacetOut(_Out):
    """A value that a filter can name, and how many documents fit it that the caller may read."""

    value: str
    name: str
    documents: int


class FacetsOut(_Out):
    """What can be narrowed to: at most fifty values of each kind, the commonest first."""

    sources: list[FacetOut]
    types: list[FacetOut]
    languages: list[FacetOut]
    tags: list[FacetOut]
    first: str | None
    """The earliest date of a document."""
    last: str | None


class RefusedOut(_Out):
    """A file or line that is not indexed; `code` is stable, `reason` is for people."""

    uri: str
    code: str
    reason: str
    quarantined: bool


class RefusalsOut(_Out):
    """What is not indexed, latest first."""

    refusals: list[RefusedOut]


class GapOut(_Out):
    """A document of which little or nothing can be found; `reasons` are for people."""

    document_id: str
    uri: str
    title: str
    collection: str
    share: float
    """The part of its known content that was extracted, 0..1."""
    reasons: list[str]


class CoverageOut(_Out):
    """A page of documents; `next`, when not null, is the `after` of the next page."""

    documents: list[GapOut]
    next: str | None


class FreshnessOut(_Out):
    """Seconds from a change at the source to being searchable, over the latest of each item."""

    documents: int
    changes: int
    p50: float | None
    p95: float | None


class SourceOut(_Out):
    """A source that is kept in sync, and how its last sync went."""

    id: str
    name: str
    kind: str
    uri: str
    collection: str
    access: list[str]
    tags: list[str]
    settings: dict[str, str]
    every: int | None
    paused: bool
    state: FeedState
    error: str
    counts: dict[str, int]
    freshness: FreshnessOut
    added_at: str | None
    due_at: str | None
    started_at: str | None
    finished_at: str | None
    synced_at: str | None


class SourcesOut(_Out):
    """The sources that are kept in sync, by name."""

    sources: list[SourceOut]


class RemovedOut(_Out):
    """How many documents went with what was removed."""

    removed: int


class QuarantinedOut(_Out):
    """A file that failed and is not tried again until it, or its parser, changes."""

    id: str
    uri: str
    code: str
    reason: str
    attempts: int
    first_seen_at: str
    seen_at: str
    digest: str
    tried_with: str
    quarantined: bool


class QuarantineOut(_Out):
    """What is not tried again, latest first."""

    quarantine: list[QuarantinedOut]


class JobOut(_Out):
    """Where a piece of work stands; `done`, `failed`, `dead` and `cancelled` are final."""

    id: str
    kind: JobKind
    subject: str
    name: str
    state: JobState
    reason: str
    lane: Lane
    attempts: int
    done: int
    total: int
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    next_at: str | None
    status_url: str


class JobsOut(_Out):
    """Jobs, newest first."""

    jobs: list[JobOut]


class GenerationOut(_Out):
    """An index of its own, made by one model, chunk size and parser from all documents."""

    number: int
    state: GenerationState
    versions: str
    model: str
    chunk_tokens: int
    documents: int
    of: int
    started_at: str
    switched_at: str | None
    recall_before: float | None
    recall_after: float | None


class GenerationsOut(_Out):
    """The generations of the index, the newest first."""

    generations: list[GenerationOut]


class HealthOut(_Out):
    """`ok` when questions can be answered; `parts` says which part is at fault otherwise."""

    status: Literal["ok", "unavailable"]
    version: str
    parts: dict[str, str]
