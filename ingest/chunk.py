"""Cut a parsed text into chunks along its structure: one pass, no overlap, nothing lost. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from knowledge.models import Block, BlockKind, Chunk, Parsed, Span, derive_id
from knowledge.text import sentence_spans

CHUNKER = "structure-3"
"""Changes when the same text could be cut or embedded otherwise; stored with each revision."""

MAX_CHUNKS = 10_000
"""Most of one document: twice what the longest English text gives, of which each chunk costs some
10 ms to embed. Only texts of hardly anything but signs, or of a heading a line, have more."""

CELLS = " | "
"""Stands between the cells of a row, in whatever format it came."""
_WORDS_OR_YEAR = re.compile(r"[^\W\d_]|^\s*(?:19|20)\d\d\s*$")
_SEAMS = re.compile(r"_+|(?<=[a-z])(?=[A-Z])")

TokenSpans = Callable[[str], list[Span]]

_HEADINGS = frozenset({BlockKind.TITLE, BlockKind.HEADING})
_ROWS = frozenset({BlockKind.TABLE, BlockKind.CODE})
_LONGEST_HEADER = 1000
"""Characters; what a table calls its header can be a page of text."""
_LONGEST_TOKEN = 64
"""Characters; a longer one (a key, a pasted image) counts as several, so that no chunk explodes."""


def chunk(
    revision_id: str, parsed: Parsed, token_spans: TokenSpans, max_tokens: int
) -> list[Chunk]:
    """Cut `parsed.text`: chunks are ordered, do not overlap, and hold every visible character.

    Consecutive blocks under one heading share a chunk while they fit. A heading opens a chunk. A
    block that is too long is cut at row or sentence ends, failing that between tokens. No chunk is
    longer than `max_tokens`, and what it is embedded with (title, headings, the header of a table
    that it continues) is counted in, as long as that leaves it half of the room.
    """
    ruler = _Ruler(parsed, token_spans, max_tokens)
    packs = _packs(_pieces(parsed, ruler), ruler)
    return [_chunk(revision_id, ordinal, pack, ruler) for ordinal, pack in enumerate(packs)]


def belonging(chunks: Iterable[Chunk], revision_id: str) -> list[Chunk]:
    """Return the chunks as those of a revision; their ids derive from it."""
    return [
        replace(each, id=derive_id(revision_id, str(each.ordinal)), revision_id=revision_id)
        for each in chunks
    ]


def embedding_text(title: str, heading: Sequence[str], text: str, header: str = "") -> str:
    r"""Return what a chunk is found by: title, headings and text, no line of them twice.

    `header` is that of the table in whose middle the text begins. A title that is the name of a
    file is taken apart into words.

    >>> embedding_text("Travel", ("Travel", "Hotels"), "Hotels\nBook early.")
    'Travel\nHotels\nBook early.'
    >>> embedding_text("Acme_2018_annualReport", (), "Sales rose.")
    'Acme 2018 annual Report\nSales rose.'
    """
    head = _prefix(title, heading, header)
    opening = [_squeeze(line) for line in text.split("\n", len(head) * 2)[:-1] if line.strip()]
    own = set(opening[: len(head)])
    return "\n".join([*(part for part in head if part not in own), text])


def without_figures(text: str) -> str:
    r"""Return what the dense vector is made of: rows of tables keep their words and years alone.

    Figures say little of what a row is about, and they blunt its vector. The search by words sees
    them all.

    >>> without_figures("Item | 2018 | Change\nNet sales | 32,765 | (3.5)%\nIn all | 7")
    'Item | 2018 | Change\nNet sales\nIn all'
    """
    lines = (_words_of_row(line) if CELLS in line else line for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _words_of_row(row: str) -> str:
    return CELLS.join(cell for cell in row.split(CELLS) if _WORDS_OR_YEAR.search(cell))


# --- a text with its tokens ---------------------------------------------------------------------


class _Ruler:
    """Measures stretches of one text in tokens; the text is tokenised once."""

    def __init__(self, parsed: Parsed, token_spans: TokenSpans, max_tokens: int) -> None:
        self.text = parsed.text
        self._title = parsed.title
        self._token_spans = token_spans
        self._max_tokens = max_tokens
        self._starts = _starts(parsed.text, token_spans)
        self._rooms: dict[tuple[tuple[str, ...], Span | None], int] = {}

    def tokens(self, start: int, end: int) -> int:
        """Count the tokens that begin in `[start, end)`."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def reach(self, start: int, tokens: int) -> int:
        """Return how far a stretch of so many tokens reaches from `start`; never no further."""
        first = bisect_left(self._starts, start)
        last = max(first + tokens, bisect_right(self._starts, start))  # tokens may share a place
        return self._starts[last] if last < len(self._starts) else len(self.text)

    def room(self, heading: tuple[str, ...], header: Span | None = None) -> int:
        """Return how many tokens of text a chunk under this heading may hold.

        `header` is that of the table in whose middle the chunk begins.
        """
        key = (heading, header)
        if key not in self._rooms:
            prefix = "\n".join(_prefix(self._title, heading, self.cut(header)))
            left = self._max_tokens - len(self._token_spans(prefix))
            self._rooms[key] = max(left, self._max_tokens // 2, 1)
        return self._rooms[key]

    def cut(self, header: Span | None) -> str:
        """Return the text of a table's header."""
        return header.cut(self.text)[:_LONGEST_HEADER] if header else ""


def _starts(text: str, token_spans: TokenSpans) -> list[int]:
    starts: list[int] = []
    before = 0
    for start in (*(token.start for token in token_spans(text)), len(text)):
        starts.extend(range(before + _LONGEST_TOKEN, start, _LONGEST_TOKEN))
        starts.append(start)
        before = start
    return starts[:-1]


def _prefix(title: str, heading: Sequence[str], header: str) -> list[str]:
    """Return title, headings and table header in order, each line once."""
    lines = (_spoken(title), *heading, *header.split("\n"))
    return [part for part in dict.fromkeys(map(_squeeze, lines)) if part]


def _spoken(title: str) -> str:
    return " ".join(_SEAMS.split(title)) if "_" in title and " " not in title else title


def _squeeze(line: str) -> str:
    return " ".join(line.split())


# --- pieces: blocks, and the parts of blocks that are too long ----------------------------------


def _pieces(parsed: Parsed, ruler: _Ruler) -> Iterator[Block]:
    for block in _tiles(parsed):
        if ruler.tokens(block.span.start, block.span.end) <= ruler.room(
            block.heading, block.header
        ):
            yield block
        else:
            yield from (replace(block, span=span) for span in _cut(block, ruler))


def _tiles(parsed: Parsed) -> Iterator[Block]:
    """Yield the blocks in order, trimmed, and whatever visible text lies outside of them."""
    before = Block(BlockKind.PARAGRAPH, Span(0, 0))
    done = 0
    for block in (*sorted(parsed.blocks, key=_span), _end_of(parsed.text)):
        gap = _trim(parsed.text, done, max(done, block.span.start))
        if gap is not None:
            yield replace(before, kind=BlockKind.PARAGRAPH, span=gap, table=None, header=None)
        span = _trim(parsed.text, max(done, block.span.start), block.span.end)
        if span is not None:
            yield replace(block, span=span)
        done = max(done, block.span.end)
        before = block


def _cut(block: Block, ruler: _Ruler) -> Iterator[Span]:
    """Cut a long block into parts of about even length, each within the room."""
    room = ruler.room(block.heading, block.header)
    ends = _natural_ends(block, ruler.text)
    start = block.span.start
    while (left := ruler.tokens(start, block.span.end)) > room:
        parts = -(-left // room)
        end = _best_end(ends, ruler, start, even=-(-left // parts), room=room)
        span = _trim(ruler.text, start, end)
        if span is not None:
            yield span
        start = end
    span = _trim(ruler.text, start, block.span.end)
    if span is not None:
        yield span


def _natural_ends(block: Block, text: str) -> list[int]:
    """Return the places where a cut hurts least: ends of rows, or of sentences."""
    inside = block.span.cut(text)
    if block.kind in _ROWS:
        return [block.span.start + at for at, char in enumerate(inside) if char == "\n"]
    return [block.span.start + sentence.end for sentence in sentence_spans(inside)]


def _best_end(ends: list[int], ruler: _Ruler, start: int, *, even: int, room: int) -> int:
    """Return the first natural end that fills an even part, else the last one within the room."""
    furthest = ruler.reach(start, room)
    first = bisect_right(ends, start)
    last = bisect_right(ends, furthest)
    if first < last:
        enough = bisect_left(ends, even, first, last, key=lambda end: ruler.tokens(start, end))
        return ends[min(enough, last - 1)]
    return _word_start(ruler, start, furthest)


def _word_start(ruler: _Ruler, start: int, furthest: int) -> int:
    """Return the last word's start up to `furthest`, or that place itself in an endless word."""
    for at in range(furthest, max(start, furthest - _LONGEST_TOKEN), -1):
        if ruler.text[at - 1].isspace() and ruler.text[start:at].strip():
            return at
    return furthest


def _trim(text: str, start: int, end: int) -> Span | None:
    """Return the span without white space at its ends; None when nothing is left."""
    inside = text[start:end]
    visible = inside.strip()
    if not visible:
        return None
    start += len(inside) - len(inside.lstrip())
    return Span(start, start + len(visible))


def _span(block: Block) -> Span:
    return block.span


def _end_of(text: str) -> Block:
    return Block(BlockKind.PARAGRAPH, Span(len(text), len(text)))


# --- packs: the pieces that share a chunk -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pack:
    span: Span
    heading: tuple[str, ...]
    page: int | None
    header: Span | None
    """Of the table in whose middle it begins."""
    only_headings: bool


def _packs(pieces: Iterator[Block], ruler: _Ruler) -> Iterator[_Pack]:
    pack: _Pack | None = None
    for piece in pieces:
        heads = piece.kind in _HEADINGS
        if pack is not None and _fits(pack, piece, ruler):
            span = Span(pack.span.start, piece.span.end)
            only_headings = pack.only_headings and heads
            pack = _Pack(span, piece.heading, pack.page, pack.header, only_headings)
        else:
            if pack is not None:
                yield pack
            pack = _Pack(piece.span, piece.heading, piece.page, piece.header, heads)
    if pack is not None:
        yield pack


def _fits(pack: _Pack, piece: Block, ruler: _Ruler) -> bool:
    if pack.only_headings:  # a heading waits for the text below it
        related = piece.heading[: len(pack.heading)] == pack.heading
    else:
        related = piece.kind not in _HEADINGS and piece.heading == pack.heading
    room = ruler.room(piece.heading, pack.header)
    return related and ruler.tokens(pack.span.start, piece.span.end) <= room


def _chunk(revision_id: str, ordinal: int, pack: _Pack, ruler: _Ruler) -> Chunk:
    return Chunk(
        id=derive_id(revision_id, str(ordinal)),
        revision_id=revision_id,
        ordinal=ordinal,
        span=pack.span,
        heading=pack.heading,
        page=pack.page,
        header=ruler.cut(pack.header),
    )
