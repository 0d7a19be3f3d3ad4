"""The child processes of this one, as the system lists them (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def children_running(module: str) -> set[int]:
    """Return the children of this process that run a module and have not ended."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            if parent == os.getpid() and module.encode() in line:
                found.add(int(entry.name))
    return found
