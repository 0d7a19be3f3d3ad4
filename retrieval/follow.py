"""Follows names from the first passages to what is written about them; pure.

A question may need two documents of which the second is only named in the first. A name counts as
followed where a search for it alone brings a document whose title it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from knowledge.models import Passage, Step
from knowledge.terms import terms
from retrieval.names import names

# Chosen on hotpotqa-100; docs/measurements.md, "Following names", has the others that were tried.
READ = 3
"""First passages whose names are followed."""
KEPT = 6
"""First passages that stay before those that are followed."""
LOOKED_AT = 3
"""Passages that a search for a name alone brings."""
SHARE = 0.5
"""Of a title's words, those that a name has at least."""
FOLLOWED = "followed"


def leads(query: str, passages: Sequence[Passage], *, most: int) -> list[str]:
    """Return at most `most` names to search for, in the order in which they occur."""
    asked = frozenset(terms(query))
    known = {frozenset(terms(each.document.title)) for each in passages[:KEPT]}
    found: dict[frozenset[str], str] = {}
    for passage in passages[:READ]:
        for name in names(passage.text):
            words = frozenset(terms(name))
            if words and not words <= asked and words not in known:
                found.setdefault(words, name)
    return list(found.values())[:most]


def follow(passages: Sequence[Passage], further: Mapping[str, Sequence[Passage]]) -> list[Passage]:
    """Put what was found of each name, if it is about it, behind the first few passages."""
    first = list(passages[:KEPT])
    there = {each.document.id for each in first}
    for passage in _about(further):
        if passage.document.id not in there:
            there.add(passage.document.id)
            rank = len(first) + 1
            step = Step(FOLLOWED, rank, passage.score)
            first.append(replace(passage, rank=rank, steps=(*passage.steps, step)))
    taken = {each.chunk_id for each in first}
    rest = [each for each in passages[KEPT:] if each.chunk_id not in taken]
    return [replace(each, rank=rank) for rank, each in enumerate([*first, *rest], start=1)]


def _about(further: Mapping[str, Sequence[Passage]]) -> Iterator[Passage]:
    for name, passages in further.items():
        words = frozenset(terms(name))
        for passage in passages[:LOOKED_AT]:
            title = frozenset(terms(passage.document.title))
            if title and words <= title and len(words) >= SHARE * len(title):
                yield passage
                break
