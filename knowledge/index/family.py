"""The indexes of all generations as one: each is written by itself, all of them forget together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from knowledge.access import AccessFilter
from knowledge.models import Document, Embedding, Generation, Hit, Point
from knowledge.ports import Index


class IndexFamily:
    """Opens the index of each generation once.

    `kept` says which generations there are, `open_index` opens the index of one, and `drop_index`
    deletes what is stored under a number, if anything is.
    """

    def __init__(
        self,
        kept: Callable[[], Sequence[Generation]],
        open_index: Callable[[Generation], Index],
        drop_index: Callable[[int], None],
    ) -> None:
        self._kept = kept
        self._open_index = open_index
        self._drop_index = drop_index
        self._open: dict[int, Index] = {}
        self._lock = threading.Lock()

    def member(self, generation: Generation) -> Member:
        """Return the index of one generation, as pipelines and searches use it."""
        return Member(self, generation)

    def opened(self, generation: Generation) -> Index:
        """Return the index itself."""
        with self._lock:
            if generation.number not in self._open:
                self._open[generation.number] = self._open_index(generation)
            return self._open[generation.number]

    def all(self) -> list[Index]:
        """Return the indexes of all generations that are kept."""
        return [self.opened(generation) for generation in self._kept()]

    def prune(self, *, ahead: int = 0) -> None:
        """Delete the indexes of generations that are kept no more.

        Numbers are counted on from the largest that is kept, so the last one that was discarded
        comes again. Who begins or starts looks so many numbers `ahead` for what a crash has left
        of it; before the first generation, nothing is known to be left over.
        """
        kept = {generation.number for generation in self._kept()}
        end = max(kept) + 1 + ahead if kept else 0
        for number in set(range(1, end)) | self._open.keys():
            if number not in kept:
                with self._lock:
                    if index := self._open.pop(number, None):
                        index.close()
                self._drop_index(number)

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


class Member:
    """Implements the `Index` door on one generation; deletions and rights reach all of them.

    A revision lies in one index alone, and whoever cleans up does not know in which.
    """

    def __init__(self, family: IndexFamily, generation: Generation) -> None:
        self._family = family
        self._generation = generation

    def upsert(self, points: Sequence[Point]) -> None:
        """Store points in this generation."""
        self._own.upsert(points)

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Return vectors of any generation: who asks knows that the embedder is the same."""
        found: dict[str, tuple[float, ...]] = {}
        for index in self._family.all():
            found |= index.vectors([each for each in chunk_ids if each not in found])
        return found

    def search(self, embedding: Embedding, access: AccessFilter, *, limit: int) -> list[Hit]:
        """Search this generation."""
        return self._own.search(embedding, access, limit=limit)

    def search_each(
        self, embedding: Embedding, access: AccessFilter, *, limit: int
    ) -> tuple[list[Hit], list[Hit]]:
        """Search this generation, each way by itself."""
        return self._own.search_each(embedding, access, limit=limit)

    def count(self, revision_id: str | None = None) -> int:
        """Count in this generation."""
        return self._own.count(revision_id)

    def delete(self, revision_ids: Sequence[str]) -> None:
        """Delete the points of the revisions wherever they lie."""
        for index in self._family.all():
            index.delete(revision_ids)

    def relabel(self, *documents: Document) -> None:
        """Give the points of documents what filters go by as it is now, in all generations."""
        for index in self._family.all():
            index.relabel(*documents)

    def close(self) -> None:
        """Close all: they are open together."""
        self._family.close()

    @property
    def _own(self) -> Index:
        return self._family.opened(self._generation)
