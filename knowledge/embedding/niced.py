"""Documents' vectors from a child process of low priority: texts go down, vectors come back."""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from knowledge.models import Span
from knowledge.niced import Aside, Receive
from knowledge.ports import Embedder


class NicedEmbedder:
    """Implements the `Embedder` door over `here`, which does little work itself and a child much.

    The child costs seconds to start and a copy of the model in memory, so it is started once
    embedding here has taken `patience` seconds, and ends after `idle` seconds without work. Both
    make vectors of one space. What the child cannot do is embedded here.
    """

    def __init__(
        self,
        here: Embedder,
        folder: Path | None = None,
        *,
        patience: float = 2.0,
        idle: float = 120.0,
    ) -> None:
        self.name = here.name
        self.dimension = here.dimension
        self.max_tokens = here.max_tokens
        self._here = here
        self._patience = patience
        self._spent = 0.0
        self._child = Aside(
            "knowledge.embedding.child",
            here.name,
            *([str(folder.resolve())] if folder else []),
            work="documents are embedded",
            idle=idle,
            rested=self._rested,
        )

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return one unit vector per text, in order; texts beyond `max_tokens` are cut."""
        if texts and self._spent >= self._patience:
            made = self._child.ask([json.dumps(list(texts)).encode()], self._reader(len(texts)))
            if made is not None:
                return made
        began = time.monotonic()
        vectors = self._here.embed(texts)
        self._spent += time.monotonic() - began
        return vectors

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of every token of `text`, in order, without special tokens."""
        return self._here.token_spans(text)

    def close(self) -> None:
        """End the child; a later call may start another."""
        self._child.close()

    def _rested(self) -> None:
        self._spent = 0.0

    def _reader(self, count: int) -> Callable[[Receive], list[tuple[float, ...]]]:
        """Return what makes so many vectors of an answer."""
        dimension = self.dimension

        def read(receive: Receive) -> list[tuple[float, ...]]:
            flat = array("f")
            flat.frombytes(receive())
            if len(flat) != count * dimension:
                raise ConnectionError(f"{len(flat)} numbers for {count} texts")
            return [tuple(flat[i : i + dimension]) for i in range(0, len(flat), dimension)]

        return read
