"""The sizing table of docs/operations.md, computed from what `make bench-scale` measured."""

from __future__ import annotations

from dataclasses import dataclass

SIZES = (10**5, 10**6, 10**7, 10**8)
DIMENSION = 384
GRAPH_BYTES = 2 * 16 * 4 * 1.1
"""Of HNSW with m = 16, per vector: twice m links in the lowest layer, and a tenth above."""
SHARD_CHUNKS = 10**7
"""Of one shard, at most: its graph is built on one machine."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured at one size."""

    chunks: int
    bytes_each: float
    """On disk, catalog and index."""
    resident_mb: float
    p99_ms: float


def table(seen: Measured) -> str:
    """Return the table as Markdown; rows above what was run say so."""
    lines = [
        "| chunks | disk | vectors in memory: exact / int8 / binary | shards | p99 of a search |",
        "|---|---|---|---|---|",
    ]
    for size in SIZES:
        note = "" if size <= seen.chunks else " (extrapolated)"
        p99 = f"{seen.p99_ms:.0f} ms" if size == seen.chunks else "not measured"
        graph = GRAPH_BYTES * size
        held = " / ".join(_told(graph + size * DIMENSION * each) for each in (4.0, 1.0, 1 / 8))
        shards = max(1, size // SHARD_CHUNKS)
        disk = _told(size * seen.bytes_each)
        lines.append(f"| {size:,}{note} | {disk} | {held} | {shards} | {p99} |")
    return "\n".join(lines)


def _told(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 1e12 else f"{count / 1e12:,.1f} TB"
