"""What filters go by besides rights: language, tags and date of documents."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them, unknown; have the index learn those labels that were known before."""
    op.add_column("documents", sa.Column("language", sa.String, nullable=False, server_default=""))
    op.add_column("documents", sa.Column("dated_at", sa.DateTime(timezone=True)))
    op.create_table(
        "document_tags",
        sa.Column("document_id", sa.String, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("document_id", "tag", name="pk_document_tags"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_document_tags_document_id"
        ),
    )
    op.create_index("ix_document_tags_tag", "document_tags", ["tag", "document_id"])
    for table in ("submissions", "feeds"):
        op.add_column(table, sa.Column("tags", sa.Text, nullable=False, server_default="[]"))
    op.execute("ALTER TABLE documents RENAME COLUMN access_dirty TO labels_dirty")
    op.create_index("ix_documents_labels_dirty", "documents", ["labels_dirty", "id"])
    op.execute("UPDATE documents SET labels_dirty = (1 = 1) WHERE live_revision IS NOT NULL")


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_documents_labels_dirty", "documents")
    op.execute("ALTER TABLE documents RENAME COLUMN labels_dirty TO access_dirty")
    op.drop_column("feeds", "tags")
    op.drop_column("submissions", "tags")
    op.drop_index("ix_document_tags_tag", "document_tags")
    op.drop_table("document_tags")
    op.drop_column("documents", "dated_at")
    op.drop_column("documents", "language")
