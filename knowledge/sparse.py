"""BM25 as sparse vectors, made offline: the passage side here, rarity on the query side.

A passage's weights depend on nothing but the passage, and rarity comes from a frozen snapshot of
what everybody may read: neither a hidden document nor the order of ingestion changes a ranking.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

from knowledge import compounds
from knowledge.background import WEIGHT, background
from knowledge.compounds import COMPOUNDING
from knowledge.languages import ENGLISH
from knowledge.models import SparseVector, TermStatistics
from knowledge.terms import language_of, other_stems, stemmed, terms

_PARTS = re.compile(r"[^\W\d_]+|\d+")
_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
_AVERAGE_TERMS = 150.0
"""Stands in for the mean passage length. A measured mean would change all stored weights with each
document, and would let the length of hidden documents show; chunks are cut to a size, so that a
constant near their usual number of terms does the same work."""


_PASSAGE_STEPS, _QUERY_STEPS = 256, 64
"""Stores add products of weights in 32 bits, in an order that depends on what else they hold. Sums
below 1,024 of products in steps of 1/16,384 come out the same in any order: equal scores are equal,
and the last bit tells nothing of what is hidden."""


class Bm25Encoder:
    """Implements the `SparseEncoder` door; stateless, and safe to share between threads."""

    version = "bm25-3"

    def encode_passage(self, text: str, title: str = "") -> SparseVector:
        """Weigh each term by its saturated frequency; an empty text gives an empty vector.

        The terms of `title` count once more than they stand in `text`.
        """
        latin = language_of(text)
        counts = Counter(map(_term_id, [*terms(text, latin), *terms(title, latin)]))
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * counts.total() / _AVERAGE_TERMS
        weights = {
            term: count * (_SATURATION + 1) / (count + _SATURATION * length)
            for term, count in counts.items()
        }
        return _vector(weights, _PASSAGE_STEPS)

    def encode_query(self, text: str, statistics: TermStatistics) -> SparseVector:
        """Weigh each term by its rarity in what was counted, and in a table that ships with us.

        A term that nothing holds is also searched by its parts, such as FY and 2018, or Spiel and
        Zeit, and by the stems that it would have in texts of other languages.
        """
        counts = Counter(map(_term_id, _sought(text, statistics)))
        weights = {term: count * _rarity(term, statistics) for term, count in counts.items()}
        return _vector(weights, _QUERY_STEPS)


def _sought(text: str, statistics: TermStatistics) -> Iterator[str]:
    def held(term: str) -> bool:
        return _term_id(term) in statistics.frequencies

    latin = language_of(text)
    for word, term in stemmed(text, latin):
        yield term
        if statistics.chunks and not held(term):
            yield from _otherwise(word, latin, held)


def _otherwise(word: str, latin: str, held: Callable[[str], bool]) -> Iterator[str]:
    """Yield what else to look for where nothing holds a word as it is.

    Parts of letters and digits that nothing holds may be in passages that only few may read.
    """
    parts = _PARTS.findall(word)
    if len(parts) > 1:
        yield from terms(" ".join(parts), latin)
    elif word.isalpha():
        yield from sorted(filter(held, other_stems(word)))
        if latin in COMPOUNDING:

            def known(part: str) -> str:
                return next(filter(held, terms(part, latin)), "")

            yield from compounds.parts(word, known)


def _term_id(term: str) -> int:
    return zlib.crc32(term.encode("utf-8", "surrogatepass"))


def _rarity(term: int, statistics: TermStatistics) -> float:
    holding = statistics.frequencies.get(term, 0) + background(_terms_of).get(term, 0.0)
    return math.log1p((statistics.chunks + WEIGHT - holding + 0.5) / (holding + 0.5))


def _terms_of(word: str) -> frozenset[int]:
    return frozenset(map(_term_id, terms(word, ENGLISH)))


def _vector(weights: dict[int, float], steps: int) -> SparseVector:
    """Round each weight to so many steps of one, but none to nothing."""
    ordered = sorted(weights.items())
    return SparseVector(
        indices=tuple(term for term, _ in ordered),
        values=tuple(max(round(value * steps), 1) / steps for _, value in ordered),
    )
