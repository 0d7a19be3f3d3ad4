"""MinHash signatures, by which near-duplicates are found. The only file that knows `datasketch`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice

from knowledge.text import words

NUMBERS = 128
SHINGLE = 3
"""Words in a row; one changed word changes three shingles."""
FEWEST = 20
"""A text of fewer shingles is like others by chance."""
_BATCH = 4096


def signature(text: str) -> tuple[int, ...]:
    """Return 128 numbers; texts whose shingles overlap agree in about that share of them.

    Empty for a text too short to compare. After Broder, "On the resemblance and containment of
    documents" (1997).
    """
    from datasketch import MinHash  # seconds to import: only whoever ingests pays

    waiting = iter(shingles(text))
    made = MinHash(num_perm=NUMBERS, hashfunc=zlib.crc32)
    few = True
    while batch := list(islice(waiting, _BATCH)):
        few = few and len(batch) < FEWEST
        made.update_batch(batch)
    return () if few else tuple(map(int, made.hashvalues))


def shingles(text: str) -> set[bytes]:
    """Return the distinct runs of three words, in lower case."""
    return set(_runs(text))


def _runs(text: str) -> Iterator[bytes]:
    found = list(words(text))
    for start in range(len(found) - SHINGLE + 1):
        yield " ".join(found[start : start + SHINGLE]).encode(errors="replace")
