"""Nouns and events as JSON values and server-sent events; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from knowledge.formats import SHORT_NAMES
from knowledge.models import (
    Answer,
    Citation,
    Conflict,
    Conversation,
    Document,
    Facet,
    Facets,
    Feed,
    Feedback,
    Freshness,
    Gap,
    IngestEvent,
    Job,
    Passage,
    Principal,
    Refused,
    Span,
    Statement,
    Submission,
    Trace,
)
from serving.archive import Opened
from serving.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    ErrorEvent,
    Event,
    PassagesEvent,
    QueuedEvent,
    StepEvent,
    Stored,
)

Json = dict[str, Any]


def passages_json(passages: Sequence[Passage], *, explain: bool = False) -> Json:
    """Return the body of a search."""
    return {"passages": [passage_json(each) | _steps(each, explain) for each in passages]}


def _steps(passage: Passage, explain: bool) -> Json:
    if not explain:
        return {}
    return {"explain": [{**asdict(step), "score": round(step.score, 4)} for step in passage.steps]}


def passage_json(passage: Passage) -> Json:
    """Return one passage; its score stays inside unless somebody asks why."""
    document = passage.document
    return {
        "document": {
            "id": document.id,
            "external_id": document.external_id,
            "title": document.title,
            "uri": document.uri,
        },
        "revision": passage.revision_id,
        "page": passage.page,
        "pages": sorted({block.page for block in passage.blocks if block.page is not None}),
        "heading": list(passage.heading),
        "header": passage.header,
        "text": passage.text,
        "span": _span(passage.span),
        "rank": passage.rank,
    }


def citation_json(citation: Citation) -> Json:
    """Return one citation."""
    return {
        "number": citation.number,
        "document_id": citation.document_id,
        "external_id": citation.external_id,
        "title": citation.title,
        "uri": citation.uri,
        "revision_id": citation.revision_id,
        "page": citation.page,
        "box": asdict(citation.box) if citation.box else None,
        "quote": citation.quote,
        "span": _span(citation.span),
        "support": round(citation.support, 4),
    }


def statement_json(statement: Statement) -> Json:
    """Return one sentence of an answer and how far it is carried."""
    return {
        "span": _span(statement.span),
        "numbers": list(statement.numbers),
        "backing": statement.backing.value,
        "support": round(statement.support, 4),
        "reasons": list(statement.reasons),
    }


def conflict_json(conflict: Conflict) -> Json:
    """Return documents that do not agree, each with its quote and its date."""
    return {
        "kind": conflict.kind.value,
        "sides": [
            {
                "value": side.value,
                "citation": citation_json(side.citation),
                "dated_at": _moment(side.dated_at),
            }
            for side in conflict.sides
        ],
    }


def answer_json(answer: Answer, stored: Stored | None = None) -> Json:
    """Return a whole answer, and where it is kept."""
    return {
        "text": answer.text,
        "verdict": answer.verdict.value,
        "citations": [citation_json(citation) for citation in answer.citations],
        "statements": [statement_json(statement) for statement in answer.statements],
        "conflicts": [conflict_json(conflict) for conflict in answer.conflicts],
        "model": answer.model,
        "effort": answer.effort.value,
        "prompt": answer.prompt,
        "extractive": answer.extractive,
        "fallback_reason": answer.fallback_reason,
        "dropped_markers": answer.dropped_markers,
        "withheld": answer.withheld,
        "repaired": answer.repaired,
        "usage": asdict(answer.usage),
        "timings_ms": {name: round(spent, 1) for name, spent in answer.timings_ms.items()},
        "stored": asdict(stored) if stored else None,
    }


def conversation_json(conversation: Conversation) -> Json:
    """Return what a list says of a conversation."""
    return {
        "id": conversation.id,
        "title": conversation.title,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
    }


def opened_json(opened: Opened) -> Json:
    """Return an exchange as its reader may see it today."""
    exchange, said = opened.exchange, opened.exchange.feedback
    return {
        "id": exchange.id,
        "asked_at": exchange.asked_at.isoformat(),
        "question": exchange.question,
        "answer": answer_json(exchange.answer, Stored(exchange.conversation_id, exchange.id)),
        "withheld": opened.withheld,
        "traces": [_trace_json(each) for each in opened.traces],
        "settings": exchange.settings,
        "feedback": feedback_json(said) if said else None,
    }


def _trace_json(trace: Trace) -> Json:
    return {
        "number": trace.number,
        "state": trace.state.value,
        "now": trace.now,
        "span": _span(trace.span) if trace.span else None,
        "diff": [asdict(change) for change in trace.diff],
    }


def feedback_json(feedback: Feedback) -> Json:
    """Return what somebody said of an answer."""
    return {
        "rating": feedback.rating.value,
        "reason": feedback.reason.value if feedback.reason else None,
        "comment": feedback.comment,
        "correction": feedback.correction,
        "given_at": feedback.given_at.isoformat(),
    }


def judged_json(found: Sequence[Opened], *, limit: int) -> Json:
    """Return one page of answers that have feedback; nobody is named."""
    more = found[-1].exchange.id if len(found) == limit else None
    return {"feedback": [opened_json(each) for each in found], "next": more}


def document_json(document: Document, principal: Principal) -> Json:
    """Return a document as `principal` may see it."""
    body: Json = {
        "id": document.id,
        "external_id": document.external_id,
        "title": document.title,
        "uri": document.uri,
        "collection": document.collection,
        "classification": document.classification,
        "media_type": document.media_type,
        "metadata": dict(document.metadata),
        "revision": document.live_revision,
        "size": document.size,
        "updated_at": _moment(document.updated_at),
        "source": document.source_id,
        "language": document.language,
        "tags": sorted(document.tags),
        "dated_at": _moment(document.dated_at),
    }
    if principal.has_role("admin"):
        body["access"] = sorted(document.access)
    return body


def facets_json(facets: Facets) -> Json:
    """Return what can be narrowed to, with the short names of formats."""
    return {
        "sources": [_facet_json(each, each.name) for each in facets.sources],
        "types": [
            _facet_json(each, SHORT_NAMES.get(each.value, each.value)) for each in facets.types
        ],
        "languages": [_facet_json(each, each.name) for each in facets.languages],
        "tags": [_facet_json(each, each.name) for each in facets.tags],
        "first": _moment(facets.first),
        "last": _moment(facets.last),
    }


def _facet_json(facet: Facet, name: str) -> Json:
    return {"value": facet.value, "name": name, "documents": facet.documents}


def submission_json(submission: Submission) -> Json:
    """Return where an upload stands."""
    return {
        "id": submission.id,
        "name": submission.name,
        "size": submission.size,
        "collection": submission.collection,
        "access": sorted(submission.access),
        "tags": sorted(submission.tags),
        "state": submission.state.value,
        "reason": submission.reason,
        "documents": list(submission.document_ids),
        "received_at": submission.received_at.isoformat() if submission.received_at else None,
        "status_url": f"/v1/submissions/{submission.id}",
    }


def feed_json(feed: Feed, freshness: Freshness) -> Json:
    """Return a source that is kept in sync; its settings hold no secrets."""
    moments = {
        name: moment.isoformat() if moment else None
        for name, moment in (
            ("added_at", feed.added_at),
            ("due_at", feed.due_at),
            ("started_at", feed.started_at),
            ("finished_at", feed.finished_at),
            ("synced_at", feed.synced_at),
        )
    }
    return {
        "id": feed.id,
        "name": feed.name,
        "kind": feed.kind,
        "uri": feed.uri,
        "collection": feed.collection,
        "access": sorted(feed.access),
        "tags": sorted(feed.tags),
        "settings": dict(feed.settings),
        "every": feed.every,
        "paused": feed.paused,
        "state": feed.state.value,
        "error": feed.error,
        "counts": dict(feed.counts),
        "freshness": asdict(freshness),
        **moments,
    }


def ingest_json(event: IngestEvent) -> Json:
    """Return one line of an ingest run."""
    return asdict(event) | {"outcome": event.outcome.value}


def refusals_json(refused: Sequence[Refused]) -> Json:
    """Return what is not indexed."""
    return {
        "refusals": [
            {
                "uri": each.uri,
                "code": each.code,
                "reason": each.reason,
                "quarantined": each.quarantined,
            }
            for each in refused
        ]
    }


def coverage_json(gaps: Sequence[Gap], *, limit: int) -> Json:
    """Return one page of documents of which little or nothing can be found."""
    more = gaps[-1].document_id if len(gaps) == limit else None
    listed = [asdict(gap) | {"reasons": list(gap.reasons)} for gap in gaps]
    return {"documents": listed, "next": more}


def quarantine_json(refused: Sequence[Refused]) -> Json:
    """Return what is not tried again."""
    return {"quarantine": [refused_json(each) for each in refused]}


def refused_json(refused: Refused) -> Json:
    """Return all that is known of a file that is not indexed."""
    return {
        "id": refused.id,
        "uri": refused.uri,
        "code": refused.code,
        "reason": refused.reason,
        "attempts": refused.attempts,
        "first_seen_at": _moment(refused.first_seen_at),
        "seen_at": _moment(refused.seen_at),
        "digest": refused.digest,
        "tried_with": refused.tried_with,
        "quarantined": refused.quarantined,
    }


def jobs_json(jobs: Sequence[Job]) -> Json:
    """Return a list of jobs."""
    return {"jobs": [job_json(job) for job in jobs]}


def job_json(job: Job) -> Json:
    """Return where a job stands."""
    return {
        "id": job.id,
        "kind": job.kind.value,
        "subject": job.subject,
        "name": job.name,
        "state": job.state.value,
        "reason": job.reason,
        "lane": job.lane.value,
        "attempts": job.attempts,
        "done": job.done,
        "total": job.total,
        "created_at": _moment(job.created_at),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
        "next_at": _moment(job.next_at),
        "status_url": f"/v1/jobs/{job.id}",
    }


def _moment(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def error_json(code: str, message: str, field: str | None = None) -> Json:
    """Return the one shape of all errors."""
    detail = {"code": code, "message": message}
    return {"error": detail | ({"field": field} if field else {})}


def event_json(event: Event) -> tuple[str, Json]:
    """Return the name and the data of an event of the answer's stream."""
    match event:
        case QueuedEvent() | StepEvent() | DeltaEvent():
            return _MIDWAY[type(event)], asdict(event)
        case PassagesEvent():
            numbered = enumerate(event.passages, start=1)
            return "passages", {"passages": [passage_json(p) | {"rank": n} for n, p in numbered]}
        case CitationEvent():
            return "citation", citation_json(event.citation)
        case AnswerEvent():
            return "answer", answer_json(event.answer, event.stored)
        case ErrorEvent():
            body = error_json(event.code, event.message)
            body["error"]["retryable"] = event.retryable
            return "error", body


_MIDWAY = {QueuedEvent: "queued", StepEvent: "step", DeltaEvent: "delta"}


def sse(name: str, data: Mapping[str, Any]) -> bytes:
    r"""Return one server-sent event.

    >>> sse("delta", {"text": "a\nb"})
    b'event: delta\ndata: {"text":"a\\nb"}\n\n'
    """
    return f"event: {name}\ndata: {compact(data)}\n\n".encode()


def compact(data: Mapping[str, Any]) -> str:
    """Return JSON on one line."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _span(span: Span) -> Json:
    return {"start": span.start, "end": span.end}
