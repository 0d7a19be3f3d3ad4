"""Every test that asks for `catalog` runs on SQLite and, where there is one, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from knowledge.catalog.store import SqlCatalog
from tests.catalogs import migrated as empty_catalog
from tests.postgres import fresh_database, postgres_server


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated(server: str) -> Iterator[str]:
    """The name of a database with all tables; copying it is quicker than migrating each time."""
    with fresh_database(server) as url:
        SqlCatalog.open(url).close()
        yield urlsplit(url).path.removeprefix("/")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{empty_catalog(tmp_path / 'catalog.sqlite')}"
        return
    server, migrated = (request.getfixturevalue(name) for name in ("server", "migrated"))
    with fresh_database(server, template=migrated) as database:
        yield database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
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
