"""The files of the ingest bench: office files, and pages of annual reports, drawn by seed.

Every reader here can read what is in the batches; the rest of the office files is apart.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pypdfium2

from tests.quality.evidence import Sought

SEED = 20
FORMATS = frozenset({".csv", ".docx", ".md", ".pdf", ".pptx", ".txt", ".xlsx"})
"""That all readers of the bench have a reader for."""
LOAD_TESTS = frozenset({"DA-619p.pdf", "example-10k.html", "handbook-872p.docx"})
"""Of office-samples: each longer than all others together."""
LARGEST = 200_000
"""Bytes of a file among the rest: a reader that takes markup for text is slow enough with these."""
FEW_WORDS = 5


@dataclass(frozen=True, slots=True)
class Cut:
    """A PDF that holds some pages of another one, counted from 1 there."""

    path: Path
    pages: Sequence[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """A folder of files."""

    folder: Path
    files: Sequence[Path]
    pages: int
    """Of the PDFs among them."""


def reports(pdfs: Path, asked: Iterable[Sought], pages: int, folder: Path) -> dict[str, Cut]:
    """Cut each report down to the pages that questions are about, and drawn ones up to `pages`."""
    folder.mkdir(parents=True)
    gold = {page for each in asked for page in each.gold}
    cuts = {}
    for pdf in sorted(pdfs.glob("*.pdf")):
        needed = {number for name, number in gold if name == pdf.stem}
        cuts[pdf.stem] = cut(pdf, folder / pdf.name, needed, pages)
    return cuts


def cut(pdf: Path, to: Path, needed: Iterable[int], pages: int) -> Cut:
    """Write a PDF of the pages needed, and of others drawn by seed until there are `pages`."""
    with pypdfium2.PdfDocument(pdf) as document, pypdfium2.PdfDocument.new() as shorter:
        every = range(1, len(document) + 1)
        wanted = set(needed)
        others = [number for number in every if number not in wanted]
        room = max(0, pages - len(wanted))
        wanted |= set(random.Random(SEED).sample(others, min(room, len(others))))
        kept = sorted(wanted)
        shorter.import_pages(document, [number - 1 for number in kept])
        shorter.save(to)
    return Cut(to, kept)


def in_cuts(asked: Iterable[Sought], cuts: Mapping[str, Cut]) -> list[Sought]:
    """Return the questions with their pages as they are counted in the shorter files."""
    return [
        replace(each, gold=frozenset((n, cuts[n].pages.index(page) + 1) for n, page in each.gold))
        for each in asked
    ]


def office(samples: Path, unread: Iterable[str] = ()) -> tuple[list[Path], list[Path]]:
    """Return the office files that all read, and the rest; each content once.

    `unread` names files that one of them gives no text of. A PDF with pages that are pictures is
    among the rest: not every reader recognises them.
    """
    everywhere: list[Path] = []
    rest: list[Path] = []
    seen: set[str] = set()
    for path in sorted(samples.rglob("*")):
        if not path.is_file() or path.name in LOAD_TESTS or _is_about_others(path):
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        if path.suffix in FORMATS and path.name not in unread and _has_words(path):
            everywhere.append(path)
        elif path.stat().st_size <= LARGEST:
            rest.append(path)
    return everywhere, rest


def _is_about_others(path: Path) -> bool:
    return path.name in {"SOURCE.md", "manifest.jsonl"} or path.name.endswith(".reference.md")


def _has_words(path: Path) -> bool:
    """Say whether each page has a text layer; other files than PDFs do."""
    if path.suffix != ".pdf":
        return True
    try:
        with pypdfium2.PdfDocument(path) as document:
            return all(len(_text(page).split()) >= FEW_WORDS for page in document)
    except pypdfium2.PdfiumError:
        return False


def _text(page: pypdfium2.PdfPage) -> str:
    text: str = page.get_textpage().get_text_range()
    return text


def batches(
    reports: Sequence[Path], office: Sequence[Path], count: int, folder: Path
) -> list[Batch]:
    """Copy the files into folders, each with its share of the reports and of the office files.

    Names are made distinct, since a page is told by the name of its file.
    """
    shuffled = list(office)
    random.Random(SEED).shuffle(shuffled)
    return [
        gathered([*reports[n::count], *shuffled[n::count]], folder / f"batch-{n:02}")
        for n in range(count)
    ]


def gathered(files: Iterable[Path], place: Path) -> Batch:
    """Copy files into a folder of their own, under distinct names."""
    place.mkdir(parents=True)
    taken: set[str] = set()
    copies = []
    for path in files:
        name = path.name if path.stem not in taken else f"{path.stem}-{len(taken)}{path.suffix}"
        taken.add(Path(name).stem)
        copies.append(Path(shutil.copyfile(path, place / name)))
    return Batch(place, copies, sum(map(_pages, copies)))


def _pages(path: Path) -> int:
    if path.suffix != ".pdf":
        return 0
    try:
        with pypdfium2.PdfDocument(path) as document:
            return len(document)
    except pypdfium2.PdfiumError:
        return 0
