"""Every test that asks for `catalog` runs on SQLite and, where there is one, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge.catalog.store import SqlCatalog
from tests.postgres import fresh_database, postgres_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.sqlite'}"
        return
    with fresh_database(request.getfixturevalue("server")) as database:
        yield database


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    opened = SqlCatalog.open(url)
    yield opened
    opened.close()
