"""Does a new index find at least what the old one finds? Asked with a set of golden questions.

The set is given, a line of JSON a question, or made from the headings of the documents themselves.
Each question is asked twice, by meaning alone and by meaning and words: words find a heading even
where the vectors are worthless.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge.access import AccessFilter
from knowledge.errors import ConfigurationError
from knowledge.models import NO_WORDS, Block, BlockKind, Document, Embedding, Hit
from knowledge.ports import Generations, Library, VectorSpace
from knowledge.text import normalise_for_match, words

AT = 10
"""How many hits of a question count; in an index of fewer than 100 passages, a tenth of them."""
LARGEST = 300
"""Questions; more of them are drawn by document, spread evenly over the ids."""
MOST_PER_DOCUMENT = 3
_FEWEST_WORDS = 2


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A question, and where its answer stands."""

    query: str
    document_id: str
    heading: str = ""
    """The heading that the answer stands under; empty: anywhere in the document."""
    access: frozenset[str] = frozenset()
    """Asked on behalf of those who may read the document."""


def read_questions(path: Path, document: Callable[[str], Document | None]) -> list[GoldenQuestion]:
    """Return the questions of a JSON-lines file: `query`, `uri`, and if wanted `heading`.

    Raises `ConfigurationError` with the number of the line that is not one, or names no document.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_read(line, n, document) for n, line in enumerate(lines, 1) if line.strip()]


def make_questions(
    catalog: Generations, document_ids: Sequence[str], *, most: int = LARGEST
) -> list[GoldenQuestion]:
    """Make questions from headings of several words; every document has its turn before a second.

    A heading that stands in several places is no question: nobody can say which one is meant.
    """
    step = max(1, len(document_ids) // most)
    drawn = [list(_headings(catalog, each)) for each in document_ids[::step]]
    rounds = [each for turn in range(MOST_PER_DOCUMENT) for each in _nth(drawn, turn)]
    asked = [normalise_for_match(each.query) for each in rounds]
    return [each for each, text in zip(rounds, asked, strict=True) if asked.count(text) == 1][:most]


def recall(
    questions: Sequence[GoldenQuestion],
    space: VectorSpace,
    catalog: Generations,
    library: Library,
) -> float:
    """Return the share of questions whose answer is among the first hits, 0..1; 1 for none asked.

    The mean of two shares: of the search by meaning alone, and of that by meaning and words.
    """
    if not questions:
        return 1.0
    statistics = library.statistics(None)
    at = max(1, min(AT, space.index.count() // 10))
    found = 0
    for question, dense in zip(questions, _dense(questions, space), strict=True):
        weighed = space.sparse.encode_query(question.query, statistics)
        for sparse in (NO_WORDS, weighed):
            access = AccessFilter(tokens=question.access)
            hits = space.index.search(Embedding(dense, sparse), access, limit=at)
            found += _answers(question, hits, catalog)
    return found / (2 * len(questions))


def _read(line: str, number: int, document: Callable[[str], Document | None]) -> GoldenQuestion:
    try:
        given = json.loads(line)
        query, uri = given["query"], given["uri"]
        whose = document(uri)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f'line {number} of the golden set is not {{"query": …, "uri": …}} ({error})'
        ) from error
    if whose is None:
        raise ConfigurationError(f"line {number} of the golden set: no document is at {uri}")
    return GoldenQuestion(str(query), whose.id, str(given.get("heading", "")), whose.access)


def _headings(catalog: Generations, document_id: str) -> Iterator[GoldenQuestion]:
    found = catalog.stored(document_id)
    if found is None or not found[0].access:
        return
    document, revision = found
    for block in revision.blocks:
        text = _heading(block, revision.text)
        if len(words(text)) >= _FEWEST_WORDS:
            yield GoldenQuestion(text, document_id, block.heading[-1], document.access)


def _heading(block: Block, text: str) -> str:
    return block.span.cut(text) if block.kind is BlockKind.HEADING and block.heading else ""


def _nth(drawn: Iterable[Sequence[GoldenQuestion]], turn: int) -> Iterator[GoldenQuestion]:
    """Yield one question of each document, from its beginning, middle and end in turn."""
    for each in drawn:
        if turn < len(each):
            yield each[turn * len(each) // MOST_PER_DOCUMENT if len(each) > turn else turn]


def _dense(questions: Sequence[GoldenQuestion], space: VectorSpace) -> list[tuple[float, ...]]:
    return space.embedder.embed([question.query for question in questions])


def _answers(question: GoldenQuestion, hits: Sequence[Hit], catalog: Generations) -> bool:
    paths = catalog.paths(question.document_id, [hit.chunk_id for hit in hits])
    return any(not question.heading or question.heading in path for path in paths)
