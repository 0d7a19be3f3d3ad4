"""One database, two ways in: many readers at once, and a writer whose turn is short."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolExhausted

from knowledge.errors import CatalogUnavailable, ConfigurationError

WAL_IS_SOUND_FROM = (3, 51, 3)
"""Older SQLite can corrupt a write-ahead log that two connections checkpoint at once."""
BUSY_SECONDS = 30
READERS = 20


class Database:
    """The engines of one SQLite file or one PostgreSQL database; safe to share between threads."""

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()
        self._mine = threading.local()

    @classmethod
    def connect(cls, url: str) -> Database:
        """Prepare the engines; raises `ConfigurationError` for a URL that is none of ours."""
        parsed = _parse(url)
        return _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)

    @property
    def is_sqlite(self) -> bool:
        """Say which of the two it is."""
        return self._writer.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees one state of the database throughout.

        Inside `writing` of the same thread it is that transaction, which sees its own writes.
        """
        current: Connection | None = getattr(self._mine, "connection", None)
        if current is not None:
            yield current
            return
        with _translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection in a transaction: committed, durably, at the end; or rolled back.

        Inside another `writing` of the same thread it joins that one.
        """
        current: Connection | None = getattr(self._mine, "connection", None)
        if current is not None:
            yield current
            return
        with _translated(), self._turn, self._writer.begin() as connection:
            self._mine.connection = connection
            try:
                yield connection
            finally:
                self._mine.connection = None

    def ping(self) -> None:
        """Ask for an answer; raises `CatalogUnavailable`."""
        with self.reading() as connection:
            connection.execute(text("SELECT count(*) FROM alembic_version"))

    def close(self) -> None:
        """Close all connections."""
        self._reader.dispose()
        self._writer.dispose()


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    update: Sequence[str] = (),
) -> None:
    """Insert rows; where the primary key is taken, set the columns `update`, or do nothing."""
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    if update:
        statement = statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: statement.excluded[name] for name in update},
        )
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, [dict(row) for row in rows])


def journal_mode(version: tuple[int, ...]) -> str:
    """Choose how SQLite of this version survives a crash.

    >>> journal_mode((3, 40, 1)), journal_mode((3, 51, 3))
    ('TRUNCATE', 'WAL')

    TRUNCATE is a rollback journal like DELETE, but syncs its end: after a power cut DELETE may find
    the deleted journal again and roll an acknowledged transaction back.
    """
    return "WAL" if version >= WAL_IS_SOUND_FROM else "TRUNCATE"


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def _parse(url: str) -> URL:
    path = url.removeprefix("sqlite:///")
    try:  # a path may hold what would begin a query in a URL
        parsed = make_url(url) if path == url else URL.create("sqlite", database=path)
    except ArgumentError as error:
        raise ConfigurationError("FOOTNOTE_DATABASE_URL is not a database URL") from error
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed.set(drivername="sqlite")
    raise ConfigurationError(
        f"The catalog cannot live in a {backend!r} database of this URL; set FOOTNOTE_DATABASE_URL "
        "to postgresql://user:password@host/name, or leave it empty for SQLite in the data folder."
    )


def _sqlite(url: URL) -> Database:
    _create_private(Path(url.database or ""))
    reader = create_engine(
        url,
        hide_parameters=True,
        pool_size=READERS,
        max_overflow=READERS,
        connect_args={"timeout": BUSY_SECONDS},
    )
    writer = create_engine(
        url,
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS},
    )
    for engine, begin in ((reader, "BEGIN"), (writer, "BEGIN IMMEDIATE")):
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _beginner(begin))
    return Database(reader, writer)


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, so that nobody else can ever read it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"The catalog {path} cannot be written: {error.strerror}. Set FOOTNOTE_DATA_DIR to a "
            "folder that this user may write to."
        ) from error


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    try:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver says it too late
        connection.execute(f"PRAGMA journal_mode={journal_mode(sqlite3.sqlite_version_info)}")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted leaves no readable trace
        connection.execute("PRAGMA cache_size=-16000")
    except sqlite3.Error:
        connection.close()
        raise


def _beginner(statement: str) -> Any:  # noqa: ANN401 - an event handler
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return begin


def _postgresql(url: URL) -> Database:
    arguments: dict[str, Any] = {
        "hide_parameters": True,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 10},
    }
    reader = create_engine(url, isolation_level="REPEATABLE READ", pool_size=READERS, **arguments)
    return Database(reader, create_engine(url, isolation_level="READ COMMITTED", **arguments))


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what a driver raises when the database does not answer into our own error."""
    try:
        yield
    except (DataError, IntegrityError, ProgrammingError):
        raise  # our mistake, not the database's
    except (DBAPIError, PoolExhausted) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise CatalogUnavailable(f"The catalog does not answer: {reason}") from error
