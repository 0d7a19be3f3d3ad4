"""Count in how many passages of our own pages each word stands.

Writes `knowledge/background.tsv`, which stands in where a collection has little that everybody may
read. It is made of what this repository says itself: it can be shipped, and owes nothing to
anybody.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "examples/*.md", "examples/*.txt",
         "examples/*.html")  # fmt: skip
CODE = ("footnote", "ingest", "knowledge", "retrieval", "serving", "ui")
WORDS_OF_A_PASSAGE = 100
FEWEST = 2
"""Passages: a word that only one holds is as rare as one that none holds."""
EXPLAINED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
WORD = re.compile(r"[a-z]{2,}")


def main() -> None:
    """Write the table."""
    held: Counter[str] = Counter()
    passages = 0
    for words in _passages():
        held.update(set(words))
        passages += 1
    rows = sorted((word, count) for word, count in held.items() if count >= FEWEST)
    lines = [f"\t{passages}", *(f"{word}\t{count}" for word, count in rows)]
    (ROOT / "knowledge" / "background.tsv").write_text("\n".join(lines) + "\n")
    print(f"{len(rows):,} words of {passages} passages")


def _passages() -> Iterator[list[str]]:
    for text in (*_pages(), *_explanations()):
        words = WORD.findall(text.lower())
        for start in range(0, len(words), WORDS_OF_A_PASSAGE):
            yield words[start : start + WORDS_OF_A_PASSAGE]


def _pages() -> Iterator[str]:
    """Yield our pages without code."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            yield re.sub(r"<[^>]*>|```.*?```|`[^`]*`", " ", path.read_text(), flags=re.DOTALL)


def _explanations() -> Iterator[str]:
    """Yield for each file of code what its docstrings say."""
    for path in sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text()))
        said = (ast.get_docstring(node) or "" for node in nodes if isinstance(node, EXPLAINED))
        yield re.sub(r"`[^`]*`|>>>.*", " ", "\n".join(said))


if __name__ == "__main__":
    main()
