"""What the catalog holds, for the operator; it counts, whoever may read what."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, FromClause, Select, bindparam, exists, func, select

from knowledge.catalog.database import Database
from knowledge.catalog.rows import AnyRow
from knowledge.catalog.schema import chunks, documents, jobs, rejections, revisions
from knowledge.models import Coverage, Gap

ENOUGH = 0.9
"""A smaller share of extracted content is told."""
CERTAIN = 0.6
"""A smaller certainty of recognised text is told."""
_PAGES_NAMED = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is; an operator's view, never a user's."""

    documents: int
    """Live ones."""
    chunks: int
    """Of live revisions."""
    by_collection: dict[str, int]
    """Live documents of each collection."""
    revisions: dict[str, int]
    """By state."""
    jobs: dict[str, int]
    """By state."""
    failures: int


_SEARCHABLE = exists().where(chunks.c.revision_id == revisions.c.id)
_GAPS = (
    select(
        documents.c.id,
        documents.c.uri,
        documents.c.title,
        documents.c.collection,
        revisions.c.extracted,
        revisions.c.coverage,
        revisions.c.reading,
        _SEARCHABLE.label("searchable"),
    )
    .join_from(documents, revisions, revisions.c.id == documents.c.live_revision)
    .where(
        documents.c.id > bindparam("after"),
        (revisions.c.extracted < ENOUGH) | (revisions.c.certainty < CERTAIN) | ~_SEARCHABLE,
    )
    .order_by(documents.c.id)
    .limit(bindparam("most"))
)


class SqlOverview:
    """The operator's view of the catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> Counts:
        """Count everything of one moment."""
        live = documents.c.live_revision.is_not(None)
        of_live = chunks.join(documents, documents.c.live_revision == chunks.c.revision_id)
        with self._database.reading() as connection:
            by_collection = _tally(connection, select(documents.c.collection).where(live))
            return Counts(
                documents=sum(by_collection.values()),
                chunks=_count(connection, of_live),
                by_collection=by_collection,
                revisions=_tally(connection, select(revisions.c.state)),
                jobs=_tally(connection, select(jobs.c.state)),
                failures=_count(connection, rejections),
            )

    def gaps(self, *, after: str | None = None, limit: int = 100) -> list[Gap]:
        """List live documents of which little or nothing can be found, by id, after `after`."""
        with self._database.reading() as connection:
            rows = connection.execute(_GAPS, {"after": after or "", "most": limit}).all()
        return [_gap(row) for row in rows]


def _gap(row: AnyRow) -> Gap:
    return Gap(
        document_id=row.id,
        uri=row.uri,
        title=row.title,
        collection=row.collection,
        share=row.extracted,
        reasons=_reasons(row.coverage, row.reading.notes, searchable=row.searchable),
    )


def _reasons(coverage: Coverage, notes: tuple[str, ...], *, searchable: bool) -> tuple[str, ...]:
    """Say in words what is missing, the parser's own words last."""
    told = [] if searchable else ["nothing of it can be found: it holds no text that could be read"]
    if coverage.empty_pages:
        pages = coverage.empty_pages
        told.append(f"{len(pages)} of {coverage.pages} pages gave no text: {_listed(pages)}")
    if coverage.characters < ENOUGH * coverage.layer_characters:
        share = coverage.characters / coverage.layer_characters
        told.append(f"only {share:.0%} of the characters in the file were extracted")
    certainty = coverage.ocr_confidence
    if certainty is not None and certainty < CERTAIN:
        pages = coverage.ocr_pages
        told.append(
            f"text was recognised in images with a certainty of only {certainty:.0%}, "
            f"on page {_listed(pages)}; a better scan would help"
        )
    return (*told, *notes)


def _listed(pages: tuple[int, ...]) -> str:
    more = f" and {len(pages) - _PAGES_NAMED} more" if len(pages) > _PAGES_NAMED else ""
    return ", ".join(map(str, pages[:_PAGES_NAMED])) + more


def _count(connection: Connection, what: FromClause) -> int:
    return connection.scalar(select(func.count()).select_from(what)) or 0


def _tally(connection: Connection, names: Select[str]) -> dict[str, int]:
    """Count how often each name comes."""
    rows = connection.execute(names.add_columns(func.count()).group_by(*names.selected_columns))
    return {row[0]: row[1] for row in rows}
