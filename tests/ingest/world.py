"""A small installation for tests: the real catalog, blobs and formats; fake vectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.intake import CatalogIntake
from ingest.keeper import Keeper
from ingest.originals import Originals
from ingest.parsing.formats import parse
from ingest.pipeline import File, Known, Pipeline, Sizes
from ingest.sources.opening import open_folder
from ingest.sync import FolderSync, Sync, files_source
from ingest.visit import held_documents
from ingest.worker import Pace, Worker
from knowledge.access import access_filter
from knowledge.blobs import FolderBlobs
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import Unreadable
from knowledge.models import (
    DEFAULT_COLLECTION,
    EVERYONE,
    Embedding,
    Feed,
    IngestEvent,
    Outcome,
    Parsed,
    Passage,
    Principal,
)
from knowledge.ports import Connector, Index, Parser, VectorSpace
from knowledge.sparse import Bm25Encoder
from tests.catalogs import migrated
from tests.fakes import FakeEmbedder, FakeIndex
from tests.ingest.sources.shelf import Shelf

ANN = Principal("ann")
LIMIT = 1_000_000


class OpenParser:
    """The real formats without the jail; counts what it was asked to parse."""

    def __init__(self, version: str = "parser-1") -> None:
        self.version = version
        self.parsed: list[str] = []

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        self.parsed.append(name)
        return parse(data, name)


class MailParser(OpenParser):
    """Reads `message|name=text|name=text`; a part whose text is `broken` cannot be read."""

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        self.parsed.append(name)
        message, *parts = data.decode().split("|")
        yield Parsed("Subject", message, ())
        for part in parts:
            title, _, text = part.partition("=")
            if text == "broken":
                raise Unreadable("an attachment is damaged")
            yield Parsed("", text, (), part=title)


class World:
    """Everything that ingests, wired as in an installation, in a folder of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        index: Index | None = None,
        parser: Parser | None = None,
        sizes: Sizes | None = None,
        blobs: FolderBlobs | None = None,
    ) -> None:
        self.catalog = SqlCatalog.open(f"sqlite:///{migrated(folder / 'catalog.sqlite')}")
        self.blobs = blobs or FolderBlobs(folder / "blobs")
        self.index = index or FakeIndex()
        self.embedder: FakeEmbedder = FakeEmbedder()
        self.sparse = Bm25Encoder()
        self.states: list[str] = []
        self.wakes = 0
        self.connectors: dict[str, Connector] = {}
        self.generation = 1
        self.wire(parser or OpenParser(), sizes)

    def wire(
        self,
        parser: Parser,
        sizes: Sizes | None = None,
        passed: Callable[[str], None] | None = None,
    ) -> None:
        self.pipeline = Pipeline(
            parser=parser,
            space=VectorSpace(self.embedder, self.sparse, self.index, self.generation),
            ledger=self.catalog,
            sizes=sizes or Sizes(chunk_tokens=32),
            passed=passed or self.pass_state,
        )
        self.folders = FolderSync(
            pipeline=self.pipeline, ledger=self.catalog, index=self.index, max_bytes=LIMIT
        )
        sync = Sync(pipeline=self.pipeline, ledger=self.catalog, index=self.index, max_bytes=LIMIT)
        self.keeper = Keeper(
            feeds=self.catalog, ledger=self.catalog, sync=lambda: sync, connect=self.connect
        )
        self.originals = Originals(self.blobs, self.catalog)
        self.intake = CatalogIntake(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=self.originals,
            folders=self.folders,
            max_bytes=LIMIT,
            wake=self._wake,
        )
        self.worker = self.new_worker()

    def new_worker(self, name: str = "worker", pace: Pace | None = None) -> Worker:
        return Worker(
            outbox=self.catalog,
            ledger=self.catalog,
            index=self.index,
            originals=self.originals,
            pipeline=self.pipeline,
            pace=pace,
            name=name,
        )

    def connect(self, feed: Feed) -> Connector:
        """Open the connector that a test has put up for this address, or a folder."""
        if feed.uri in self.connectors or feed.kind != "folder":
            return self.connectors.get(feed.uri, Shelf())
        return open_folder(feed, max_bytes=LIMIT)

    def keep(self, uri: str, **values: Any) -> Feed:  # noqa: ANN401
        """Add a source that is kept in sync."""
        return self.keeper.add(Feed("", values.pop("name", "docs"), "", uri, **values))

    def sync_source(self, feed: Feed, **options: bool) -> list[IngestEvent]:
        return list(self.keeper.sync_source(feed.id, **options))

    def pass_state(self, state: str) -> None:
        self.states.append(state)

    def _wake(self) -> None:
        self.wakes += 1

    def sync(self, *paths: Path, collection: str = DEFAULT_COLLECTION) -> list[IngestEvent]:
        return list(self.folders.sync(paths, collection=collection))

    def ingest(
        self,
        name: str,
        data: bytes | str,
        *,
        access: Sequence[str] = (EVERYONE,),
        metadata: Mapping[str, str] | None = None,
        sets_access: bool = False,
    ) -> list[IngestEvent]:
        return list(self.pipeline.ingest([self.file(name, data, access, metadata, sets_access)]))

    def file(
        self,
        name: str,
        data: bytes | str,
        access: Sequence[str] = (EVERYONE,),
        metadata: Mapping[str, str] | None = None,
        sets_access: bool = False,
    ) -> File:
        source = files_source(DEFAULT_COLLECTION)
        self.catalog.ensure_source(source)
        path = Path("/docs") / name
        known: dict[str, Known] = held_documents(self.catalog, source).get(str(path), {})
        return File(
            source=source,
            uri=str(path),
            name=name,
            data=data.encode() if isinstance(data, str) else data,
            access=frozenset(access),
            holds_lines=name.endswith((".jsonl", ".jsonl.gz")),
            known=known,
            metadata=metadata or {},
            sets_access=sets_access,
        )

    def find(
        self, query: str, *, by: Principal = ANN, collection: str | None = None
    ) -> list[Passage]:
        """Search as the service does: the index proposes, the catalog decides."""
        statistics = self.catalog.statistics(collection)
        (dense,) = self.embedder.embed([query])
        embedding = Embedding(dense, self.sparse.encode_query(query, statistics))
        hits = self.index.search(embedding, access_filter(by, collection=collection), limit=20)
        return self.catalog.passages(hits, by, collection=collection)

    def texts(self, query: str, *, by: Principal = ANN, collection: str | None = None) -> list[str]:
        return [passage.text for passage in self.find(query, by=by, collection=collection)]

    def close(self) -> None:
        self.index.close()
        self.catalog.close()


def outcomes(events: Sequence[IngestEvent]) -> list[Outcome]:
    return [event.outcome for event in events]


def refusing(name: str) -> Callable[[str], object]:
    """Return an `os.scandir` that may not list folders of this name."""
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    return refuse
