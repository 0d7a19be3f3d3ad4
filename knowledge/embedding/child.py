"""The child process of `NicedEmbedder`: embeds what comes through the pipe, behind all others."""

from __future__ import annotations

import json
import os
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

from knowledge.embedding import weights
from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.errors import ConfigurationError

READY = b"ready"
_NICE = 10


def main(arguments: Sequence[str]) -> int:
    """Serve the pipe of this number until it closes, or nothing has come for `idle` seconds."""
    number, idle, name, *folder = arguments
    with Connection(int(number)) as pipe, suppress(EOFError, BrokenPipeError):
        try:
            embedder = _same(name, Path(folder[0]) if folder else None)
        except ConfigurationError as error:
            pipe.send_bytes(str(error).encode())
            return 1
        pipe.send_bytes(READY)
        _stand_back()  # not before: on a busy machine the start alone would take minutes
        while pipe.poll(float(idle)):
            vectors = embedder.embed(json.loads(pipe.recv_bytes()))
            pipe.send_bytes(array("f", chain.from_iterable(vectors)).tobytes())
    return 0


def _same(name: str, folder: Path | None) -> SentenceTransformerEmbedder:
    """Load the embedder unless what is in the folder is no longer called so."""
    _, found = weights.find(folder)
    if found != name:
        raise ConfigurationError(
            f"the model's folder now holds {found}, not {name}; restart the service"
        )
    return SentenceTransformerEmbedder(folder, documents=True)


def _stand_back() -> None:
    """Yield to whatever else wants the processor; never interrupt it on waking up."""
    os.nice(_NICE)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
