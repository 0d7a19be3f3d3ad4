"""Ten thousand packings, counted by the model's own vocabulary."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from knowledge.models import Context, Passage, Question
from knowledge.vocabulary import count_tokens
from retrieval.context import Cost, pack
from retrieval.widen import widen
from serving.prompt import build_messages, source_tokens
from tests.retrieval.test_widen import Page

WORDS = [
    *["Oslo", "東京", "naïve", "INV-2024/017", "the", "of", "and", "a", "12,345.67", "бюджет"],
    *["Straßenbahn", "ميزانية", "https://a.example/b?c=d", "council's", "|", "🙂", "(see", "[2]."],
]


def pages(chance: random.Random) -> list[Page]:
    def part(n: int) -> tuple[str, str, int | None]:
        words = chance.choices(WORDS, k=chance.randint(1, 25))
        return f"{n} {' '.join(words)}.", chance.choice("ab"), chance.choice([None, None, 1])

    return [
        Page(*(part(n) for n in range(chance.randint(1, 9))), document=f"doc-{d}")
        for d in range(chance.randint(1, 3))
    ]


def assembled(seed: int, cost: Cost) -> tuple[Context, int, dict[str, str]]:
    """Return a context packed and widened from made-up pages, its budget, and their texts."""
    chance = random.Random(seed)
    of = pages(chance)
    found: list[Passage] = []
    for page in of:
        found += page.found(*chance.sample(range(len(page.chunks)), k=len(page.chunks) // 2 + 1))
    chance.shuffle(found)
    budget = chance.randint(0, 600)
    around = {chunk_id: near for page in of for chunk_id, near in page.around().items()}
    packed = pack(Question("?"), found, budget=budget, most=8, cost=cost, per_document=3)
    wider = widen(packed, around, budget=budget, cost=cost)
    return wider, budget, {page.revision: page.text for page in of}


def faults(seeds: Iterable[int], cost: Cost, *, moved: str = "") -> tuple[int, int]:
    """Count contexts over their budget in the prompt, and spans that do not cut to their text.

    With `moved` before each text the spans are those of another revision.
    """
    over = wrong = 0
    for seed in seeds:
        context, budget, texts = assembled(seed, cost)
        mark = f"{seed * 2654435761 % 2**32:08x}"
        over += asked(context, mark) - asked(Context(context.question, ()), mark) > budget
        wrong += sum(p.span.cut(moved + texts[p.revision_id]) != p.text for p in context.passages)
    return over, wrong


def asked(context: Context, mark: str) -> int:
    return count_tokens(build_messages(context, mark=mark)[-1]["content"])


def by_the_model(passage: Passage) -> int:
    return source_tokens(passage, count_tokens)


def by_words(passage: Passage) -> int:
    return len(passage.text.split())


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.quality)])
def test_no_packing_is_over_its_budget_or_cuts_wrongly(count: int) -> None:
    over, wrong = faults(range(count), by_the_model)
    print(f"\n{count:,} packings: {over} over budget, {wrong} spans that cut to another text")
    assert (over, wrong) == (0, 0)


def test_counted_by_words_the_same_packings_are_over_budget() -> None:
    over, _ = faults(range(200), by_words)
    print(f"\n200 packings counted by words: {over} over budget")
    assert over > 0


def test_spans_in_another_revision_cut_to_another_text() -> None:
    _, wrong = faults(range(20), by_the_model, moved="x")
    print(f"\n20 packings beside texts that changed: {wrong} spans that cut to another text")
    assert wrong > 0
