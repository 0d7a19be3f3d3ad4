"""The doors of Footnote: what the stories need from the world, as Protocols.

The real doors are opened in `footnote/wiring/` and nowhere else; the fakes live in
`tests/fakes.py` and pass the same contract suites. All doors but `Generator` are synchronous.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from knowledge.access import AccessFilter
from knowledge.models import (
    UNFILTERED,
    Block,
    Chunk,
    Context,
    Conversation,
    Delta,
    Document,
    Embedding,
    Exchange,
    Facets,
    Feed,
    Feedback,
    FeedState,
    Filters,
    Freshness,
    Generation,
    GenerationState,
    Hit,
    Inference,
    IngestEvent,
    Item,
    Job,
    JobState,
    KeptItem,
    Lane,
    Listing,
    Parsed,
    Passage,
    Point,
    Prepared,
    Principal,
    Refused,
    Revision,
    RevisionState,
    Sketch,
    Source,
    Span,
    SparseVector,
    Submission,
    Surroundings,
    TermStatistics,
)


class Parser(Protocol):
    """Turns the bytes of one file into text and blocks, in a jail; knows no names of ours."""

    version: str
    """Changes when the same bytes could give other blocks; stored with each revision."""

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        """Yield one `Parsed` per document in the file (many for JSON lines).

        Raises an `IngestError` with a code; never anything else, whatever the bytes are.
        """


class Embedder(Protocol):
    """Turns text into unit-length vectors, and knows where its own tokens lie in a text."""

    name: str
    dimension: int
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return one vector per text, in order; texts beyond `max_tokens` are cut."""

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of every token of `text`, in order, without special tokens."""


class Reranker(Protocol):
    """Reads a query and a text together; slower than a search, and finer."""

    def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text fits, in order; higher is better."""


class Judge(Protocol):
    """Reads a quote and a claim together, and says whether the claim follows."""

    def infer(self, pairs: Sequence[tuple[str, str]]) -> list[Inference]:
        """Say of each pair how surely the second text follows from the first, in order."""


class SparseEncoder(Protocol):
    """Turns text into term weights (BM25); term ids are stable across processes and machines."""

    version: str

    def encode_passage(self, text: str, title: str = "") -> SparseVector:
        """Weigh the terms of a passage, those of its title more; independent of all others."""

    def encode_query(self, text: str, statistics: TermStatistics) -> SparseVector:
        """Weigh the terms of a query by how rare they are in `statistics`."""


class Preparer(Protocol):
    """Cuts a text into chunks, weighs their terms, and tells its language and what it is like."""

    def prepare(self, parsed: Parsed, *, most: int | None = None) -> Prepared:
        """Return all that is indexed of a text but dense vectors.

        Raises `TooLarge` with the code `too_many_passages` when it makes more than `most` chunks.
        """


class Index(Protocol):
    """The vector store: disposable, rebuilt from the catalog; never says what is visible."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points; durable and searchable on return. Raises `IndexUnavailable`."""

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return the dense vectors of the points that are there, as far as they are."""

    def search(self, embedding: Embedding, access: AccessFilter, *, limit: int) -> list[Hit]:
        """Fuse dense and sparse search (RRF) under `access`; best first, at most `limit`."""

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        """Search by meaning and by words under `access`, each best first, at most `limit`.

        The scores are cosines, and sums of products of term weights, of those that share a term.
        """

    def count(self, revision_id: str | None = None) -> int:
        """Return how many points of a revision, or in all, are stored."""

    def delete(self, revision_ids: Sequence[str]) -> None:
        """Delete all points of the revisions; absent ones are no error."""

    def relabel(self, *documents: Document) -> None:
        """Give all points of documents what filters go by as it is now, their rights above all."""

    def close(self) -> None:
        """Release files and connections."""


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """The doors that belong together: what these encoders make, this index finds."""

    embedder: Embedder
    sparse: SparseEncoder
    index: Index
    generation: int = 1


class Library(Protocol):
    """The reading side of the catalog; every call is made on behalf of a principal."""

    def passages(
        self,
        hits: Sequence[Hit],
        principal: Principal,
        *,
        collection: str | None = None,
        document_ids: Collection[str] | None = None,
        filters: Filters = UNFILTERED,
    ) -> list[Passage]:
        """Return the hits that are live and readable now, in the order of `hits`, ranked from 1.

        This is the second key: the index is never trusted about visibility.
        """

    def surroundings(
        self, passages: Sequence[Passage], principal: Principal, *, reach: int
    ) -> dict[str, Surroundings]:
        """Map chunk ids to `reach` chunks either way; what is no longer live or readable is absent.

        A passage may have been cut since it was found; its chunk counts.
        """

    def blocks(self, revision_id: str, span: Span, principal: Principal) -> tuple[Block, ...]:
        """Return the blocks of a readable revision that overlap `span`, in order."""

    def document(self, document_id: str, principal: Principal) -> Document:
        """Return a readable document with a live revision; raises `NotFound` else."""

    def documents(
        self,
        principal: Principal,
        *,
        collection: str | None,
        after: str | None,
        limit: int,
        filters: Filters = UNFILTERED,
    ) -> list[Document]:
        """List readable live documents by id, beginning after the id `after`."""

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        """Map those documents that are live and readable now to their live revisions."""

    def revision(self, document_id: str, principal: Principal) -> Revision:
        """Return the live revision of a readable document; raises `NotFound` else."""

    def reads_file(self, document: Document, principal: Principal) -> bool:
        """Say whether the principal may read all documents of the file that this one came from."""

    def collections(self, principal: Principal) -> dict[str, int]:
        """Return the collections with at least one readable document, and how many it has."""

    def facets(self, principal: Principal, *, collection: str | None = None) -> Facets:
        """Return what the documents that the principal may read can be narrowed to."""

    def statistics(self, collection: str | None) -> TermStatistics:
        """Return the frozen term statistics of one collection, or of all together."""


class Conversations(Protocol):
    """What was asked and answered, each person's own; knows nothing of rights to documents.

    Whatever is another's raises `NotFound`, exactly like what does not exist.
    """

    def keep(self, exchange: Exchange, *, owner: str, title: str = "") -> None:
        """Store an exchange durably, at the end of its conversation.

        With a `title` the conversation begins with it, else it must be there: `NotFound`.
        """

    def conversations(
        self, owner: str, *, after: str | None = None, limit: int = 100
    ) -> list[Conversation]:
        """List them, those last added to first, beginning after the id `after`."""

    def conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Return one."""

    def exchanges(
        self, conversation_id: str, owner: str, *, latest: int | None = None
    ) -> list[Exchange]:
        """Return the exchanges of a conversation in order, or only the `latest` so many."""

    def exchange(self, exchange_id: str, owner: str) -> Exchange:
        """Return one."""

    def rename(self, conversation_id: str, owner: str, title: str) -> Conversation:
        """Give it another title."""

    def drop(self, conversation_id: str, owner: str) -> None:
        """Delete it with all that it holds, feedback included."""

    def judge(self, exchange_id: str, owner: str, feedback: Feedback) -> None:
        """Store what somebody says of an answer; it replaces what he said before."""

    def judged(self, *, after: str | None = None, limit: int = 100) -> list[Exchange]:
        """List everybody's exchanges that have feedback by id, beginning after the id `after`."""

    def drop_conversations(self, *, before: datetime) -> int:
        """Delete what was last added to before then; return how many."""


class Ledger(Protocol):
    """The writing side of the catalog: revisions come, become visible in one row, and go.

    The order for each document is `receive`, `store_parsed`, `mark` …, `switch`; then the points of
    the dead revisions are deleted and `forget` drops their rows.
    """

    def transaction(self) -> AbstractContextManager[object]:
        """Make this thread's calls inside the block one durable transaction: all of them or none.

        Keep it short: other writers wait. Nothing is parsed, embedded or upserted inside.
        """

    def ensure_source(self, source: Source) -> None:
        """Store the source unless it is there."""

    def known(self, source_id: str) -> dict[str, str]:
        """Map each live document id of a source to its digest."""

    def receive(self, document: Document, *, digest: str, versions: str) -> str:
        """Store the document (not yet visible) and a new revision; return the revision's id.

        A live document keeps its access list, title and uri until `switch`.
        """

    def store_parsed(
        self,
        revision: Revision,
        chunks: Sequence[Chunk],
        terms: Sequence[Sequence[int]],
        sketch: Sketch | None = None,
    ) -> None:
        """Store text, blocks, chunks and the distinct term ids of each chunk.

        With a `sketch`, find the family: that of the oldest text which is as like as it says.
        """

    def mark(self, revision_id: str, state: RevisionState) -> None:
        """Write down how far a revision has come."""

    def switch(
        self, document: Document, revision_id: str, *, generation: int | None = None
    ) -> None:
        """Make the revision the live one, in one transaction; the former live one becomes dead.

        A note of `reject` for its uri is dropped. A document that was live keeps its access list,
        and its tags beside those that `document` brings; where that differs from what the new
        points carry, it is listed by `labels_to_copy`. Raises `IngestError` with code `superseded`,
        and changes nothing, when the revision was removed or abandoned meanwhile, or a later one is
        live; so do `store_parsed` and `mark`. Raises `IndexUnavailable` when another `generation`
        than the given one is live by now: its index lacks the revision.
        """

    def stand_by(self, revision_id: str, number: int) -> None:
        """Let a complete revision wait for its generation.

        Raises `IngestError` with the code `superseded` when its document changed meanwhile.
        """

    def remove(self, document_id: str) -> bool:
        """Make the document invisible at once; False when there is none."""

    def abandon(self, *, untouched_for: timedelta) -> int:
        """Declare unfinished revisions dead that nobody touched for so long; return how many."""

    def dead(self, limit: int = 1000) -> list[str]:
        """Return ids of dead revisions whose points are still to be deleted."""

    def forget(self, revision_ids: Sequence[str]) -> None:
        """Drop the rows of dead revisions, and of removed documents that have none left."""

    def set_access(self, document_id: str, access: frozenset[str]) -> bool:
        """Set who may read a document, effective at once; False when there is none."""

    def set_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Set the tags of a document; False when there is none."""

    def add_tags(self, document_id: str, tags: frozenset[str]) -> bool:
        """Give a document these tags too; False when there is none."""

    def describe(self, document: Document) -> None:
        """Note language and date of a live document that has been looked at again."""

    def labels_to_copy(self, *, limit: int = 100) -> list[Document]:
        """Return live documents whose rights or tags are yet to be copied into the index."""

    def labels_copied(self, document: Document) -> None:
        """Note that the index holds these; a no-op if they have changed again meanwhile."""

    def freeze_statistics(self, collection: str) -> TermStatistics:
        """Count terms over live chunks that everyone may read, and store that as the snapshot."""

    def stale_statistics(self) -> list[str]:
        """Return the collections whose live documents changed since their last freeze."""

    def by_uri(self, source_id: str) -> dict[str, str]:
        """Map the uri of each live document of a source to its id."""

    def brought(self, source_id: str, job_id: str) -> list[str]:
        """Return the ids of a source's documents whose live content this job has brought."""

    def digest(self, document_id: str) -> str | None:
        """Return the digest of the live revision; None when the document has none."""

    def uris(self, digest: str) -> list[str]:
        """Return the uris of the live documents whose revision has this digest."""

    def parsed(self, digest: str, *, versions: str, media_type: str) -> list[Parsed]:
        """Return what a live file of these very bytes was parsed into, the file itself first.

        All of its documents, or none. A title that was taken from the file's name is left out.
        """

    def imprinted(self, imprints: Collection[str]) -> dict[str, str]:
        """Map those imprints that a chunk of a live revision has to the id of one such chunk."""

    def live_chunks(self) -> dict[str, int]:
        """Map each live revision that has chunks to how many it has."""

    def live_document(self, revision_id: str) -> Document | None:
        """Return the document whose live revision this is; None when it is nobody's."""

    def chunk_texts(self, revision_id: str) -> list[tuple[Chunk, str]]:
        """Return the chunks of a live revision in order, each with its text; else none."""

    def wanted(self, digest: str) -> bool:
        """Say whether an unfinished upload, or one with a live document, rests on these bytes."""

    def reject(
        self,
        source_id: str,
        uri: str,
        *,
        code: str,
        reason: str,
        digest: str = "",
        tried_with: str = "",
    ) -> None:
        """Note why a file or line was not indexed; one note per uri, the latest wins.

        With a `digest` it counts as a failed attempt at these bytes with this parser.
        """

    def quarantined(
        self, source_id: str, uri: str, *, digest: str, tried_with: str
    ) -> Refused | None:
        """Return the note that keeps these bytes at `uri` from being tried; None: try them."""

    def rejections(self, source_id: str) -> dict[str, tuple[str, str]]:
        """Map each refused uri of a source to (code, reason)."""

    def accept(self, source_id: str, uris: Sequence[str]) -> None:
        """Drop the notes of `reject` for these uris; absent ones are no error."""

    def items(self, source_id: str) -> dict[str, KeptItem]:
        """Map the uris of a source to what is remembered of their items."""

    def items_of(self, feed_id: str) -> dict[str, KeptItem]:
        """Map the uris that a feed last brought to what is remembered of their items."""

    def keep_items(self, source_id: str, kept: Sequence[KeptItem]) -> None:
        """Remember items; what was remembered of the same uris is replaced."""

    def drop_items(self, source_id: str, uris: Sequence[str]) -> None:
        """Forget items; absent ones are no error."""

    def move_item(
        self, source_id: str, former: str, kept: KeptItem, moved: Mapping[str, str]
    ) -> None:
        """Remember an item under its new uri, and give documents theirs (`moved`, by id).

        One transaction; ids, rights and revisions of the documents stay.
        """


class Connector(Protocol):
    """A place that documents come from: says what lies there, and hands it out."""

    def list(self, cursor: str) -> Listing:
        """Say what is there; `cursor` is from the last complete listing, or empty.

        Raises `SourceUnavailable` where nothing can be said. What is missing in a listing is
        removed, so a doubt belongs into its `gaps`.
        """

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return the bytes of a listed item.

        Raises an `IngestError`, such as `TooLarge`, for a fault of this item alone, and
        `SourceUnavailable` for one of the whole source.
        """

    def covers(self, uri: str) -> bool:
        """Say whether a complete listing would show `uri` if it were there."""

    def close(self) -> None:
        """Release connections and scratch files."""


class Feeds(Protocol):
    """The list of sources that are kept in sync; one holder at a time syncs each."""

    def add_feed(self, feed: Feed) -> None:
        """Store a new one; raises `ConfigurationError` when its name is taken."""

    def feed(self, feed_id: str) -> Feed:
        """Return one; raises `NotFound`."""

    def feeds(self) -> list[Feed]:
        """Return all, by name."""

    def due_feeds(self, moment: datetime) -> list[Feed]:
        """Return those whose time has come and that nobody syncs, longest overdue first."""

    def set_feed(self, feed_id: str, **values: Any) -> None:  # noqa: ANN401
        """Set `paused`, `every` or `due_at`; raises `NotFound`."""

    def claim_feed(self, feed_id: str, holder: str, *, lease: timedelta) -> str | None:
        """Begin a sync and return the cursor of the last one; None while somebody else holds it."""

    def renew_feed(self, feed_id: str, holder: str, *, lease: timedelta) -> bool:
        """Prolong the lease; False when the feed was removed or taken by somebody else."""

    def finish_feed(
        self,
        feed_id: str,
        holder: str,
        state: FeedState,
        *,
        error: str,
        counts: Mapping[str, int],
        cursor: str | None,
        due_at: datetime | None,
    ) -> None:
        """Write how a sync ended; a `cursor` of None leaves the former one."""

    def release_feeds(self) -> int:
        """End all claims; only for a process known to be the only one. Returns how many."""

    def drop_feed(self, feed_id: str) -> None:
        """Forget a feed; its items stay, as nobody's."""

    def freshness(self) -> dict[str, Freshness]:
        """Say for each feed with items how long its latest changes took to become searchable."""


class Sources(Protocol):
    """How serving reaches the sources that are kept in sync; `footnote` fills it."""

    def add(self, feed: Feed) -> Feed:
        """Store a new one; raises `ConfigurationError` for what cannot work."""

    def kind(self, uri: str) -> str:
        """Say what kind of source an address names; raises `ConfigurationError`."""

    def feeds(self) -> Sequence[tuple[Feed, Freshness]]:
        """Return all, by name."""

    def feed(self, feed_id: str) -> tuple[Feed, Freshness]:
        """Return one; raises `NotFound`."""

    def change(self, feed_id: str, *, paused: bool | None, every: int | None) -> None:
        """Pause or resume, or set the seconds between syncs (0: none); raises `NotFound`."""

    def sync_source(
        self, feed_id: str, *, allow_removals: bool = False, dry_run: bool = False
    ) -> Iterator[IngestEvent]:
        """Bring a source up to date, one event per document, each after its effect is durable.

        Raises `NotFound`, `SourceBusy`, `SourceUnavailable`.
        """

    def request(self, feed_id: str) -> None:
        """Have whoever works for this catalog sync it next; raises `NotFound`."""

    def remove(self, feed_id: str, *, keep_documents: bool) -> int:
        """Forget a source, and remove what it brought; return how many. Raises `NotFound`."""


class Generations(Protocol):
    """The generations of the index in the catalog, and the revisions that stand by in them."""

    def generations(self) -> list[Generation]:
        """Return all that are kept, the newest first."""

    def generation(self, state: GenerationState) -> Generation | None:
        """Return the one of this state."""

    def begin_generation(
        self,
        *,
        versions: str,
        model: str,
        dimension: int,
        chunk_tokens: int,
        state: GenerationState,
    ) -> Generation:
        """Note down a new generation and return it; one of the same state is discarded."""

    def measured(self, number: int, *, before: float, after: float) -> None:
        """Note the recall of the golden set in the live generation and in this one."""

    def behind(self, number: int, *, limit: int = 100) -> list[str]:
        """Return ids of live documents whose present content this generation lacks."""

    def progress(self, number: int) -> tuple[int, int]:
        """Return how many live documents the generation has, and how many there are."""

    def stored(self, document_id: str) -> tuple[Document, Revision] | None:
        """Return a document with its live revision, whoever may read it; None when it has none."""

    def paths(self, document_id: str, chunk_ids: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the heading paths of those chunks that are a document's, live or standing by."""

    def switch_generation(self, number: int) -> int:
        """Make a generation the live one unless documents are behind; return how many are."""

    def discard_generation(self, number: int) -> None:
        """Give a generation up that is not live; its revisions are dead from now on."""


class Outbox(Protocol):
    """The durable list of uploads and of jobs: a row is written before the 202 is sent.

    An upload's job has the upload's id. Jobs of one turn are done one after the other: uploads of
    the same name, collection and person are versions of one document, and the latest must win.
    """

    def submit(self, submission: Submission) -> None:
        """Store it and its job, durable on return."""

    def submission(self, submission_id: str, principal: Principal) -> Submission:
        """Return one that this principal handed in (an `admin` sees all); raises `NotFound`."""

    def unfinished(self, digest: str) -> list[Submission]:
        """List the uploads of these bytes that have not ended."""

    def submissions(self, principal: Principal, *, limit: int = 100) -> list[Submission]:
        """List what this principal handed in, newest first."""

    def add_job(self, job: Job, *, turn: str) -> bool:
        """Store a job, durable on return; False while another of its turn is open."""

    def ready(self, lane: Lane, *, limit: int = 50) -> list[Job]:
        """Return what is to be queued, oldest first: waiting or to be retried, and next in turn."""

    def begin(
        self, job_id: str, worker: str, *, lease: timedelta, run: int | None = None
    ) -> Job | None:
        """Take a job; None when it is not its turn, is another's, has ended, or `run` is over."""

    def claim(self, worker: str, *, lease: timedelta) -> Job | None:
        """Take the oldest job that can be begun; None when there is nothing."""

    def renew(
        self,
        job_id: str,
        worker: str,
        *,
        lease: timedelta,
        progress: tuple[int, int] | None = None,
    ) -> bool:
        """Prolong the lease and note (done, total); False when the job is this worker's no more."""

    def hand_back(self, job_id: str, worker: str) -> None:
        """Let go of a job that is not to blame; the attempt does not count."""

    def postpone(self, job_id: str, worker: str, *, until: datetime, reason: str) -> None:
        """Let go of a job that needs what does not answer now."""

    def release(self) -> int:
        """End all claims, which count as stops of a worker; return how many.

        Only for a worker known to be the only one.
        """

    def expire(self) -> int:
        """End the claims whose lease ran out, which count as stops; return how many."""

    def take_over(self, worker: str, *, lease: timedelta) -> list[Job]:
        """Return cancelled uploads that have run and that nobody tidied up after: now `worker`'s.

        They hold up later jobs of their turn until they are handed back.
        """

    def requeue(self, job_id: str) -> None:
        """Count up the run of a job that waits, since its present one will never come."""

    def finish(
        self, job_id: str, state: JobState, *, reason: str, documents: Sequence[str] = ()
    ) -> None:
        """Write how it ended, and what an upload became; what has ended already stays as it is."""

    def pause(self, job_id: str) -> bool:
        """Hold a job that is not final; False otherwise."""

    def resume(self, job_id: str) -> bool:
        """Queue a paused job again; False otherwise."""

    def retry(self, job_id: str) -> bool:
        """Queue a dead, failed or retrying job now; False for others, and where it is outdated."""

    def job(self, job_id: str, principal: Principal) -> Job:
        """Return a job of this principal's (an `admin` sees all); raises `NotFound`."""

    def jobs(
        self, principal: Principal, *, states: Iterable[JobState] = (), limit: int = 100
    ) -> list[Job]:
        """List a principal's jobs (an `admin` sees all) in any of `states`, newest first."""

    def forget_syncs(self, *, before: datetime) -> None:
        """Drop the syncs that finished before."""


class Engine(Protocol):
    """Does queued runs of jobs, each once, in this process or in one that shares its database."""

    def start(self, perform: Callable[[str, int], None]) -> None:
        """Begin; `perform` is called with a job's id and its run, in threads of the engine."""

    def queue(self, jobs: Sequence[Job], *, stale: timedelta) -> list[str]:
        """Queue one run of each job, at once or at its `next_at`; repeating it changes nothing.

        Returns the ids of the jobs whose run has ended without effect. One that began longer than
        `stale` ago is begun again: its process is gone.
        """

    def forget(self, *, before: datetime) -> None:
        """Drop the notes of runs that ended before."""

    def stop(self) -> None:
        """Wait for what is under way, and end; what is queued stays queued."""


class Named(Protocol):
    """Anything with an id that people call by a name."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


class SourceSync(Protocol):
    """Brings sources up to date; a sync that was interrupted is carried on by the next."""

    def due(self, now: datetime, /) -> Sequence[Named]:
        """Return the sources whose time has come and that nobody syncs."""

    def sync_source(self, source_id: str, /) -> Iterator[IngestEvent]:
        """Yield one event per document, each after its effect is durable; raises `NotFound`."""


class Refusals(Protocol):
    """The notes about what is not indexed."""

    def refused(
        self, *, only_quarantined: bool = False, within: str = "", limit: int = 100
    ) -> list[Refused]:
        """List what is not indexed, of uris that begin with `within`, latest first."""

    def refused_one(self, refused_id: str) -> Refused:
        """Return one note; raises `NotFound`."""

    def free(self, refused_id: str) -> None:
        """Forget the failed attempts, so that the next ingest tries again."""


class Blobs(Protocol):
    """Files by their sha256; writing the same bytes twice keeps one copy."""

    def put(self, stream: BinaryIO, *, limit: int, even_if_full: bool = False) -> tuple[str, int]:
        """Store the stream, fsynced on return; return (digest, size). Raises `TooLarge`.

        On a disk that is nearly full it raises `OSError` unless `even_if_full`.
        """

    def has(self, digest: str) -> bool:
        """Say whether the bytes are there."""

    def read(self, digest: str) -> bytes:
        """Return the bytes; raises `NotFound`."""

    def delete(self, digest: str) -> None:
        """Delete; absent is no error."""

    def untouched(self, *, seconds: float) -> Iterator[str]:
        """Yield the digests of what was last stored at least so long ago."""


class Intake(Protocol):
    """How serving reaches ingestion without knowing it; `footnote` fills it."""

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
        """Take a file in, durable on return. Raises `TooLarge`, `Unsupported`."""

    def status(self, submission_id: str, principal: Principal) -> Submission:
        """Say where an upload stands; raises `NotFound`."""

    def recent(self, principal: Principal) -> list[Submission]:
        """List this principal's latest uploads, newest first."""

    def cancel(self, submission_id: str, principal: Principal) -> Submission:
        """Stop an upload that is not yet done; raises `NotFound`."""

    def remove(self, document_id: str) -> None:
        """Make a document invisible at once and clean up; raises `NotFound`."""

    def set_access(self, document_id: str, access: frozenset[str]) -> None:
        """Set who may read a document; raises `NotFound`."""

    def set_tags(self, document_id: str, tags: frozenset[str]) -> None:
        """Set the tags of a document; raises `NotFound`."""

    def sync(
        self, paths: Sequence[Path], *, collection: str, tags: frozenset[str] = frozenset()
    ) -> Iterator[IngestEvent]:
        """Bring files and folders of this machine up to date, one event per document."""

    def content(self, digest: str) -> bytes:
        """Return the original bytes of a revision; raises `NotFound`."""


class Jobs(Protocol):
    """How people look after jobs and the quarantine; `footnote` fills it.

    Everybody sees what he handed in, an `admin` everything.
    """

    def jobs(
        self, principal: Principal, *, states: Iterable[JobState] = (), limit: int = 100
    ) -> list[Job]:
        """List jobs, newest first."""

    def job(self, job_id: str, principal: Principal) -> Job:
        """Return a job; raises `NotFound`."""

    def pause(self, job_id: str, principal: Principal) -> Job:
        """Hold a job; raises `NotFound`, `NotNow`."""

    def resume(self, job_id: str, principal: Principal) -> Job:
        """Let a paused job go on; raises `NotFound`, `NotNow`."""

    def retry(self, job_id: str, principal: Principal) -> Job:
        """Try a dead, failed or retrying job now; raises `NotFound`, `NotNow`."""

    def cancel(self, job_id: str, principal: Principal) -> Job:
        """Stop a job; one that has ended stays as it is. Raises `NotFound`."""

    def quarantine(self, principal: Principal, *, limit: int = 100) -> list[Refused]:
        """List what is not tried again, latest first."""

    def free(self, refused_id: str, principal: Principal) -> Refused:
        """Have a quarantined file tried again when it next comes by; raises `NotFound`."""


class Generator(Protocol):
    """Writes an answer from a context, citing passages as `[1]` … `[n]`; the only async door."""

    name: str
    extractive: bool

    def generate(self, context: Context) -> AsyncIterator[Delta]:
        """Yield text as it is written; raises `ModelError`. Nothing written means not found."""
