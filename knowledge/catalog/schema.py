"""The tables of the catalog. A change here needs a revision in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

from knowledge.catalog.types import (
    Answered,
    AnyText,
    Extraction,
    KeyText,
    Moment,
    Numbers,
    Pairs,
    Remarks,
    Strings,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

sources = Table(
    "sources",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("uri", AnyText, nullable=False),
    Column("collection", AnyText, nullable=False),
)

# Visibility is one column: a document is seen exactly when `live_revision` names a revision.
# `updated_at` is when its content changed, `changed_at` also when its access did. `labels_dirty`
# says that the index has yet to learn of rights or tags.
documents = Table(
    "documents",
    metadata,
    Column("id", String, primary_key=True),
    Column("source_id", String, ForeignKey("sources.id"), nullable=False, index=True),
    Column("uri", AnyText, nullable=False),
    Column("title", AnyText, nullable=False),
    Column("collection", AnyText, nullable=False, index=True),
    Column("external_id", AnyText),
    Column("classification", String, nullable=False),
    Column("media_type", AnyText, nullable=False),
    Column("metadata", Pairs, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("live_revision", String, unique=True),
    Column("generation", Integer, nullable=False),
    Column("labels_dirty", Boolean, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("family", String),
    Column("language", String, nullable=False),
    Column("dated_at", Moment),
    Index("ix_documents_labels_dirty", "labels_dirty", "id"),
)

document_access = Table(
    "document_access",
    metadata,
    Column("document_id", String, ForeignKey("documents.id"), primary_key=True),
    Column("token", String, primary_key=True),
    Index("ix_document_access_token", "token", "document_id"),
)

document_tags = Table(
    "document_tags",
    metadata,
    Column("document_id", String, ForeignKey("documents.id"), primary_key=True),
    Column("tag", AnyText, primary_key=True),
    Index("ix_document_tags_tag", "tag", "document_id"),
)

# A family is named for the revision that founded it, and outlives it while others belong to it.
families = Table(
    "families",
    metadata,
    Column("id", String, primary_key=True),
    Column("numbers", Numbers, nullable=False),
    Column("founded_at", Moment, nullable=False),
)

family_bands = Table(
    "family_bands",
    metadata,
    Column("band", BigInteger, primary_key=True, autoincrement=False),
    Column("family_id", String, ForeignKey("families.id"), primary_key=True, index=True),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", String, primary_key=True),
    Column("document_id", String, ForeignKey("documents.id"), nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("digest", String, nullable=False, index=True),
    Column("versions", AnyText, nullable=False),
    Column("parser", String, nullable=False),
    Column("chunker", String, nullable=False),
    Column("text", AnyText, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("touched_at", Moment, nullable=False),
    Column("coverage", Extraction, nullable=False),
    Column("extracted", Float, nullable=False),
    Column("certainty", Float),
    Column("reading", Remarks, nullable=False),
    Column("family", String, index=True),
    Column("stands_by", Integer),
    Index("ix_revisions_stands_by", "stands_by", "document_id"),
    Index("ix_revisions_state_touched_at", "state", "touched_at"),
)

# `revisions.stands_by` names the generation a complete revision waits in while another is live.
generations = Table(
    "generations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("versions", AnyText, nullable=False),
    Column("model", AnyText, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("chunk_tokens", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("switched_at", Moment),
    Column("recall_before", Float),
    Column("recall_after", Float),
)

blocks = Table(
    "blocks",
    metadata,
    Column("revision_id", String, ForeignKey("revisions.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("x0", Float),
    Column("y0", Float),
    Column("x1", Float),
    Column("y1", Float),
    Column("heading", Strings, nullable=False),
    Column("table_number", Integer),
    Column("header_start", Integer),
    Column("header_end", Integer),
    Column("place", AnyText, nullable=False),
)

# `text` repeats a piece of the revision's text: cutting it out of a long text at query time would
# read that whole text for each passage. The catalog itself cuts it, so the two cannot differ.
chunks = Table(
    "chunks",
    metadata,
    Column("id", String, primary_key=True),
    Column("revision_id", String, ForeignKey("revisions.id"), nullable=False, index=True),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("heading", Strings, nullable=False),
    Column("text", AnyText, nullable=False),
    Column("first_block", Integer, nullable=False),
    Column("last_block", Integer, nullable=False),
    Column("terms", Numbers, nullable=False),
    Column("header", AnyText, nullable=False),
    Column("imprint", String, nullable=False, index=True),
)

term_statistics = Table(
    "term_statistics",
    metadata,
    Column("collection", AnyText, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("changed_at", Moment),
    Column("chunks", Integer, nullable=False),
    Column("terms", Numbers, nullable=False),
    Column("counts", Numbers, nullable=False),
)

rejections = Table(
    "rejections",
    metadata,
    Column("source_id", String, primary_key=True),
    Column("uri", KeyText, primary_key=True),
    Column("code", String, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("id", String, nullable=False, index=True),
    Column("first_seen_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("tried_with", AnyText, nullable=False),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", AnyText, nullable=False),
    Column("digest", String, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("collection", AnyText, nullable=False),
    Column("access", Strings, nullable=False),
    Column("submitted_by", String, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("tags", Strings, nullable=False),
    Index("ix_submissions_submitted_by_received_at", "submitted_by", "received_at"),
)

# An upload's job has the upload's id. Jobs of one `turn` are done one after the other, in order.
jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("owner", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("turn", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("stops", Integer, nullable=False),
    Column("run", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("next_at", Moment),
    Column("worker", AnyText, nullable=False),
    Column("lease_until", Moment),
    Index("ix_jobs_state_created_at", "state", "created_at"),
    Index("ix_jobs_turn_created_at", "turn", "created_at"),
    Index("ix_jobs_owner_created_at", "owner", "created_at"),
)

submission_documents = Table(
    "submission_documents",
    metadata,
    Column("submission_id", String, ForeignKey("submissions.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("document_id", String, nullable=False, index=True),
)

# A source that is kept in sync. `holder` syncs it until `lease_until`.
feeds = Table(
    "feeds",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("uri", AnyText, nullable=False),
    Column("collection", AnyText, nullable=False),
    Column("access", Strings, nullable=False),
    Column("settings", Pairs, nullable=False),
    Column("every", Integer),
    Column("paused", Boolean, nullable=False),
    Column("added_at", Moment, nullable=False),
    Column("due_at", Moment),
    Column("state", String, nullable=False),
    Column("started_at", Moment),
    Column("finished_at", Moment),
    Column("synced_at", Moment),
    Column("error", AnyText, nullable=False),
    Column("counts", Pairs, nullable=False),
    Column("cursor", AnyText, nullable=False),
    Column("holder", AnyText, nullable=False),
    Column("lease_until", Moment),
    Column("tags", Strings, nullable=False),
)

# What was brought in of each file, object or page; `id` derives from source and uri.
items = Table(
    "items",
    metadata,
    Column("id", String, primary_key=True),
    Column("source_id", String, ForeignKey("sources.id"), nullable=False, index=True),
    Column("feed_id", String, index=True),
    Column("uri", AnyText, nullable=False),
    Column("seed", AnyText, nullable=False),
    Column("fingerprint", AnyText, nullable=False),
    Column("digest", String, nullable=False),
    Column("versions", AnyText, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("modified_at", Moment),
    Column("indexed_at", Moment),
    Column("lag", Float),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("title", AnyText, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False, index=True),
    Index("ix_conversations_owner_updated_at", "owner", "updated_at", "id"),
)

# An exchange names documents and revisions without a foreign key: it outlives them.
exchanges = Table(
    "exchanges",
    metadata,
    Column("id", String, primary_key=True),
    Column("conversation_id", String, ForeignKey("conversations.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("question", AnyText, nullable=False),
    Column("answer", Answered, nullable=False),
    Column("rests_on", Strings, nullable=False),
    Column("settings", String, nullable=False),
    Index("ix_exchanges_conversation_id_ordinal", "conversation_id", "ordinal", unique=True),
)

feedback = Table(
    "feedback",
    metadata,
    Column("exchange_id", String, ForeignKey("exchanges.id"), primary_key=True),
    Column("rating", String, nullable=False),
    Column("reason", String),
    Column("comment", AnyText, nullable=False),
    Column("correction", AnyText, nullable=False),
    Column("given_at", Moment, nullable=False),
)
