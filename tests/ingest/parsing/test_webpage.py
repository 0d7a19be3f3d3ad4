from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsing.webpage import parse_html_page
from knowledge.models import Parsed
from tests.ingest.samples import HTML, joined, shape

TAGS = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<table>",
        "</table>",
        "<tr>",
        "<td colspan=2 rowspan=3>",
        "</td>",
        "<th>",
        "<h2>",
        "</h2>",
        "<li>",
        "<pre>",
        "</pre>",
        "<br>",
        "<b>",
        "</b>",
        "<div hidden>",
        "</div>",
        "word ",
        "<",
    ]
)


def read(body: str) -> Parsed:
    (parsed,) = parse_html_page(f"<html><body>{body}</body></html>".encode(), "page")
    return parsed


def test_a_page_is_read_as_it_is_shown() -> None:
    (parsed,) = parse_html_page(HTML, "rules")
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


def test_a_page_says_itself_in_which_charset_it_is() -> None:
    page = '<html><head><meta charset="koi8-r"></head><body><p>Привет всем</p></body></html>'
    (parsed,) = parse_html_page(page.encode("koi8-r"), "a")
    assert parsed.text == "Привет всем"


def test_merged_cells_captions_and_inner_tables() -> None:
    parsed = read(
        "<table><caption>Hours</caption><thead><tr><th rowspan=2>Site<th colspan=2>Days</tr>"
        "<tr><th>Mon<th>Sat</tr></thead><tr><td>Oslo<td>8<td><table><tr><td>9<td>10</table></table>"
    )
    assert parsed.text == "Hours\n\nSite | Days | Days\nSite | Mon | Sat\nOslo | 8 | 9 10"
    header = parsed.blocks[-1].header
    assert header is not None
    assert header.cut(parsed.text).endswith("Site | Mon | Sat")


def test_a_table_that_only_arranges_is_read_as_the_text_in_it() -> None:
    parsed = read(
        f"<table><tr><td><h1>News</h1><p>{'words ' * 100}</p></td><td>x</td></tr></table>"
    )
    assert [block.kind.value for block in parsed.blocks] == ["heading", "paragraph", "paragraph"]


@pytest.mark.parametrize(
    "body",
    [
        "<script>no()</script>",
        "<style>no</style>",
        "<p hidden>no</p>",
        "<div style='display: none'><p>no</p></div>",
        "<nav>no</nav>",
        "<template>no</template>",
        "<!-- no -->",
    ],
)
def test_what_is_not_shown_is_not_read(body: str) -> None:
    assert read(f"<p>yes</p>{body}<p>also</p>").text == "yes\n\nalso"


def test_the_control_for_hidden_things_is_read() -> None:
    assert read("<p>yes</p><div><p>no</p></div>").text == "yes\n\nno"


def test_main_is_read_alone_unless_it_holds_next_to_nothing() -> None:
    long = "content " * 20
    assert read(f"<p>around</p><main><p>{long}</p></main>").text == long.strip()
    assert read(f"<p>{long}</p><main>x</main>").text == f"{long.strip()}\n\nx"


def test_code_keeps_its_lines_links_their_text_and_pictures_what_they_show() -> None:
    parsed = read("<pre>a\n  b</pre><p>See <a href='http://x'>the\nrules</a><img alt='a plan'>")
    assert parsed.text == "a\n  b\n\nSee the rules a plan"


def test_a_hidden_table_does_not_change_how_others_are_read() -> None:
    hidden = "<div hidden><table><tr><td>no</td></tr></table></div>"
    parsed = read(f"{hidden}<table><tr><td>a<td>b</tr></table>")
    assert [block.kind.value for block in parsed.blocks] == ["table"]


def test_what_lies_too_deep_is_warned_of() -> None:
    parsed = read("<div>" * 100_000 + "deep")
    assert parsed.warnings == ("what lies deeper than 2,048 elements was not read",)


@pytest.mark.parametrize(
    "body",
    [
        "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">x",
        "<table><tr><td>x" * 50_000,
        "<p>x" * 30_000,
        "<" * 50_000,
        "<!--" * 50_000,
    ],
    ids=["attributes", "tables", "paragraphs", "angles", "comments"],
)
@pytest.mark.timeout(20)  # of quadratic time the first alone would take a minute
def test_hostile_pages_take_no_more_than_their_length(body: str) -> None:
    read(body)


@given(st.lists(TAGS, max_size=30))
def test_any_mess_of_tags_gives_blocks_that_hold(pieces: list[str]) -> None:
    parsed = read("".join(pieces))
    assert joined(parsed) == parsed.text
