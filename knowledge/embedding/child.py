"""The child process of `NicedEmbedder`: embeds what comes through the pipe, behind all others."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from knowledge.embedding import weights
from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.errors import ConfigurationError
from knowledge.niced import Answer, Receive, attend


def begin(_greeting: bytes, arguments: Sequence[str]) -> Answer:
    """Load the embedder of this name; its weights lie in a folder, or come with us."""
    name, *folder = arguments
    embedder = _same(name, Path(folder[0]) if folder else None)

    def answer(receive: Receive) -> Iterator[bytes]:
        vectors = embedder.embed(json.loads(receive()))
        yield array("f", chain.from_iterable(vectors)).tobytes()

    return answer


def _same(name: str, folder: Path | None) -> SentenceTransformerEmbedder:
    """Load the embedder unless what is in the folder is no longer called so."""
    _, found = weights.find(folder)
    if found != name:
        raise ConfigurationError(
            f"the model's folder now holds {found}, not {name}; restart the service"
        )
    return SentenceTransformerEmbedder(folder, documents=True)


if __name__ == "__main__":
    sys.exit(attend(sys.argv[1:], begin))
