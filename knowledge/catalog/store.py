"""The catalog as one object.

It fills the doors `Library`, `Ledger`, `Outbox`, `Feeds` and `Conversations`.
"""

from __future__ import annotations

from typing import Self

from knowledge.catalog.cleaning import SqlCleaning
from knowledge.catalog.contents import SqlContents
from knowledge.catalog.conversations import SqlConversations
from knowledge.catalog.database import Database
from knowledge.catalog.facets import SqlFacets
from knowledge.catalog.feeds import SqlFeeds
from knowledge.catalog.generations import SqlGenerations
from knowledge.catalog.items import SqlItems
from knowledge.catalog.jobs import SqlJobs
from knowledge.catalog.ledger import SqlLedger
from knowledge.catalog.library import SqlLibrary
from knowledge.catalog.migrate import migrate
from knowledge.catalog.outbox import SqlOutbox
from knowledge.catalog.overview import SqlOverview
from knowledge.catalog.refusals import SqlRefusals
from knowledge.catalog.rights import SqlRights
from knowledge.catalog.statistics import SqlStatistics
from knowledge.catalog.stock import SqlStock
from knowledge.catalog.surroundings import SqlSurroundings


class SqlCatalog(
    SqlLibrary,
    SqlFacets,
    SqlSurroundings,
    SqlStatistics,
    SqlLedger,
    SqlCleaning,
    SqlGenerations,
    SqlStock,
    SqlContents,
    SqlRights,
    SqlRefusals,
    SqlOutbox,
    SqlJobs,
    SqlOverview,
    SqlFeeds,
    SqlItems,
    SqlConversations,
):
    """The source of truth about documents, in SQLite or PostgreSQL; safe to share by threads.

    All methods raise `CatalogUnavailable` when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        SqlStatistics.__init__(self, database)  # the only part with a state of its own
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the catalog at an SQLAlchemy URL and bring its schema up to date.

        `sqlite:///path` is made when absent, readable by its owner alone; `postgresql://…` must
        exist. Raises `ConfigurationError` for any other URL, or a schema newer than this version.
        """
        database = Database.connect(url)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def ping(self) -> None:
        """Ask the database for an answer; raises `CatalogUnavailable`."""
        self._database.ping()

    def close(self) -> None:
        """Close all connections."""
        self._database.close()
