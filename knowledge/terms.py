"""The analyser: which words of a text carry meaning, reduced to their stems.

Search and citations share it, so that what is found by a word is also quoted for it. The only file
that knows the stemmer.
"""

from __future__ import annotations

import threading
from functools import lru_cache

import snowballstemmer

from knowledge.text import words

_STOP_WORDS = """
a an and are as at be but by for from had has have he her his i if in into is it its no not of on
or s she so such t than that the their them then there these they this to was we were what when
which who will with you
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

_stemmer = snowballstemmer.stemmer("english")
_stemmer_lock = threading.Lock()


def terms(text: str) -> list[str]:
    """Return the words of `text` that carry meaning, reduced to their stems, in order.

    >>> terms("The invoices were paid twice")
    ['invoic', 'paid', 'twice']
    """
    return [_stem(word) for word in words(text) if word not in STOP_WORDS]


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    if not word.isascii() or not word.isalpha():
        return word
    with _stemmer_lock:  # the stemmer keeps the word it works on in itself
        return str(_stemmer.stemWord(word))
