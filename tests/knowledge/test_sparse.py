from __future__ import annotations

import subprocess
import sys
from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.background import WEIGHT, background
from knowledge.models import SparseVector, TermStatistics
from knowledge.settings import ROOT
from knowledge.sparse import Bm25Encoder
from knowledge.terms import terms

EMPTY = TermStatistics(generation=0, chunks=0, frequencies={})
encoder = Bm25Encoder()
vocabulary = ["cat", "cats", "dog", "the", "of", "invoice", "INV-7", "東京", "é"]
sentences = st.lists(st.sampled_from(vocabulary), max_size=30)


def weights(vector: SparseVector) -> dict[int, float]:
    return dict(zip(vector.indices, vector.values, strict=True))


def score(query: str, passage: str, statistics: TermStatistics = EMPTY) -> float:
    asked = weights(encoder.encode_query(query, statistics))
    held = weights(encoder.encode_passage(passage))
    return sum(weight * held.get(term, 0.0) for term, weight in asked.items())


def snapshot(passages: list[str]) -> TermStatistics:
    held = [set(encoder.encode_passage(passage).indices) for passage in passages]
    return TermStatistics(1, len(passages), Counter(term for found in held for term in found))


def test_the_score_is_bm25_written_out_by_hand() -> None:
    passages = ["cat dog cat", "dog dog bird", "fish"]
    k1, b, average = 1.2, 0.75, 150.0
    for passage in passages:
        expected = 0.0
        for term in ("cat", "dog"):
            held = sum(term in p.split() for p in passages)
            rarity = log(1 + (len(passages) + 100 - held + 0.5) / (held + 0.5))
            count, length = passage.split().count(term), len(passage.split())
            weight = count * (k1 + 1) / (count + k1 * (1 - b + b * length / average))
            expected += rarity * weight
        assert score("cat dog", passage, snapshot(passages)) == pytest.approx(expected, rel=0.01)


def test_words_in_other_forms_and_spellings_match() -> None:
    assert score("paying invoices", "The invoice was paid by a paying guest") > 0
    assert score("TGFβ1", "TGF-β1 signalling") > 0
    assert score("INV 2024", "see INV-2024/017") > 0
    assert score("horse", "The invoice was paid") == 0


def test_rare_terms_weigh_more_than_common_ones() -> None:
    known = snapshot(["apple pear", "apple fig", "apple plum", "apple kiwi"])
    assert score("pear", "apple pear", known) > score("apple", "apple pear", known) > 0


def test_a_term_that_nobody_may_see_yet_weighs_most() -> None:
    known = snapshot(["apple pear", "apple fig"])
    (unknown,) = encoder.encode_query("quince", known).values
    assert unknown > max(encoder.encode_query("apple pear fig", known).values)


def test_without_statistics_terms_that_the_table_does_not_know_weigh_the_same() -> None:
    assert len(set(encoder.encode_query("apple pear quince", EMPTY).values)) == 1


def test_a_term_in_every_passage_still_counts_a_little() -> None:
    known = snapshot(["apple", "apple"])
    assert encoder.encode_query("apple", known).values[0] > 0


@pytest.mark.parametrize("text", ["", "the of and", "?!", " \n"])
def test_a_text_without_terms_gives_an_empty_vector(text: str) -> None:
    assert encoder.encode_passage(text) == SparseVector((), ())
    assert encoder.encode_query(text, EMPTY) == SparseVector((), ())


@given(sentences)
def test_indices_are_sorted_unique_and_fit_in_32_bits(drawn: list[str]) -> None:
    vector = encoder.encode_passage(" ".join(drawn))
    assert list(vector.indices) == sorted(set(vector.indices))
    assert all(0 <= index < 2**32 for index in vector.indices)
    assert all(0 < value <= 2.2 for value in vector.values)


@given(sentences)
def test_the_order_of_words_does_not_matter(drawn: list[str]) -> None:
    assert encoder.encode_passage(" ".join(drawn)) == encoder.encode_passage(
        " ".join(sorted(drawn))
    )


def test_term_ids_are_the_same_in_another_process() -> None:
    text = "Invoices INV-2024/017 in 東京, naïve"
    script = (
        f"from knowledge.sparse import *; print(Bm25Encoder().encode_passage({text!r}).indices)"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == str(encoder.encode_passage(text).indices)


def test_threads_may_share_the_stemmer() -> None:
    distinct = [
        f"{stem}{ending}" for stem in _letters() for ending in ("ing", "ed", "ational", "s")
    ]
    pieces = [" ".join(distinct[start::8]) for start in range(8)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(terms, pieces))
    from snowballstemmer import stemmer

    alone = stemmer("english")
    assert together == [[alone.stemWord(word) for word in piece.split()] for piece in pieces]


def _letters() -> list[str]:
    return [f"q{a}{b}{c}" for a in "aeiou" for b in "bdfglmnprst" for c in "klmnprt"]


def test_a_term_that_nothing_holds_is_also_searched_by_its_letters_and_digits() -> None:
    encoder = Bm25Encoder()
    held = encoder.encode_passage("In 2018 sales of the B2B unit rose").indices
    statistics = TermStatistics(1, 10, dict.fromkeys(held, 3))

    def sought(query: str) -> set[int]:
        return set(encoder.encode_query(query, statistics).indices)

    year, unknown = sought("2018"), sought("FY2018")
    assert year < unknown
    assert sought("fy") | year < unknown  # and the term itself, which hidden passages may hold
    assert sought("B2B") == set(encoder.encode_passage("B2B").indices)
    assert len(sought("dividends")) == 1


def test_a_compound_that_nothing_holds_is_searched_by_its_parts() -> None:
    known = snapshot(["Das Spiel ist aus und die Zeit ist um", "ein Tag"])
    question = "Wie lang ist die Spielzeit?"
    assert score(question, "Das Spiel ist aus", known) > 0
    assert score("How long is the Spielzeit?", "Das Spiel ist aus", known) == 0
    assert score(question, "Das Spiel ist aus", EMPTY) == 0


def test_a_word_in_a_text_of_another_language_is_found_by_its_stem_there() -> None:
    german = "Die Rechnungen sind mit der Karte zu zahlen"
    assert score("rechnungen", german, snapshot([german])) > 0
    assert score("rechnungen", german, EMPTY) == 0  # nothing says that there are German texts
    assert score("rechnungen", "Secret: die Rechnungen sind da", snapshot(["open"])) == 0


def test_where_nothing_may_be_counted_our_own_pages_tell_what_is_common() -> None:
    asked = weights(encoder.encode_query("document zebra", EMPTY))
    common, rare = (encoder.encode_passage(word).indices[0] for word in ("document", "zebra"))
    assert asked[common] < asked[rare] / 2


def test_what_is_counted_soon_outweighs_the_table() -> None:
    """In a collection about zebras, that word is the common one."""
    common, rare = (encoder.encode_passage(word).indices[0] for word in ("zebra", "document"))
    asked = weights(encoder.encode_query("document zebra", snapshot(["zebra"] * 400)))
    assert asked[common] < asked[rare] / 2


def test_the_table_is_whole() -> None:
    table = background(lambda word: frozenset({hash(word)}))
    assert len(table) > 1000
    assert all(0 < held <= WEIGHT for held in table.values())


def test_a_term_of_the_title_counts_once_more() -> None:
    plain, titled = encoder.encode_passage("a b c c"), encoder.encode_passage("a b c c", "b")
    assert titled == encoder.encode_passage("a b b c c")
    assert plain != titled
    assert encoder.encode_passage("x", "") == encoder.encode_passage("x")


@given(st.randoms(use_true_random=False), st.integers(0, 5000))
def test_a_score_is_the_same_in_whatever_order_it_is_added_up(chance: Random, chunks: int) -> None:
    """Stores count in 32 bits. Unrounded, the last bit would depend on the order."""
    words = [f"w{number}" for number in range(40)]
    counted = {encoder.encode_passage(w).indices[0]: chance.randint(0, chunks) for w in words}
    asked = encoder.encode_query(" ".join(words), TermStatistics(1, chunks, counted))
    held = weights(encoder.encode_passage(" ".join(chance.choices(words, k=200))))
    products = [w * held[term] for term, w in weights(asked).items() if term in held]
    sums = set()
    for _ in range(10):
        chance.shuffle(products)
        total = array("f", [0.0])
        for product in products:
            total[0] = total[0] + array("f", [product])[0]
        sums.add(total[0])
    assert sums == {sum(products)}
