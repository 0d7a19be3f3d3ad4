"""Says how far to trust the search by meaning with a query, by the query alone; pure.

An embedding model knows little of a language whose words its vocabulary holds only as splinters.
"""

from __future__ import annotations

from collections.abc import Sequence

from knowledge.models import Span

FLUENT = 3.5
"""Letters per token from which on a language is the model's own. MiniLM, medians over questions:
English 4.1 to 4.4, Spanish 2.8, German 2.7, Russian, Arabic and Chinese 1.0."""
FOREIGN = 1.2
MOST = 0.98
"""Never all: what meaning alone finds still comes, at the end."""


def share_of_words(query: str, tokens: Sequence[Span], usual: float) -> float:
    """Return what share the search by words has in a score, 0..1.

    It is `usual` where the model knows the query's words, and nears `MOST` as they shatter.

    >>> share_of_words("annual leave", [Span(0, 6), Span(7, 12)], 0.5)
    0.5
    """
    letters = sum(char.isalnum() for char in query)
    spoken = [each for each in tokens if any(map(str.isalnum, each.cut(query)))]
    if not spoken or usual >= MOST:
        return usual
    strangeness = (FLUENT - letters / len(spoken)) / (FLUENT - FOREIGN)
    return usual + (MOST - usual) * min(1.0, max(0.0, strangeness))
