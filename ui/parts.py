"""The pieces of the page as HTML; pure. All text from outside passes through `ui.render`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from knowledge.models import (
    Answer,
    Backing,
    Citation,
    Conflict,
    Side,
    Span,
    Staleness,
    SubmissionState,
    Trace,
    Verdict,
)
from knowledge.reasons import in_words
from ui.client import FoundPassage, Health, Listed, Queued, Step, Upload
from ui.render import Doubt, answer_html, passage_html, plain, quoted_html

_VERDICTS = {
    Verdict.ANSWERED: "Answered from your documents",
    Verdict.PARTLY: "Answered in part",
    Verdict.UNSUPPORTED: "Not supported by your documents",
    Verdict.NOT_FOUND: "Not found in your documents",
}
_BACKINGS = {Backing.PARTLY: "partly in the source", Backing.UNSUPPORTED: "not in the source"}
_STATES = {
    SubmissionState.RECEIVED: "stored, waiting",
    SubmissionState.WORKING: "being read",
    SubmissionState.DONE: "ready",
    SubmissionState.FAILED: "not added",
    SubmissionState.CANCELLED: "cancelled",
}
_STEPS = {
    SubmissionState.RECEIVED: ("fn-on", "fn-busy", ""),
    SubmissionState.WORKING: ("fn-on", "fn-on fn-busy", ""),
}
"""How the bar of three steps looks while there is something to wait for."""
_SINCE = {
    Staleness.MOVED: "It stands elsewhere in the document by now",
    Staleness.CHANGED: "The document has changed since",
    Staleness.GONE: "The document cannot be read any more",
}
MOST_CLOSEST = 3
NOT_FOUND = "The documents that you may read do not answer this."

HEADER = (
    '<div class="fn-head" role="banner"><div class="fn-name" role="heading" aria-level="1">'
    "Footnote<sup>1</sup></div>"
    "<p>Answers from your own documents, with the quote behind every sentence.</p></div>"
)
WITHHELD = (
    '<div class="fn-notice" role="status"><b>This answer is withheld</b>'
    "<p>It rests on a document that cannot be read any more. Ask again to hear what the others "
    "say.</p></div>"
)
NO_DOCUMENTS = (
    '<div class="fn-welcome"><h2>There is nothing to ask about yet</h2>'
    "<p>Footnote answers from documents, and there are none that you may read.</p>"
    "<ol><li>Drop a file onto <b>Add documents</b> at the left, or run "
    "<code>footnote ingest FOLDER</code> for a whole folder.</li>"
    "<li>Wait until it is shown as ready.</li><li>Ask your question here.</li></ol></div>"
)


def welcome_html(documents: int) -> str:
    """Return what stands on the page before the first question."""
    many = "one document" if documents == 1 else f"{documents:,} documents"
    return (
        f'<div class="fn-welcome"><h2>Ask about {many}</h2>'
        "<p>Each answer comes with numbered footnotes: the document, the page, and the words it "
        "rests on. When the documents do not hold the answer, Footnote says so.</p></div>"
    )


def question_html(text: str, narrowed: str = "") -> str:
    """Return a question as it was asked, and what it was narrowed to."""
    only = f'<div class="fn-narrowed">Only {plain(narrowed)}</div>' if narrowed else ""
    return f'<div class="fn-question" role="heading" aria-level="2">{plain(text)}</div>{only}'


def writing_html(
    text: str, passages: Sequence[FoundPassage], step: Step | Queued | None = None
) -> str:
    """Return an answer that is still being written, or what is done meanwhile."""
    notes = {passage.rank: _name(passage.document.title, passage.page) for passage in passages}
    found = f"Reading {len(passages)} passages" if passages else "Searching the documents"
    body = answer_html(text, notes) if text else quoted_html(_doing(step) or found, {})
    return f'<div class="fn-writing" role="status" aria-live="polite">{body}</div>'


def _doing(step: Step | Queued | None) -> str:
    match step:
        case Step():
            return f"{_LOOKING.get(step.tool, 'Reading on')} {step.about}".strip()
        case Queued():
            return f"Waiting for the model: number {step.position} in line"
    return ""


_LOOKING = {"search": "Searching for", "find": "Looking for", "open": "Reading on"}


def answered_html(answer: Answer) -> str:
    """Return the text of a whole answer, with its verdict and how it was made."""
    notes = {
        citation.number: f"{_name(citation.title, citation.page)}: “{citation.quote}”"
        for citation in reversed(answer.citations)
    }
    facts = [f'<span class="fn-verdict fn-{answer.verdict}">{_VERDICTS[answer.verdict]}</span>']
    if answer.verdict is not Verdict.NOT_FOUND:
        made = "Quoted word for word; no model wrote this" if answer.extractive else answer.model
        facts.append(f"<span>{plain(made)}</span>")
    if answer.withheld:
        facts.append(f"<span>{_withheld(answer.withheld)}</span>")
    text = answer.text.strip() or NOT_FOUND
    if answer.extractive:
        body = quoted_html(text, notes)
    else:
        body = answer_html(text, notes, list(_doubts(answer)))
    return f'{body}<div class="fn-facts">{"".join(facts)}</div>'


def _withheld(count: int) -> str:
    many = "One sentence" if count == 1 else f"{count} sentences"
    return f"{many} left out, not in the sources"


def _doubts(answer: Answer) -> Iterator[Doubt]:
    for statement in answer.statements:
        if statement.backing is not Backing.SUPPORTED:
            why = "; ".join(map(in_words, statement.reasons))
            yield Doubt(
                statement.span, _BACKINGS[statement.backing], why, f"fn-{statement.backing}"
            )


def fallback_html(reason: str) -> str:
    """Return the note that stands above an answer that another writer was meant to give."""
    said = f"{reason} Here are sentences quoted from the documents."
    return notice_html("Quoted sentences in place of a written answer", said)


def notice_html(title: str, text: str, *, error: bool = False) -> str:
    """Return a notice."""
    kind, role = ("fn-notice fn-error", "alert") if error else ("fn-notice", "status")
    return f'<div class="{kind}" role="{role}"><b>{plain(title)}</b>{answer_html(text, {})}</div>'


def hint_html(text: str) -> str:
    """Return what can be done where there is nothing to show."""
    return f'<div class="fn-hint">{answer_html(text, {})}</div>'


def citation_html(
    citations: Sequence[Citation], passage: FoundPassage | None, traces: Sequence[Trace] = ()
) -> str:
    """Return one numbered footnote: all quotes with the same number, and the passage around.

    `traces` tell what became of the quotes since.
    """
    first = citations[0]
    became = "".join(_became(each) for each in traces if each.state in _SINCE)
    if any(each.state is Staleness.GONE for each in traces):
        return (
            f'<div class="fn-note"><div class="fn-number" aria-label="Footnote {first.number}">'
            f"{first.number}</div>{became}</div>"
        )
    quotes = "".join(f"<blockquote>{plain(each.quote.strip())}</blockquote>" for each in citations)
    place = " · ".join(filter(None, [file_name(first.uri), *_where(first, passage)]))
    return (
        f'<div class="fn-note"><div class="fn-number" aria-label="Footnote {first.number}">'
        f'{first.number}</div><div><div class="fn-title">{plain(first.title)}</div>'
        f'<div class="fn-place">{plain(place)}</div></div>'
        f"{quotes}{became}{_around(citations, passage)}</div>"
    )


def conflict_html(conflict: Conflict) -> str:
    """Return documents that do not agree side by side, each with its date and its words."""
    sides = "".join(map(_side, conflict.sides))
    title = f"<b>Your documents do not agree on the {conflict.kind}</b>"
    return f'<div class="fn-conflict" role="note">{title}<div class="fn-sides">{sides}</div></div>'


def _side(side: Side) -> str:
    cited = side.citation
    dated = f"{side.dated_at:%Y-%m-%d}" if side.dated_at else "no date"
    place = " · ".join([dated, _name(file_name(cited.uri), cited.page)])
    return (
        f'<div><div class="fn-title">{plain(side.value)}</div>'
        f'<div class="fn-place">{plain(cited.title)}<br>{plain(place)}</div>'
        f"<blockquote>{plain(cited.quote.strip())}</blockquote></div>"
    )


def closest_html(passages: Sequence[FoundPassage]) -> str:
    """Return the passages that come closest where nothing was found: they are no answer."""
    shown = "".join(
        f'<div class="fn-note"><div class="fn-title">{plain(each.document.title)}</div>'
        f'<div class="fn-place">{plain(_name(file_name(each.document.uri), each.page))}</div>'
        f"<details><summary>Show the passage</summary><div>{passage_html(each.text, ())}</div>"
        "</details></div>"
        for each in passages[:MOST_CLOSEST]
    )
    return f'<div class="fn-notes-title">Closest passages, which may not answer it</div>{shown}'


def _became(trace: Trace) -> str:
    """Return what became of a quote, with what changed in it."""
    marks = {"same": "span", "removed": "del", "added": "ins"}
    diff = "".join(f"<{marks[c.kind]}>{plain(c.text)}</{marks[c.kind]}>" for c in trace.diff)
    told = f"<div>{diff}</div>" if diff else ""
    return f'<div class="fn-since fn-{trace.state}"><b>{_SINCE[trace.state]}</b>{told}</div>'


def documents_html(documents: Iterable[Listed]) -> str:
    """Return a list of documents."""
    rows = "".join(_row(each.title, plain(file_name(each.uri))) for each in documents)
    return f'<ul class="fn-list">{rows or "<li>No document is called that.</li>"}</ul>'


def uploads_html(uploads: Iterable[Upload]) -> str:
    """Return how far each upload has come."""
    rows = (_row(each.name, _progress(each), kind=f"fn-{each.state}") for each in uploads)
    return f'<ul class="fn-list" role="status" aria-live="polite">{"".join(rows)}</ul>'


def section_html(title: str) -> str:
    """Return the title of a part of the sidebar."""
    return f'<div class="fn-section" role="heading" aria-level="2">{plain(title)}</div>'


def health_html(health: Health) -> str:
    """Return how the service is, who writes the answers, and what is wrong with which part."""
    parts = dict(health.parts)
    writer = parts.pop("answers", "")
    ill = [f"{part}: {said}" for part, said in parts.items() if said != "ok"]
    kind, word = ("fn-dot", "Service ready") if health.status == "ok" else ("fn-bad", "Not ready")
    writes = "Answers are quoted sentences" if writer == "extractive" else f"Answers by {writer}"
    lines = "".join(f"<br>{plain(line)}" for line in [*ill, *([writes] if writer else [])])
    return (
        f'<div class="fn-health" role="status"><span class="{kind}"></span><b>{word}</b> '
        f"· {plain(health.version)}{lines}</div>"
    )


def file_name(uri: str) -> str:
    """Return the name of the file that a document came from.

    >>> file_name("/shared/hr/leave%231.pdf"), file_name("corpus.jsonl#42"), file_name("")
    ('leave#1.pdf', 'corpus.jsonl', '')
    """
    return PurePosixPath(unquote(uri.partition("#")[0])).name


def _name(title: str, page: int | None) -> str:
    return f"{title}, page {page}" if page else title


def _where(citation: Citation, passage: FoundPassage | None) -> list[str]:
    headings = [each for each in (passage.heading if passage else ()) if each != citation.title]
    return [" › ".join(headings), f"page {citation.page}" if citation.page else ""]


def _around(citations: Sequence[Citation], passage: FoundPassage | None) -> str:
    """Return the passage with the quotes marked; nothing when it holds no more than they do."""
    if passage is None:
        return ""
    start = passage.span.start
    spans = [
        Span(each.span.start - start, each.span.end - start)
        for each in citations
        if each.revision_id == passage.revision
        and start <= each.span.start <= each.span.end <= passage.span.end
    ]
    if not spans or sum(span.end - span.start for span in spans) >= len(passage.text.strip()):
        return ""
    header = f'<div class="fn-place">{plain(passage.header)}</div>' if passage.header else ""
    marked = header + passage_html(passage.text, spans)
    return f"<details><summary>Show it in its passage</summary><div>{marked}</div></details>"


def _row(title: str, below: str, *, kind: str = "fn-document") -> str:
    name = f'<span class="fn-title">{plain(title)}</span>'
    return f'<li class="{kind}">{name}<span class="fn-place">{below}</span></li>'


def _progress(upload: Upload) -> str:
    said = _STATES[upload.state] + (f": {plain(upload.reason)}" if upload.reason else "")
    bars = "".join(f'<i class="{step}"></i>' for step in _STEPS.get(upload.state, ()))
    return (f'<span class="fn-steps" aria-hidden="true">{bars}</span>' if bars else "") + said
