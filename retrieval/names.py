"""Finds the names in a text: runs of words that are written large; pure."""

from __future__ import annotations

import re
from itertools import dropwhile

from knowledge.languages import says_little
from knowledge.terms import language_of

_WORD = re.compile(r"[^\W_](?:[\w'’&-]*\w)?")
_PARTICLE_LIST = """
of the de la las los le les du des del della di da do dos der den van von zu zum
"""
_PARTICLES = frozenset(_PARTICLE_LIST.split())
"""They stand inside a name, and never at an end of it."""
_SHORTEST = 4
"""Characters of a name."""


def names(text: str) -> list[str]:
    """Return the names in `text`, in order, repetitions included.

    What opens a sentence counts, unless it says little. Scripts that know no capitals have none.

    >>> names("In 1986 J. K. Rowling met the Order of Friars Minor in Leland. The film is long.")
    ['J. K. Rowling', 'Order of Friars Minor', 'Leland']
    """
    latin = language_of(text)
    found: list[str] = []
    run: list[re.Match[str]] = []
    for word in [*_WORD.finditer(text), None]:
        if word and run and _goes_on(run[-1], word, text):
            run.append(word)
            continue
        found += _name(run, text, latin)
        run = [word] if word and word[0][0].isupper() else []
    return found


def _goes_on(former: re.Match[str], word: re.Match[str], text: str) -> bool:
    between = text[former.end() : word.start()]
    initial = len(former[0]) == 1 and between in (". ", ".")
    large = word[0][0].isupper() or word[0][0].isdigit()
    return (between == " " or initial) and (large or word[0] in _PARTICLES)


def _name(run: list[re.Match[str]], text: str, latin: str) -> list[str]:
    """Return the run without what says little at either end, if a name is left."""

    def idle(word: re.Match[str]) -> bool:
        return says_little(word[0].casefold(), latin) or word[0] in _PARTICLES

    words = list(dropwhile(lambda word: idle(word) or not word[0][0].isupper(), run))
    while words and idle(words[-1]):
        words.pop()
    if not words:
        return []
    name = text[words[0].start() : words[-1].end()]
    return [name] if len(name) >= _SHORTEST else []
