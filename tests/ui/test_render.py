from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from knowledge.models import Span
from tests.ui.judge import FORMS, foreign_nodes, shown_text
from ui.render import Doubt, answer_html, passage_html, plain

NOTES = {1: 'Handbook, page 2: "a quote"', 12: "<img src=x>"}
PIECES = [
    *FORMS,
    *("[", "]", "(", ")", "<", ">", "!", "&", '"', "'", "`", "```", "\n", "\n\n", "    ", "|"),
    *("http://evil.example", "[1]", "[12]", "**", "_", "\\", "# ", "- ", "\t", "&lt;", "]("),
]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=12).map("".join)


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_exfiltration_becomes_anything_but_text(form: str) -> None:
    assert foreign_nodes(answer_html(form, NOTES)) == []


@pytest.mark.parametrize("form", FORMS)
def test_no_beginning_of_a_hostile_answer_loads_anything_while_it_streams(form: str) -> None:
    for end in range(len(form)):
        assert foreign_nodes(answer_html(form[:end], NOTES)) == []


def test_without_the_sanitiser_the_same_forms_do_load_and_link() -> None:
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")

    unguarded = [form for form in FORMS if foreign_nodes(markdown.render(form))]

    print(f"\n{len(unguarded)} of {len(FORMS)} forms get through plain Markdown, 0 through ours")
    assert len(unguarded) > 40


@given(texts)
def test_whatever_the_text_is_only_harmless_nodes_come_out(text: str) -> None:
    html = answer_html(text, NOTES)

    assert foreign_nodes(html) == []
    html.encode()  # lone surrogates would stop the page


@given(texts, st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=4))
def test_a_passage_shows_its_own_text_and_nothing_else(
    text: str, ends: list[tuple[int, int]]
) -> None:
    html = passage_html(text, [Span(min(pair), max(pair)) for pair in ends])

    assert foreign_nodes(html) == []
    assert html.replace("<mark>", "").replace("</mark>", "") == plain(text)


@given(texts)
def test_plain_text_stays_what_it_is(text: str) -> None:
    assert foreign_nodes(plain(text)) == []


def test_a_mark_stands_for_known_footnotes_only() -> None:
    html = answer_html("Stop it first [1]. Then [3] copy [12].", NOTES)

    assert html.count('<sup class="fn-mark"') == 2
    assert "Then [3] copy" in html
    assert 'title="Handbook, page 2: &quot;a quote&quot;"' in html


def test_code_keeps_its_brackets() -> None:
    html = answer_html("Use `row[1]` here.\n\n```\nx[1]\n```", NOTES)

    assert "fn-mark" not in html
    assert "<code>row[1]</code>" in html
    assert "<pre><code>x[1]\n</code></pre>" in html


def test_the_structure_of_an_answer_is_kept() -> None:
    text = (
        "# Backup\n\nStop **first**, _then_:\n\n- copy\n- start\n\n> quoted\n\n|a|b|\n|-|-|\n|1|2|"
    )

    html = answer_html(text, {})

    for tag in ("h4", "strong", "em", "ul", "li", "blockquote", "table", "th", "td"):
        assert f"<{tag}>" in html and f"</{tag}>" in html


def test_a_link_is_shown_as_the_text_it_is() -> None:
    text = "See [the site](http://evil.example) and <b>this</b>."

    assert shown_text(answer_html(text, {})) == text


def test_signs_that_streamlit_would_turn_into_icons_colours_and_formulas_stay_signs() -> None:
    text = "A :material/home: and :red[x] and :smile: and $x^2$ and ~~y~~"

    assert shown_text(answer_html(text, {})) == text


def test_characters_that_nobody_sees_are_left_out() -> None:
    assert plain("a\u202eb\u200bc\U000e0041d\ud800e\x07f") == "abcdef"


def test_quotes_are_marked_once_even_where_they_overlap() -> None:
    text = "Stop the service. Copy the folder."

    html = passage_html(text, [Span(0, 17), Span(5, 20), Span(33, 60)])

    assert html == ("<mark>Stop the service.</mark><mark> Co</mark>py the folder<mark>.</mark>")


@given(texts, st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), max_size=3))
def test_labels_of_sentences_in_doubt_keep_the_rest_and_are_harmless(
    text: str, ends: list[tuple[int, int]]
) -> None:
    spans = sorted(Span(min(pair), max(pair)) for pair in ends)
    doubts = [Doubt(span, "not <b>there</b>", '"><img src=x>', "fn-x") for span in spans]
    html = answer_html(text, {}, doubts)

    assert foreign_nodes(html) == []
    assert "\ue000" not in html and "\ue001" not in html
