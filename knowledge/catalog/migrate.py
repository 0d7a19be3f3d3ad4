"""Bring the database to the schema this version knows, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from knowledge.catalog.database import Database
from knowledge.errors import ConfigurationError

SCRIPTS = Path(__file__).resolve().parent / "migrations"
_LOCK = 0x466F6F74  # any number that all processes of this database agree on


def migrate(database: Database) -> None:
    """Create or upgrade the tables, one process at a time; a no-op when nothing is new.

    Raises `ConfigurationError` when the database was written by a newer version.
    """
    with database.reading() as connection:
        if _is_current(connection):
            return
    with database.writing() as connection:
        if not database.is_sqlite:  # SQLite has but one writer anyway
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not _is_current(connection):
            command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """Describe our migrations to Alembic; they run on `connection`, in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_current(connection: Connection) -> bool:
    scripts = ScriptDirectory.from_config(configuration(connection))
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise ConfigurationError(
            f"The catalog was written by a newer Footnote: it has schema {found}, this version "
            f"knows up to {scripts.get_current_head()}. Install the newer version again, or "
            "restore the backup made before the upgrade."
        )
    return found == scripts.get_current_head()
