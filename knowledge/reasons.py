"""Why a sentence of an answer is not carried, in words for people; pure."""

from __future__ import annotations

_WORDS = {
    "uncited": "it cites nothing",
    "weak": "no source says so in like words",
    "number": "the number {} is not in the source",
    "unit": "the source has {} of something else",
    "date": "the date {} is not in the source",
    "name": "the source does not say {} here",
    "denied": "the source denies it",
    "negation": "the source says the opposite",
    "opposite": "“{}” is the opposite of what the source says",
    "derived": "{} is reckoned, not quoted",
    "assumed": "{} is only in the question",
}


def in_words(reason: str) -> str:
    """Return a reason of a statement as people say it; one of a newer service as it is.

    >>> in_words("number:15"), in_words("weak")
    ('the number 15 is not in the source', 'no source says so in like words')
    """
    kind, _, what = reason.partition(":")
    return _WORDS.get(kind, reason.replace("{", "").replace("}", "")).format(what)
