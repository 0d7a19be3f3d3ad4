"""Counts tokens as gpt-oss does. The only file that knows `openai_harmony`.

Its package, `oss-harmony`, carries the vocabulary, which the package it was forked from fetches.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from openai_harmony import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding

_RUN = re.compile(r"\s{500}|\S{500}")
"""The time grows with the square of such a run: 100,000 letters would take half a minute."""


def count_tokens(text: str) -> int:
    """Count the tokens of `text` in a prompt of gpt-oss, in which markup of its own is plain text.

    Exact where no run of 500 characters is all white space, or has none; else it may be a few more.

    >>> count_tokens("The office opens at nine.")
    6
    """
    cuts = [0, *(run.end() for run in _RUN.finditer(text)), len(text)]
    return sum(_count(text[start:end]) for start, end in pairwise(cuts))


def _count(text: str) -> int:
    return len(_vocabulary().encode(text, disallowed_special=()))


@cache
def _vocabulary() -> HarmonyEncoding:
    """Load it once: that takes a tenth of a second."""
    return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
