"""The sentences of an answer and their marks; the quotes of a passage that may carry one; pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from knowledge.models import Block, BlockKind, Box, Citation, Passage, Span
from knowledge.terms import terms
from knowledge.text import normalise_for_match, sentence_spans
from serving.markers import plain

MOST_BY_WORDS = 0.95
"""Highest support of a quote in other words: the words alone do not show a negation."""
LONGEST_QUOTE = 3
"""Sentences; a longer run is only chosen where it carries more."""
GAIN_PER_SENTENCE = 0.15
"""How much more of a claim each further sentence of a quote has to carry."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence of an answer without its marks, and the numbers it cites."""

    text: str
    numbers: tuple[int, ...]
    span: Span
    """In characters of the answer, its marks included."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A part of a revision, in characters of its text, and how far it carries a claim, 0..1."""

    span: Span
    support: float
    denies: bool = False
    """Whether a judge that read both says that it denies the claim."""


def claims(text: str) -> list[Claim]:
    """Split an answer into sentences; a mark belongs to the sentence it stands in or just after.

    >>> [(each.text, each.numbers) for each in claims("It is so.[1] It is not [2][3].")]
    [('It is so.', (1,)), ('It is not.', (2, 3))]
    """
    bare, marks = _take_marks_out(text)
    spans = sentence_spans(bare)
    starts = [span.start for span in spans]
    own: list[list[_Mark]] = [[] for _ in spans]
    for mark in marks if spans else ():
        own[max(0, bisect_left(starts, mark.at) - 1)].append(mark)
    in_answer = _Places(marks)
    return [
        Claim(
            span.cut(bare),
            tuple(dict.fromkeys(mark.number for mark in cited)),
            in_answer.place(span, cited),
        )
        for span, cited in zip(spans, own, strict=True)
    ]


def states(claim: Claim) -> bool:
    r"""Say whether a sentence claims something; headings and lead-ins without a mark do not.

    >>> [states(each) for each in claims("There are two:\n- One [1].\n- Two.")]
    [False, True, True]
    """
    return bool(claim.numbers) or bool(terms(claim.text) and not _introduces(claim.text))


def cites(text: str) -> bool:
    """Say whether any sentence of an answer bears a mark."""
    return any(claim.numbers for claim in claims(text))


def quotable(passage: Passage) -> list[Span]:
    """Return the sentences and table rows of a passage, in characters of the revision.

    Titles and headings say what a text is about but claim nothing, and are left out.
    """
    if not passage.blocks:
        return _sentences(passage, passage.span)
    return [
        span
        for block in passage.blocks
        if block.kind not in (BlockKind.TITLE, BlockKind.HEADING)
        and block.span.overlaps(passage.span)
        for span in _sentences(passage, _common(block.span, passage.span))
    ]


def citation(number: int, passage: Passage, quote: Quote) -> Citation:
    """Return the quote as a citation of the passage with this number."""
    page, box = _place(quote.span, passage)
    document = passage.document
    return Citation(
        number=number,
        document_id=document.id,
        title=document.title,
        uri=document.uri,
        revision_id=passage.revision_id,
        quote=passage.cut(quote.span),
        span=quote.span,
        support=quote.support,
        page=page,
        box=box,
        external_id=document.external_id,
    )


def _introduces(sentence: str) -> bool:
    return sentence.startswith("#") or sentence.rstrip("*_ ").endswith((":", "："))


class Reading:
    """The sentences of one passage, read once for all claims that cite it."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self._spans = quotable(passage) or [passage.span]
        sentences = [passage.cut(span) for span in self._spans]
        self._exact = [_exact_form(sentence) for sentence in sentences]
        self._terms = [frozenset(terms(sentence)) for sentence in sentences]

    def quotes(self, claim: str, *, most: int) -> list[Quote]:
        """Return quotes that may carry `claim`, the best by its words first; never empty.

        A verbatim sentence is the only one. Else the first is the best run of sentences, and up to
        `most` more are single ones; their support is the share of the claim's words they hold.
        """
        wanted = _exact_form(claim)
        if wanted and wanted in self._exact:
            return [Quote(self._spans[self._exact.index(wanted)], 1.0)]
        claimed = set(terms(claim))
        held = [claimed & of_sentence for of_sentence in self._terms]
        weights = _weights(claimed, held)
        shares = [_share(weights, [each]) for each in held]
        best = sorted(range(len(held)), key=lambda at: -shares[at])[:most]  # the earliest of equals
        return [
            self._quote(*self._best_run(weights, held), weights, held),
            *(self._quote(at, at, weights, held) for at in best),
        ]

    def _best_run(self, weights: dict[str, float], held: Sequence[set[str]]) -> tuple[int, int]:
        def worth(run: tuple[int, int]) -> float:
            first, last = run
            return _share(weights, held[first : last + 1]) - GAIN_PER_SENTENCE * (last - first)

        return max(self._runs(), key=worth)  # the earliest of equals

    def _quote(
        self, first: int, last: int, weights: dict[str, float], held: Sequence[set[str]]
    ) -> Quote:
        support = min(_share(weights, held[first : last + 1]), MOST_BY_WORDS)
        return Quote(Span(self._spans[first].start, self._spans[last].end), round(support, 3))

    def _runs(self) -> Iterator[tuple[int, int]]:
        """Yield every run of neighbouring sentences as its first and its last."""
        count = len(self._spans)
        for first in range(count):
            for last in range(first, min(first + LONGEST_QUOTE, count)):
                yield first, last


MARK = re.compile(r"(?<!\s)\s*+\[(\d+)\]")  # linear on any run of white space


@dataclass(frozen=True, slots=True)
class _Mark:
    number: int
    at: int
    """Where it stood, in characters of the text without marks."""
    span: Span
    """In characters of the answer, with the white space before it."""


def _take_marks_out(text: str) -> tuple[str, list[_Mark]]:
    """Return the text without marks, and the marks."""
    pieces: list[str] = []
    marks: list[_Mark] = []
    position = start = 0
    for match in MARK.finditer(text):
        piece = text[start : match.start()]
        pieces.append(piece)
        position += len(piece)
        marks.append(_Mark(int(match.group(1)), position, Span(*match.span())))
        start = match.end()
    return "".join([*pieces, text[start:]]), marks


class _Places:
    """Finds in an answer what stands in its text without marks."""

    def __init__(self, marks: Sequence[_Mark]) -> None:
        self._at = [mark.at for mark in marks]
        self._before = [0, *accumulate(mark.span.end - mark.span.start for mark in marks)]

    def place(self, span: Span, own: Sequence[_Mark]) -> Span:
        """Return where a sentence stands in the answer, its own marks included."""
        start = span.start + self._before[bisect_right(self._at, span.start)]
        end = span.end + self._before[bisect_left(self._at, span.end)]
        if own:
            start, end = min(start, own[0].span.start), max(end, own[-1].span.end)
        return Span(start, end)


def _exact_form(text: str) -> str:
    """Return what is left when spelling, list signs and the document's own marks do not count."""
    return normalise_for_match(plain(text)).lstrip("-*•# ").rstrip(". ")


def _weights(claimed: set[str], held: Sequence[set[str]]) -> dict[str, float]:
    """Weigh a term by how few of the passage's sentences hold it: rare ones tell them apart."""
    holding = Counter(term for terms_held in held for term in terms_held)
    return {term: 1 / max(1, holding[term]) ** 0.5 for term in claimed}


def _share(weights: dict[str, float], held: Iterable[set[str]]) -> float:
    """Return the weighted share of the claim's terms that a run of sentences holds."""
    total = sum(weights.values())
    covered = sum(weights[term] for term in set().union(*held))
    return covered / total if total else 0.0


def _place(span: Span, passage: Passage) -> tuple[int | None, Box | None]:
    """Return the page the quote begins on, and the box around its blocks on that page."""
    blocks = [block for block in passage.blocks if block.span.overlaps(span)]
    if not blocks:
        return passage.page, None
    page = blocks[0].page
    return page, _around(block for block in blocks if block.page == page)


def _around(blocks: Iterable[Block]) -> Box | None:
    boxes = [block.box for block in blocks if block.box is not None]
    if not boxes:
        return None
    return Box(
        min(box.x0 for box in boxes),
        min(box.y0 for box in boxes),
        max(box.x1 for box in boxes),
        max(box.y1 for box in boxes),
    )


def _sentences(passage: Passage, within: Span) -> list[Span]:
    text = passage.cut(within)
    return [
        Span(within.start + span.start, within.start + span.end) for span in sentence_spans(text)
    ]


def _common(one: Span, other: Span) -> Span:
    return Span(max(one.start, other.start), min(one.end, other.end))
