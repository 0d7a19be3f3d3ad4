"""First tables: documents, revisions, rights, uploads, term statistics."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make all tables."""
    _sources_and_documents()
    _revisions()
    _blocks()
    _chunks()
    _statistics_and_rejections()
    _submissions()


def downgrade() -> None:
    """Drop all tables, children first."""
    for table in (
        "submission_documents",
        "submissions",
        "rejections",
        "term_statistics",
        "chunks",
        "blocks",
        "revisions",
        "document_access",
        "documents",
        "sources",
    ):
        op.drop_table(table)


def _sources_and_documents() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
    )
    op.create_table(
        "documents",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text),
        sa.Column("classification", sa.String, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("live_revision", sa.String),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("access_dirty", sa.Boolean, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_documents_source_id"),
        sa.PrimaryKeyConstraint("id", name="pk_documents"),
        sa.UniqueConstraint("live_revision", name="uq_documents_live_revision"),
    )
    op.create_index("ix_documents_collection", "documents", ["collection"])
    op.create_index("ix_documents_source_id", "documents", ["source_id"])
    op.create_table(
        "document_access",
        sa.Column("document_id", sa.String, nullable=False),
        sa.Column("token", sa.String, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_document_access_document_id"
        ),
        sa.PrimaryKeyConstraint("document_id", "token", name="pk_document_access"),
    )
    op.create_index("ix_document_access_token", "document_access", ["token", "document_id"])


def _revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("document_id", sa.String, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("parser", sa.String, nullable=False),
        sa.Column("chunker", sa.String, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("touched_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["document_id"], ["documents.id"], name="fk_revisions_document_id"),
        sa.PrimaryKeyConstraint("id", name="pk_revisions"),
    )
    op.create_index("ix_revisions_digest", "revisions", ["digest"])
    op.create_index("ix_revisions_document_id", "revisions", ["document_id"])
    op.create_index("ix_revisions_state_touched_at", "revisions", ["state", "touched_at"])


def _blocks() -> None:
    op.create_table(
        "blocks",
        sa.Column("revision_id", sa.String, nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("x0", sa.Float),
        sa.Column("y0", sa.Float),
        sa.Column("x1", sa.Float),
        sa.Column("y1", sa.Float),
        sa.Column("heading", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name="fk_blocks_revision_id"),
        sa.PrimaryKeyConstraint("revision_id", "ordinal", name="pk_blocks"),
    )


def _chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("revision_id", sa.String, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("heading", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_block", sa.Integer, nullable=False),
        sa.Column("last_block", sa.Integer, nullable=False),
        sa.Column("terms", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name="fk_chunks_revision_id"),
        sa.PrimaryKeyConstraint("id", name="pk_chunks"),
    )
    op.create_index("ix_chunks_revision_id", "chunks", ["revision_id"])


def _statistics_and_rejections() -> None:
    op.create_table(
        "term_statistics",
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("documents", sa.Integer, nullable=False),
        sa.Column("changed_at", MOMENT),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("terms", sa.LargeBinary, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("collection", name="pk_term_statistics"),
    )
    op.create_table(
        "rejections",
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "uri", name="pk_rejections"),
    )


def _submissions() -> None:
    op.create_table(
        "submissions",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("access", sa.Text, nullable=False),
        sa.Column("submitted_by", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("lease_until", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_submissions"),
    )
    op.create_index("ix_submissions_digest", "submissions", ["digest"])
    op.create_index("ix_submissions_state_received_at", "submissions", ["state", "received_at"])
    op.create_index(
        "ix_submissions_submitted_by_received_at", "submissions", ["submitted_by", "received_at"]
    )
    op.create_table(
        "submission_documents",
        sa.Column("submission_id", sa.String, nullable=False),
        sa.Column("ordinal", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String, nullable=False),
        sa.ForeignKeyConstraint(
            ["submission_id"], ["submissions.id"], name="fk_submission_documents_submission_id"
        ),
        sa.PrimaryKeyConstraint("submission_id", "ordinal", name="pk_submission_documents"),
    )
    op.create_index("ix_submission_documents_document_id", "submission_documents", ["document_id"])
