"""Packs passages into the model's budget, numbered 1..n; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from knowledge.models import Block, Context, Passage, Question, Span
from knowledge.text import normalise_for_match, sentence_spans

Cost = Callable[[Passage], int]
"""How many tokens a passage takes in a prompt, with all that is written around it."""


def pack(
    question: Question,
    passages: Iterable[Passage],
    *,
    budget: int,
    most: int,
    cost: Cost,
    per_document: int | None = None,
) -> Context:
    """Take passages in rank order until `most` are in or none of the rest fits `budget` tokens.

    No text is packed twice: copies are left out, and where two passages of one revision overlap,
    the later one loses the overlap. A passage that does not fit is skipped for a smaller one; only
    when the very first does not fit is it cut to its leading sentences, so that a small budget
    still gives an answer. More than `per_document` passages of one document only come in after
    those of all others. `span` always cuts the revision to exactly `text`.
    """
    packed: list[Passage] = []
    tokens = 0
    for passage in _fairly(_distinct(passages), per_document):
        if len(packed) == most:
            break
        price = cost(passage)
        if price <= budget - tokens:
            packed.append(passage)
            tokens += price
        elif not packed and (short := _shorten(passage, budget, cost)):
            packed.append(short)
            tokens += cost(short)
    return Context(question=question, passages=tuple(packed), tokens=tokens)


def cut(passage: Passage, span: Span) -> Passage:
    """Return the part of a passage that `span`, in characters of the revision, covers."""
    blocks = tuple(block for block in passage.blocks if block.span.overlaps(span))
    page = blocks[0].page if blocks else passage.page
    header = passage.header if span.start == passage.span.start else _header_of(passage, blocks)
    text = passage.cut(span)
    return replace(passage, span=span, text=text, blocks=blocks, page=page, header=header)


def _header_of(passage: Passage, blocks: Sequence[Block]) -> str:
    """Return the header of the table in whose middle the first of the passage's `blocks` lies."""
    header = blocks[0].header if blocks else None
    if header is None:
        return ""
    if header == passage.blocks[0].header:
        return passage.header
    inside = passage.span.start <= header.start and header.end <= passage.span.end
    return passage.cut(header) if inside else ""


def _distinct(passages: Iterable[Passage]) -> Iterator[Passage]:
    texts: set[str] = set()
    covered: dict[str, list[Span]] = {}
    for passage in passages:
        spans = covered.setdefault(passage.revision_id, [])
        rest = _without(passage, spans)
        text = normalise_for_match(rest.text) if rest else ""
        if rest is None or not text.strip() or text in texts:
            continue
        texts.add(text)
        spans.append(rest.span)
        yield rest


def _fairly(passages: Iterable[Passage], per_document: int | None) -> Iterator[Passage]:
    """Put off what a document has beyond its share."""
    if per_document is None:
        yield from passages
        return
    shares: Counter[str] = Counter()
    rest = []
    for passage in passages:
        shares[passage.document.id] += 1
        if shares[passage.document.id] <= per_document:
            yield passage
        else:
            rest.append(passage)
    yield from rest


def _without(passage: Passage, covered: list[Span]) -> Passage | None:
    """Cut what is already covered from either end; nothing is left of one that is inside."""
    span = passage.span
    for other in sorted(covered):
        if not span.overlaps(other):
            continue
        before, after = other.start - span.start, span.end - other.end
        if max(before, after) <= 0:
            return None
        span = Span(span.start, other.start) if before > after else Span(other.end, span.end)
    return passage if span == passage.span else cut(passage, span)


def _shorten(passage: Passage, budget: int, cost: Cost) -> Passage | None:
    """Keep as many leading sentences as fit; None when not even one does."""
    best = None
    for sentence in sentence_spans(passage.text):
        end = passage.span.start + sentence.end
        short = cut(passage, Span(passage.span.start, end))
        if cost(short) > budget:
            break
        best = short
    return best
