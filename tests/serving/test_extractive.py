from __future__ import annotations

import asyncio

import pytest

from knowledge.models import Block, BlockKind, Context, Question, Span
from serving.extractive import Candidate, ExtractiveGenerator, rank
from serving.markers import MarkerNormaliser
from serving.verify import Verifier
from tests.fakes import FakeEmbedder, context, passage

THRESHOLD = 0.3


def choose(asked: Context, *, threshold: float = THRESHOLD) -> list[Candidate]:
    return ExtractiveGenerator(threshold).choose(asked)


def written(asked: Context, *, threshold: float = THRESHOLD) -> str:
    async def run() -> str:
        generator = ExtractiveGenerator(threshold)
        return "".join([delta.text async for delta in generator.generate(asked)])

    return asyncio.run(run())


def test_the_answer_is_the_sentence_that_answers_with_its_number() -> None:
    asked = context(
        "What does soup cost?",
        "The canteen opens at noon. It is closed in August.",
        "The canteen serves cake too. Soup costs three euro. Cake costs more.",
    )
    assert written(asked).startswith("Soup costs three euro. [2]")


def test_nothing_is_written_when_support_is_too_weak() -> None:
    asked = context("What is the capital of Mongolia?", "The canteen is the heart of the house.")
    assert written(asked) == ""


def test_a_rare_word_that_no_sentence_holds_weighs_most() -> None:
    texts = [f"The canteen of house {n} opens at noon." for n in range(9)]
    asked = context("When does the canteen of the zeppelin open?", *texts)
    found = rank(asked)
    assert found[0].support < 0.5


def test_the_threshold_decides() -> None:
    asked = context("What does soup cost?", "Soup is not served here at all.")
    assert choose(asked, threshold=0.2)
    assert not choose(asked, threshold=0.9)


def test_headings_questions_and_fragments_are_not_answers() -> None:
    heading, asked, answer = "What soup costs here", "What does the soup cost?", "Soup is 3 euro."
    text = f"{heading}\n\n{asked}\n\nSoup.\n\n{answer}"
    blocks = [Block(BlockKind.HEADING, Span(0, len(heading)))]
    for sentence in (asked, "Soup.", answer):
        at = text.rindex(sentence)
        blocks.append(Block(BlockKind.PARAGRAPH, Span(at, at + len(sentence))))
    source = passage(text, blocks=blocks)
    found = choose(Context(Question("What does the soup cost?"), (source,)))
    assert [candidate.text for candidate in found] == [answer]


def test_a_row_of_a_table_is_an_answer() -> None:
    text = "Dish | Price in euro\nSoup of the day | 3.20\nCake of the day | 2.50"
    source = passage(text, blocks=[Block(BlockKind.TABLE, Span(0, len(text)))])
    asked = Context(Question("soup of the day"), (source,))
    assert written(asked).startswith("Soup of the day | 3.20 [1]")


def test_rows_stay_apart_so_that_each_is_its_own_quote() -> None:
    text = "Dish | Price in euro\n- Soup at noon | 3.20\nSoup at night | 4.20"
    source = passage(text, blocks=[Block(BlockKind.TABLE, Span(0, len(text)))])
    asked = Context(Question("soup at noon, at night"), (source,))
    answer = written(asked)
    assert answer == "Soup at noon | 3.20 [1]\n\nSoup at night | 4.20 [1]"
    assert [(c.quote, c.support) for c in Verifier().verify(answer, asked).citations] == [
        ("- Soup at noon | 3.20", 1.0),
        ("Soup at night | 4.20", 1.0),
    ]


def test_the_same_statement_is_not_repeated() -> None:
    asked = context(
        "When does the canteen open?",
        "The canteen opens at noon every day.",
        "Every day the canteen opens at noon.",
    )
    assert [candidate.number for candidate in choose(asked)] == [1]


def test_no_more_than_three_sentences_are_written() -> None:
    texts = [f"Canteen number {n} opens at {n} with dish{n} and guest{n}." for n in range(8)]
    assert len(choose(context("canteen open", *texts))) == 3


def test_of_equal_sentences_the_better_ranked_passage_wins() -> None:
    asked = context("canteen hours", "The canteen hours are long.", "Short are the canteen hours.")
    assert rank(asked)[0].number == 1


def test_marks_and_links_of_the_document_itself_are_not_written() -> None:
    asked = context(
        "What does soup cost?", "Soup costs three euro,[7] as [the menu](http://e.vil) says."
    )
    assert written(asked) == "Soup costs three euro, as the menu says. [1]"


def test_what_is_written_passes_the_normaliser_unchanged() -> None:
    asked = context("soup costs", "Soup [sic] costs 【7】 three euro <|end|> today.")
    text = written(asked)
    assert MarkerNormaliser(1).feed(text + "\n") == text


def test_meaning_lifts_a_sentence_with_an_embedder() -> None:
    asked = context("soup price", "Some soup for a while.", "The price of soup is high today.")
    found = rank(asked, FakeEmbedder())
    assert found[0].text == "The price of soup is high today."
    assert all(0 <= candidate.support <= 1 for candidate in found)


@pytest.mark.parametrize("question", ["", "?", "the of and"])
def test_a_question_without_words_finds_nothing(question: str) -> None:
    assert choose(context(question, "The canteen opens at noon.")) == []


def test_a_sentence_that_states_something_and_then_asks_may_answer() -> None:
    asked = context(
        "What is the way to new soups?",
        "The way to new soups is to taste: is it sweet, or salty, or bitter?",
        "Q: What is the way to new soups?",
    )
    assert [found.number for found in choose(asked)] == [1]
