"""Small real files, made on the fly with the libraries that offices' programs resemble."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from email.message import EmailMessage

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from knowledge.models import Parsed

PROSE = (
    "Staff travel must be approved by the line manager before it is booked.",
    "Receipts are handed in within thirty days; later ones are refused.",
)


def pdf(pages: Sequence[Sequence[str]], *, password: str = "", title: str = "") -> bytes:
    """A PDF with, on each page, a bold heading of 18 points and lines of 11 points below it."""
    out = io.BytesIO()
    lock = StandardEncryption(password, canPrint=0) if password else None
    canvas = Canvas(out, pagesize=A4, encrypt=lock)
    if title:
        canvas.setTitle(title)
    for heading, *lines in pages:
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(72, 770, heading)
        canvas.setFont("Helvetica", 11)
        for number, line in enumerate(lines):
            canvas.drawString(72, 730 - 14 * number, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def joined(parsed: Parsed) -> str:
    """The blocks put together again: an empty line between two, none between rows of one table."""
    text, before = "", None
    for block in parsed.blocks:
        follows = block.table is not None and block.table == before
        text += ("" if not text else "\n" if follows else "\n\n") + block.span.cut(parsed.text)
        before = block.table
    return text


def word() -> bytes:
    document = docx.Document()
    document.add_heading("Travel", level=1)
    document.add_paragraph(PROSE[0])
    document.add_heading("Receipts", level=2)
    document.add_paragraph(PROSE[1])
    document.add_paragraph("Keep the original", style="List Bullet")
    table = document.add_table(rows=0, cols=2)
    for cells in (("City", "Daily rate"), ("Oslo", "120"), ("Rome", "95")):
        row = table.add_row().cells
        row[0].text, row[1].text = cells
    document.add_heading("Safety", level=1)
    document.add_paragraph("Fire drills take place twice a year.")
    return _saved(document)


def slides() -> bytes:
    """Two slides with title, body and notes."""
    deck = pptx.Presentation()
    for title, body in (("Plan", "Open in May"), ("Budget", "Two million crowns")):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
        slide.notes_slide.notes_text_frame.text = f"Say why: {title}"
    return _saved(deck)


def sheet() -> bytes:
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Rates"
    for row in (("City", "Rate", "Since"), ("Oslo", 120, "2024"), ("Rome", 95.5, "2023")):
        first.append(row)
    book.create_sheet("Contacts").append(("Name", "Phone"))
    book["Contacts"].append(("Ada", "555-0100"))
    return _saved(book)


HTML = b"""<!doctype html><html><head><title>House &amp; rules</title><script>evil()</script></head>
<body><h1>Rules</h1><p>No smoking in the <b>building</b>.</p><h2>Kitchen</h2>
<ul><li>Wash your cup.</li></ul><table><tr><th>Day</th><th>Who</th></tr>
<tr><td>Monday</td><td>Ada</td></tr></table></body></html>"""

MARKDOWN = b"""---
owner: facilities
---
# House rules

No *smoking* in the [building](https://example.org).

## Kitchen

- Wash your `cup`.
- Close the window.

| Day | Who |
|-----|-----|
| Monday | Ada |

```
sudo   reboot
```
"""


def mail(*, attachments: int = 0, markup: bool = False) -> bytes:
    message = EmailMessage()
    message["Subject"] = "Lift out of order"
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "all@example.org"
    message.set_content("The lift stands still until Friday.\n\nUse the stairs.\n")
    if markup:
        message.add_alternative(
            "<html><body><p>The <b>lift</b> stands still.</p></body></html>", subtype="html"
        )
    for number in range(attachments):
        message.add_attachment(
            b"%PDF-", maintype="application", subtype="pdf", filename=f"{number}.pdf"
        )
    return message.as_bytes()


def lines(records: Sequence[object], *, packed: bool = False) -> bytes:
    plain = "\n".join(json.dumps(record) for record in records).encode()
    return gzip.compress(plain, mtime=0) if packed else plain


def repacked(container: bytes, **replaced: bytes) -> bytes:
    """The container with some parts replaced; `__` in a key stands for `/`, `_xml` for `.xml`."""
    new = {key.replace("__", "/").replace("_xml", ".xml"): part for key, part in replaced.items()}
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(container)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as copy,
    ):
        for name in old.namelist():
            copy.writestr(name, new.pop(name, b"") or old.read(name))
        for name, part in new.items():
            copy.writestr(name, part)
    return out.getvalue()


def every_format() -> dict[str, bytes]:
    """One file of each format, by name."""
    return {
        "a.pdf": pdf([("Travel", *PROSE), ("Safety", "Fire drills take place twice a year.")]),
        "a.docx": word(),
        "a.pptx": slides(),
        "a.xlsx": sheet(),
        "a.html": HTML,
        "a.md": MARKDOWN,
        "a.txt": "\n\n".join(PROSE).encode(),
        "a.csv": b"City;Rate\nOslo;120\nRome;95\n",
        "a.eml": mail(),
        "a.jsonl": lines([{"_id": "1", "title": "T", "text": PROSE[0], "year": 2024}]),
        "a.jsonl.gz": lines([{"id": 7, "text": PROSE[1]}], packed=True),
    }


def _saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)  # type: ignore[attr-defined]  # all three libraries have it
    return out.getvalue()
