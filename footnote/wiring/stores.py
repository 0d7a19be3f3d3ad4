"""What an installation keeps and finds by: catalog, files, models, indexes."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from knowledge.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from footnote.spaces import Spaces
    from knowledge.blobs import FolderBlobs
    from knowledge.catalog.store import SqlCatalog
    from knowledge.models import Generation
    from knowledge.ports import Embedder, Index
    from knowledge.sparse import Bm25Encoder


class Stores:
    """The doors of `knowledge`, opened on first use and closed together.

    One that `only_indexes` asks no questions of its embedding model, which may then round more.
    """

    def __init__(self, settings: Settings, *, only_indexes: bool = False) -> None:
        self.settings = settings
        self._only_indexes = only_indexes
        self.owner_token = secrets.token_urlsafe(32)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

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
            from knowledge.index.qdrant import Layout, QdrantIndex

            return QdrantIndex.connect(
                settings.qdrant_url,
                settings.qdrant_api_key.get_secret_value(),
                collection=_numbered(settings.qdrant_collection, generation.number),
                dimension=generation.dimension,
                layout=Layout(
                    shards=settings.qdrant_shards,
                    replicas=settings.qdrant_replicas,
                    quantization=settings.qdrant_quantization,
                    on_disk=settings.qdrant_on_disk,
                ),
            )
        from knowledge.index.edge import EdgeIndex

        folder = settings.data_dir / _numbered("index", generation.number)
        return EdgeIndex(folder, dimension=generation.dimension)

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

    @property
    def _max_bytes(self) -> int:
        return self.settings.max_file_mb * 2**20


def _numbered(name: str, generation: int) -> str:
    """Return where the index of a generation lies; the first has the plain name."""
    return name if generation == 1 else f"{name}-{generation}"
