"""Answers, passages and ingest events as plain text for a terminal; pure.

Text from documents may hold control characters that would steer a terminal; they are left out.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from knowledge.reasons import in_words

Json = dict[str, Any]

WIDTH = 96
_VERDICTS = {
    "answered": "answered",
    "partly": "partly answered",
    "unsupported": "not supported by the documents it cites",
    "not_found": "not found in the documents",
}
_BACKINGS = {"partly": "Only partly in the source", "unsupported": "Not in the source"}


def answer(body: Json) -> str:
    """Return an answer with its verdict and its numbered footnotes."""
    parts = [_wrapped(body["text"]) if body["text"] else "I do not know: no document says so."]
    parts.append(f"({_how(body)})")
    parts.extend(_doubts(body))
    parts.extend(_disagreement(each) for each in body.get("conflicts", ()))
    parts.extend(citation(each) for each in body["citations"])
    return "\n\n".join(parts)


def citation(body: Json) -> str:
    """Return a footnote: document, page, and the verbatim quote."""
    where = f"[{body['number']}] {clean(body['title'])}{_page(body)}"
    quote = _wrapped(f"“{clean(body['quote'])}”", indent="    ")
    return f"{where}\n    {clean(body['uri'])}\n{quote}"


def passages(body: Json) -> str:
    """Return found passages, best first."""
    if not body["passages"]:
        return "Nothing found."
    return "\n\n".join(_passage(each) for each in body["passages"])


def event(body: Json) -> str:
    """Return one line about one document of an ingest run.

    >>> event({"outcome": "indexed", "uri": "/a.md", "chunks": 3, "reason": ""})
    'indexed    /a.md (3 chunks)'
    >>> event({"outcome": "rejected", "uri": "/b.pdf", "chunks": 0, "reason": "it is encrypted"})
    'rejected   /b.pdf: it is encrypted'
    """
    line = f"{body['outcome']:<10} {clean(body['uri'])}"
    if body["chunks"]:
        line += f" ({body['chunks']} chunk{'' if body['chunks'] == 1 else 's'})"
    return f"{line}: {clean(body['reason'])}" if body["reason"] else line


def summary(events: Sequence[Json]) -> str:
    """Return how many documents ended how, and each that was not indexed with its reason."""
    counts = Counter(each["outcome"] for each in events)
    told = [f"{count:,} {outcome}" for outcome, count in sorted(counts.items())]
    lines = [", ".join(told) or "nothing to do: no file of a known format"]
    bad = [each for each in events if each["outcome"] in {"rejected", "empty"}]
    if bad:
        lines += ["", "Not searchable:", *(f"  {event(each)}" for each in bad)]
    return "\n".join(lines)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as columns of even width.

    >>> print(table([["a", "1"], ["long", "2"]]))
    a     1
    long  2
    """
    kept = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in kept)


def clean(text: str) -> str:
    r"""Return `text` on one line, without anything a terminal would obey.

    >>> clean("a\x1b[31m\n b\u202e")
    'a[31m b'
    """
    return " ".join("".join(c if c.isprintable() else _blank(c) for c in text).split())


def _blank(character: str) -> str:
    return " " if character.isspace() else ""


def _how(body: Json) -> str:
    verdict = _VERDICTS[body["verdict"]]
    if body["fallback_reason"]:
        why = clean(body["fallback_reason"])
        return f"{verdict}; extractive, since the model could not answer: {why}"
    if body["verdict"] == "not_found":
        return verdict
    if body["extractive"]:
        return f"{verdict}; extractive: sentences quoted from the documents, no model wrote this"
    return f"{verdict}; written by {clean(body['model'])}, which can make mistakes"


def _doubts(body: Json) -> Iterator[str]:
    """Yield what is not carried of the answer, sentence by sentence, and what was left out."""
    for each in body.get("statements", ()):
        if each["backing"] != "supported":
            said = clean(body["text"][each["span"]["start"] : each["span"]["end"]])
            why = "; ".join(clean(in_words(reason)) for reason in each["reasons"])
            yield _wrapped(f"{_BACKINGS[each['backing']]}: {said}\n({why})", indent="  ")
    if count := body.get("withheld", 0):
        yield f"  {count} sentence{'s' * (count > 1)} left out, not in the sources"


def _disagreement(body: Json) -> str:
    """Return what each of the documents says that do not agree, with its date."""
    lines = ["  Documents do not agree:"]
    for side in body["sides"]:
        cited = side["citation"]
        dated = f", {side['dated_at'][:10]}" if side["dated_at"] else ""
        lines.append(f"  - {clean(side['value'])}: {clean(cited['title'])}{_page(cited)}{dated}")
        lines.append(_wrapped(f"“{clean(cited['quote'])}”", indent="      "))
    return "\n".join(lines)


def _passage(body: Json) -> str:
    document = body["document"]
    path = " › ".join(clean(part) for part in body["heading"])
    head = f"{body['rank']}. {clean(document['title'])}{_page(body)}"
    lines = [f"{head}  ({path})" if path else head, f"    {clean(document['uri'])}"]
    return "\n".join([*lines, _wrapped(clean(body["text"]), indent="    ")])


def _page(body: Json) -> str:
    return f", page {body['page']}" if body["page"] is not None else ""


def _wrapped(text: str, *, indent: str = "") -> str:
    paragraphs = (clean(line) for line in text.splitlines())
    return "\n".join(
        textwrap.fill(line, WIDTH, initial_indent=indent, subsequent_indent=indent)
        for line in paragraphs
        if line
    )


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    return (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
