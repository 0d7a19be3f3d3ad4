"""Widens packed passages into what stands around them, as far as tokens are left; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from knowledge.models import Chunk, Context, Passage, Span, Surroundings
from retrieval.context import Cost

REACH = 6
"""Chunks either way that are looked at: a table grows so far, prose by one."""


def widen(
    context: Context,
    around: Mapping[str, Surroundings],
    *,
    budget: int,
    cost: Cost,
) -> Context:
    """Let each passage grow, best first, without leaving its section or repeating a character.

    A passage that begins or ends inside a table takes in the rest of the table; any other the
    chunk after it and the one before. Nothing is added that does not fit into `budget` tokens.
    `around` is by chunk id, as `Library.surroundings` returns it.
    """
    passages = list(context.passages)
    tokens = context.tokens
    for i in sorted(range(len(passages)), key=lambda i: passages[i].rank):
        near = around.get(passages[i].chunk_id)
        price = cost(passages[i])
        for wider in _grown(passages, i, near) if near else ():
            more = cost(wider) - price
            if tokens + more > budget:
                break
            passages[i] = wider
            tokens, price = tokens + more, price + more
    return replace(context, passages=tuple(passages), tokens=tokens)


def _grown(passages: Sequence[Passage], i: int, near: Surroundings) -> Iterator[Passage]:
    """Yield the passage with one more neighbour each time, those after it first."""
    now = passages[i]
    others = [p.span for p in passages if p is not now and p.revision_id == now.revision_id]
    for run in (_after(now, near), _before(now, near)):
        for neighbour in run:
            if any(neighbour.span.overlaps(other) for other in others):
                break
            now = _joined(now, neighbour, near)
            yield now


def _after(passage: Passage, near: Surroundings) -> Iterator[Chunk]:
    own = _place(passage, near)
    if near.chunks[own].span.end == passage.span.end:  # else it has been cut there
        yield from _run(near.chunks[own:], near)


def _before(passage: Passage, near: Surroundings) -> Iterator[Chunk]:
    own = _place(passage, near)
    if near.chunks[own].span.start == passage.span.start:
        yield from _run(near.chunks[own::-1], near)


def _place(passage: Passage, near: Surroundings) -> int:
    return next(i for i, chunk in enumerate(near.chunks) if chunk.id == passage.chunk_id)


def _run(chunks: Sequence[Chunk], near: Surroundings) -> Iterator[Chunk]:
    """Yield what follows the first of `chunks` in its table; or the one next to it."""
    for former, chunk in pairwise(chunks):
        if chunk.heading != former.heading:
            return
        inside = _share_a_table(former.span, chunk.span, near)
        if inside or former is chunks[0]:
            yield chunk
        if not inside:
            return


def _share_a_table(one: Span, other: Span, near: Surroundings) -> bool:
    """Say whether one table goes on from the end of the former into the latter."""
    former, latter = min(one, other), max(one, other)
    table = _table_at(former.end - 1, near)
    return table is not None and table == _table_at(latter.start, near)


def _table_at(place: int, near: Surroundings) -> int | None:
    at = (block.table for block in near.blocks if block.span.start <= place < block.span.end)
    return next(at, None)


def _joined(passage: Passage, neighbour: Chunk, near: Surroundings) -> Passage:
    start = min(passage.span.start, neighbour.span.start)
    span = Span(start, max(passage.span.end, neighbour.span.end))
    blocks = tuple(block for block in near.blocks if block.span.overlaps(span))
    return replace(
        passage,
        span=span,
        text=near.cut(span),
        blocks=blocks,
        page=blocks[0].page if blocks else passage.page,
        header=neighbour.header if start < passage.span.start else passage.header,
    )
