"""Our PDF reader beside others, over the same pages, one after the other file by file.

`make bench-pdf` prints the table, in some minutes; `make bench-evidence` prints how well the pages
that hold the evidence are found in what each reader made of all filings (2,419 pages), in hours.
"""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy
import pypdfium2
import pytest

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from tests.quality import beir, prose, tables
from tests.quality.reading import VENVS, Page, Reader, Reading, running, stored
from tests.quality.tables import Score, Table
from tests.requirements import eval_data
from tests.service import ROOT

RESULTS = ROOT / "build" / "quality" / "pdf"
READERS = ["ours", *VENVS]
COLUMNS = ["pages/s", "MB", "cells", "words", "order", "lost", "scans"]
SEED = 20
LONG, DRAWN = 20, 12
"""Of a file with more pages than `LONG`, so many are drawn, besides those with typed tables."""
FEW_WORDS = 5
"""A page with fewer words in its text layer is not missed."""
WINDOW = 254
"""Tokens of a page that are embedded at once: 256 with the two special ones."""
AT_ONCE = 1000
"""So many windows are embedded between two savings."""
TOP = 10


@dataclass(slots=True)
class Tally:
    """What one reader has reached so far."""

    pages: int = 0
    """Of files with a text layer, as `cpu` is: not every reader recognises pictures."""
    cpu: float = 0.0
    peak_mb: float = 0.0
    lost: int = 0
    scans: int = 0
    """Pages without a text layer that it reads all the same."""
    words: list[tuple[int, int]] = field(default_factory=list)
    order: list[tuple[int, int]] = field(default_factory=list)
    cells: Score = field(default_factory=lambda: Score(0, 0, 0))

    def __str__(self) -> str:
        cells = self.cells.recovered / self.cells.cells
        return (
            f"{self.pages / self.cpu:7.1f} {self.peak_mb:7.0f} {cells:7.1%}"
            f" {_share(self.words):7.1%} {_share(self.order):7.1%} {self.lost:7} {self.scans:7}"
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """Pages of a file, counted from 0, and a file that holds just these."""

    pdf: Path
    cut: Path
    pages: Sequence[int]
    worded: Sequence[bool]
    """Of each page, whether its text layer has words."""


# --- our own ------------------------------------------------------------------------------------


@pytest.mark.quality
def test_the_twenty_typed_tables_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    with running(["ours"], RESULTS / "tables") as [reader]:
        scores = _scores(reader)
    total = _total(scores)
    with capsys.disabled():
        for number, score in scores.items():
            print(f"\ntable {number:2}: {score.recovered:3} of {score.cells:3}", end="")
        print(f"\n{total}")
    assert total.recovered >= 0.95 * total.cells


# --- side by side -------------------------------------------------------------------------------


@pytest.mark.bench
@pytest.mark.timeout(4 * 3600)
def test_pdf_readers_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [_sample(pdf, tmp_path) for pdf in _files()]
    tallies = {name: Tally() for name in READERS}
    with running(READERS, RESULTS) as readers:
        for reader in readers:  # imports and first calls are not counted
            reader.read(eval_data("office-samples") / "unstructured" / "pdf" / "fake-memo.pdf")
        for turn, sample in enumerate(samples):
            shift = turn % len(readers)
            for reader in [*readers[shift:], *readers[:shift]]:
                _count(tallies[reader.name], sample, reader.read(sample.cut))
    with capsys.disabled():
        print(f"\n{len(samples)} files, {sum(len(sample.pages) for sample in samples)} pages")
        print(f"{'':15}", *(f"{column:>7}" for column in COLUMNS))
        for name, tally in tallies.items():
            print(f"{name:15} {tally}")
            print(f"{'':15} {tally.cells}")
    assert max(READERS, key=lambda name: tallies[name].pages / tallies[name].cpu) == "ours"


def _files() -> list[Path]:
    filings = sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf"))
    return filings + sorted(eval_data("office-samples").rglob("*.pdf"))


def _sample(pdf: Path, folder: Path) -> Sample:
    """Cut a long file down to drawn pages, so that every reader reads the same in fair time."""
    document = pypdfium2.PdfDocument(pdf)
    pages = list(range(len(document)))
    cut = pdf
    if len(pages) > LONG:
        typed = {table.page for table in _typed().get(pdf, [])}
        pages = sorted(typed | set(random.Random(SEED).sample(pages, DRAWN)))
        cut = folder / pdf.name
        shorter = pypdfium2.PdfDocument.new()
        shorter.import_pages(document, pages)
        shorter.save(cut)
        shorter.close()
    texts = [document[number].get_textpage().get_text_range() for number in pages]
    document.close()
    return Sample(pdf, cut, pages, [len(prose.words(text)) >= FEW_WORDS for text in texts])


def _count(tally: Tally, sample: Sample, reading: Reading) -> None:
    missing = len(sample.pages) - len(reading.pages)
    pages = [*reading.pages, *[Page("", [])] * missing]
    if any(sample.worded):
        tally.pages += len(pages)
        tally.cpu += reading.cpu
    tally.peak_mb = max(tally.peak_mb, reading.peak_mb)
    for page, worded in zip(pages, sample.worded, strict=True):
        tally.lost += worded and not prose.words(page.text)
        tally.scans += not worded and len(prose.words(page.text)) >= FEW_WORDS
    for table in _typed().get(sample.pdf, []):
        found = pages[sample.pages.index(table.page)].tables
        tally.cells += tables.score_best(table, found)
    reference = sample.pdf.with_name(f"{sample.pdf.name}.reference.md")
    if reference.exists():
        expected, whole = reference.read_text("utf-8"), "\n\n".join(page.text for page in pages)
        tally.words.append(prose.word_recall(expected, whole))
        tally.order.append(prose.in_order(expected, whole))


def _scores(reader: Reader) -> dict[int, Score]:
    """Let the reader read the typed pages only; return the score by the number of the table."""
    scores: dict[int, Score] = {}
    for pdf, typed in _typed().items():
        pages = reader.read(pdf, [table.page for table in typed]).pages
        for table, page in zip_longest(typed, pages):
            scores[table.number] = tables.score_best(table, page.tables if page else [])
    return dict(sorted(scores.items()))


def _typed() -> dict[Path, list[Table]]:
    """Return the typed tables by their file."""
    by_file: dict[Path, list[Table]] = defaultdict(list)
    for table in tables.load():
        by_file[eval_data(table.set) / table.pdf].append(table)
    return by_file


def _total(scores: dict[int, Score]) -> Score:
    return sum(scores.values(), Score(0, 0, 0))


def _share(parts: Sequence[tuple[int, int]]) -> float:
    return sum(part for part, _ in parts) / sum(whole for _, whole in parts)


# --- evidence -----------------------------------------------------------------------------------


@pytest.mark.bench
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("name", [name for name in READERS if name != "pdfplumber-text"])
def test_evidence_is_found_in_what_the_reader_made_of_the_filings(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = beir.load(eval_data("financebench-dev"))
    found = _questions_with_all_pages(judged, _filings(name), Vectors(RESULTS / "vectors" / name))
    low, high = tables.wilson(found, len(judged.queries))
    with capsys.disabled():
        print(f"\n{name:15} all evidence pages among the first {TOP}: {found} of ", end="")
        print(f"{len(judged.queries)} questions ({low:.0%} to {high:.0%})", end="")


class Vectors:
    """MiniLM's vectors, kept on disk under the digest of their text."""

    def __init__(self, folder: Path) -> None:
        self._embedder = SentenceTransformerEmbedder()
        self._path = folder / "vectors.npz"
        folder.mkdir(parents=True, exist_ok=True)
        kept = numpy.load(self._path) if self._path.exists() else {"keys": [], "vectors": []}
        self._known = dict(zip(map(str, kept["keys"]), kept["vectors"], strict=True))

    def of(self, texts: Sequence[str]) -> numpy.ndarray:
        """Return one row per text; what is new is embedded and kept."""
        keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        new = [(k, t) for k, t in zip(keys, texts, strict=True) if k not in self._known]
        for start in range(0, len(new), AT_ONCE):
            some = dict(new[start : start + AT_ONCE])
            made = numpy.asarray(self._embedder.embed(list(some.values())), dtype="float32")
            self._known |= zip(some, made, strict=True)
            numpy.savez(self._path, keys=list(self._known), vectors=list(self._known.values()))
        return numpy.stack([self._known[key] for key in keys])

    def windows(self, text: str) -> Iterator[str]:
        """Cut a text into pieces of so many tokens that none is cut when embedded."""
        spans = self._embedder.token_spans(text)
        for start in range(0, len(spans), WINDOW):
            part = spans[start : start + WINDOW]
            yield text[part[0].start : part[-1].end]


def _filings(name: str) -> dict[str, Page]:
    """Return what the reader makes of all filings, by the set's names of their pages.

    What another reader than ours has read once is used again.
    """
    pages: dict[str, Page] = {}
    with running([name], RESULTS / "filings") as [reader]:
        for pdf in sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf")):
            kept = stored(RESULTS / "filings" / name / f"{pdf.stem}.json") if name in VENVS else []
            read = kept or reader.read(pdf).pages
            pages |= {f"{pdf.stem}#p{number}": page for number, page in enumerate(read)}
    return pages


def _questions_with_all_pages(judged: beir.Set, pages: dict[str, Page], vectors: Vectors) -> int:
    """Rank pages by their best window, and count the questions whose pages all come first."""
    cut = [(name, window) for name, page in pages.items() for window in vectors.windows(page.text)]
    names = [name for name, _ in cut]
    scores = vectors.of(list(judged.queries.values())) @ vectors.of([text for _, text in cut]).T
    found = 0
    for query, row in zip(judged.queries, scores, strict=True):
        ranked = list(dict.fromkeys(names[index] for index in numpy.argsort(-row)))
        found += set(judged.qrels[query]) <= set(ranked[:TOP])
    return found
