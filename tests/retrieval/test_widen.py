from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Block, BlockKind, Chunk, Passage, Question, Span, Surroundings
from retrieval.context import pack
from retrieval.widen import REACH, widen
from tests.fakes import passage

QUESTION = Question("What is it?")


class Page:
    """A revision cut into chunks; each gives its words, its heading, and its table if any."""

    def __init__(self, *parts: tuple[str, str, int | None], document: str = "doc") -> None:
        self.text = "\n".join(text for text, _, _ in parts)
        starts = accumulate((len(text) + 1 for text, _, _ in parts), initial=0)
        spans = [
            Span(start, start + len(text))
            for start, (text, _, _) in zip(starts, parts, strict=False)
        ]
        self.revision = f"{document}-revision"
        self.document = document
        self.chunks = [
            Chunk(f"{document}-{span.start}", self.revision, n, span, heading=(heading,))
            for n, (span, (_, heading, _)) in enumerate(zip(spans, parts, strict=True))
        ]
        self.blocks = [
            Block(BlockKind.TABLE if table else BlockKind.PARAGRAPH, span, table=table, page=n + 1)
            for n, (span, (_, _, table)) in enumerate(zip(spans, parts, strict=True))
        ]

    def found(self, *ordinals: int) -> list[Passage]:
        return [
            passage(
                self.chunks[n].span.cut(self.text),
                start=self.chunks[n].span.start,
                document=self.document,
                heading=self.chunks[n].heading,
                rank=rank,
                blocks=[self.blocks[n]],
            )
            for rank, n in enumerate(ordinals, start=1)
        ]

    def around(self, reach: int = REACH) -> dict[str, Surroundings]:
        return {chunk.id: self._around(n, reach) for n, chunk in enumerate(self.chunks)}

    def _around(self, n: int, reach: int) -> Surroundings:
        near = self.chunks[max(0, n - reach) : n + reach + 1]
        span = Span(near[0].span.start, near[-1].span.end)
        blocks = tuple(block for block in self.blocks if block.span.overlaps(span))
        return Surroundings(span, span.cut(self.text), blocks, tuple(near))


def cost(passage: Passage) -> int:
    head = [passage.document.title, *passage.heading, passage.header]
    return len(" ".join([*head, passage.text]).split())


def texts(page: Page, *ordinals: int, budget: int = 1000) -> list[str]:
    context = pack(QUESTION, page.found(*ordinals), budget=budget, most=9, cost=cost)
    wider = widen(context, page.around(), budget=budget, cost=cost)
    return [each.text for each in wider.passages]


PROSE = [(f"Part {n} of it.", "One" if n < 5 else "Two", None) for n in range(8)]


def test_prose_grows_by_the_chunk_on_either_side() -> None:
    assert texts(Page(*PROSE), 2) == ["Part 1 of it.\nPart 2 of it.\nPart 3 of it."]


def test_nothing_grows_beyond_its_section() -> None:
    assert texts(Page(*PROSE), 4) == ["Part 3 of it.\nPart 4 of it."]


def test_a_piece_of_a_table_grows_into_the_whole_table_and_no_further() -> None:
    rows = [(f"Row {n} | {n}", "One", 1) for n in range(5)]
    page = Page(("Before.", "One", None), *rows, ("After.", "One", None))
    assert texts(page, 3) == ["\n".join(row for row, _, _ in rows)]


def test_neighbours_that_are_packed_themselves_are_not_repeated() -> None:
    assert texts(Page(*PROSE), 1, 2) == [
        "Part 0 of it.\nPart 1 of it.",
        "Part 2 of it.\nPart 3 of it.",
    ]


def test_the_best_passage_grows_first_and_only_while_tokens_are_left() -> None:
    page = Page(*PROSE)
    whole = cost(page.found(1)[0]) * 2
    assert texts(page, 3, 1, budget=whole + 4) == ["Part 3 of it.\nPart 4 of it.", "Part 1 of it."]


def test_what_is_no_longer_readable_does_not_grow() -> None:
    page = Page(*PROSE)
    context = pack(QUESTION, page.found(2), budget=99, most=9, cost=cost)
    assert widen(context, {}, budget=99, cost=cost) == context


def test_a_passage_that_was_cut_does_not_grow_over_its_cut() -> None:
    page = Page(*[("First said. Then said.", "One", None)] * 3)
    context = pack(QUESTION, page.found(1), budget=4, most=1, cost=cost)
    [short] = context.passages
    assert short.text == "First said."
    [wider] = widen(context, page.around(), budget=99, cost=cost).passages
    assert wider.text == "First said. Then said.\nFirst said."


def test_a_wider_passage_begins_on_the_page_where_it_begins() -> None:
    page = Page(*PROSE)
    context = pack(QUESTION, page.found(2), budget=99, most=9, cost=cost)
    [wider] = widen(context, page.around(), budget=99, cost=cost).passages
    assert (wider.page, len(wider.blocks)) == (2, 3)


PARTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b c", "d e f. g", "h i"]),
        st.sampled_from(["One", "Two"]),
        st.sampled_from([None, 1, 2]),
    ),
    min_size=1,
    max_size=12,
)


@given(PARTS, st.lists(st.integers(0, 11), max_size=5, unique=True), st.integers(0, 60))
def test_a_wider_context_keeps_its_budget_and_repeats_nothing(
    parts: list[tuple[str, str, int | None]], ordinals: list[int], budget: int
) -> None:
    named = [(f"{n} {text}", heading, table) for n, (text, heading, table) in enumerate(parts)]
    page = Page(*named)
    found = page.found(*(n for n in ordinals if n < len(parts)))
    context = pack(QUESTION, found, budget=budget, most=4, cost=cost)
    wider = widen(context, page.around(), budget=budget, cost=cost)
    assert wider.tokens == sum(cost(p) for p in wider.passages) <= budget
    assert all(p.span.cut(page.text) == p.text for p in wider.passages)
    spans = sorted(p.span for p in wider.passages)
    assert not any(one.overlaps(other) for one, other in pairwise(spans))
    for narrow, wide in zip(context.passages, wider.passages, strict=True):
        assert wide.span.start <= narrow.span.start <= narrow.span.end <= wide.span.end
