"""What a parser said, what was embedded, and which documents say nearly the same."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables and columns; what was read before is no copy of anything."""
    op.create_table(
        "families",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("numbers", sa.LargeBinary, nullable=False),
        sa.Column("founded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_families"),
    )
    op.create_table(
        "family_bands",
        sa.Column("band", sa.BigInteger, nullable=False),
        sa.Column("family_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("band", "family_id", name="pk_family_bands"),
        sa.ForeignKeyConstraint(["family_id"], ["families.id"], name="fk_family_bands_family_id"),
    )
    op.create_index("ix_family_bands_family_id", "family_bands", ["family_id"])
    op.add_column("documents", sa.Column("family", sa.String))
    op.add_column("revisions", sa.Column("certainty", sa.Float))
    op.add_column("revisions", sa.Column("reading", sa.Text, nullable=False, server_default="{}"))
    op.add_column("revisions", sa.Column("family", sa.String))
    op.create_index("ix_revisions_family", "revisions", ["family"])
    op.add_column("chunks", sa.Column("imprint", sa.String, nullable=False, server_default=""))
    op.create_index("ix_chunks_imprint", "chunks", ["imprint"])


def downgrade() -> None:
    """Drop them, children first."""
    op.drop_index("ix_chunks_imprint", "chunks")
    op.drop_column("chunks", "imprint")
    op.drop_index("ix_revisions_family", "revisions")
    for name in ("certainty", "reading", "family"):
        op.drop_column("revisions", name)
    op.drop_column("documents", "family")
    op.drop_table("family_bands")
    op.drop_table("families")
