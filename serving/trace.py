"""What has become of a quote: compares a citation with the live revision of its document; pure."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from knowledge.models import Change, Citation, Revision, Span, Staleness, Trace
from knowledge.text import sentence_spans

LIKE = 0.5
"""Share of words in common from which a text is taken for what became of a quote."""
_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\s+|\w+|[^\w\s]")


def trace(citation: Citation, live: Revision | None) -> Trace:
    """Say how a citation stands; None: there is no live revision that the reader may read."""
    if live is None:
        return Trace(citation.number, Staleness.GONE)
    quote, span = citation.quote, citation.span
    if live.id == citation.revision_id or (quote and span.cut(live.text) == quote):
        return Trace(citation.number, Staleness.UNCHANGED, span=span)
    found = _set_anew(quote, live.text)
    if found is None:
        return _nearest(citation, live)
    now = found.cut(live.text)
    return Trace(citation.number, Staleness.MOVED, "" if now == quote else now, found)


def changes(old: str, new: str) -> tuple[Change, ...]:
    """Return the way from `old` to `new`, word by word.

    >>> [(each.kind, each.text) for each in changes("It costs 7 euros", "It costs 9 euros")]
    [('same', 'It costs '), ('removed', '7'), ('added', '9'), ('same', ' euros')]
    """
    return tuple(_changes(_PIECE.findall(old), _PIECE.findall(new)))


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield Change("same", "".join(old[a:b]))
            continue
        if a < b:
            yield Change("removed", "".join(old[a:b]))
        if c < d:
            yield Change("added", "".join(new[c:d]))


def _set_anew(quote: str, text: str) -> Span | None:
    """Return where the quote stands, whatever its lines and spaces are now."""
    start = text.find(quote)
    if start >= 0:
        return Span(start, start + len(quote))
    words = [re.escape(word) for word in quote.split()]
    found = re.search(r"\s+".join(words), text) if words else None
    return Span(*found.span()) if found else None


def _nearest(citation: Citation, live: Revision) -> Trace:
    span = _likest(citation.quote, live)
    if span is None:
        return Trace(citation.number, Staleness.CHANGED, diff=changes(citation.quote, ""))
    now = span.cut(live.text)
    diff = changes(citation.quote, now)
    return Trace(citation.number, Staleness.CHANGED, now, span, diff)


def _likest(quote: str, live: Revision) -> Span | None:
    """Return the sentences that are most like the quote, as many as it has.

    First the block with most of its words is found, which costs little in a long text.
    """
    wanted = _words(quote)
    blocks = [block.span for block in live.blocks] or [Span(0, len(live.text))]
    best = max(blocks, key=lambda span: _shared(wanted, span.cut(live.text)))
    sentences = sentence_spans(best.cut(live.text))
    if not sentences:
        return None
    count = max(1, len(sentence_spans(quote)))
    starts = range(max(1, len(sentences) - count + 1))
    runs = [Span(sentences[n].start, sentences[n : n + count][-1].end) for n in starts]
    placed = [Span(best.start + run.start, best.start + run.end) for run in runs]
    likest = max(placed, key=lambda span: _likeness(wanted, span.cut(live.text)))
    return likest if _likeness(wanted, likest.cut(live.text)) >= LIKE else None


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))


def _shared(wanted: Counter[str], text: str) -> int:
    return (wanted & _words(text)).total()


def _likeness(wanted: Counter[str], text: str) -> float:
    """Return the share of words in common (Dice)."""
    words = _words(text)
    return 2 * (wanted & words).total() / max(1, wanted.total() + words.total())
