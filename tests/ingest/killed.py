"""The process that is killed: it rebuilds the index of a folder, and dies after some batches."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from ingest.rebuild import missing, rebuild
from knowledge.index.edge import EdgeIndex
from tests.ingest.world import World


def main() -> None:
    folder, batches = Path(sys.argv[1]), int(sys.argv[2])
    world = World(folder, index=EdgeIndex(folder / "index", dimension=64))
    found = missing(world.catalog, world.index)
    rest = rebuild(
        found,
        embedder=world.embedder,
        sparse=world.sparse,
        index=world.index,
        ledger=world.catalog,
    )
    for _ in range(batches):
        next(rest)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
