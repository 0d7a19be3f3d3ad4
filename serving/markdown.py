"""A conversation as Markdown, to be kept elsewhere; pure.

Whatever shows the file shows the words of models and documents as the text they are: no link, no
image, no HTML. What they might use for these is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from knowledge.models import Citation, Conflict, Conversation, Exchange, Staleness, Trace
from serving.archive import Opened

WITHHELD = "This answer rests on a document that cannot be read any more; it is withheld."
_STATES = {
    Staleness.UNCHANGED: "",
    Staleness.MOVED: "moved within its document since",
    Staleness.CHANGED: "changed since",
    Staleness.GONE: "its document cannot be read any more",
}
_ACTIVE = re.compile(r"[\\`*_\[\]<>#|~!&@$]|:(?=/)|(?<=www)\.", re.IGNORECASE)


def as_markdown(conversation: Conversation, past: Sequence[Opened]) -> str:
    """Return the whole of it, with what became of each quote."""
    return "\n\n".join(_parts(conversation, past)) + "\n"


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> escaped("![x](http://evil.example) <b>")
    '\\!\\[x\\](http\\://evil.example) \\<b\\>'
    """
    return _ACTIVE.sub(lambda found: f"\\{found[0]}", text)


def _parts(conversation: Conversation, past: Sequence[Opened]) -> Iterator[str]:
    yield f"# {_line(conversation.title)}"
    yield f"Begun {conversation.created_at:%Y-%m-%d %H:%M} UTC. A machine wrote it from documents."
    for each in past:
        yield f"## {_line(each.exchange.question)}"
        yield WITHHELD if each.withheld else escaped(each.exchange.answer.text)
        yield _made(each.exchange)
        yield from map(_footnote, each.exchange.answer.citations, each.traces)
        yield from map(_disagreement, each.exchange.answer.conflicts)


def _made(exchange: Exchange) -> str:
    answer = exchange.answer
    facts = [f"{exchange.asked_at:%Y-%m-%d %H:%M} UTC", answer.verdict.value, answer.model]
    return escaped(" · ".join(filter(None, [*facts, answer.prompt])))


def _footnote(citation: Citation, trace: Trace) -> str:
    if trace.state is Staleness.GONE:
        return f"{citation.number}\\. ({_STATES[trace.state]})"
    page = f", page {citation.page}" if citation.page else ""
    mark = f" ({_STATES[trace.state]})" if _STATES[trace.state] else ""
    told = f"{citation.number}\\. {_line(citation.title)}{page}{mark}\n\n{_quoted(citation.quote)}"
    if trace.state is not Staleness.CHANGED:
        return told
    return f"{told}\n\nNow:\n\n{_quoted(trace.now or '(nothing like it)')}"


def _disagreement(conflict: Conflict) -> str:
    sides = (
        f"{_line(side.citation.title)}{f', {side.dated_at:%Y-%m-%d}' if side.dated_at else ''}"
        f"\n\n{_quoted(side.citation.quote)}"
        for side in conflict.sides
    )
    return "\n\n".join(["Documents do not agree:", *sides])


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in escaped(text).splitlines())


def _line(text: str) -> str:
    return escaped(" ".join(text.split()))
