"""What was asked and answered, and what people said of it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables, empty."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_updated_at", "conversations", ["updated_at"])
    op.create_index(
        "ix_conversations_owner_updated_at", "conversations", ["owner", "updated_at", "id"]
    )
    op.create_table(
        "exchanges",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("conversation_id", sa.String, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("question", "answer", "rests_on")),
        sa.Column("settings", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exchanges"),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name="fk_exchanges_conversation_id"
        ),
    )
    op.create_index(
        "ix_exchanges_conversation_id_ordinal",
        "exchanges",
        ["conversation_id", "ordinal"],
        unique=True,
    )
    op.create_table(
        "feedback",
        sa.Column("exchange_id", sa.String, nullable=False),
        sa.Column("rating", sa.String, nullable=False),
        sa.Column("reason", sa.String),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("correction", sa.Text, nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.id"], name="fk_feedback_exchange_id"),
    )


def downgrade() -> None:
    """Drop them, with all that was said."""
    for table in ("feedback", "exchanges", "conversations"):
        op.drop_table(table)
