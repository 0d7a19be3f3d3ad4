from __future__ import annotations

import pytest

from ingest.parsing.formats import parse
from knowledge.models import BlockKind, Parsed
from tests.ingest.samples import PROSE, repacked, shape, word

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of python-docx

MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def document(body: str, **parts: str) -> Parsed:
    xml = (
        f'<w:document xmlns:w="{MAIN}" xmlns:r="{RELATIONS}" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
        'xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart">'
        f"<w:body>{body}</w:body></w:document>"
    )
    data = repacked(word(), word__document_xml=xml.encode(), **_encoded(parts))
    (parsed,) = parse(data, "a.docx")
    return parsed


def _encoded(parts: dict[str, str]) -> dict[str, bytes]:
    """The parts; their relations replace those of the sample."""
    if not parts:
        return {}
    relations = "".join(
        f'<Relationship Id="x{n}" Type="{RELATIONS}/{key.removeprefix("word__").rstrip("_xml")}" '
        f'Target="{key.removeprefix("word__").replace("_xml", ".xml")}"/>'
        for n, key in enumerate(parts)
    )
    head = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    found = {key: part.replace("<w:", "<w:", 1).encode() for key, part in parts.items()}
    return {
        **found,
        "word___rels__document_xml.rels": f"{head}{relations}</Relationships>".encode(),
    }


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def row(*cells: str) -> str:
    return f"<w:tr>{''.join(cells)}</w:tr>"


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"


def test_headings_lists_and_tables_row_by_row() -> None:
    (parsed,) = parse(word(), "policy.docx")
    receipts = ("Travel", "Receipts")
    assert parsed.title == "Travel"
    assert shape(parsed) == [
        ("heading", ("Travel",), "Travel"),
        ("paragraph", ("Travel",), PROSE[0]),
        ("heading", receipts, "Receipts"),
        ("paragraph", receipts, PROSE[1]),
        ("list_item", receipts, "Keep the original"),
        ("table", receipts, "City | Daily rate"),
        ("table", receipts, "Oslo | 120"),
        ("table", receipts, "Rome | 95"),
        ("heading", ("Safety",), "Safety"),
        ("paragraph", ("Safety",), "Fire drills take place twice a year."),
    ]
    assert {block.page for block in parsed.blocks} == {None}
    assert parsed.coverage.share == 1.0


def test_a_text_box_is_read_once_and_in_its_place() -> None:
    parsed = document(
        f"{paragraph('Plain')}<w:p><w:r><mc:AlternateContent><mc:Choice Requires='wps'>"
        f"<w:drawing><w:txbxContent>{paragraph('Boxed')}</w:txbxContent></w:drawing></mc:Choice>"
        f"<mc:Fallback><w:pict><w:txbxContent>{paragraph('Boxed')}</w:txbxContent></w:pict>"
        f"</mc:Fallback></mc:AlternateContent></w:r></w:p>{paragraph('After')}"
    )
    assert parsed.text == "Plain\n\nBoxed\n\nAfter"


def test_insertions_are_read_and_deletions_hidden_text_and_contents_are_not() -> None:
    parsed = document(
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>Cover</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val='Table of Contents'/>"
        "</w:docPartObj></w:sdtPr><w:sdtContent><w:p><w:r><w:t>1 Cover 7</w:t></w:r></w:p>"
        "</w:sdtContent></w:sdt><w:p><w:r><w:t xml:space='preserve'>pay </w:t></w:r><w:ins><w:sdt>"
        "<w:sdtContent><w:r><w:t>forty</w:t></w:r></w:sdtContent></w:sdt></w:ins><w:del><w:r>"
        "<w:delText>thirty</w:delText></w:r></w:del><w:r><w:rPr><w:vanish/></w:rPr>"
        "<w:t>secret</w:t></w:r><w:r><w:t xml:space='preserve'> euros</w:t></w:r></w:p>"
    )
    assert parsed.text == "Cover\n\npay forty euros"
    assert parsed.coverage.layer_characters == parsed.coverage.characters


def test_merged_cells_stand_in_each_row_and_column_they_cover() -> None:
    wide, down, goes_on = "<w:gridSpan w:val='2'/>", "<w:vMerge w:val='restart'/>", "<w:vMerge/>"
    table = row(cell("Site", down), cell("Hours", wide))
    table += row(cell("", goes_on), cell("Mon"), cell("Sat"))
    table += row(cell("Oslo"), cell("8-16"), cell("closed"))
    parsed = document(f"<w:tbl>{table}</w:tbl>")
    assert parsed.text == "Site | Hours | Hours\nSite | Mon | Sat\nOslo | 8-16 | closed"


def test_a_table_of_one_cell_is_a_frame_around_its_text() -> None:
    parsed = document(f"<w:tbl>{row(cell('Mind the step'))}</w:tbl>")
    assert [block.kind for block in parsed.blocks] == [BlockKind.PARAGRAPH]


def test_rows_that_repeat_on_each_page_are_the_header() -> None:
    head = "<w:trPr><w:tblHeader/></w:trPr>"
    body = (
        f"<w:tbl><w:tr>{head}{cell('a')}{cell('b')}</w:tr><w:tr>{head}{cell('c')}{cell('d')}</w:tr>"
    )
    parsed = document(f"{body}{row(cell('1'), cell('2'))}</w:tbl>")
    header = parsed.blocks[-1].header
    assert header is not None
    assert header.cut(parsed.text) == "a | b\nc | d"


def test_notes_and_comments_follow_what_refers_to_them_and_headers_stand_at_the_end() -> None:
    note = f'<w:footnote w:id="2">{paragraph("See 4.")}</w:footnote>'
    said = f'<w:comment w:id="1" w:author="Ada">{paragraph("Why?")}</w:comment>'
    parsed = document(
        "<w:p><w:r><w:t>Rent</w:t></w:r><w:r><w:footnoteReference w:id='2'/></w:r>"
        f"<w:r><w:commentReference w:id='1'/></w:r></w:p>{paragraph('End')}",
        word__footnotes_xml=f'<w:footnotes xmlns:w="{MAIN}">{note}</w:footnotes>',
        word__comments_xml=f'<w:comments xmlns:w="{MAIN}">{said}</w:comments>',
        word__header_xml=f'<w:hdr xmlns:w="{MAIN}">{paragraph("QM-7")}</w:hdr>',
    )
    assert parsed.text == "Rent\n\nSee 4.\n\nAda: Why?\n\nEnd\n\nQM-7"


def test_numbers_that_word_counts_are_written_out() -> None:
    def level(depth: int, form: str, text: str) -> str:
        return (
            f"<w:lvl w:ilvl='{depth}'><w:start w:val='1'/><w:numFmt w:val='{form}'/>"
            f"<w:lvlText w:val='{text}'/></w:lvl>"
        )

    levels = level(0, "decimal", "%1.") + level(1, "lowerLetter", "%1.%2)")
    numbering = (
        f'<w:numbering xmlns:w="{MAIN}"><w:abstractNum w:abstractNumId="5">{levels}'
        "</w:abstractNum><w:num w:numId='3'><w:abstractNumId w:val='5'/></w:num></w:numbering>"
    )

    def item(text: str, depth: int) -> str:
        place = f"<w:ilvl w:val='{depth}'/><w:numId w:val='3'/>"
        return paragraph(text, f"<w:numPr>{place}</w:numPr>")

    body = item("One", 0) + item("A", 1) + item("B", 1) + item("Two", 0) + item("C", 1)
    parsed = document(body, word__numbering_xml=numbering)
    assert parsed.text.split("\n\n") == ["1. One", "1.a) A", "1.b) B", "2. Two", "2.a) C"]


def test_a_chart_is_the_table_it_was_drawn_from() -> None:
    chart = (
        '<c:chartSpace xmlns:c="http://schemas.openxmlformats.org/drawingml/2006/chart" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><c:chart><c:title><c:tx>'
        "<c:rich><a:p><a:r><a:t>Ducks</a:t></a:r></a:p></c:rich></c:tx></c:title><c:ser><c:tx>"
        "<c:strRef><c:strCache><c:pt idx='0'><c:v>Count</c:v></c:pt></c:strCache></c:strRef></c:tx>"
        "<c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>2022</c:v></c:pt></c:strCache></c:strRef>"
        "</c:cat><c:val><c:numRef><c:numCache><c:pt idx='0'><c:v>4.5999999999999996</c:v></c:pt>"
        "</c:numCache></c:numRef></c:val></c:ser></c:chart></c:chartSpace>"
    )
    parsed = document(
        "<w:p><w:r><w:drawing><c:chart r:id='x0'/><wp:docPr descr='A bar for each year'/>"
        "</w:drawing></w:r></w:p>",
        word__chart_xml=chart,
    )
    assert parsed.text == "Ducks\n\n| Count\n2022 | 4.6\n\nA bar for each year"


def test_pages_are_where_word_last_broke_them() -> None:
    parsed = document(
        f"{paragraph('one')}<w:p><w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r></w:p>"
    )
    assert [block.page for block in parsed.blocks] == [1, 2]
