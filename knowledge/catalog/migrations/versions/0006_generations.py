"""Generations: a new index is built beside the live one."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table, and the mark of revisions that stand by."""
    op.create_table(
        "generations",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("versions", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("chunk_tokens", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("switched_at", MOMENT),
        sa.Column("recall_before", sa.Float),
        sa.Column("recall_after", sa.Float),
        sa.PrimaryKeyConstraint("number", name="pk_generations"),
    )
    op.add_column("revisions", sa.Column("stands_by", sa.Integer))
    op.create_index("ix_revisions_stands_by", "revisions", ["stands_by", "document_id"])


def downgrade() -> None:
    """Drop them; what stood by is lost."""
    op.drop_index("ix_revisions_stands_by", "revisions")
    op.drop_column("revisions", "stands_by")
    op.drop_table("generations")
