"""A whole house for tests of what stands before it: real stories, but nothing slow to start."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from footnote.wiring import House
from ingest.parsing.formats import PARSER_VERSION, parse
from knowledge.catalog.store import SqlCatalog
from knowledge.models import Generation, Parsed, Principal
from knowledge.ports import Embedder, Index
from serving.keys import add_key
from tests.catalogs import migrated
from tests.fakes import FakeEmbedder, FakeIndex


class OpenParser:
    """Parses in this process, without a jail."""

    version = PARSER_VERSION

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        return parse(data, name)

    def ping(self) -> bool:
        return True

    def close(self) -> None:
        return None


class QuickHouse(House):
    """A house with real catalog, files and stories; embedding, index and jail are replaced."""

    @cached_property
    def catalog(self) -> SqlCatalog:
        if not self.settings.database_url:
            migrated(self.settings.data_dir / "catalog.sqlite")
        return super().catalog

    def _load(self, model: Path | None) -> Embedder:
        return FakeEmbedder()

    def _open_index(self, generation: Generation) -> Index:
        return FakeIndex()

    @cached_property
    def parser(self) -> OpenParser:  # type: ignore[override]
        return OpenParser()

    def take_in(self, name: str, text: str, by: Principal, *access: str) -> str:
        """Upload a file and index it; return the document's id."""
        given = frozenset(access) or frozenset({f"u:{by.user}"})
        submitted = self.intake.submit(
            io.BytesIO(text.encode()), name=name, collection="main", access=given, by=by
        )
        while self.worker.work_one():
            pass
        (document_id,) = self.intake.status(submitted.id, by).document_ids
        return document_id


class Keys:
    """A keys file with three people."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.alice = add_key(self.path, "alice", groups=["hr"], roles=[])
        self.bob = add_key(self.path, "bob", groups=[], roles=[])
        self.admin = add_key(self.path, "root", groups=["hr"], roles=["admin"])


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
