"""The child process of `NicedPreparer`: prepares what comes through the pipe, behind all others.

It needs the model's tokenizer, not the model, and starts in a second or two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ingest.likeness import signature
from ingest.prepare import Likeness, PreparerHere
from ingest.preparing import answering
from knowledge.embedding.tokens import Tokens
from knowledge.niced import Answer, attend
from knowledge.sparse import Bm25Encoder


def greeting(here: PreparerHere, tokens: Tokens) -> bytes:
    """Return what tells the child to do as is done here."""
    threshold = here.likeness.threshold if here.likeness else None
    said = [tokens.description, here.embedder, here.chunk_tokens, threshold]
    return json.dumps(said).encode()


def begin(greeting: bytes, _arguments: Sequence[str]) -> Answer:
    """Build what the greeting describes."""
    description, embedder, chunk_tokens, threshold = json.loads(greeting)
    here = PreparerHere(
        token_spans=Tokens(description).spans,
        embedder=embedder,
        sparse=Bm25Encoder(),
        chunk_tokens=chunk_tokens,
        likeness=None if threshold is None else Likeness(signature, threshold),
    )
    return answering(here)


if __name__ == "__main__":
    sys.exit(attend(sys.argv[1:], begin))
