from __future__ import annotations

from pathlib import Path

import pytest

from ingest.parsing.pdf import document as module
from ingest.parsing.pdf import parse_pdf
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import BlockKind, Parsed
from knowledge.settings import TestSettings
from tests.ingest.samples import PROSE, pdf

WORD = "sesame"
EVAL = TestSettings().eval_data


def one(data: bytes) -> Parsed:
    (parsed,) = parse_pdf(data, "file-name")
    return parsed


def test_headings_paragraphs_pages_and_boxes_are_found() -> None:
    parsed = one(pdf([("Travel", *PROSE), ("Safety", "Fire drills take place twice a year.")]))
    assert [(b.page, b.kind, b.heading, b.span.cut(parsed.text)) for b in parsed.blocks] == [
        (1, BlockKind.HEADING, ("Travel",), "Travel"),
        (1, BlockKind.PARAGRAPH, ("Travel",), " ".join(PROSE)),
        (2, BlockKind.HEADING, ("Safety",), "Safety"),
        (2, BlockKind.PARAGRAPH, ("Safety",), "Fire drills take place twice a year."),
    ]
    box = parsed.blocks[0].box
    assert box is not None
    # drawn with its baseline at y = 770 of 842 points, in a font 21 points high with its descent
    assert (box.x0, box.y0, box.y1) == pytest.approx((72, 55, 76), abs=2)


def test_an_empty_line_ends_a_paragraph_and_a_bullet_begins_an_item() -> None:
    lines = ("First part.", "", "", "Second part.", "• one", "• two")
    parsed = one(pdf([("Head", *lines)]))
    assert parsed.text.split("\n\n") == ["Head", "First part.", "Second part.", "• one", "• two"]
    assert [block.kind for block in parsed.blocks][-2:] == [BlockKind.LIST_ITEM] * 2


def test_the_title_is_that_of_the_properties_unless_it_is_a_file_name() -> None:
    page = [("Head", "text")]
    assert one(pdf(page, title="Travel policy")).title == "Travel policy"
    assert one(pdf(page, title="Microsoft Word - policy.doc")).title == "file-name"
    assert one(pdf(page)).title == "untitled" or one(pdf(page)).title == "file-name"


def test_pages_without_text_are_named_and_a_file_without_any_says_that_it_needs_ocr() -> None:
    assert one(pdf([("Head", "text"), ("",)])).warnings == ("no text on 1 of 2 pages (2)",)
    empty = one(pdf([("",)]))
    assert (empty.text, empty.blocks) == ("", ())
    assert empty.warnings == ("no text layer",)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pdf([("Head", "text")], password=WORD), "encrypted"),
        (b"%PDF-1.7 and then nothing", "damaged"),
    ],
)
def test_what_cannot_be_opened_says_why(data: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as caught:
        one(data)
    assert caught.value.code == code


def test_a_cut_off_file_still_gives_its_pages_or_a_reason() -> None:
    whole = pdf([("Head", "text")] * 3)
    for share in (0.3, 0.6, 0.9):
        try:
            one(whole[: int(len(whole) * share)])
        except Unreadable as error:
            assert error.code == "damaged"


def test_too_many_pages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGES", 2)
    with pytest.raises(TooLarge) as caught:
        one(pdf([("Head", "text")] * 3))
    assert caught.value.code == "too_many_pages"


@pytest.mark.skipif(EVAL is None, reason="FOOTNOTE_EVAL_DATA is not set")
def test_two_columns_are_read_one_after_the_other() -> None:
    assert EVAL is not None
    path = Path(EVAL, "office-samples", "unstructured", "pdf", "multi-column-2p.pdf")
    (parsed,) = parse_pdf(path.read_bytes(), "paper")
    left = next(
        b for b in parsed.blocks if "efficient passage retrieval" in b.span.cut(parsed.text)
    )
    assert left.box is not None
    assert left.box.x1 < 300
    assert left.heading[-1:] == ("Abstract",)
