"""Reads Word, PowerPoint, Excel, HTML and e-mail with unstructured; the only file that knows it.

Only its partitioners for single formats are used: the automatic one imports torch. What it calls
Title, NarrativeText or Text by guessing from the words is not used either: a heading here is what
the author made one.
"""

from __future__ import annotations

import email
import email.policy
import html
import io
import re
import sys
from collections.abc import Iterable, Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import groupby
from types import ModuleType
from typing import Any

from ingest.parsing.builder import Builder, Row, one_line, visible
from ingest.parsing.text import add_paragraphs, decode
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import BlockKind, Parsed


def _stand_in() -> None:
    """Put two modules of our own in place of unstructured's, before it imports them.

    Its telemetry connects to its maker at import and at each file, in a thread. Its tokenizer
    imports spaCy, which imports torch, and downloads a language model; with ours every word counts
    as a noun and every text as one sentence, which only moves elements between kinds that are one
    kind of block here.
    """
    telemetry = ModuleType("unstructured.telemetry")
    telemetry.__dict__.update(
        init_telemetry=lambda: None,
        partition_runtime_telemetry=lambda *_: lambda partitioner: partitioner,
    )
    tokenizer = ModuleType("unstructured.nlp.tokenize")
    tokenizer.__dict__.update(
        pos_tag=lambda text: [(word, "NN") for word in text.split()],
        word_tokenize=lambda text: text.split(),
        sent_tokenize=lambda text: [text],
    )
    sys.modules.update({module.__name__: module for module in (telemetry, tokenizer)})


_stand_in()

import docx  # noqa: E402 (after the stand-ins)
from unstructured.documents.elements import Element  # noqa: E402 (after the stand-ins)
from unstructured.errors import UnprocessableEntityError  # noqa: E402
from unstructured.partition.docx import partition_docx  # noqa: E402
from unstructured.partition.html import partition_html  # noqa: E402
from unstructured.partition.pptx import partition_pptx  # noqa: E402
from unstructured.partition.xlsx import partition_xlsx  # noqa: E402

_OPTIONS: dict[str, Any] = {"languages": [""]}  # no guessing of languages
_KINDS = {"ListItem": BlockKind.LIST_ITEM, "CodeSnippet": BlockKind.CODE}
_LEFT_OUT = ("PageBreak", "Header", "Footer", "Image")
_TITLE = re.compile(r"<title[^>]*>([^<]{0,2000})</title", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w-]{2,40})""", re.IGNORECASE)
_HEAD = 100_000
# Word writes a box twice, the second time as a fallback for older versions of itself.
_BOXED_PARAGRAPHS = (
    ".//*[local-name()='txbxContent'][not(ancestor::*[local-name()='Fallback'])]//w:p"
)
# Content controls (but not a table of contents), tracked insertions, and tags around plain runs.
_WRAPPERS = (
    ".//w:sdt[not(w:sdtPr/w:docPartObj/w:docPartGallery[@w:val='Table of Contents'])]"
    " | .//w:ins | .//w:smartTag | .//w:customXml | .//w:fldSimple"
)
_MIDNIGHT = re.compile(r"(?<=\d{4}-\d\d-\d\d) 00:00:00(?=<)")  # pandas writes dates so
_ENCRYPTED_MAIL = ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted")


# --- formats ------------------------------------------------------------------------------------


def parse_docx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; pages only where Word has stored its page breaks."""
    builder = Builder()
    file, boxed = _opened(data)
    elements = partition_docx(file=file, include_page_breaks=False, **_OPTIONS)
    _write(builder, elements)
    builder.leave_headings()
    for text in boxed:
        builder.add(BlockKind.PARAGRAPH, text)
    yield builder.build(_leading_title(elements) or stem)


def parse_pptx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; a page is a slide, its heading is the slide's title, notes included."""
    builder = Builder()
    elements = partition_pptx(
        file=io.BytesIO(data), include_page_breaks=False, include_slide_notes=True, **_OPTIONS
    )
    title = next(filter(_is_slide_title, elements), None)
    for _, slide in groupby(elements, key=lambda element: element.metadata.page_number):
        builder.leave_headings()
        _write(
            builder, sorted(slide, key=lambda element: not _is_slide_title(element)), slides=True
        )
    yield builder.build(title.text if title else stem)


def parse_xlsx(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; each sheet is a heading with its tables and single cells."""
    builder = Builder()
    try:
        elements = partition_xlsx(file=io.BytesIO(data), **_OPTIONS)
    except UnprocessableEntityError as error:
        raise TooLarge(f"{error}; split it", code="too_many_cells") from error
    for sheet, group in groupby(elements, key=lambda element: element.metadata.page_name):
        builder.heading(str(sheet), 1)
        _write(builder, group, paged=False, headed=False)
    yield builder.build(stem)


def parse_html(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document, titled by its `<title>`; `<main>` alone is read where there is one."""
    charset = _CHARSET.search(data[:4096])
    text = decode(data, charset and charset[1].decode("ascii"))
    builder = Builder()
    _write_html(builder, text)
    title = _TITLE.search(text[:_HEAD])
    yield builder.build((title and one_line(html.unescape(title[1]))) or stem)


def parse_email(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document titled by its subject; attachments are counted, not read."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    if message.get_content_type() in _ENCRYPTED_MAIL:
        raise Unreadable("it is an encrypted message; save it decrypted", code="encrypted")
    headers = {
        name: shown
        for name in ("From", "To", "Cc", "Date", "Subject")
        if (shown := _header(message, name))
    }
    builder = Builder()
    builder.add(BlockKind.PARAGRAPH, "\n".join(f"{name}: {headers[name]}" for name in headers))
    _write_body(builder, message)
    attachments = sum(1 for _ in message.iter_attachments())
    if attachments:
        builder.warnings.append(f"{attachments} attachments are not read by this version")
    metadata = {name.lower(): shown for name, shown in headers.items()}
    yield builder.build(headers.get("Subject", stem), metadata=metadata)


# --- what unstructured passes over in Word files -------------------------------------------------


def _opened(data: bytes) -> tuple[io.BytesIO, list[str]]:
    """Return the file with its text unwrapped, and the paragraphs of its text boxes."""
    document = docx.Document(io.BytesIO(data))
    body = document.element.body
    boxed = ["".join(box.xpath(".//w:t/text()")) for box in body.xpath(_BOXED_PARAGRAPHS)]
    wrappers = body.xpath(_WRAPPERS)
    for wrapper in reversed(wrappers):  # the innermost first
        content = wrapper.find("{*}sdtContent") if wrapper.tag.endswith("}sdt") else wrapper
        parent = wrapper.getparent()
        place = parent.index(wrapper)
        parent[place : place + 1] = [] if content is None else list(content)
    if not wrappers:
        return io.BytesIO(data), boxed
    file = io.BytesIO()
    document.save(file)
    file.seek(0)
    return file, boxed


# --- elements -----------------------------------------------------------------------------------


def _write(
    builder: Builder,
    elements: Iterable[Element],
    *,
    slides: bool = False,
    paged: bool = True,
    headed: bool = True,
) -> None:
    """Append elements; only titles that the format marks as such become headings."""
    for element in elements:
        page = element.metadata.page_number if paged else None
        if element.category in _LEFT_OUT:
            continue
        if element.category == "Table":
            builder.table(Row(cells, page) for cells in _table(element))
        elif headed and element.category == "Title" and (not slides or _is_slide_title(element)):
            builder.heading(element.text, 1 + (element.metadata.category_depth or 0), page=page)
        else:
            kind = _KINDS.get(element.category, BlockKind.PARAGRAPH)
            builder.add(kind, element.text, page=page)


def _is_slide_title(element: Element) -> bool:
    """Say whether it is the title of a slide; a title guessed from its words lies deeper."""
    return element.category == "Title" and not element.metadata.category_depth


def _leading_title(elements: list[Element]) -> str:
    """Return the first element if it is a title of the highest level."""
    return one_line(elements[0].text) if elements and _is_slide_title(elements[0]) else ""


def _table(element: Element) -> list[list[str]]:
    markup = element.metadata.text_as_html
    if not markup:
        return [[line] for line in str(element.text).splitlines()]
    reader = _TableReader()
    reader.feed(_MIDNIGHT.sub("", markup.replace("\\n", " ")))
    return reader.rows


class _TableReader(HTMLParser):
    """Collects the cells of each row; a merged cell stands once."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a row or a cell; a break is a space."""
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        elif tag == "br":
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        """Add to the open cell."""
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


# --- HTML and e-mail ----------------------------------------------------------------------------


def _write_html(builder: Builder, text: str) -> None:
    if text.strip():
        _write(builder, partition_html(text=text, **_OPTIONS), paged=False)


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(visible(str(message.get(name, ""))).split())


def _write_body(builder: Builder, message: EmailMessage) -> None:
    part = message.get_body(preferencelist=("html", "plain"))
    payload = part.get_payload(decode=True) if part is not None else None
    if part is None or not isinstance(payload, bytes):
        return
    text = decode(payload, part.get_content_charset())
    if part.get_content_type() == "text/html":
        _write_html(builder, text)
    else:
        add_paragraphs(builder, text)
