"""Our PDF reader beside others, over the same pages, one after the other file by file.

`make bench-pdf` prints the table; `make bench-evidence` prints how well the pages that hold the
evidence are found in what each reader made of the filings (it uses what `make bench-pdf` left).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy
import pypdfium2
import pytest

from knowledge.embedding import SentenceTransformerEmbedder
from tests.quality import beir, prose, tables
from tests.quality.reading import VENVS, Page, Reader, Reading, running, stored
from tests.quality.tables import Score, Table
from tests.requirements import eval_data
from tests.service import ROOT

RESULTS = ROOT / "build" / "quality" / "pdf"
READERS = ["ours", *(name for name in VENVS if name != "pdfplumber-text")]
FEW_WORDS = 5
"""A page with fewer words in its text layer is not missed."""
WINDOW = 254
"""Tokens of a page that are embedded at once: 256 with the two special ones."""
TOP = 10


@dataclass(slots=True)
class Tally:
    """What one reader has reached so far."""

    pages: int = 0
    cpu: float = 0.0
    peak_mb: float = 0.0
    lost: int = 0
    words: list[tuple[int, int]] = field(default_factory=list)
    order: list[tuple[int, int]] = field(default_factory=list)
    cells: Score = field(default_factory=lambda: Score(0, 0, 0))

    def __str__(self) -> str:
        cells = f"{self.cells.recovered / self.cells.cells:7.1%}" if self.cells.cells else " " * 7
        if not self.pages:
            return f"{'':9} {'':6} {cells}"
        return (
            f"{self.pages / self.cpu:9.1f} {self.peak_mb:6.0f} {cells} {_share(self.words):7.1%}"
            f" {_share(self.order):7.1%} {self.lost:6}"
        )


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
def test_pdf_readers_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    files = _files()
    tallies = {name: Tally() for name in READERS}
    with running(READERS, RESULTS) as readers:
        for reader in readers:  # imports and first calls are not counted
            reader.read(eval_data("office-samples") / "unstructured" / "pdf" / "fake-memo.pdf")
        for turn, pdf in enumerate(files):
            worded = _worded(pdf)
            shift = turn % len(readers)
            for reader in [*readers[shift:], *readers[:shift]]:
                _count(tallies[reader.name], pdf, worded, reader.read(pdf))
    tallies["pdfplumber-text"] = Tally(cells=_read_tables("pdfplumber-text"))
    with capsys.disabled():
        print(f"\n{len(files)} files, {sum(len(_worded(pdf)) for pdf in files)} pages")
        print(
            f"{'':15} {'pages/s':>9} {'MB':>6} {'cells':>7} {'words':>7} {'order':>7} {'lost':>6}"
        )
        for name, tally in tallies.items():
            print(f"{name:15} {tally}")
            print(f"{'':15} {tally.cells}")
    assert max(READERS, key=lambda name: tallies[name].pages / tallies[name].cpu) == "ours"


def _files() -> list[Path]:
    filings = sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf"))
    return filings + sorted(eval_data("office-samples").rglob("*.pdf"))


def _worded(pdf: Path) -> list[bool]:
    """Say of each page whether its text layer has words."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        texts = [page.get_textpage().get_text_range() for page in document]
    finally:
        document.close()
    return [len(prose.words(text)) >= FEW_WORDS for text in texts]


def _count(tally: Tally, pdf: Path, worded: Sequence[bool], reading: Reading) -> None:
    texts = [page.text for page in reading.pages] + [""] * (len(worded) - len(reading.pages))
    tally.pages += len(worded)
    tally.cpu += reading.cpu
    tally.peak_mb = max(tally.peak_mb, reading.peak_mb)
    tally.lost += sum(
        has and not prose.words(text) for has, text in zip(worded, texts, strict=True)
    )
    for table in _typed().get(pdf, []):
        found = reading.pages[table.page].tables if reading.pages else []
        tally.cells += tables.score_best(table, found)
    reference = pdf.with_name(f"{pdf.name}.reference.md")
    if reference.exists():
        expected, whole = reference.read_text("utf-8"), "\n\n".join(texts)
        tally.words.append(prose.word_recall(expected, whole))
        tally.order.append(prose.in_order(expected, whole))


def _read_tables(name: str) -> Score:
    with running([name], RESULTS / "tables") as [reader]:
        return _total(_scores(reader))


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
def test_evidence_is_found_in_what_each_made_of_the_filings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = beir.load(eval_data("financebench-dev"))
    vectors = Vectors(RESULTS / "vectors")
    for name in READERS:
        found = _questions_with_all_pages(judged, _filings(name), vectors)
        low, high = tables.wilson(found, len(judged.queries))
        with capsys.disabled():
            print(f"\n{name:15} all evidence pages among the first {TOP}: {found} of ", end="")
            print(f"{len(judged.queries)} ({low:.0%} to {high:.0%})", end="")


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
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        made = self._embedder.embed(list(new.values()))
        self._known |= zip(new, numpy.asarray(made, dtype="float32"), strict=True)
        if new:
            numpy.savez(self._path, keys=list(self._known), vectors=list(self._known.values()))
        return numpy.stack([self._known[key] for key in keys])

    def windows(self, text: str) -> Iterator[str]:
        """Cut a text into pieces of so many tokens that none is cut when embedded."""
        spans = self._embedder.token_spans(text)
        for start in range(0, len(spans), WINDOW):
            part = spans[start : start + WINDOW]
            yield text[part[0].start : part[-1].end]


def _filings(name: str) -> dict[str, Page]:
    """Return the pages that the reader left, by the name that the evaluation set gives them."""
    pages = {
        f"{pdf.stem}#p{number}": page
        for pdf in sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf"))
        for number, page in enumerate(stored(RESULTS / name / f"{pdf.stem}.json"))
    }
    assert pages, "run `make bench-pdf` first"
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
