"""Jobs with a state of their own, and how often a refused file has failed."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from knowledge.models import derive_id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
_LARGE = 8 * 2**20
_NOW_CALLED = {"received": "waiting", "working": "running"}
_THEN_CALLED = {"waiting": "received", "retrying": "received", "paused": "received"} | {
    "running": "working",
    "dead": "failed",
}


def upgrade() -> None:
    """Move the state of uploads to their jobs; what was refused before has not been counted."""
    _jobs()
    _move_to_jobs()
    op.drop_index("ix_submissions_state_received_at", "submissions")
    for name in ("state", "reason", "attempts", "worker", "lease_until"):
        op.drop_column("submissions", name)
    _count_refusals()


def downgrade() -> None:
    """Move the state back."""
    for column in _of_submissions():
        op.add_column("submissions", column)
    _move_from_jobs()
    op.create_index("ix_submissions_state_received_at", "submissions", ["state", "received_at"])
    op.drop_table("jobs")
    op.drop_index("ix_rejections_id", "rejections")
    for name in ("id", "first_seen_at", "attempts", "digest", "tried_with"):
        op.drop_column("rejections", name)


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("lane", sa.String, nullable=False),
        sa.Column("turn", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("attempts", "stops", "run", "done", "total")
        ),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("next_at", MOMENT),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("lease_until", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    for first in ("state", "turn", "owner"):
        op.create_index(f"ix_jobs_{first}_created_at", "jobs", [first, "created_at"])


def _move_to_jobs() -> None:
    found = _rows(
        "id, name, submitted_by, collection, size, state, reason, attempts, received_at, worker, "
        "lease_until",
        "submissions",
    )
    rows = [
        {
            "id": row["id"],
            "kind": "upload",
            "subject": row["id"],
            "name": row["name"],
            "owner": row["submitted_by"],
            "lane": "large" if row["size"] > _LARGE else "quick",
            "turn": derive_id("upload", row["collection"], row["submitted_by"], row["name"]),
            "state": _NOW_CALLED.get(row["state"], row["state"]),
            "reason": row["reason"],
            "attempts": row["attempts"],
            "stops": 0,
            "run": 0,
            "done": 0,
            "total": 0,
            "created_at": row["received_at"],
            "worker": row["worker"],
            "lease_until": row["lease_until"],
        }
        for row in found
    ]
    if rows:
        names = ", ".join(rows[0])
        given = ", ".join(f":{name}" for name in rows[0])
        op.get_bind().execute(sa.text(f"INSERT INTO jobs ({names}) VALUES ({given})"), rows)  # noqa: S608


def _of_submissions() -> list[sa.Column[Any]]:
    return [
        sa.Column("state", sa.String, nullable=False, server_default="received"),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.Text, nullable=False, server_default=""),
        sa.Column("lease_until", MOMENT),
    ]


def _move_from_jobs() -> None:
    statement = sa.text(
        "UPDATE submissions SET state = :state, reason = :reason, attempts = :attempts, "
        "worker = :worker, lease_until = :lease_until WHERE id = :id"
    )
    found = _rows("id, state, reason, attempts, worker, lease_until", "jobs")
    for row in found:
        state = _THEN_CALLED.get(row["state"], row["state"])
        op.get_bind().execute(statement, {**row, "state": state})


def _count_refusals() -> None:
    for name in ("id", "digest"):
        op.add_column("rejections", sa.Column(name, sa.String, nullable=False, server_default=""))
    op.add_column("rejections", sa.Column("tried_with", sa.Text, nullable=False, server_default=""))
    attempts = sa.Column("attempts", sa.Integer, nullable=False, server_default="0")
    op.add_column("rejections", attempts)
    beginning = sa.Column(
        "first_seen_at", MOMENT, nullable=False, server_default="1970-01-01 00:00:00"
    )
    op.add_column("rejections", beginning)
    named = sa.text("UPDATE rejections SET id = :id WHERE source_id = :source_id AND uri = :uri")
    for row in _rows("source_id, uri", "rejections"):
        identity = derive_id(row["source_id"], row["uri"])
        op.get_bind().execute(named, {**row, "id": identity})
    op.execute("UPDATE rejections SET first_seen_at = seen_at")
    op.create_index("ix_rejections_id", "rejections", ["id"])


def _rows(columns: str, table: str) -> Sequence[dict[str, Any]]:
    """Return rows as the driver holds them, moments included: they go back as they came."""
    found = op.get_bind().execute(sa.text(f"SELECT {columns} FROM {table}"))  # noqa: S608
    return [dict(row) for row in found.mappings()]
