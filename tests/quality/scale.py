"""A large corpus made of the evaluation sets: `python -m tests.quality.scale FOLDER CHUNKS`.

Each text is half of one passage and half of another of the same set, so that words are as common
as they are in prose; its vector is that of the first one, and noise. Drawn by seed. It goes through
the real pipeline into a real catalog and index; only vectors and blocks are given. One document in
ten may be read by the group that asks. Prints what it took as JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

from footnote.wiring import House
from ingest.parsing.formats import PARSER_VERSION
from ingest.pipeline import File, Pipeline, Sizes
from ingest.prepare import PreparerHere
from knowledge.models import Block, BlockKind, Chunk, Parsed, Prepared, Source, Span, derive_id
from knowledge.ports import Embedder
from knowledge.settings import Settings
from tests.quality import beir
from tests.requirements import eval_data
from tests.service import ROOT

SETS = ("scifact", "mtragun-govt-wiki", "clapnq-a", "hotpotqa-100")
PASSAGES = 1200
"""Of each set."""
PER_DOCUMENT = 20
NOISE = 0.5
"""Length of the noise that is added to a vector of unit length."""
VISIBLE = 10
"""One document in so many."""
READERS = "tenth"
SEED = 17


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a set, and its vector."""

    words: Sequence[str]
    vector: Sequence[float]


def passages() -> list[list[Passage]]:
    """Return passages of each set; they are embedded once."""
    from knowledge.embedding.embedder import SentenceTransformerEmbedder

    embedder = SentenceTransformerEmbedder(documents=True)
    found = []
    for name in SETS:
        rows = list(beir.rows(beir.load(eval_data(name)).corpus))
        chosen = random.Random(SEED).sample(rows, min(PASSAGES, len(rows)))
        texts = [str(row["text"]) for row in chosen]
        kept = ROOT / "build" / "quality" / "scale" / f"{name}-{len(texts)}.f32"
        vectors = array("f")
        if not kept.exists():
            vectors.extend(number for vector in embedder.embed(texts) for number in vector)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(vectors.tobytes())
        else:
            vectors.frombytes(kept.read_bytes())
        width = embedder.dimension
        found.append(
            [
                Passage(text.split(), vectors[at * width : (at + 1) * width])
                for at, text in enumerate(texts)
            ]
        )
        print(f"{name}: {len(texts)} passages", file=sys.stderr, flush=True)
    return found


class Given:
    """Parser, preparer and embedder at once: each chunk is a block, each vector is made up."""

    version = PARSER_VERSION

    def __init__(self, embedder: Embedder, here: PreparerHere, drawn: list[list[Passage]]) -> None:
        self.name, self.dimension = embedder.name, embedder.dimension
        self.max_tokens, self.token_spans = embedder.max_tokens, embedder.token_spans
        self._here, self._drawn = here, drawn
        self._vectors: dict[str, tuple[float, ...]] = {}

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        chance = random.Random(f"{SEED} {name}")
        pool = chance.choice(self._drawn)
        text, blocks = "", []
        for _ in range(PER_DOCUMENT):
            one, other = chance.choice(pool), chance.choice(pool)
            made = [*one.words[: len(one.words) // 2], *other.words[len(other.words) // 2 :]]
            piece = " ".join(made[:220]) or "nothing"
            blocks.append(Block(BlockKind.PARAGRAPH, Span(len(text), len(text) + len(piece))))
            text += piece + "\n"
            self._vectors[piece] = noisy(one.vector, chance)
        yield Parsed(name.removesuffix(".txt"), text, tuple(blocks))

    def prepare(self, parsed: Parsed, *, most: int | None = None) -> Prepared:
        texts = tuple(block.span.cut(parsed.text) for block in parsed.blocks)
        chunks = tuple(
            Chunk(derive_id("", str(at)), "", at, block.span, imprint=derive_id(text))
            for at, (block, text) in enumerate(zip(parsed.blocks, texts, strict=True))
        )
        sparse = tuple(self._here.sparse.encode_passage(text) for text in texts)
        return Prepared(chunks, texts, sparse, None, "en")

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [self._vectors.pop(text) for text in texts]


def noisy(vector: Sequence[float], chance: random.Random) -> tuple[float, ...]:
    """Return the vector with noise, of unit length."""
    size = NOISE / sqrt(len(vector))
    moved = [number + chance.gauss(0, size) for number in vector]
    length = sqrt(sum(number * number for number in moved))
    return tuple(number / length for number in moved)


def build(data: Path, count: int) -> dict[str, float]:
    """Fill an empty data folder; return what it took and takes."""
    began = time.monotonic()
    settings = Settings(_env_file=None, data_dir=data)
    with House(settings) as house:
        drawn = passages()
        generation, space = house.spaces.live_generation(), house.spaces.live()
        here = PreparerHere(space.embedder.token_spans, space.embedder.name, house.sparse, 256)
        given = Given(space.embedder, here, drawn)
        source = _source()
        house.catalog.ensure_source(source)
        pipeline = Pipeline(
            parser=given,
            space=replace(space, embedder=given),
            ledger=house.catalog,
            sizes=Sizes(generation.chunk_tokens, group_characters=2_000_000),
            preparer=given,
            versions=generation.versions,
        )
        made = 0
        for number, event in enumerate(pipeline.ingest(_files(source, count)), start=1):
            made += event.chunks
            if number % 250 == 0:
                told = f"{made:,} of {count:,} chunks, {time.monotonic() - began:.0f} s"
                print(told, file=sys.stderr, flush=True)
    return {
        "chunks": made,
        "seconds": time.monotonic() - began,
        "catalog_bytes": _size([data / "catalog.sqlite"]),
        "index_bytes": _size((data / "index").rglob("*")),
    }


def _source() -> Source:
    return Source(derive_id("scale"), "folder", "scale:/", "main")


def _files(source: Source, count: int) -> Iterator[File]:
    for number in range(-(-count // PER_DOCUMENT)):
        readers = READERS if number % VISIBLE == 0 else f"group-{number % 50}"
        name = f"document-{number}.txt"
        access = frozenset({f"g:{readers}"})
        yield File(source, f"scale:/{name}", name, name.encode(), access, "text/plain")


def _size(files: Iterator[Path] | Sequence[Path]) -> float:
    return float(sum(path.stat().st_blocks * 512 for path in files if path.is_file()))


if __name__ == "__main__":
    folder, wanted = Path(sys.argv[1]), int(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(build(folder, wanted)))
