"""How common words are where little may be counted: a table that ships with the service.

Only what everybody may read may be counted: any other count would tell whoever searches what is in
documents that he may not see. Where that is little or nothing, `scripts/make_background.py` has
counted our own pages instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("background.tsv")
WEIGHT = 100.0
"""Passages that the table counts as, beside those of the collection. As many as it was made of cost
more on science than they gain on questions in everyday words; 30 gain less."""


@cache
def background(terms_of: Callable[[str], frozenset[int]]) -> Mapping[int, float]:
    """Return for each term in how many of `WEIGHT` passages it stands.

    `terms_of` gives the term ids of an English word. Words of one term stand in the same passages
    or in others: the largest count is too small by little, and a sum could exceed all.
    """
    first, *rows = TABLE.read_text().splitlines()
    share = WEIGHT / int(first)
    held: dict[int, float] = {}
    for row in rows:
        word, _, count = row.partition("\t")
        for term in terms_of(word):
            held[term] = max(held.get(term, 0.0), int(count) * share)
    return held
