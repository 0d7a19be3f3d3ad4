"""Sources that are kept in sync, and what was brought in of each of their items."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make both tables."""
    _feeds()
    _items()


def downgrade() -> None:
    """Drop them."""
    op.drop_table("items")
    op.drop_table("feeds")


def _feeds() -> None:
    op.create_table(
        "feeds",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("access", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("every", sa.Integer),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("synced_at", MOMENT),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("counts", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("lease_until", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_feeds"),
        sa.UniqueConstraint("name", name="uq_feeds_name"),
    )


def _items() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("source_id", sa.String, nullable=False),
        sa.Column("feed_id", sa.String),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("documents", sa.Integer, nullable=False),
        sa.Column("modified_at", MOMENT),
        sa.Column("indexed_at", MOMENT),
        sa.Column("lag", sa.Float),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_items_source_id"),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
    )
    op.create_index("ix_items_feed_id", "items", ["feed_id"])
    op.create_index("ix_items_source_id", "items", ["source_id"])
