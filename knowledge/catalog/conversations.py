"""Conversations and what was said of their answers, each person's own.

Every statement here names the owner, but those for retention, and for feedback: it is given to be
read by others.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from knowledge.catalog.database import Database, upsert
from knowledge.catalog.rows import AnyRow
from knowledge.catalog.schema import conversations, exchanges, feedback
from knowledge.errors import NotFound
from knowledge.models import Conversation, Exchange, Feedback, Rating, Reason

_OWN = conversations.c.owner == bindparam("owner")
_KEPT = exchanges.outerjoin(feedback, feedback.c.exchange_id == exchanges.c.id)
_FEEDBACK = tuple(
    feedback.c[name] for name in ("rating", "reason", "comment", "correction", "given_at")
)
_EXCHANGES = select(
    *(column for column in exchanges.c if column.name != "ordinal"), *_FEEDBACK
).select_from(_KEPT)
_OWN_EXCHANGES = _EXCHANGES.select_from(
    _KEPT.join(conversations, conversations.c.id == exchanges.c.conversation_id)
).where(_OWN)


class SqlConversations:
    """What was asked and answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, exchange: Exchange, *, owner: str, title: str = "") -> None:
        """Store an exchange durably, at the end of its conversation.

        With a `title` the conversation begins with it, else it must be there: `NotFound`.
        """
        with self._database.writing() as connection:
            if title:
                connection.execute(insert(conversations), _begun(exchange, owner, title))
            else:
                _locked(connection, exchange.conversation_id, owner)
                _touch(connection, exchange)
            connection.execute(insert(exchanges), _row(connection, exchange))

    def conversations(
        self, owner: str, *, after: str | None = None, limit: int = 100
    ) -> list[Conversation]:
        """List them, those last added to first, beginning after the id `after`."""
        place = tuple_(conversations.c.updated_at, conversations.c.id)
        statement = (
            select(conversations)
            .where(_OWN)
            .order_by(conversations.c.updated_at.desc(), conversations.c.id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            if after is not None:
                last = _one(connection, after, owner)
                statement = statement.where(place < tuple_(*_placed(last)))
            rows = connection.execute(statement, {"owner": owner})
            return [Conversation(**row._asdict()) for row in rows]

    def conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Return one; raises `NotFound`."""
        with self._database.reading() as connection:
            return _one(connection, conversation_id, owner)

    def exchanges(
        self, conversation_id: str, owner: str, *, latest: int | None = None
    ) -> list[Exchange]:
        """Return the exchanges in order, or only the `latest` so many; raises `NotFound`."""
        backwards = (
            _OWN_EXCHANGES.where(exchanges.c.conversation_id == conversation_id)
            .order_by(exchanges.c.ordinal.desc())
            .limit(latest)
        )
        with self._database.reading() as connection:
            _one(connection, conversation_id, owner)
            rows = connection.execute(backwards, {"owner": owner}).all()
        return [_to_exchange(row) for row in reversed(rows)]

    def exchange(self, exchange_id: str, owner: str) -> Exchange:
        """Return one; raises `NotFound`."""
        statement = _OWN_EXCHANGES.where(exchanges.c.id == exchange_id)
        with self._database.reading() as connection:
            row = connection.execute(statement, {"owner": owner}).one_or_none()
        if row is None:
            raise NotFound("there is no such answer")
        return _to_exchange(row)

    def rename(self, conversation_id: str, owner: str, title: str) -> Conversation:
        """Give it another title; raises `NotFound`."""
        with self._database.writing() as connection:
            _locked(connection, conversation_id, owner)
            this = update(conversations).where(conversations.c.id == conversation_id)
            connection.execute(this.values(title=title))
            return _one(connection, conversation_id, owner)

    def drop(self, conversation_id: str, owner: str) -> None:
        """Delete it with all that it holds, feedback included; raises `NotFound`."""
        with self._database.writing() as connection:
            _locked(connection, conversation_id, owner)
            _delete(connection, conversations.c.id == conversation_id)

    def judge(self, exchange_id: str, owner: str, feedback: Feedback) -> None:
        """Store what somebody says of an answer; it replaces what he said before."""
        with self._database.writing() as connection:
            about = select(exchanges.c.conversation_id).where(exchanges.c.id == exchange_id)
            _locked(connection, connection.scalar(about) or "", owner)
            _judge(connection, exchange_id, feedback)

    def judged(self, *, after: str | None = None, limit: int = 100) -> list[Exchange]:
        """List everybody's exchanges that have feedback by id, beginning after the id `after`."""
        statement = (
            _EXCHANGES.where(feedback.c.rating.is_not(None), exchanges.c.id > (after or ""))
            .order_by(exchanges.c.id)
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [_to_exchange(row) for row in connection.execute(statement)]

    def drop_conversations(self, *, before: datetime) -> int:
        """Delete what was last added to before then; return how many."""
        with self._database.writing() as connection:
            return _delete(connection, conversations.c.updated_at < before)


def _begun(exchange: Exchange, owner: str, title: str) -> dict[str, object]:
    moment = exchange.asked_at
    return {
        "id": exchange.conversation_id,
        "owner": owner,
        "title": title,
        "created_at": moment,
        "updated_at": moment,
    }


def _touch(connection: Connection, exchange: Exchange) -> None:
    this = conversations.c.id == exchange.conversation_id
    connection.execute(update(conversations).where(this).values(updated_at=exchange.asked_at))


def _row(connection: Connection, exchange: Exchange) -> dict[str, object]:
    counting = select(func.count()).where(exchanges.c.conversation_id == exchange.conversation_id)
    return {
        "id": exchange.id,
        "conversation_id": exchange.conversation_id,
        "ordinal": connection.scalar(counting),
        "asked_at": exchange.asked_at,
        "question": exchange.question,
        "answer": exchange.answer,
        "rests_on": sorted(exchange.rests_on),
        "settings": exchange.settings,
    }


def _judge(connection: Connection, exchange_id: str, said: Feedback) -> None:
    row = {
        "exchange_id": exchange_id,
        "rating": said.rating.value,
        "reason": said.reason.value if said.reason else None,
        "comment": said.comment,
        "correction": said.correction,
        "given_at": said.given_at,
    }
    upsert(connection, feedback, [row], update=[column.name for column in _FEEDBACK])


def _delete(connection: Connection, which: ColumnElement[bool]) -> int:
    """Delete conversations and all that hangs on them; return how many."""
    going = select(conversations.c.id).where(which)
    their = exchanges.c.conversation_id.in_(going)
    answers = select(exchanges.c.id).where(their)
    connection.execute(delete(feedback).where(feedback.c.exchange_id.in_(answers)))
    connection.execute(delete(exchanges).where(their))
    return connection.execute(delete(conversations).where(which)).rowcount


def _locked(connection: Connection, conversation_id: str, owner: str) -> None:
    """Keep other writers away from a conversation until the end; raises `NotFound`."""
    _row_of(connection, _this(conversation_id).with_for_update(), owner)


def _one(connection: Connection, conversation_id: str, owner: str) -> Conversation:
    return Conversation(**_row_of(connection, _this(conversation_id), owner)._asdict())


def _this(conversation_id: str) -> Select[tuple[object, ...]]:
    return select(conversations).where(conversations.c.id == conversation_id, _OWN)


def _row_of(connection: Connection, statement: Select[tuple[object, ...]], owner: str) -> AnyRow:
    row = connection.execute(statement, {"owner": owner}).one_or_none()
    if row is None:
        raise NotFound("there is no such conversation")
    return row


def _placed(last: Conversation) -> tuple[object, object]:
    return bindparam(None, last.updated_at, conversations.c.updated_at.type), last.id


def _to_exchange(row: AnyRow) -> Exchange:
    said = None
    if row.rating is not None:
        reason = Reason(row.reason) if row.reason else None
        said = Feedback(Rating(row.rating), row.given_at, reason, row.comment, row.correction)
    return Exchange(
        id=row.id,
        conversation_id=row.conversation_id,
        asked_at=row.asked_at,
        question=row.question,
        answer=row.answer,
        rests_on=frozenset(row.rests_on),
        settings=row.settings,
        feedback=said,
    )
