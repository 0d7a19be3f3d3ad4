"""Write the binary documents of `examples/` from plain text and from the settings themselves.

`python scripts/make_examples.py [FOLDER]`. The same sources give the same bytes on the same library
versions, so a difference in git is a difference in content. Knows reportlab, python-docx,
python-pptx and openpyxl; the service does not need any of them for this.
"""

from __future__ import annotations

import io
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docx
import pptx
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font, PatternFill
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

from knowledge.settings import ROOT, Settings

SOURCES = Path(__file__).parent / "examples"
INK = colors.HexColor("#1f2933")
ACCENT = colors.HexColor("#7a2e2e")


def main(folder: Path) -> None:
    """Write every binary example into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {
        "handbook.pdf": _pdf(_source("handbook.md")),
        "security.docx": _word(_source("security.md")),
        "tour.pptx": _slides(_source("tour.md")),
        "settings.xlsx": _sheet(),
    }
    for name, data in documents.items():
        (folder / name).write_bytes(data)
        print(f"{name:16} {len(data):>7} bytes")


# --- the plain sources --------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """One piece of a source: kind `title`, `heading`, `paragraph`, `item` or `row`."""

    kind: str
    text: str

    def cells(self) -> list[str]:
        """Return the cells of a row."""
        return [cell.strip() for cell in self.text.strip("|").split("|")]


def _source(name: str) -> list[Piece]:
    text = (SOURCES / name).read_text(encoding="utf-8")
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return list(_pieces(text.format(**defaults)))


def _pieces(text: str) -> Iterator[Piece]:
    marks = {"# ": "title", "## ": "heading", "- ": "item", "| ": "row"}
    for line in filter(None, text.splitlines()):
        mark = next((mark for mark in marks if line.startswith(mark)), "")
        yield Piece(marks.get(mark, "paragraph"), line.removeprefix(mark))


# --- PDF ----------------------------------------------------------------------------------------


def _pdf(pieces: list[Piece]) -> bytes:
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=2.6 * cm,
        rightMargin=2.6 * cm,
        topMargin=2.4 * cm,
        bottomMargin=2.2 * cm,
        title=pieces[0].text,
        author="Footnote",
        invariant=1,
    )
    template.build(_flowables(pieces), onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _flowables(pieces: list[Piece]) -> list[Flowable]:
    body = ParagraphStyle(
        "body", fontName="Helvetica", fontSize=10.5, leading=15.5, spaceAfter=8, textColor=INK
    )
    heading = ParagraphStyle(
        "heading",
        body,
        fontName="Times-Bold",
        fontSize=15,
        leading=20,
        spaceBefore=14,
        spaceAfter=6,
    )
    title = ParagraphStyle(
        "title", heading, fontSize=26, leading=32, spaceAfter=14, textColor=ACCENT
    )
    styles = {"title": title, "heading": heading, "paragraph": body, "item": body}
    flowables: list[Flowable] = []
    rows: list[list[str]] = []
    for piece in [*pieces, Piece("end", "")]:
        if rows and piece.kind != "row":
            flowables.append(_pdf_table(rows))
            rows = []
        if piece.kind == "row":
            rows.append(piece.cells())
        elif piece.kind in styles:
            flowables.extend([*_start(piece), Paragraph(piece.text, styles[piece.kind])])
    return flowables


def _start(piece: Piece) -> list[Flowable]:
    return [PageBreak()] if piece.kind == "heading" and piece.text in _ON_A_NEW_PAGE else []


_ON_A_NEW_PAGE = {"Backup", "Keys", "When the model stops"}


def _pdf_table(rows: list[list[str]]) -> Flowable:
    table = Table(rows, colWidths=[6 * cm, 6.8 * cm, 3 * cm], hAlign="LEFT", spaceAfter=12)
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 9),
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9),
                ("TEXTCOLOR", (0, 0), (-1, -1), INK),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, ACCENT),
                ("LINEBELOW", (0, 1), (-1, -1), 0.3, colors.lightgrey),
                ("TOPPADDING", (0, 0), (-1, -1), 4),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return KeepTogether([table])


def _foot(canvas: Canvas, _: SimpleDocTemplate) -> None:
    canvas.saveState()
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(colors.grey)
    canvas.drawRightString(A4[0] - 2.6 * cm, 1.2 * cm, f"Page {canvas.getPageNumber()}")
    canvas.restoreState()


# --- Word, PowerPoint, Excel --------------------------------------------------------------------


def _word(pieces: list[Piece]) -> bytes:
    document = docx.Document()
    document.core_properties.author = "Footnote"
    document.core_properties.title = pieces[0].text
    styles = {"title": "Title", "heading": "Heading 1", "item": "List Bullet"}
    for piece in pieces:
        document.add_paragraph(piece.text, style=styles.get(piece.kind))
    out = io.BytesIO()
    document.save(out)
    return _timeless(out.getvalue())


def _slides(pieces: list[Piece]) -> bytes:
    show = pptx.Presentation()
    show.core_properties.author = "Footnote"
    show.core_properties.title = pieces[0].text
    lines: list[str] = []
    for piece in [*pieces[1:], Piece("heading", "")]:
        if piece.kind == "item":
            lines.append(piece.text)
            continue
        if lines:
            show.slides[-1].placeholders[1].text_frame.text = "\n".join(lines)
            lines = []
        if piece.text:
            show.slides.add_slide(show.slide_layouts[1]).shapes.title.text = piece.text
    out = io.BytesIO()
    show.save(out)
    return _timeless(out.getvalue())


def _sheet() -> bytes:
    book = Workbook()
    sheet = book.active
    sheet.title = "Settings"
    sheet.append(["Setting", "Default", "Meaning"])
    for name, field in Settings.model_fields.items():
        sheet.append([f"FOOTNOTE_{name.upper()}", _default(field), field.description])
    for column, width in zip("ABC", (38, 22, 80), strict=True):
        sheet.column_dimensions[column].width = width
    for cell in sheet[1]:
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", start_color="7A2E2E")
    for row in sheet.iter_rows(min_row=2):
        row[2].alignment = Alignment(wrap_text=True, vertical="top")
    sheet.freeze_panes = "A2"
    book.properties.creator = "Footnote"
    book.properties.title = "Settings of Footnote"
    out = io.BytesIO()
    book.save(out)
    return _timeless(out.getvalue())


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value is PydanticUndefined:
        return "not set"
    if isinstance(value, Path):
        return f"{value.relative_to(ROOT)} in the source tree"
    return str(value) or "not set"


_MOMENT = re.compile(rb">\d{4}-\d\d-\d\dT[\d:.]+Z?<")


def _timeless(data: bytes) -> bytes:
    """Rewrite an Office file without the moment of its making."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "docProps/core.xml":
                content = _MOMENT.sub(b">2024-01-01T00:00:00Z<", content)
            entry = zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, content)
    return out.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "examples")
