"""Make a text ready to be indexed, all but its vectors: cut it, weigh it, say what it is like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from ingest.chunk import chunk, embedding_text, without_figures
from knowledge.errors import TooLarge
from knowledge.language_code import language_code
from knowledge.models import Parsed, Prepared, Sketch, Span
from knowledge.ports import SparseEncoder

TOO_MANY = "too_many_passages"
"""The code of a document that makes more chunks than one may."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How it is told that documents say nearly the same."""

    signature: Callable[[str], tuple[int, ...]]
    """That of `ingest.likeness`: empty for a text too short to compare."""
    threshold: float = 0.8
    """The Jaccard similarity from which two documents are one family."""

    def sketch(self, text: str) -> Sketch | None:
        """Return what finds the family of a text; None for one too short to compare."""
        numbers = self.signature(text)
        return Sketch(numbers, self.threshold) if numbers else None


@dataclass(frozen=True, slots=True)
class PreparerHere:
    """Implements the `Preparer` door in this process."""

    token_spans: Callable[[str], list[Span]]
    """Those of the embedder."""
    embedder: str
    """Its name."""
    sparse: SparseEncoder
    chunk_tokens: int
    likeness: Likeness | None = None
    """How near-duplicates are told; None: not at all."""

    def prepare(self, parsed: Parsed, *, most: int | None = None) -> Prepared:
        """Cut the text and weigh what was cut; raises `TooLarge` for more than `most` chunks."""
        cut = chunk("", parsed, self.token_spans, self.chunk_tokens)
        if most is not None and len(cut) > most:
            raise TooLarge(f"it makes more than {most:,} passages; split it", code=TOO_MANY)
        texts = [
            embedding_text(parsed.title, each.heading, each.span.cut(parsed.text), each.header)
            for each in cut
        ]
        embedded = tuple(map(without_figures, texts))
        return Prepared(
            chunks=tuple(
                replace(each, imprint=self._imprint(text))
                for each, text in zip(cut, embedded, strict=True)
            ),
            texts=embedded,
            sparse=tuple(self.sparse.encode_passage(text, parsed.title) for text in texts),
            sketch=self.likeness.sketch(parsed.text) if self.likeness else None,
            language=language_code(parsed.text),
        )

    def _imprint(self, text: str) -> str:
        named = f"{self.embedder}\n{text}".encode(errors="surrogatepass")
        return hashlib.sha256(named).hexdigest()[:32]
