"""Draw pages by seed and render them, so that a person can look at them and type their tables.

`python -m tests.quality.draw_tables FOLDER` writes the drawn pages as PNG files into FOLDER, in
the order in which they were walked. Which of them were kept, which passed over and why stands in
`tests/data/tables/drawn.tsv`. Nothing here finds or reads a table.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pypdfium2

from tests.requirements import eval_data

SEED = 20
DRAWN = {"financebench-dev": 39, "office-samples": 15}
"""How many pages of each set were walked until 17 and 3 of them held a table."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a PDF of an evaluation set; `number` counts from 0."""

    path: Path
    number: int


def filings() -> Iterator[Page]:
    """Draw from all pages of all filings alike."""
    paths = sorted((eval_data("financebench-dev") / "pdfs").glob("*.pdf"))
    pages = [Page(path, number) for path in paths for number in range(_length(path))]
    random.Random(SEED).shuffle(pages)
    yield from pages[: DRAWN["financebench-dev"]]


def samples() -> Iterator[Page]:
    """Draw a file, then a page of it: one of the files holds six of seven pages."""
    paths = sorted(eval_data("office-samples").rglob("*.pdf"))
    chance = random.Random(SEED)
    chance.shuffle(paths)
    for path in paths[: DRAWN["office-samples"]]:
        yield Page(path, chance.randrange(_length(path)))


def render(page: Page, to: Path, *, scale: float = 2.0) -> None:
    """Write the page to a PNG file, at `scale` times 72 dots per inch."""
    document = pypdfium2.PdfDocument(page.path)
    document[page.number].render(scale=scale).to_pil().save(to)
    document.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pages in (("filing", filings()), ("sample", samples())):
        for turn, page in enumerate(pages, 1):
            print(name, turn, page.path.name, page.number, sep="\t")
            render(page, folder / f"{name}-{turn:02}.png")


def _length(path: Path) -> int:
    document = pypdfium2.PdfDocument(path)
    try:
        return len(document)
    finally:
        document.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
