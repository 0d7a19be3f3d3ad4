"""How much of a reference text a reader found: the share of its words, and of its table cells.

`python -m tests.quality.recall FOLDER` scores another reader's output in the same way: for each
sample `a/b.docx`, FOLDER holds `a/b.docx.md`, with tables as Markdown writes them.
"""

from __future__ import annotations

import html
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.parsing.formats import parse
from knowledge.models import Parsed
from tests.requirements import eval_data

FORMATS = ("docx", "pptx", "xlsx", "html", "csv", "md", "odt", "ods", "odp", "epub")
_SPANISH = ("docx", "pptx", "html", "md", "odt", "epub", "rtf", "xml", "eml", "rst", "org")
TWINS = {
    "language-docs/eng_spa_mult.txt": _SPANISH,
    "stanley-cups.csv": ("xlsx", "tsv"),
    "simple.docx": ("odt",),
}
"""One text in several formats: the one that is compared with, the suffixes of the others."""

_WORD = re.compile(r"\w+")
_MARKS = (  # what Markdown adds to a text
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"(?<=\])\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)"), " "),
    (re.compile(r"\$\$.+?\$\$|\$[^$\n]*[\\^{][^$\n]*\$"), " "),
    (re.compile(r"\\([^\w\s])"), r"\1"),
    (re.compile(r"(?<!\w)_+|_+(?!\w)"), " "),
)
_ITEMS = re.compile(r"^\s*(?:>\s*)*(?:#+|[-*+]|\d+(?:\.\d+)*\.)\s", re.MULTILINE)
_RULE = re.compile(r"^\|?[\s|:-]+\|?$")


@dataclass(frozen=True, slots=True)
class Score:
    """Words and filled table cells of a reference, and how many of each were found."""

    words: int = 0
    words_found: int = 0
    cells: int = 0
    cells_found: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.words + other.words,
            self.words_found + other.words_found,
            self.cells + other.cells,
            self.cells_found + other.cells_found,
        )

    @property
    def recall(self) -> float:
        return self.words_found / self.words if self.words else 1.0

    def __str__(self) -> str:
        cells = f"{self.cells_found / self.cells:.3f}" if self.cells else "-"
        return f"words {self.recall:.4f} of {self.words}, cells {cells} of {self.cells}"


def score(reference: str, found: str) -> Score:
    """Compare two Markdown texts."""
    wanted, got = Counter(words(_ITEMS.sub(" ", reference))), Counter(words(found))
    wanted_cells, got_cells = Counter(cells(reference)), Counter(cells(found))
    return Score(
        wanted.total(),
        (wanted & got).total(),
        wanted_cells.total(),
        (wanted_cells & got_cells).total(),
    )


def words(text: str) -> list[str]:
    """Return the words without Markdown's marks, NFKC and case-folded."""
    for mark, plain in _MARKS:
        text = mark.sub(plain, text)
    return _WORD.findall(unicodedata.normalize("NFKC", html.unescape(text)).casefold())


def cells(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each table cell that has any."""
    for line in text.split("\n"):
        if line.startswith("|") and not _RULE.match(line):
            yield from filter(None, (tuple(words(f" {cell}")) for cell in line.split("|")))


def markdown(parsed: Sequence[Parsed]) -> str:
    """Return our text with the rows of tables as Markdown writes them."""
    return "\n".join(
        f"| {text} |" if block.table is not None else text
        for each in parsed
        for block in each.blocks
        for text in [block.span.cut(each.text)]
    )


def references(suffix: str) -> list[Path]:
    """Return the samples of a format that have a reference beside them."""
    found = sorted(eval_data("office-samples").glob(f"docling/**/*.{suffix}"))
    return [path for path in found if reference(path).is_file()]


def reference(path: Path) -> Path:
    return path.with_name(path.name + ".reference.md")


def ours(path: Path) -> str:
    return markdown(list(parse(path.read_bytes(), path.name)))


def main(folder: Path) -> None:
    """Print how another reader did on each format; a file it has no output for counts as empty."""
    root = eval_data("office-samples")
    for suffix in FORMATS:
        total = Score()
        for path in references(suffix):
            theirs = folder / (str(path.relative_to(root)) + ".md")
            text = theirs.read_text() if theirs.is_file() else ""
            total += score(reference(path).read_text(), text)
        print(f"{suffix:5} {total}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
