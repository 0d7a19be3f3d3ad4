"""Makes one document of the pages of a PDF."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.builder import Builder, one_line
from ingest.parsing.pdf.furniture import without_furniture
from ingest.parsing.pdf.headings import heading_levels
from ingest.parsing.pdf.layout import arrange
from ingest.parsing.pdf.page import Page, Paragraph, Table, around
from ingest.parsing.pdf.paragraphs import ITEM, joined
from ingest.parsing.pdf.read import read_page
from ingest.parsing.pdf.scan import Scans, recognise_scans
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import BlockKind, Coverage, Parsed

MAX_PAGES = 5_000

_MOST_ATTACHMENTS = 1_000
_LETTERS = re.compile(r"[^\W\d_]{2}")
_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+|[^\W\d_]+")
_JUNK_TITLE = re.compile(
    r"^(untitled|microsoft (word|powerpoint|excel)|slide 1|.*\.\w{2,4}$)", re.I
)


def parse_pdf(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document. Raises `Unreadable` (encrypted, damaged) or `TooLarge`."""
    document = _open(data)
    try:
        builder = Builder()
        pages = [read_page(document, number) for number in range(1, len(document) + 1)]
        pages, scans = recognise_scans(document, pages)
        pages = without_furniture(pages)
        builder.coverage = _coverage(document, pages, scans)
        builder.warnings += _warnings(pages, scans)
        _write(builder, _joined_tables([item for page in pages for item in arrange(page)]))
        yield builder.build(_title(document, stem))
    finally:
        document.close()


def _open(data: bytes) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY):
            raise Unreadable(
                "it is protected by a password; save it without one and add it again",
                code="encrypted",
            ) from error
        raise Unreadable(
            "it is damaged or not a PDF; open it and save it again", code="damaged"
        ) from error
    if len(document) > MAX_PAGES:
        document.close()
        raise TooLarge(f"it has more than {MAX_PAGES:,} pages; split it", code="too_many_pages")
    return document


def _coverage(document: pdfium.PdfDocument, pages: Sequence[Page], scans: Scans) -> Coverage:
    """Say how much the text layer holds, furniture apart, and what was recognised or left out."""
    read = set(scans.pages)
    texts = (p.text for page in pages if page.number not in read for p in page.pieces)
    words = scans.confidences
    return Coverage(
        pages=len(pages),
        empty_pages=tuple(page.number for page in pages if not page.pieces),
        layer_characters=sum(len(text) - text.count(" ") for text in texts),
        ocr_pages=tuple(scans.pages),
        ocr_confidence=sum(words) / len(words) if words else None,
        skipped_bytes=_attached_bytes(document),
    )


def _attached_bytes(document: pdfium.PdfDocument) -> int:
    """Return the size of the files that are attached to the document; they are not read."""
    total, size = 0, ctypes.c_ulong()
    for index in range(min(raw.FPDFDoc_GetAttachmentCount(document.raw), _MOST_ATTACHMENTS)):
        attachment = raw.FPDFDoc_GetAttachment(document.raw, index)
        if attachment and raw.FPDFAttachment_GetFile(attachment, None, 0, size):
            total += size.value
    return total


def _warnings(pages: Sequence[Page], scans: Scans) -> Iterator[str]:
    """Yield what a person should know about pages that gave no text."""
    bare = [page.number for page in pages if not page.pieces]
    reason = f": {scans.why}" if scans.why else ""
    if bare and len(bare) == len(pages):
        yield f"no text layer{reason}"
    elif bare:
        shown = ", ".join(map(str, bare[:20])) + (" …" if len(bare) > 20 else "")
        yield f"no text on {len(bare)} of {len(pages)} pages ({shown}){reason}"


def _joined_tables(items: Sequence[Table | Paragraph]) -> list[Table | Paragraph]:
    """Join a table with its rest on the next page, which has as many columns and no header."""
    result: list[Table | Paragraph] = []
    for item in items:
        last = result[-1] if result else None
        if isinstance(item, Table) and isinstance(last, Table) and _goes_on(last, item):
            result[-1] = replace(last, rows=[*last.rows, *item.rows], page=item.page)
        else:
            result.append(item)
    return result


def _goes_on(table: Table, rest: Table) -> bool:
    same_width = len(table.rows[0].cells) == len(rest.rows[0].cells)
    return rest.page == table.page + 1 and same_width and not rest.header_rows


def _write(builder: Builder, items: Sequence[Table | Paragraph]) -> None:
    """Tell headings from text and append everything to `builder`."""
    paragraphs = [item for item in items if isinstance(item, Paragraph)]
    levels = heading_levels(paragraphs)
    words = _words(paragraphs)
    place = -1
    for item in items:
        if isinstance(item, Table):
            builder.table(item.rows, header_rows=item.header_rows)
            continue
        place += 1
        _write_paragraph(builder, item, levels.get(place), words)


def _write_paragraph(
    builder: Builder, paragraph: Paragraph, level: int | None, words: frozenset[str]
) -> None:
    lines = paragraph.lines
    page, box = lines[0].page, around([line.box for line in lines])
    if level is not None:
        text = " ".join(line.text for line in lines)
        builder.heading(text, level, page=page, box=box)
    else:
        kind = BlockKind.LIST_ITEM if ITEM.match(lines[0].text) else BlockKind.PARAGRAPH
        builder.add(kind, joined(lines, words), page=page, box=box)


def _words(paragraphs: Sequence[Paragraph]) -> frozenset[str]:
    """Return the document's words and compounds, where any line ends with a hyphen."""
    lines = [line for paragraph in paragraphs for line in paragraph.lines]
    if not any(line.text.endswith("-") for line in lines):
        return frozenset()
    return frozenset(word.lower() for line in lines for word in _COMPOUND.findall(line.text))


def _title(document: pdfium.PdfDocument, stem: str) -> str:
    """Return the title in the file's properties unless it is plainly a file name."""
    title = one_line(document.get_metadata_value("Title"))
    is_name = len(title) < 4 or not _LETTERS.search(title) or _JUNK_TITLE.match(title)
    return stem if is_name else title
