"""A number or a name that stands where the quote has another one; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from knowledge.terms import language_of
from serving.checks.counting import spelled
from serving.checks.names import names

LIKENESS = 0.6
"""Share of words two sentences have in the same order, so that one counts as the other's place."""
LONGEST_SWAP = 4
"""Words."""


def swapped(claim: str, quote: str) -> Iterator[str]:
    """Yield a reason for each number or name of `claim` in whose place `quote` has another.

    >>> list(swapped("Then Ann sold 5 of the houses.", "Then Bob sold 7 of the houses."))
    ['name:Ann', 'number:5']
    """
    ours, theirs = _WORD.findall(claim), _WORD.findall(quote)
    one, other = [word.casefold() for word in ours], [word.casefold() for word in theirs]
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if sum(block.size for block in matcher.get_matching_blocks()) < LIKENESS * len(one):
        return
    pair = _Pair(frozenset(one), frozenset(other), frozenset(names(claim)), frozenset(names(quote)))
    for kind, start, end, begin, stop in matcher.get_opcodes():
        if kind == "replace" and max(end - start, stop - begin) <= LONGEST_SWAP:
            yield from pair.swaps(ours[start:end], theirs[begin:stop])


@dataclass(frozen=True, slots=True)
class _Pair:
    """The words of both sentences, and which of them are names."""

    said: frozenset[str]
    quoted: frozenset[str]
    our_names: frozenset[str]
    their_names: frozenset[str]

    def swaps(self, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[str]:
        new = [word for word in ours if word.casefold() not in self.quoted]
        gone = [word for word in theirs if word.casefold() not in self.said]
        joined = "".join(gone).casefold()
        for word in new:
            if _is_number(word) and any(map(_is_number, gone)):
                yield f"number:{word}"
            elif (
                word in self.our_names
                and word.casefold() not in joined
                and not self.their_names.isdisjoint(gone)
            ):
                yield f"name:{word}"


def _is_number(word: str) -> bool:
    return word[0].isdigit() or any(spelled(word, language_of(word)))


_WORD = re.compile(r"\d[\d.,]*\d|\w+")
