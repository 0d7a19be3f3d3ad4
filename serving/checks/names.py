"""Names in a sentence: words in capitals that another text may lack; pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from knowledge import languages
from knowledge.languages import ENGLISH, STOP_WORDS

_NOUNS_ARE_CAPITALISED = ("german",)
SHARED_BEGINNING = 4
"""Letters that a name and its adjective share at least, as in Norway and Norwegian."""


def names(text: str, language: str = ENGLISH) -> list[str]:
    """Return the words of a sentence that name something, in order, as they are written.

    The first word is one only where another name follows it or where its form tells. In a language
    that gives every noun a capital, only words with figures or further capitals are.

    >>> names("Most of it was sold to Ann Lee by BASF's A320 team.")
    ['Ann', 'Lee', 'BASF', 'A320']
    """
    text = _ITEM_TITLE.sub(lambda match: " " * len(match.group()), text)
    found = [match for match in _WORD.finditer(text) if _is_name(match.group(), language)]
    kept = [match.group() for match in found if not _only_begins(match, text, found)]
    return [_POSSESSIVE.sub("", name) for name in kept]


def folded(word: str) -> str:
    """Return a word without accents and case.

    >>> folded("Chloé")
    'chloe'
    """
    apart = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in apart if not unicodedata.combining(char))


class Named:
    """The words of what is cited, to look names up in."""

    def __init__(self, text: str) -> None:
        plain = [folded(match.group()) for match in _WORD.finditer(text)]
        self._words = set(plain) | {"".join(pair) for pair in pairwise(plain)}
        self._words |= {part for word in plain for part in re.split(r"[-'’.]", word) if part}
        self._words |= {re.sub(r"[-'’.]", "", word) for word in plain}
        self._initials = _initials(text)
        self._beginnings = {word[:SHARED_BEGINNING] for word in self._words}

    def holds(self, name: str) -> bool:
        """Say whether the name occurs: in another form, in parts, or as its initials."""
        plain = folded(name)
        bare = re.sub(r"[-'’.]", "", plain)
        if plain in self._words or bare in self._words:
            return True
        if name[-1] == "s" and name[:-1].isupper():  # PDFs
            return self.holds(name[:-1])
        if name.isupper() and (bare in self._initials or self._words & _ALIASES.get(bare, _NONE)):
            return True
        parts = [part for part in re.split(r"[-'’.]", plain) if len(part) > 1]
        if len(parts) > 1 and all(part in self._words for part in parts):
            return True
        return any(_same_root(bare, word) for word in self._near(bare))

    def spells_out(self, names: Iterable[str]) -> bool:
        """Say whether the initials of these names occur as one word."""
        return "".join(folded(name)[:1] for name in names) in self._words

    def _near(self, bare: str) -> Iterable[str]:
        if len(bare) < SHARED_BEGINNING or bare[:SHARED_BEGINNING] not in self._beginnings:
            return ()
        return (word for word in self._words if word.startswith(bare[:SHARED_BEGINNING]))


_NONE: frozenset[str] = frozenset()
_AMERICA = frozenset(("us", "usa", "unitedstates", "america", "american"))
_BRITAIN = frozenset(("uk", "unitedkingdom", "britain", "british"))
_ALIASES = {"us": _AMERICA, "usa": _AMERICA, "uk": _BRITAIN}
_ITEM_TITLE = re.compile(
    r"^\s*(?:[-*•]\s|\(?\w{1,3}[.)]\s)?\s*\*\*[^*\n]{1,100}\*\*:?|^\W*\*\*[^*]{1,100}\*\*\W*$"
)
_WORD = re.compile(r"(?<!\w)[^\W_](?:[\w]|[.’'-](?=\w))*")
_POSSESSIVE = re.compile(r"['’]s?$")
_SENTENCE_WORD_LIST = """
also although among another both certain each either first further here how however i instead last
later like many more most much neither new next one other others people several she since
similarly some such than then there these those though three thus today two under various when
whereas where whether while who why yes yet mr mrs ms dr
"""
_SENTENCE_WORDS = frozenset(_SENTENCE_WORD_LIST.split())


def _is_name(word: str, language: str) -> bool:
    if any(char.isdigit() for char in word):
        return any(char.isalpha() for char in word) and not _NUMERIC.fullmatch(word)
    if sum(char.isupper() for char in word) > 1:
        return True
    if language in _NOUNS_ARE_CAPITALISED or not word[0].isupper() or len(word) < 2:
        return False
    plain = _POSSESSIVE.sub("", word.casefold())
    return plain not in STOP_WORDS[ENGLISH] and not languages.says_little(plain, language)


_NUMERIC = re.compile(
    r"\d[\d.,:]*(?:st|nd|rd|th|s|er|e|k|km|kg|cm|mm|m|g|bn|gb|mb|h)?", re.IGNORECASE
)


def _only_begins(match: re.Match[str], text: str, found: list[re.Match[str]]) -> bool:
    """Say whether a word may have its capital from its place alone: sentence, item, colon."""
    before = text[: match.start()].rstrip(" \"'“‘(*_-•#")
    if before and before[-1] not in ".!?:;…\n":
        return False
    word = match.group()
    if any(char.isupper() or char.isdigit() for char in word[1:]):
        return False
    return word.casefold() in _SENTENCE_WORDS or not any(
        text[match.end() : other.start()] == " " and other.group()[1:].islower() for other in found
    )


def _initials(text: str) -> set[str]:
    """Return the initials of runs of two to six words, small words left out or kept."""
    made: set[str] = set()
    for run in _CAPITALS.finditer(text):
        said = run.group().split()
        for kept in (said, [word for word in said if word[0].isupper()]):
            letters = "".join(folded(word)[:1] for word in kept)
            made |= {
                letters[start:end]
                for start in range(len(letters))
                for end in range(start + 2, min(start + 6, len(letters)) + 1)
            }
    return made


_CAPITALS = re.compile(r"[A-Z][\w’'-]*(?:\s(?:(?:of|the|and|for|in)\s){0,2}[A-Z][\w’'-]*)+")


def _same_root(one: str, other: str) -> bool:
    """Say whether two words differ in their endings only: Norway, Norwegian."""
    shorter, longer = sorted((one, other), key=len)
    common = next(
        (at for at, (a, b) in enumerate(zip(shorter, longer, strict=False)) if a != b), len(shorter)
    )
    return common >= max(SHARED_BEGINNING, len(shorter) - 2) and len(longer) - common <= 5
