"""The judge of read prose: which words of a reference are there, and whether its order was kept."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from itertools import pairwise

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_WORD = re.compile(r"\w+")
_END = re.compile(r"(?<=[.!?])\s|\n")
_BEGINNING = 8
"""A sentence is looked for by its first words; shorter ones are not."""


def words(text: str) -> list[str]:
    """Return the words of a text or of Markdown, ligatures undone, in small letters."""
    plain = html.unescape(_COMMENT.sub(" ", text))
    return _WORD.findall(unicodedata.normalize("NFKC", plain).replace("\u00ad", "").casefold())


def word_recall(reference: str, text: str) -> tuple[int, int]:
    """Return how many words of the reference the text has, counted each time, and of how many."""
    wanted, got = Counter(words(reference)), Counter(words(text))
    return (wanted & got).total(), wanted.total()


def in_order(reference: str, text: str) -> tuple[int, int]:
    """Return how many neighbouring sentences are both there and in this order, and of how many.

    A sentence is there when its beginning is, in one piece: two columns read across the page lose
    it. Table lines, and beginnings that the reference has twice, are left out.
    """
    where = f" {' '.join(words(text))} "
    places = [where.find(f" {beginning} ") for beginning in _beginnings(reference)]
    pairs = list(pairwise(places))
    return sum(0 <= first < second for first, second in pairs), len(pairs)


def _beginnings(reference: str) -> list[str]:
    lines = [line for line in reference.splitlines() if not line.lstrip().startswith("|")]
    sentences = [words(sentence) for sentence in _END.split(_COMMENT.sub(" ", "\n".join(lines)))]
    long = [" ".join(each[:_BEGINNING]) for each in sentences if len(each) >= _BEGINNING]
    counted = Counter(long)
    return [beginning for beginning in long if counted[beginning] == 1]
