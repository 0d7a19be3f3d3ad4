from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.markdown import parse_markdown
from tests.ingest.samples import MARKDOWN, joined


def test_the_text_is_what_a_reader_sees() -> None:
    (parsed,) = parse_markdown(MARKDOWN, "rules")
    assert parsed.title == "House rules"
    assert [(b.kind.value, b.heading, b.span.cut(parsed.text)) for b in parsed.blocks] == [
        ("heading", ("House rules",), "House rules"),
        ("paragraph", ("House rules",), "No smoking in the building."),
        ("heading", ("House rules", "Kitchen"), "Kitchen"),
        ("list_item", ("House rules", "Kitchen"), "Wash your cup."),
        ("list_item", ("House rules", "Kitchen"), "Close the window."),
        ("table", ("House rules", "Kitchen"), "Day | Who"),
        ("table", ("House rules", "Kitchen"), "Monday | Ada"),
        ("code", ("House rules", "Kitchen"), "sudo   reboot"),
    ]


def test_raw_html_loses_its_tags_and_comments() -> None:
    (parsed,) = parse_markdown(b"<div>\n<!-- <b>no</b> -->\nyes <b>sir</b>\n</div>\n", "t")
    assert parsed.text == "yes sir"


def test_without_a_first_heading_the_title_is_the_files_name() -> None:
    (parsed,) = parse_markdown(b"## Second level\n\ntext", "notes")
    assert parsed.title == "notes"


@given(st.text(st.sampled_from("#*-_`[](){}<>|!\n\t 1.a\\&;"), max_size=120))
def test_any_marks_are_read(text: str) -> None:
    (parsed,) = parse_markdown(text.encode(), "t")
    assert joined(parsed) == parsed.text


def test_deep_nesting_is_read_flat() -> None:
    (parsed,) = parse_markdown(b"> " * 5000 + b"deep", "t")
    assert len(parsed.text) < 20_000
