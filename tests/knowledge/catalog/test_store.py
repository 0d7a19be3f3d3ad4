from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from knowledge.catalog import database as database_module
from knowledge.catalog.database import Database, journal_mode
from knowledge.catalog.migrate import configuration
from knowledge.catalog.overview import Counts
from knowledge.catalog.schema import metadata
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import CatalogUnavailable, ConfigurationError
from knowledge.models import Document, JobState, Passage, SubmissionState
from knowledge.ports import Ledger, Library, Outbox
from tests.catalogs import ALICE, CHUNK, FOLDER, Placed, document, prepare, publish, upload

TEXT = "Travel is booked by the office. Receipts are due within ten days."


def test_the_catalog_fills_its_three_doors(catalog: SqlCatalog) -> None:
    doors: tuple[Library, Ledger, Outbox] = (catalog, catalog, catalog)

    assert all(door is catalog for door in doors)
    catalog.ping()


def test_a_folder_of_any_name_holds_its_catalog(tmp_path: Path) -> None:
    folder = tmp_path / "a?b=c #1 %20 é"
    folder.mkdir()
    SqlCatalog.open(f"sqlite:///{folder / 'catalog.sqlite'}").close()

    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "catalog.sqlite").stat().st_size > 0


def test_opening_twice_changes_nothing(catalog: SqlCatalog, url: str) -> None:
    hits = publish(catalog, document(), TEXT)

    again = SqlCatalog.open(url)
    try:
        assert again.passages(hits, ALICE) == catalog.passages(hits, ALICE) != []
    finally:
        again.close()


def test_migrations_make_the_tables_that_the_code_uses(catalog: SqlCatalog, url: str) -> None:
    database = Database.connect(url)
    try:
        with database.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        database.close()


def test_the_comparison_would_notice_a_missing_column(catalog: SqlCatalog, url: str) -> None:
    database = Database.connect(url)
    try:
        with database.writing() as connection:
            connection.execute(text("ALTER TABLE submissions DROP COLUMN size"))
            assert compare_metadata(MigrationContext.configure(connection), metadata) != []
    finally:
        database.close()


def test_migrations_go_back_down(catalog: SqlCatalog, url: str) -> None:
    database = Database.connect(url)
    try:
        with database.writing() as connection:
            command.downgrade(configuration(connection), "base")
            assert inspect(connection).get_table_names() == ["alembic_version"]
    finally:
        database.close()


def test_uploads_keep_their_state_when_jobs_come_and_when_they_go(
    catalog: SqlCatalog, url: str
) -> None:
    for number, kept in enumerate(SubmissionState):
        catalog.submit(replace(upload(number), state=kept, reason="because", attempts=number))
    catalog.reject("folder", "bad.pdf", code="encrypted", reason="It needs a password.")
    before = catalog.submissions(ALICE)
    database = Database.connect(url)
    try:
        with database.writing() as connection:
            command.downgrade(configuration(connection), "0004-1")
            states = connection.execute(text("SELECT state FROM submissions")).scalars().all()
            assert sorted(states) == sorted(SubmissionState)
            command.upgrade(configuration(connection), "head")
    finally:
        database.close()
    assert catalog.submissions(ALICE) == before
    (refused,) = catalog.refused()
    assert refused.first_seen_at == refused.seen_at
    assert catalog.refused_one(refused.id) == refused


def test_a_catalog_of_a_newer_version_is_refused_with_advice(catalog: SqlCatalog, url: str) -> None:
    database = Database.connect(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()

    with pytest.raises(ConfigurationError, match=r"newer Footnote.*9999.*backup"):
        SqlCatalog.open(url)


def test_several_processes_may_open_a_new_catalog_at_once(new_url: str) -> None:
    opening = "import sys; from knowledge.catalog.store import SqlCatalog as C; C.open(sys.argv[1])"
    openers = [subprocess.Popen([sys.executable, "-c", opening, new_url]) for _ in range(3)]

    assert [opener.wait(timeout=120) for opener in openers] == [0, 0, 0]


def test_migrations_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SqlCatalog.open("sqlite:///100% here.sqlite").close()

    assert (tmp_path / "100% here.sqlite").is_file()


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "catalog.sqlite"
    old = os.umask(0)
    try:
        SqlCatalog.open(f"sqlite:///{file}").close()
    finally:
        os.umask(old)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_sqlite_is_told_to_lose_nothing_and_to_leave_no_trace(tmp_path: Path) -> None:
    database = Database.connect(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    expected = {"synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 30_000}
    for lend in (database.reading, database.writing):
        with lend() as connection:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected
            }
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        assert found == expected
        assert mode == journal_mode(sqlite3.sqlite_version_info).lower()
    database.close()


@pytest.mark.parametrize(
    ("version", "mode"),
    [((3, 40, 1), "TRUNCATE"), ((3, 51, 2), "TRUNCATE"), ((3, 51, 3), "WAL"), ((3, 54), "WAL")],
)
def test_a_write_ahead_log_is_used_only_where_it_is_sound(
    version: tuple[int, ...], mode: str
) -> None:
    assert journal_mode(version) == mode


def test_the_catalog_works_with_a_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WAL_IS_SOUND_FROM", (3,))
    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    hits = publish(catalog, document(), TEXT)

    assert len(catalog.passages(hits, ALICE)) == len(hits)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"catalog.sqlite{end}" for end in ("", "-shm", "-wal")]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    catalog.close()


def test_a_forgotten_text_is_not_in_the_files_any_more(tmp_path: Path) -> None:
    def is_there() -> bool:
        return any(b"secret recipe" in file.read_bytes() for file in tmp_path.iterdir())

    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    publish(catalog, document(), "The secret recipe is this. " * 500)
    assert is_there()

    catalog.remove(document().id)
    catalog.forget(catalog.dead())

    assert not is_there() or journal_mode(sqlite3.sqlite_version_info) == "WAL"
    catalog.close()
    assert not is_there()


@pytest.mark.parametrize(
    "url", ["mysql://host/name", "sqlite://", "sqlite:///:memory:", "not a url", ""]
)
def test_a_url_of_another_kind_is_refused_with_advice(url: str) -> None:
    with pytest.raises(ConfigurationError, match="FOOTNOTE_DATABASE_URL"):
        SqlCatalog.open(url)


def test_a_folder_that_cannot_be_written_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ConfigurationError, match="FOOTNOTE_DATA_DIR"):
        SqlCatalog.open(f"sqlite:///{tmp_path / 'file' / 'catalog.sqlite'}")


def test_a_file_that_is_no_database_does_not_answer(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_text("This is a letter. " * 100)

    with pytest.raises(CatalogUnavailable, match="not a database"):
        SqlCatalog.open(f"sqlite:///{file}")


def test_a_server_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(CatalogUnavailable):
        SqlCatalog.open(f"postgresql://nobody:secret@/none?host={tmp_path}")


def test_a_database_that_went_away_does_not_answer(catalog: SqlCatalog, url: str) -> None:
    catalog.ping()
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).write_text("no database" * 1000)
    else:
        with psycopg.connect(url, autocommit=True, dbname="postgres") as connection:
            name = urlsplit(url).path.removeprefix("/")
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    with pytest.raises(CatalogUnavailable):
        catalog.ping()


def test_errors_do_not_tell_what_was_stored(catalog: SqlCatalog, url: str) -> None:
    catalog.ensure_source(FOLDER)
    database = Database.connect(url)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE rejections"))
    database.close()

    with pytest.raises(Exception, match="rejections") as caught:
        catalog.reject(FOLDER.id, "uri", code="c", reason="The secret recipe.")

    assert "recipe" not in str(caught.value)


def test_the_operator_sees_how_much_there_is(catalog: SqlCatalog) -> None:
    publish(catalog, document("a"), "x" * CHUNK * 3)
    publish(catalog, document("b", collection="hr", access=frozenset()), "x")
    publish(catalog, document("b", collection="hr", access=frozenset()), "x" * CHUNK * 2)
    prepare(catalog, document("c"), "x")
    catalog.submit(upload(1))
    catalog.submit(upload(2))
    catalog.finish(upload(1).id, JobState.DONE, reason="", documents=["a"])
    catalog.reject("folder", "bad.pdf", code="encrypted", reason="It needs a password.")

    assert catalog.counts() == Counts(
        documents=2,
        chunks=5,
        by_collection={"main": 1, "hr": 1},
        revisions={"live": 2, "dead": 1, "upserted": 1},
        jobs={"done": 1, "waiting": 1},
        failures=1,
    )


def test_readers_see_whole_documents_while_a_writer_replaces_them(catalog: SqlCatalog) -> None:
    """Each list of passages is of one revision, complete, whatever the writer is doing."""
    owners = [document(f"{number}") for number in range(3)]
    history = {owner.id: publish(catalog, owner, "0" * CHUNK * 5) for owner in owners}
    over = threading.Event()
    torn: list[list[Passage]] = []
    seen: set[str] = set()

    def read() -> None:
        while not over.is_set():
            for owner in owners:
                found = catalog.passages(history[owner.id], ALICE)
                seen.update(passage.text for passage in found)
                if found and not _is_whole(found):
                    torn.append(found)

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    _replace_for_seconds(2, catalog, owners, history)
    over.set()
    for reader in readers:
        reader.join()

    assert torn == []
    assert len(seen) > 1


def _is_whole(found: list[Passage]) -> bool:
    one_text = len({passage.text for passage in found}) == 1
    one_revision = len({passage.revision_id for passage in found}) == 1
    return one_text and one_revision and [len(each.blocks) for each in found] == [1] * 5


def _replace_for_seconds(
    seconds: float, catalog: SqlCatalog, owners: list[Document], history: dict[str, list[Placed]]
) -> None:
    until = time.monotonic() + seconds
    version = 0
    while time.monotonic() < until:
        version += 1
        for owner in owners:
            revision_id, hits = prepare(catalog, owner, f"{version % 10}" * CHUNK * 5)
            history[owner.id] = [*history[owner.id][-5:], *hits]
            catalog.switch(owner, revision_id)
            catalog.forget(catalog.dead())
