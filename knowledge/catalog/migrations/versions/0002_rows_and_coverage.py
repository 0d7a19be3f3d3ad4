"""Rows of tables with their header, and how much of a file was extracted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was read before says nothing of them."""
    for name in ("table_number", "header_start", "header_end"):
        op.add_column("blocks", sa.Column(name, sa.Integer))
    op.add_column("blocks", sa.Column("place", sa.Text, nullable=False, server_default=""))
    op.add_column("chunks", sa.Column("header", sa.Text, nullable=False, server_default=""))
    coverage = sa.Column("coverage", sa.Text, nullable=False, server_default="{}")
    op.add_column("revisions", coverage)
    op.add_column("revisions", sa.Column("extracted", sa.Float, nullable=False, server_default="1"))


def downgrade() -> None:
    """Drop the columns."""
    for name in ("table_number", "header_start", "header_end", "place"):
        op.drop_column("blocks", name)
    op.drop_column("chunks", "header")
    op.drop_column("revisions", "coverage")
    op.drop_column("revisions", "extracted")
