"""The analyser: which words of a text carry meaning, reduced to their stems.

Search and citations share it, so that what is found by a word is also quoted for it. The only file
that knows the stemmer.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import cache, lru_cache
from typing import Any

import snowballstemmer

from knowledge import languages
from knowledge.text import words

_lock = threading.Lock()


def terms(text: str, language: str | None = None) -> list[str]:
    """Return the words of `text` that carry meaning, reduced to their stems, in order.

    `language` is that of the words in Latin letters; it is guessed from the text where none is
    given, which needs a sentence or so. All other scripts speak for themselves.

    >>> terms("The invoices were paid twice")
    ['invoic', 'paid', 'twice']
    >>> terms("Wie hoch sind die Rechnungen?")
    ['hoch', 'rechnung']
    """
    return [stem for _, stem in stemmed(text, language)]


def stemmed(text: str, language: str | None = None) -> list[tuple[str, str]]:
    """Return each word of `text` that carries meaning with its stem, as `terms` does."""
    found = words(text)
    latin = language or languages.spoken(found)
    return [(word, stem) for word in found if (stem := _stem(word, latin))]


def language_of(text: str) -> str:
    """Return the language of the words in Latin letters of a text of some length."""
    return languages.spoken(words(text))


def other_stems(word: str) -> frozenset[str]:
    """Return the stems a word in Latin letters would have in a text of any known language."""
    return frozenset(stem for latin in languages.LATIN if (stem := _stem(word, latin)))


@lru_cache(maxsize=200_000)
def _stem(word: str, latin: str) -> str:
    """Return the stem, or nothing for a word that says little."""
    language = languages.of_word(word, latin)
    if languages.says_little(word, language):
        return ""
    if not word.isascii():
        word = _bare(word) if language in ("english", "arabic") else word
    if not language or any(char.isnumeric() for char in word):
        return _bare(word)
    with _lock:  # a stemmer keeps the word it works on in itself
        found = str(_stemmer(language).stemWord(word))
    return (found if found.isascii() else _bare(found)) or word


@cache
def _stemmer(language: str) -> Any:  # noqa: ANN401
    return snowballstemmer.stemmer(language)


def _bare(word: str) -> str:
    """Return the word without accents and vowel marks, in scripts that may leave them out."""
    if word.isascii() or not languages.marks_are_optional(word):
        return word
    apart = unicodedata.normalize("NFD", word)
    return "".join(char for char in apart if not unicodedata.combining(char)) or word
