"""How files come in: parser, pipeline, intake, sources, jobs."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import TYPE_CHECKING

from footnote.wiring.stores import Stores
from knowledge.settings import Settings

if TYPE_CHECKING:
    from footnote.generations import Reindexer
    from ingest.durable import DbosEngine
    from ingest.intake import CatalogIntake
    from ingest.jobs import CatalogJobs
    from ingest.keeper import Keeper
    from ingest.originals import Originals
    from ingest.parse import JailedParser
    from ingest.pipeline import Following, Pipeline, Sizes
    from ingest.worker import Worker
    from knowledge.models import Feed, Generation
    from knowledge.ports import Connector, Preparer


class Ingestion(Stores):
    """The doors of `ingest`, over the stores."""

    def __init__(self, settings: Settings, *, only_indexes: bool = False) -> None:
        super().__init__(settings, only_indexes=only_indexes)
        self._pipelines: dict[int, Pipeline] = {}

    @cached_property
    def originals(self) -> Originals:
        """The original files, and what still rests on them."""
        from ingest.originals import Originals

        return Originals(self.blobs, self.catalog)

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
        from ingest.pipeline import Pipeline, Sizes
        from ingest.prepare import Likeness

        if generation.number not in self._pipelines:
            settings = self.settings
            sizes = Sizes(
                chunk_tokens=generation.chunk_tokens,
                max_documents=settings.max_documents_per_file,
                likeness=Likeness(signature, settings.family_likeness),
                parse_limits=f"{settings.parse_seconds} s, {settings.parse_memory_mb} MB",
            )
            self._pipelines[generation.number] = Pipeline(
                parser=self.parser,
                space=self.spaces.for_documents(generation),
                ledger=self.catalog,
                sizes=sizes,
                preparer=self._preparer(generation, sizes),
                versions=generation.versions,
            )
        return self._pipelines[generation.number]

    def _preparer(self, generation: Generation, sizes: Sizes) -> Preparer:
        """Return what prepares documents; where this process also searches, a child."""
        from footnote.preparing import greeting
        from ingest.pipeline import preparer_here
        from ingest.preparing import NicedPreparer
        from knowledge.embedding.embedder import SentenceTransformerEmbedder

        space = self.spaces.of(generation)
        here, model = preparer_here(space, sizes), space.embedder
        if not self.settings.embedded or not isinstance(model, SentenceTransformerEmbedder):
            return here
        niced = NicedPreparer(here, greeting(here, model.tokens))
        self._open.callback(niced.close)
        return niced

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
