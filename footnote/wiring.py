"""The composition root: the one place where real doors are opened, each when first used.

Everything heavy is imported where it is built, so that a command pays for what it uses.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

from knowledge.errors import CatalogUnavailable, FootnoteError
from knowledge.models import Effort, Gap, Refused
from knowledge.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from footnote.generations import Reindexer
    from footnote.spaces import Spaces
    from ingest.durable import DbosEngine
    from ingest.intake import CatalogIntake
    from ingest.jobs import CatalogJobs
    from ingest.keeper import Keeper
    from ingest.originals import Originals
    from ingest.parse import JailedParser
    from ingest.pipeline import Following, Pipeline
    from ingest.rebuild import Missing
    from ingest.worker import Worker
    from knowledge.blobs import FolderBlobs
    from knowledge.catalog.store import SqlCatalog
    from knowledge.index.shape import Fusion
    from knowledge.models import Feed, Generation
    from knowledge.ports import Connector, Embedder, Generator, Index
    from knowledge.sparse import Bm25Encoder
    from retrieval.retriever import Retriever
    from serving.answer import Answerer
    from serving.auth import Gate
    from serving.services import Services

VERSION = version("footnote")
MODEL_ASKED_SECONDS = 10.0
STORE_ASKED_SECONDS = 5.0

log = logging.getLogger(__name__)


class House:
    """All parts of one installation, opened on first use and closed together.

    One that `only_indexes` asks no questions of its embedding model, which may then round more.
    """

    def __init__(self, settings: Settings, *, only_indexes: bool = False) -> None:
        self.settings = settings
        self._only_indexes = only_indexes
        self.owner_token = secrets.token_urlsafe(32)
        self._open = ExitStack()
        self._pipelines: dict[int, Pipeline] = {}
        self._model_asked_at = float("-inf")
        self._model_was_there = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # --- knowledge ------------------------------------------------------------------------------

    @cached_property
    def catalog(self) -> SqlCatalog:
        """The source of truth."""
        from knowledge.catalog.store import SqlCatalog

        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        catalog = SqlCatalog.open(self.settings.sqlalchemy_url())
        self._open.callback(catalog.close)
        return catalog

    @cached_property
    def blobs(self) -> FolderBlobs:
        """The original files."""
        from knowledge.blobs import FolderBlobs

        return FolderBlobs(self.settings.data_dir / "blobs")

    @cached_property
    def originals(self) -> Originals:
        """The original files, and what still rests on them."""
        from ingest.originals import Originals

        return Originals(self.blobs, self.catalog)

    @cached_property
    def sparse(self) -> Bm25Encoder:
        """The term weights."""
        from knowledge.sparse import Bm25Encoder

        return Bm25Encoder()

    @cached_property
    def spaces(self) -> Spaces:
        """The embedding models and the indexes, by generation."""
        from footnote.spaces import Spaces
        from knowledge.index.family import IndexFamily

        spaces = Spaces(
            self.settings,
            self.catalog,
            self.sparse,
            load=self._load,
            beside=self._beside,
            versions=self._versions,
            family=IndexFamily(self.catalog.generations, self._open_index, self._drop_index),
        )
        self._open.callback(spaces.close)
        return spaces

    @property
    def embedder(self) -> Embedder:
        """The dense vectors of the live generation; loading takes seconds."""
        return self.spaces.live().embedder

    @property
    def index(self) -> Index:
        """The vector store of the live generation."""
        return self.spaces.live().index

    def _load(self, model: Path | None) -> Embedder:
        from knowledge.embedding.embedder import SentenceTransformerEmbedder

        return SentenceTransformerEmbedder(model, documents=self._only_indexes)

    def _beside(self, embedder: Embedder, model: Path | None) -> Embedder:
        """Return the same model for documents; where this process also searches, in a child."""
        from knowledge.embedding.embedder import SentenceTransformerEmbedder
        from knowledge.embedding.niced import NicedEmbedder

        on_gpu = not isinstance(embedder, SentenceTransformerEmbedder) or embedder.on_gpu
        if on_gpu or not self.settings.embedded:
            return embedder
        niced = NicedEmbedder(embedder, model)
        self._open.callback(niced.close)
        return niced

    def _open_index(self, generation: Generation) -> Index:
        settings = self.settings
        if settings.qdrant_url:
            from knowledge.index.qdrant import QdrantIndex

            return QdrantIndex.connect(
                settings.qdrant_url,
                settings.qdrant_api_key.get_secret_value(),
                collection=_numbered(settings.qdrant_collection, generation.number),
                dimension=generation.dimension,
                fusion=self._fusion(),
            )
        from knowledge.index.edge import EdgeIndex

        folder = settings.data_dir / _numbered("index", generation.number)
        return EdgeIndex(folder, dimension=generation.dimension, fusion=self._fusion())

    def _fusion(self) -> Fusion:
        from knowledge.index.shape import Fusion

        return Fusion(self.settings.fusion_k, self.settings.word_weight)

    def _drop_index(self, number: int) -> None:
        settings = self.settings
        if settings.qdrant_url:
            from knowledge.index.qdrant import drop

            key = settings.qdrant_api_key.get_secret_value()
            drop(settings.qdrant_url, key, _numbered(settings.qdrant_collection, number))
        else:
            from knowledge.index import edge

            edge.drop(settings.data_dir / _numbered("index", number))

    def _versions(self, embedder: Embedder) -> str:
        from ingest.parse import JailedParser
        from ingest.pipeline import versions_at_hand

        tokens = self.settings.chunk_tokens
        return versions_at_hand(JailedParser.version, tokens, embedder, self.sparse)

    # --- ingest ---------------------------------------------------------------------------------

    @cached_property
    def parser(self) -> JailedParser:
        """The parser, in a process of its own, or a service behind a socket."""
        from ingest.parse import JailedParser
        from ingest.parsing.jail import Limits

        limits = Limits(
            memory_mb=self.settings.parse_memory_mb,
            seconds=self.settings.parse_seconds,
            max_file_mb=self.settings.max_file_mb,
        )
        parser = JailedParser(
            self.settings.parser_socket, limits=limits, ocr_languages=self.settings.ocr_languages
        )
        self._open.callback(parser.close)
        return parser

    @cached_property
    def pipeline(self) -> Following:
        """The story of ingestion, into the live generation."""
        from ingest.pipeline import Following

        return Following(lambda: self.pipeline_of(self.spaces.live_generation()))

    def pipeline_of(self, generation: Generation) -> Pipeline:
        """The story of ingestion, into one generation."""
        from ingest.likeness import signature
        from ingest.pipeline import Likeness, Pipeline, Sizes

        if generation.number not in self._pipelines:
            settings = self.settings
            self._pipelines[generation.number] = Pipeline(
                parser=self.parser,
                space=self.spaces.for_documents(generation),
                ledger=self.catalog,
                sizes=Sizes(
                    chunk_tokens=generation.chunk_tokens,
                    max_documents=settings.max_documents_per_file,
                    likeness=Likeness(signature, settings.family_likeness),
                    parse_limits=f"{settings.parse_seconds} s, {settings.parse_memory_mb} MB",
                ),
                versions=generation.versions,
            )
        return self._pipelines[generation.number]

    @cached_property
    def reindexer(self) -> Reindexer:
        """What builds generations and changes which one is live."""
        from footnote.generations import Reindexer

        return Reindexer(
            self.catalog,
            self.spaces,
            pipeline_of=self.pipeline_of,
            parser=self.parser,
            content=self.intake.content,
        )

    @cached_property
    def intake(self) -> CatalogIntake:
        """The door to ingestion; what a crash of the former owner left behind is put right."""
        from ingest.intake import CatalogIntake
        from ingest.recover import recover
        from ingest.sync import FolderSync

        if self.settings.embedded:
            recover(self.catalog, self.index, self.catalog, exclusive=True)
            self.spaces.family.prune(ahead=1)
            self.catalog.release_feeds()
        folders = FolderSync(
            pipeline=self.pipeline,
            ledger=self.catalog,
            index=self.index,
            max_bytes=self._max_bytes,
        )
        return CatalogIntake(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=self.originals,
            folders=folders,
            max_bytes=self._max_bytes,
            wake=self.worker.wake,
        )

    @cached_property
    def keeper(self) -> Keeper:
        """What keeps sources in sync."""
        from ingest.keeper import Keeper
        from ingest.sync import Sync

        return Keeper(
            feeds=self.catalog,
            ledger=self.catalog,
            sync=lambda: Sync(
                pipeline=self.pipeline,
                ledger=self.catalog,
                index=self.index,
                max_bytes=self._max_bytes,
            ),
            connect=self._connect,
            tries=self.settings.embedded,  # else workers have the drivers and the secrets
        )

    def _connect(self, feed: Feed) -> Connector:
        from ingest.sources.opening import Allowed, open_source
        from knowledge.settings import source_secrets

        allowed = Allowed(
            max_bytes=self._max_bytes,
            secrets=source_secrets(),
            private=self.settings.crawl_private,
            readers=self.settings.readers,
            reader_seconds=self.settings.reader_seconds,
        )
        return open_source(feed, allowed)

    @cached_property
    def worker(self) -> Worker:
        """The loop over uploads; it runs where `start_worker` or `work` is called."""
        from ingest.worker import Worker

        return Worker(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=self.originals,
            pipeline=self.pipeline,
        )

    @cached_property
    def jobs(self) -> CatalogJobs:
        """The door to jobs and the quarantine."""
        from ingest.jobs import CatalogJobs

        return CatalogJobs(
            outbox=self.catalog,
            refusals=self.catalog,
            originals=self.originals,
            wake=self._wake,
        )

    def _wake(self) -> None:
        """Tell the worker, where it runs in this process."""
        if "worker" in self.__dict__:
            self.worker.wake()

    def _engine(self) -> DbosEngine:
        """Open the durable queues; the library takes a second to load, so nobody waits for it."""
        from ingest.durable import DbosEngine

        if self.settings.embedded:  # one owner: it carries on what its predecessor left
            return DbosEngine(f"sqlite:///{self.settings.data_dir / 'jobs.sqlite'}", name="owner")
        server = self.settings.database_url.partition("://")[2]
        return DbosEngine(f"postgresql+psycopg://{server}", name=str(uuid.uuid4()))

    def start_worker(self, say: Callable[[str], None]) -> None:
        """Index uploads and keep sources in sync until the house closes; restore the index once.

        Only where this process owns both.
        """
        if not self.settings.embedded:
            return
        stop = threading.Event()
        threads = (
            threading.Thread(target=self._do_jobs, args=(stop,), name="footnote-worker"),
            threading.Thread(target=self._restore, args=(say, stop), name="footnote-rebuild"),
        )
        for thread in threads:
            thread.start()

        def end() -> None:
            stop.set()
            self.keeper.stop()
            self.worker.wake()
            for thread in threads:
                thread.join()

        self._open.callback(end)

    def work(self, *, once: bool) -> None:
        """Do jobs, syncs among them, until interrupted or, `once`, until none is ready."""
        if once:
            self.worker.watch(self.keeper)
            while self.worker.work_one():
                pass
        else:
            self._do_jobs(threading.Event())

    def _do_jobs(self, stop: threading.Event) -> None:
        self.worker.watch(self.keeper)
        while not stop.is_set():
            try:
                self.worker.run(stop, self._engine())
            except CatalogUnavailable as error:
                log.warning("jobs wait: %s", error)
                stop.wait(STORE_ASKED_SECONDS)

    def missing(self, *, quick: bool = False) -> Missing:
        """Say what the index lacks of what the catalog holds."""
        from ingest.rebuild import missing

        return missing(self.catalog, self.index, quick=quick)

    def rebuild(self, found: Missing) -> Iterator[int]:
        """Embed it again; yield how many passages are done."""
        from ingest.rebuild import rebuild

        space = self.spaces.for_documents(self.spaces.live_generation())
        return rebuild(
            found,
            embedder=space.embedder,
            sparse=space.sparse,
            index=space.index,
            ledger=self.catalog,
        )

    def restore_index(
        self, say: Callable[[str], None], stop: threading.Event | None = None
    ) -> None:
        """Make the index whole again where this process owns it; what is there is found meanwhile.

        Servers are shared: there, `footnote rebuild` is for one of all processes to run.
        """
        found = self.missing(quick=True) if self.settings.embedded else None
        if found is None or not found.revisions:
            return
        say(f"{found}; rebuilding it from the catalog")
        for _ in self.rebuild(found):
            if stop is not None and stop.is_set():
                return
        say("the index is whole again")

    def _restore(self, say: Callable[[str], None], stop: threading.Event) -> None:
        try:
            self.restore_index(say, stop)
        except FootnoteError as error:
            say(f"the index may lack passages until the next start: {error}")

    # --- retrieval and serving ------------------------------------------------------------------

    @cached_property
    def retriever(self) -> Retriever:
        """The story of retrieval."""
        from retrieval.retriever import Retriever

        return Retriever(
            space=self.spaces.live,
            library=self.catalog,
            context_tokens=self.settings.context_tokens,
            context_passages=self.settings.context_passages,
        )

    @cached_property
    def answerer(self) -> Answerer:
        """The story of an answer: a model writes it, or quotes do."""
        from serving.answer import Answerer

        quotes = self._extractive()
        if not self.settings.model_url:
            return Answerer(retriever=self.retriever, generator=quotes)
        return Answerer(retriever=self.retriever, generator=self._chat(), fallback=quotes)

    def _extractive(self) -> Generator:
        from serving.extractive import ExtractiveGenerator

        return ExtractiveGenerator(self.settings.support_threshold, self.embedder)

    def _chat(self) -> Generator:
        from serving.chat import ChatGenerator, Limits

        settings = self.settings
        return ChatGenerator(
            settings.model_url,
            settings.model_name,
            api_key=settings.model_api_key.get_secret_value(),
            limits=Limits(
                seconds=settings.model_timeout,
                first_seconds=settings.first_token_timeout,
                answer_tokens=settings.answer_tokens,
                thinking_tokens=settings.thinking_tokens,
            ),
        )

    @cached_property
    def gate(self) -> Gate:
        """Who may ask; raises `ConfigurationError` where keys are needed and missing."""
        from serving.auth import gate
        from serving.keys import KeyRing

        path = self.settings.api_keys_file
        return gate(
            host=self.settings.host,
            embedded=self.settings.embedded,
            keys=KeyRing(path) if path else None,
            hosts=self.settings.allowed_hosts.split(","),
            owner_token=self.owner_token if self.settings.embedded else "",
        )

    @cached_property
    def app(self) -> FastAPI:
        """The HTTP API over all of it; everything is open once this returns."""
        from serving.api import create_app

        return create_app(self.services)

    @cached_property
    def services(self) -> Services:
        """What the HTTP API stands on."""
        from serving.services import Services

        return Services(
            answerer=self.answerer,
            retriever=self.retriever,
            library=self.catalog,
            intake=self.intake,
            sources=self.keeper,
            jobs=self.jobs,
            gate=self.gate,
            health=self.health,
            refusals=self.refusals,
            gaps=self.gaps,
            reindexer=self.reindexer,
            version=VERSION,
            effort=Effort(self.settings.effort),
            max_upload_bytes=self._max_bytes,
            operator=self.settings.embedded,
        )

    def refusals(self) -> list[Refused]:
        """List what is not indexed of all that was handed in, latest first."""
        return self.catalog.refused()

    def gaps(self, after: str | None, limit: int) -> list[Gap]:
        """List documents of which little or nothing can be found, by id."""
        return self.catalog.gaps(after=after, limit=limit)

    def health(self) -> Mapping[str, str]:
        """Say of each part whether it answers, and who writes the answers."""
        parts = {
            "catalog": _word(_works(self.catalog.ping)),
            "index": _word(_works(lambda: self.index.count("none"))),
        }
        if not self.settings.model_url:
            return parts | {"answers": "extractive"}
        return parts | {"model": _word(self._model_answers()), "answers": self.settings.model_name}

    def _model_answers(self) -> bool:
        """Ask the model server, but not more often than every few seconds: anyone may ask us."""
        from footnote.client import probe

        if time.monotonic() - self._model_asked_at > MODEL_ASKED_SECONDS:
            self._model_asked_at = time.monotonic()
            key = self.settings.model_api_key.get_secret_value()
            url = f"{self.settings.model_url.rstrip('/')}/models"
            self._model_was_there = probe(url, key=key, seconds=1)[0] == 200
        return self._model_was_there

    @property
    def _max_bytes(self) -> int:
        return self.settings.max_file_mb * 2**20


def _numbered(name: str, generation: int) -> str:
    """Return where the index of a generation lies; the first has the plain name."""
    return name if generation == 1 else f"{name}-{generation}"


def _works(call: Callable[[], object]) -> bool:
    try:
        call()
    except FootnoteError:
        return False
    return True


def _word(works: bool) -> str:
    return "ok" if works else "does not answer"
