"""Evaluation sets in BEIR's layout: corpus, queries, qrels."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Set:
    """One evaluation set: where its corpus is, what is asked, and what is relevant."""

    name: str
    corpus: Path
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    """Query id -> corpus id -> gain."""


def load(folder: Path, *, qrels: str = "test") -> Set:
    """Read the set in `folder`; only queries that have judgements are kept."""
    judged = _qrels(folder / "qrels" / f"{qrels}.tsv")
    asked = {str(row["_id"]): str(row["text"]) for row in rows(_existing(folder, "queries"))}
    return Set(
        name=folder.name,
        corpus=_existing(folder, "corpus"),
        queries={query: asked[query] for query in judged},
        qrels=judged,
    )


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read a `.jsonl` or `.jsonl.gz` file."""
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" else data
    for line in text.splitlines():
        yield json.loads(line)


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return judged


def _existing(folder: Path, stem: str) -> Path:
    for name in (f"{stem}.jsonl.gz", f"{stem}.jsonl"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"no {stem}.jsonl[.gz] in {folder}")
