"""Reads PDF files with one reader of several, in the environment that has it, for the PDF bench.

`python scripts/pdf_readers.py READER` takes one request a line on its standard input,
`{"pdf", "out", "pages"}` (`pages` counts from 0; null is all), writes what the reader made of the
file to `out`, and answers with one line, `{"cpu", "peak_mb"}`: processor seconds of all threads
for this file, and the most memory so far. Per page there is `text`, in the reader's order, and
`tables`, as rows of cells.

A reader that knows no tables is given rows all the same: pieces of text that stand beside each
other are a row. `pdfplumber-text` is pdfplumber told to find tables by the alignment of words.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

Rows = list[list[str]]
Page = dict[str, Any]
Piece = tuple[str, float, float, float]
"""Text, left edge, and upper and lower edge, whichever way the reader counts."""


def main(name: str) -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    read = READERS[name]
    for line in sys.stdin:
        _answer(read, json.loads(line), answers)


def _answer(
    read: Callable[[str, Sequence[int] | None], list[Page]], request: dict[str, Any], to: TextIO
) -> None:
    before = _cpu()
    pages = read(request["pdf"], request["pages"])
    spent = _cpu() - before
    Path(request["out"]).write_text(json.dumps(pages), encoding="utf-8")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": spent, "peak_mb": peak}), file=to, flush=True)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


# --- readers ------------------------------------------------------------------------------------


def ours(pdf: str, pages: Sequence[int] | None) -> list[Page]:
    """Footnote's own reader: a row of a table is a block."""
    from ingest.parsing.pdf import parse_pdf
    from knowledge.models import BlockKind

    path = Path(pdf)
    [parsed] = parse_pdf(path.read_bytes(), path.stem)
    count = max(parsed.coverage.pages, *(block.page or 0 for block in parsed.blocks))
    texts: list[list[str]] = [[] for _ in range(count)]
    tables: list[dict[int, Rows]] = [defaultdict(list) for _ in range(count)]
    for block in parsed.blocks:
        text = parsed.text[block.span.start : block.span.end]
        number = (block.page or 1) - 1
        texts[number].append(text)
        if block.kind is BlockKind.TABLE and block.table is not None:
            tables[number][block.table].append([cell.strip() for cell in text.split("|")])
    read = [_page("\n\n".join(t), list(f.values())) for t, f in zip(texts, tables, strict=True)]
    return read if pages is None else [read[number] for number in pages]


def unstructured(pdf: str, pages: Sequence[int] | None) -> list[Page]:
    """The strategy `fast`; it knows no tables, and no single pages."""
    sys.modules.setdefault("unstructured.nlp.tokenize", _words_alone())
    from unstructured.partition.pdf import partition_pdf

    elements: dict[int, list[Any]] = defaultdict(list)
    for element in partition_pdf(pdf, strategy="fast", languages=["eng"]):
        elements[element.metadata.page_number].append(element)
    count = max(elements, default=0)
    wanted = range(count) if pages is None else pages
    return [_unstructured_page(elements[number + 1]) for number in wanted]


def _unstructured_page(elements: list[Any]) -> Page:
    pieces = [
        (element.text, points[0][0], points[0][1], points[1][1])
        for element in elements
        if element.metadata.coordinates and (points := element.metadata.coordinates.points)
    ]
    return _page("\n\n".join(element.text for element in elements), [_rows(pieces)])


def _words_alone() -> ModuleType:
    """Stand in for its tokenizer, which downloads a language model; only element kinds need one."""
    module = ModuleType("unstructured.nlp.tokenize")
    module.__dict__.update(
        pos_tag=lambda text: [(word, "NN") for word in text.split()],
        word_tokenize=lambda text: text.split(),
        sent_tokenize=lambda text: [text],
    )
    return module


def pdfplumber(pdf: str, pages: Sequence[int] | None) -> list[Page]:
    """The default: tables are told by drawn lines."""
    return list(_pdfplumber(pdf, pages, {}))


def pdfplumber_text(pdf: str, pages: Sequence[int] | None) -> list[Page]:
    """Tables are told by how words align."""
    by_text = {"vertical_strategy": "text", "horizontal_strategy": "text"}
    return list(_pdfplumber(pdf, pages, by_text))


def _pdfplumber(pdf: str, pages: Sequence[int] | None, settings: dict[str, str]) -> Iterator[Page]:
    import pdfplumber as library

    with library.open(pdf) as document:
        for number in range(len(document.pages)) if pages is None else pages:
            page = document.pages[number]
            found = page.extract_tables(settings)
            tables = [[[cell or "" for cell in row] for row in table] for table in found]
            yield _page(page.extract_text(), tables)
            page.close()


def docling_parse(pdf: str, pages: Sequence[int] | None) -> list[Page]:
    """Its lines; it knows no tables: docling finds them with a model of its own."""
    from docling_core.types.doc.page import TextCellUnit
    from docling_parse.pdf_parser import DoclingPdfParser

    document = DoclingPdfParser().load(pdf)
    wanted = range(document.number_of_pages()) if pages is None else pages
    read = []
    for number in wanted:
        cells = list(document.get_page(number + 1).iterate_cells(unit_type=TextCellUnit.LINE))
        boxes = [cell.rect.to_bounding_box() for cell in cells]
        pieces = [(c.text, b.l, -b.t, -b.b) for c, b in zip(cells, boxes, strict=True)]
        read.append(_page("\n".join(cell.text for cell in cells), [_rows(pieces)]))
    return read


READERS: dict[str, Callable[[str, Sequence[int] | None], list[Page]]] = {
    "ours": ours,
    "unstructured": unstructured,
    "pdfplumber": pdfplumber,
    "pdfplumber-text": pdfplumber_text,
    "docling-parse": docling_parse,
}


# --- pages --------------------------------------------------------------------------------------


def _page(text: str, tables: list[Rows]) -> Page:
    return {"text": text, "tables": tables}


def _rows(pieces: Iterable[Piece]) -> Rows:
    """Put pieces side by side into rows: whose middle lies within the first one of the row."""
    rows: list[tuple[float, float, list[Piece]]] = []
    for piece in sorted(pieces, key=lambda each: each[2] + each[3]):
        _, _, upper, lower = piece
        if rows and rows[-1][0] <= (upper + lower) / 2 <= rows[-1][1]:
            rows[-1][2].append(piece)
        else:
            rows.append((upper, lower, [piece]))
    return [[text for text, *_ in sorted(row, key=lambda each: each[1])] for *_, row in rows]


if __name__ == "__main__":
    main(sys.argv[1])
