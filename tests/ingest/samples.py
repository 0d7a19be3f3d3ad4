"""Small real files, made on the fly with the libraries that offices' programs resemble."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
from PIL import Image, ImageDraw, ImageFont
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


def shape(parsed: Parsed) -> list[tuple[str, tuple[str, ...], str]]:
    """Kind, headings and text of each block."""
    return [(b.kind.value, b.heading, b.span.cut(parsed.text)) for b in parsed.blocks]


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


RTF = rb"""{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial;}}
{\stylesheet{\s1 heading 1;}}{\info{\title House rules}}
{\pard\s1 Rules\par}{\pard No \'93smoking\'94 in the building \emdash \u8364?5.\par}
{\pard {\f1 \'cf\'f0\'e8\'e2\'e5\'f2}{\v hidden}{\*\unknown gone}\par}
\trowd\cellx1000\cellx2000\pard\intbl Day\cell Who\cell\row
\pard\intbl Monday\cell Ada\cell\row\pard After.\par}"""

JSON = b"""{"title": "Rates", "valid": {"from": "2024-01-01", "net": 1.10},
"rates": [{"city": "Oslo", "rate": 120}, {"city": "Rome", "rate": 95, "note": {"by": "Ada"}}],
"tags": ["travel", "hotel"]}"""

XML = b"""<?xml version="1.0"?><handbook><title>Travel</title><para>Book <b>early</b>.</para>
<rates><rate city="Oslo"><amount>120</amount></rate><rate city="Rome"><amount>95</amount></rate>
</rates></handbook>"""

_ODF = """<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"
 xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"
 ><office:body><office:{0}>{1}</office:{0}></office:body></office:document-content>"""
_ODF_TABLE = """<table:table table:name="Rates"><table:table-row><table:table-cell
 table:number-columns-spanned="2"><text:p>City</text:p></table:table-cell>
 <table:covered-table-cell/><table:table-cell><text:p>Rate</text:p></table:table-cell>
 </table:table-row><table:table-row><table:table-cell><text:p>Oslo</text:p></table:table-cell>
 <table:table-cell><text:p>North</text:p></table:table-cell><table:table-cell><text:p>120</text:p>
 </table:table-cell></table:table-row></table:table>"""


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as container:
        for name, part in parts.items():
            container.writestr(name, part)
    return out.getvalue()


def open_document(kind: str, body: str) -> bytes:
    """An OpenDocument file of a kind (text, spreadsheet, presentation)."""
    mime = f"application/vnd.oasis.opendocument.{kind}"
    return zipped({"mimetype": mime, "content.xml": _ODF.format(kind, body)})


def writer_text() -> bytes:
    return open_document(
        "text",
        '<text:h text:outline-level="1">Travel</text:h><text:p>Book<text:s/>early.<text:note>'
        "<text:note-body><text:p>Or pay.</text:p></text:note-body></text:note></text:p>"
        f"<text:list><text:list-item><text:p>Keep it</text:p></text:list-item></text:list>"
        f"{_ODF_TABLE}",
    )


def writer_slides() -> bytes:
    return open_document(
        "presentation",
        '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Plan</text:p>'
        "</draw:text-box></draw:frame><draw:frame><draw:text-box><text:p>Open in May</text:p>"
        "</draw:text-box></draw:frame></draw:page><draw:page><draw:frame><draw:text-box>"
        "<text:p>Two million</text:p></draw:text-box></draw:frame></draw:page>",
    )


def book() -> bytes:
    """An EPUB whose chapters stand in another order than their names."""
    chapter = "<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>{}</h1><p>{}</p></body></html>"
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": "<container><rootfiles><rootfile full-path='in/a.opf'/>"
            "</rootfiles></container>",
            "in/a.opf": "<package xmlns:dc='http://purl.org/dc/elements/1.1/'><metadata><dc:title>"
            "The rules</dc:title></metadata><manifest>"
            "<item id='b' href='b.xhtml' media-type='application/xhtml+xml'/>"
            "<item id='a' href='a.xhtml' media-type='application/xhtml+xml'/>"
            "<item id='n' href='n.xhtml' media-type='application/xhtml+xml' properties='nav'/>"
            "</manifest><spine><itemref idref='n'/><itemref idref='b'/><itemref idref='a'/>"
            "</spine></package>",
            "in/a.xhtml": chapter.format("Second", PROSE[1]),
            "in/b.xhtml": chapter.format("First", PROSE[0]),
            "in/n.xhtml": chapter.format("Contents", "First, second"),
        }
    )


def picture(*pages: str, kind: str = "PNG") -> bytes:
    """A picture of some lines of large type, or several pages of them."""
    font = ImageFont.load_default(40)
    drawn = []
    for text in pages:
        page = Image.new("L", (1400, 90 * (text.count("\n") + 2)), 255)
        ImageDraw.Draw(page).text((60, 50), text, font=font, fill=0, spacing=20)
        drawn.append(page.convert("RGB"))
    out = io.BytesIO()
    more = {"save_all": True, "append_images": drawn[1:]} if drawn[1:] else {}
    drawn[0].save(out, kind, dpi=(200, 200), **more)
    return out.getvalue()


def outlook(subject: str, text: str, attached: Mapping[str, bytes], rtf: bytes = b"") -> bytes:
    """A message as Outlook saves it; everything in it lies in the container's small sectors."""
    root = {0x0037: subject, 0x1000: text, 0x0C1A: "Ada", 0x0C1F: "ada@example.org"}
    head = struct.pack("<8x4I8x", 0, len(attached), 0, len(attached))
    if rtf:
        del root[0x1000]
        head += struct.pack("<HHIII", 0x102, 0x1009, 6, len(rtf), 0)
    tree: dict[str, bytes | dict[str, bytes]] = dict(_properties(root, head))
    if rtf:
        tree["__substg1.0_10090102"] = rtf
    for number, (name, data) in enumerate(attached.items()):
        tree[f"__attach_version1.0_#{number:08X}"] = _properties({0x3707: name}, bytes(8), data)
    return _compound(tree)


def _properties(texts: Mapping[int, str], head: bytes, data: bytes = b"") -> dict[str, bytes]:
    streams = {
        f"__substg1.0_{key:04X}001F": text.encode("utf-16-le") for key, text in texts.items()
    }
    entries = [struct.pack("<HHIII", 0x1F, key, 6, 2 * len(t) + 2, 0) for key, t in texts.items()]
    if data:
        streams["__substg1.0_37010102"] = data
        entries.append(struct.pack("<HHIII", 0x102, 0x3701, 6, len(data), 0))
        entries.append(struct.pack("<HHIII", 0x3, 0x3705, 6, 1, 0))
    return {**streams, "__properties_version1.0": head + b"".join(entries)}


def _compound(tree: Mapping[str, bytes | Mapping[str, bytes]]) -> bytes:
    """A compound file (MS-CFB, version 3): one FAT sector, the directory, the small sectors."""
    nothing, end = 0xFFFFFFFF, 0xFFFFFFFE
    entries: list[list[object]] = [["Root Entry", 5, nothing, nothing, 0, 0]]
    small, small_fat = bytearray(), list[int]()

    def add(level: Mapping[str, bytes | Mapping[str, bytes]], parent: int) -> None:
        before = None
        for name, content in level.items():
            number = len(entries)
            start = len(small_fat)
            if isinstance(content, bytes):
                count = -(-len(content) // 64)
                small_fat.extend([*range(start + 1, start + count), end] if count else [])
                small.extend(content.ljust(64 * count, b"\0"))
                entries.append([name, 2, nothing, nothing, start if count else end, len(content)])
            else:
                entries.append([name, 1, nothing, nothing, 0, 0])
            entries[parent if before is None else before][3 if before is None else 2] = number
            before = number
            if not isinstance(content, bytes):
                add(content, number)

    add(tree, 0)
    table = -(-len(entries) // 4)
    fats, minis = -(-len(small_fat) // 128), -(-len(small) // 512)
    entries[0][4], entries[0][5] = 1 + table + fats, len(small)
    chain = [0xFFFFFFFD]
    for length in (table, fats, minis):
        chain += [*range(len(chain) + 1, len(chain) + length), end] if length else []
    header = struct.pack(
        "<8s16xHHHHH6xIII4xIIIII", bytes.fromhex("d0cf11e0a1b11ae1"), 0x3E, 3, 0xFFFE, 9, 6,
        0, 1, 1, 4096, 1 + table, fats, end, 0,
    )  # fmt: skip
    listing = b"".join(
        str(name).encode("utf-16-le").ljust(64, b"\0")
        + struct.pack(
            "<HBBIII36xIQ", 2 * len(str(name)) + 2, kind, 1, nothing, right, child, start, size
        )
        for name, kind, right, child, start, size in entries
    )
    return b"".join(
        (
            (header + struct.pack("<I", 0)).ljust(512, b"\xff"),
            struct.pack(f"<{len(chain)}I", *chain).ljust(512, b"\xff"),
            listing.ljust(512 * table, b"\0"),
            struct.pack(f"<{len(small_fat)}I", *small_fat).ljust(512 * fats, b"\xff"),
            bytes(small).ljust(512 * minis, b"\0"),
        )
    )


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
    """One file of each format but pictures, by name."""
    return {
        "a.pdf": pdf([("Travel", *PROSE), ("Safety", "Fire drills take place twice a year.")]),
        "a.docx": word(),
        "a.pptx": slides(),
        "a.xlsx": sheet(),
        "a.xlsm": sheet(),
        "a.odt": writer_text(),
        "a.ods": open_document("spreadsheet", _ODF_TABLE),
        "a.odp": writer_slides(),
        "a.epub": book(),
        "a.rtf": RTF,
        "a.html": HTML,
        "a.xml": XML,
        "a.md": MARKDOWN,
        "a.txt": "\n\n".join(PROSE).encode(),
        "a.csv": b"City;Rate\nOslo;120\nRome;95\n",
        "a.eml": mail(),
        "a.msg": outlook("Lift out of order", "The lift stands still.", {}),
        "a.json": JSON,
        "a.jsonl": lines([{"_id": "1", "title": "T", "text": PROSE[0], "year": 2024}]),
        "a.jsonl.gz": lines([{"id": 7, "text": PROSE[1]}], packed=True),
    }


def _saved(document: object) -> bytes:
    out = io.BytesIO()
    document.save(out)  # type: ignore[attr-defined]  # all three libraries have it
    return out.getvalue()
