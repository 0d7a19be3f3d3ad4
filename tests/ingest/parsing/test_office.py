from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ingest.parsing.formats import parse
from knowledge.errors import Unreadable
from knowledge.models import Parsed
from knowledge.settings import ROOT, parser_environment
from tests.ingest.samples import HTML, PROSE, mail, repacked, sheet, slides, word

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries


def one(data: bytes, name: str) -> Parsed:
    (parsed,) = parse(data, name)
    return parsed


def shape(parsed: Parsed) -> list[tuple[str, tuple[str, ...], str]]:
    return [(b.kind.value, b.heading, b.span.cut(parsed.text)) for b in parsed.blocks]


def test_word_keeps_headings_lists_and_tables_row_by_row() -> None:
    parsed = one(word(), "policy.docx")
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


def test_a_slide_is_a_page_under_its_title_with_its_notes() -> None:
    parsed = one(slides(), "deck.pptx")
    assert parsed.title == "Plan"
    assert shape(parsed) == [
        ("heading", ("Plan",), "Plan"),
        ("paragraph", ("Plan",), "Say why: Plan"),
        ("paragraph", ("Plan",), "Open in May"),
        ("heading", ("Budget",), "Budget"),
        ("paragraph", ("Budget",), "Say why: Budget"),
        ("paragraph", ("Budget",), "Two million crowns"),
    ]
    assert [block.page for block in parsed.blocks] == [1, 1, 1, 2, 2, 2]


def test_a_sheet_is_a_heading_and_each_row_a_line() -> None:
    assert shape(one(sheet(), "rates.xlsx")) == [
        ("heading", ("Rates",), "Rates"),
        ("table", ("Rates",), "City | Rate | Since"),
        ("table", ("Rates",), "Oslo | 120 | 2024"),
        ("table", ("Rates",), "Rome | 95.5 | 2023"),
        ("heading", ("Contacts",), "Contacts"),
        ("table", ("Contacts",), "Name | Phone"),
        ("table", ("Contacts",), "Ada | 555-0100"),
    ]


def test_html_is_read_as_it_is_shown() -> None:
    parsed = one(HTML, "rules.html")
    kitchen = ("Rules", "Kitchen")
    assert parsed.title == "House & rules"
    assert shape(parsed) == [
        ("heading", ("Rules",), "Rules"),
        ("paragraph", ("Rules",), "No smoking in the building."),
        ("heading", kitchen, "Kitchen"),
        ("list_item", kitchen, "Wash your cup."),
        ("table", kitchen, "Day | Who"),
        ("table", kitchen, "Monday | Ada"),
    ]


def test_html_says_itself_in_which_charset_it_is() -> None:
    page = '<html><head><meta charset="koi8-r"></head><body><p>Привет всем</p></body></html>'
    assert one(page.encode("koi8-r"), "a.html").text == "Привет всем"


@pytest.mark.parametrize("markup", [False, True])
def test_mail_has_its_subject_as_title_and_its_headers_first(markup: bool) -> None:
    parsed = one(mail(markup=markup), "a.eml")
    assert parsed.title == "Lift out of order"
    assert parsed.metadata["from"] == "Ada <ada@example.org>"
    assert parsed.text.startswith("From: Ada <ada@example.org>\nTo: all@example.org\n")
    assert "lift stands still" in parsed.text
    assert parsed.warnings == ()


def test_attachments_are_counted_and_not_read() -> None:
    parsed = one(mail(attachments=2), "a.eml")
    assert parsed.warnings == ("2 attachments are not read by this version",)


def test_an_encrypted_mail_is_refused() -> None:
    data = b"Subject: x\nContent-Type: application/pkcs7-mime\n\nMIIB"
    with pytest.raises(Unreadable) as caught:
        one(data, "a.eml")
    assert caught.value.code == "encrypted"


def test_the_text_boxes_of_word_are_read_once() -> None:
    box = (
        '<w:p xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:r>'
        "<mc:AlternateContent><mc:Choice Requires='wps'><w:txbxContent><w:p><w:r><w:t>Boxed"
        "</w:t></w:r></w:p></w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r>"
        "<w:t>Boxed</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent>"
        "</w:r></w:p>"
    )
    body = (
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body><w:p><w:r><w:t>Plain</w:t></w:r></w:p>{box}</w:body></w:document>"
    )
    assert (
        one(repacked(word(), word__document_xml=body.encode()), "a.docx").text == "Plain\n\nBoxed"
    )


OURS = """
from ingest.parsing.formats import parse
from tests.ingest.samples import every_format
for name, data in every_format().items():
    assert [parsed.text for parsed in parse(data, name)]
"""
THEIRS = """
from unstructured.partition.html import partition_html
partition_html(text="<table><tr><td>1</td></tr></table>")
"""


def test_content_controls_and_tracked_insertions_are_read_in_their_place() -> None:
    body = """<w:document
      xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>
    <w:sdt><w:sdtContent><w:p><w:r><w:t>Cover</w:t></w:r></w:p></w:sdtContent></w:sdt>
    <w:sdt><w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj>
      </w:sdtPr><w:sdtContent><w:p><w:r><w:t>1 Cover 7</w:t></w:r></w:p></w:sdtContent></w:sdt>
    <w:p><w:r><w:t xml:space="preserve">pay </w:t></w:r>
      <w:ins><w:sdt><w:sdtContent><w:r><w:t>forty</w:t></w:r></w:sdtContent></w:sdt></w:ins>
      <w:del><w:r><w:delText>thirty</w:delText></w:r></w:del>
      <w:r><w:t xml:space="preserve"> euros</w:t></w:r></w:p>
    </w:body></w:document>"""
    parsed = one(repacked(word(), word__document_xml=body.encode()), "a.docx")
    assert parsed.text == "Cover\n\npay forty euros"


def test_neither_torch_nor_a_language_model_is_imported_and_nothing_calls_home() -> None:
    assert _imported_and_called(OURS, parser_environment()) == ([], 0)


def test_nothing_calls_home_even_without_the_parsers_environment() -> None:
    assert _imported_and_called(OURS, BARE) == ([], 0)


def test_without_our_stand_ins_it_would_call_home_and_import_a_language_model() -> None:
    heavy, calls = _imported_and_called(THEIRS, BARE)
    assert "spacy" in heavy
    assert calls > 0


BARE = {
    name: value
    for name, value in parser_environment().items()
    if name in ("PATH", "HOME", "PYTHONPATH")
}


def _imported_and_called(reading: str, environment: dict[str, str]) -> tuple[list[str], int]:
    """Run `reading` in a fresh process; return its heavy imports and attempts to connect."""
    script = f"""
import json, sys
attempts = []
def hook(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and arguments[0].family != 1):
        attempts.append(event)
        raise OSError("refused")
sys.addaudithook(hook)
{reading}
heavy = {{"torch", "spacy", "transformers", "sentence_transformers"}} & set(sys.modules)
print(json.dumps([sorted(heavy), len(attempts)]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heavy, calls = json.loads(done.stdout.strip().splitlines()[-1])
    return heavy, calls
