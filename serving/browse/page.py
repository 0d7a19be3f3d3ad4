"""Documents and lists of results as pages of numbered lines, in the shape gpt-oss knows; pure.

The shape is that of the browser gpt-oss was trained with (openai/gpt-oss, `simple_browser`): lines
of 80 characters, numbered from L0, links `【0†title】`, and before each page a number in brackets,
by which it is cited: `【3†L7-L9】`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile

from knowledge.models import Document, Passage, Revision, Span
from retrieval.context import cut
from serving.prompt import neutralise

WIDTH = 80
VIEW_TOKENS = 1024
"""Of one page that are shown at once."""
AROUND_MATCH = 4
"""Lines shown of each place that is found, the first with the match."""
MOST_MATCHES = 50
NOWHERE = Span(0, 0)
MOST_CITED = 40
"""Lines; a longer range is cut, since a quote is a few sentences of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a page: a part of a document if it has a `source`, else words about it."""

    text: str
    source: Passage | None = None
    span: Span = NOWHERE
    """In characters of the source's revision."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one call of a tool shows."""

    title: str
    lines: tuple[Line, ...]
    document: Document | None = None
    """What it is a page of; None for lists of results and of matches."""
    links: tuple[Passage, ...] = ()
    """What the numbers of a list of results lead to."""


def results_page(query: str, passages: Sequence[Passage]) -> Page:
    """List passages, each below a link to its document."""
    lines: list[Line] = []
    for number, passage in enumerate(passages):
        lines += [Line(f"【{number}†{_one_line(_where(passage))}】"), *_lines(passage), Line("")]
    nothing = (Line("No results. Try other words."),)
    title = f"Search results for `{query}`"
    return Page(title, tuple(lines) or nothing, links=tuple(passages))


def document_page(document: Document, revision: Revision) -> Page:
    """Show a whole document."""
    whole = Passage(
        chunk_id="",
        document=document,
        revision_id=revision.id,
        span=Span(0, len(revision.text)),
        text=revision.text,
        rank=1,
        score=0.0,
        page=revision.blocks[0].page if revision.blocks else None,
        blocks=revision.blocks,
    )
    return Page(document.title, tuple(_lines(whole)), document=document)


def matches_page(pattern: str, page: Page) -> Page:
    """List the places of a page that hold `pattern`, in whatever case."""
    lines: list[Line] = []
    for number, at in enumerate(_matches(pattern.casefold(), page.lines)):
        shown = page.lines[at : at + AROUND_MATCH]
        lines += [Line(f"# 【{number}†match at L{at}】"), *shown, Line("")]
    nothing = (Line(f"No `find` results for pattern: `{pattern}`"),)
    return Page(f"Find results for text: `{pattern}` in `{page.title}`", tuple(lines) or nothing)


def line_of(place: int, page: Page) -> int:
    """Return the number of the line that holds a character of the page's document."""
    return max(0, sum(line.span.start <= place for line in page.lines) - 1)


def view(
    page: Page,
    cursor: int,
    count_tokens: Callable[[str], int],
    *,
    first: int = 0,
    count: int = -1,
    tokens: int = VIEW_TOKENS,
) -> str:
    """Return the lines from `first` as a model reads them: `count` of them, or what fits `tokens`.

    At least one line is shown.
    """
    shown: list[str] = []
    left = tokens
    for number, line in enumerate(page.lines[first:], start=first):
        written = f"L{number}: {_visible(line)}"
        left -= count_tokens(written) + 1
        if shown and (left < 0 or 0 < count <= len(shown)):
            break
        shown.append(written)
    last = max(first, first + len(shown) - 1)
    head = f"[{cursor}] {_one_line(page.title)}"
    if page.document is not None:
        head += f" ({_one_line(page.document.uri)})"
    scrolled = f"**viewing lines [{first} - {last}] of {max(0, len(page.lines) - 1)}**"
    return "\n".join([head, scrolled, "", *shown])


def cited(page: Page, first: int, last: int) -> Passage | None:
    """Return what the lines `first` to `last` hold of one document, without a gap; None: nothing.

    Words about a document that stand before its lines, or between two documents, are not cited.
    """
    chosen = page.lines[first : min(last + 1, first + MOST_CITED)]
    run: list[Line] = []
    for line in dropwhile(lambda line: line.source is None, chosen):
        if line.source is None or (run and not _follows(line, run[-1])):
            break
        run.append(line)
    if not run or run[0].source is None:
        return None
    passage = cut(run[0].source, Span(run[0].span.start, run[-1].span.end))
    return passage if passage.text.strip() else None


def _follows(line: Line, former: Line) -> bool:
    """Say whether nothing but an end of line stands between the two."""
    return line.source is former.source and 0 <= line.span.start - former.span.end <= 1


def _lines(passage: Passage) -> Iterator[Line]:
    start = passage.span.start
    for span in wrapped(passage.text):
        moved = Span(start + span.start, start + span.end)
        yield Line(span.cut(passage.text), passage, moved)


def wrapped(text: str) -> Iterator[Span]:
    r"""Yield the lines of a text, cut after white space where they are longer than `WIDTH`.

    All characters but the ends of lines are in exactly one of them.

    >>> [span.cut("one\n\ntwo") for span in wrapped("one\n\ntwo")]
    ['one', '', 'two']
    """
    return (Span(*match.span()) for match in _WRAPPED.finditer(text))


_FULL = f"[^\\n]{{1,{WIDTH}}}"
_WRAPPED = re.compile(rf"{_FULL}(?:(?=\n)|\Z|(?<=[^\S\n]))|{_FULL}|^$", re.MULTILINE)


def _matches(wanted: str, lines: Sequence[Line]) -> Iterator[int]:
    """Yield where lines hold `wanted`, but for those that are shown with an earlier one."""
    free, found = 0, 0
    for at, line in enumerate(lines):
        if at >= free and found < MOST_MATCHES and wanted in line.text.casefold():
            free, found = at + AROUND_MATCH, found + 1
            yield at


def _where(passage: Passage) -> str:
    place = f", page {passage.page}" if passage.page is not None else ""
    section = f": {' > '.join(passage.heading)}" if passage.heading else ""
    return f"{passage.document.title}{place}{section}"


def _visible(line: Line) -> str:
    """Return a line as it may be shown; a document's own brackets must not look like links."""
    if line.source is None:
        return line.text
    return neutralise(line.text).replace("【", "[").replace("】", "]")


def _one_line(text: str) -> str:
    return " ".join(neutralise(text).replace("【", "[").replace("】", "]").split())
