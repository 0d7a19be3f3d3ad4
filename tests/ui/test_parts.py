from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from knowledge.models import (
    Backing,
    Conflict,
    Side,
    Span,
    Statement,
    SubmissionState,
    ValueKind,
    Verdict,
)
from tests.ui import scripted
from tests.ui.judge import FORMS, foreign_nodes, shown_text
from ui import parts
from ui.client import DocumentName, FoundPassage, Health, Listed, Queued, Step, Upload

FOUND = scripted.passage(scripted.document())
CITED = scripted.citation(FOUND)
PASSAGE = FoundPassage(
    document=DocumentName(FOUND.document.id, FOUND.document.title, FOUND.document.uri),
    revision=FOUND.revision_id,
    text=FOUND.text,
    span=FOUND.span,
    rank=1,
    heading=("Handbook", "Backup"),
    page=2,
)


@pytest.mark.parametrize("form", FORMS)
def test_no_piece_of_the_page_lets_text_from_outside_do_more_than_stand_there(form: str) -> None:
    citation = replace(CITED, title=form, uri=f"/x/{form}", quote=form)
    passage = replace(PASSAGE, text=form * 3, heading=(form,), span=Span(0, 3 * len(form)))
    inside = replace(citation, revision_id=passage.revision, span=Span(0, len(form)))
    pieces = [
        parts.question_html(form, form),
        parts.writing_html(f"{form} [1]", [replace(passage, document=DocumentName("", form, ""))]),
        parts.answered_html(
            scripted.answer(f"{form} [1]", [citation], model=form, extractive=False)
        ),
        parts.fallback_html(form),
        parts.notice_html("No", form, error=True),
        parts.citation_html([inside], passage),
        parts.conflict_html(Conflict(ValueKind.NAME, (Side(form, citation), Side(form, inside)))),
        parts.documents_html([Listed("id", form, form, form)]),
        parts.uploads_html([Upload("id", form, SubmissionState.FAILED, form)]),
        parts.section_html(form),
        parts.health_html(Health("ok", form, {form: form})),
    ]

    assert [foreign_nodes(piece) for piece in pieces] == [[] for _ in pieces]


def test_a_footnote_names_the_file_the_heading_and_the_page() -> None:
    html = parts.citation_html([CITED], PASSAGE)

    assert "handbook.pdf · Backup · page 2" in shown_text(html)
    assert f"<blockquote>{scripted.QUOTE}</blockquote>" in html


def test_a_footnote_marks_its_quote_in_the_passage_around() -> None:
    html = parts.citation_html([CITED], PASSAGE)

    assert f"<div>Backups are simple. <mark>{scripted.QUOTE}</mark> Keep the key" in html


def test_a_footnote_without_a_passage_of_the_same_revision_shows_the_quote_alone() -> None:
    for passage in (None, replace(PASSAGE, revision="another"), replace(PASSAGE, span=Span(0, 5))):
        html = parts.citation_html([CITED], passage)

        assert "<details>" not in html
        assert scripted.QUOTE in html


def test_a_quote_that_is_the_whole_passage_is_not_shown_twice() -> None:
    whole = replace(PASSAGE, text=CITED.quote, span=CITED.span)

    assert "<details>" not in parts.citation_html([CITED], whole)


def test_an_extractive_answer_says_that_no_model_wrote_it() -> None:
    quoted = parts.answered_html(scripted.answer("Stop it. [1]", [CITED]))
    written = parts.answered_html(
        scripted.answer("Stop it. [1]", [CITED], extractive=False, model="gpt-oss-20b")
    )

    assert "no model wrote this" in quoted
    assert "no model" not in written and "gpt-oss-20b" in written


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.ANSWERED, "Answered from your documents"),
        (Verdict.PARTLY, "Answered in part"),
        (Verdict.NOT_FOUND, "Not found in your documents"),
    ],
)
def test_every_verdict_is_said_in_words(verdict: Verdict, words: str) -> None:
    assert words in parts.answered_html(scripted.answer("Text.", [], verdict=verdict))


def test_a_sentence_that_no_source_carries_is_labelled_where_it_ends() -> None:
    text = "Stop it. [1] It costs **15 euro** [1]. Bye."
    doubtful = Statement(
        Span(13, 38), (1,), Backing.UNSUPPORTED, 0.4, ("number:15", "name:<b>Lee</b>")
    )
    html = parts.answered_html(
        scripted.answer(text, [CITED], extractive=False, model="m", statements=(doubtful,))
    )

    assert html.count("fn-doubt") == 1
    assert html.index("15 euro") < html.index("not in the source</span>") < html.index("Bye")
    assert "the number 15 is not in the source" in html
    assert "<b>" not in html


def test_documents_that_do_not_agree_stand_side_by_side_with_their_dates() -> None:
    when = datetime(2026, 5, 1, 10, tzinfo=UTC)
    sides = (Side("28", CITED, when), Side("<b>25</b>", replace(CITED, title="Old")))
    html = parts.conflict_html(Conflict(ValueKind.NUMBER, sides))

    text = shown_text(html)
    assert "do not agree on the number" in text
    assert "2026-05-01 · handbook.pdf, page 2" in text and "no date" in text
    assert html.count(f"<blockquote>{scripted.QUOTE}</blockquote>") == 2
    assert html.index("28") < html.index("25") and "<b>25" not in html


def test_what_was_left_out_is_said() -> None:
    html = parts.answered_html(scripted.answer("Stop it. [1]", [CITED], withheld=2))

    assert "2 sentences left out" in html


def test_an_empty_answer_still_says_something() -> None:
    assert parts.NOT_FOUND in parts.answered_html(scripted.answer("", []))


@pytest.mark.parametrize("state", SubmissionState)
def test_every_state_of_an_upload_is_said_in_words(state: SubmissionState) -> None:
    html = parts.uploads_html(
        [Upload("id", "a.pdf", state, "encrypted" if state == "failed" else "")]
    )

    assert "a.pdf" in shown_text(html)
    assert ("not added: encrypted" in html) == (state is SubmissionState.FAILED)
    assert ("fn-steps" in html) == (state in ("received", "working"))


def test_an_ill_part_of_the_service_is_named() -> None:
    well = parts.health_html(Health("ok", "0.1.0", {"catalog": "ok", "answers": "extractive"}))
    written = parts.health_html(Health("ok", "0.1.0", {"answers": "gpt-oss-20b"}))
    ill = parts.health_html(Health("unavailable", "0.1.0", {"index": "unavailable"}))

    assert "Service ready" in well and "Answers are quoted sentences" in well
    assert "catalog" not in well
    assert "Answers by gpt-oss-20b" in written
    assert "Not ready" in ill and "index: unavailable" in ill


def test_quoted_sentences_are_not_taken_for_markdown() -> None:
    text = "1. Stop *all* of `it` | now. [1]"

    quoted = parts.answered_html(scripted.answer(text, [CITED]))

    assert "<p>1. Stop *all* of `it` | now.<sup" in quoted


def test_numbers_of_documents_read_well() -> None:
    assert "one document" in parts.welcome_html(1)
    assert "12,345 documents" in parts.welcome_html(12345)


def test_what_a_model_looks_for_is_shown_as_it_is_until_there_is_text() -> None:
    looked = parts.writing_html("", (), Step("search", "<b>tea</b> [x](http://x.example)"))
    assert "Searching for &lt;b&gt;tea&lt;/b&gt; [x](http://x.example)" in looked
    assert "Searching" not in parts.writing_html("Tea is free.", (), Step("search", "tea"))
    assert "Reading on" in parts.writing_html("", (), Step("open", ""))


def test_who_waits_for_the_model_is_told_where() -> None:
    assert "number 3 in line" in parts.writing_html("", (), Queued(3))


def test_the_closest_passages_are_shown_as_no_answer() -> None:
    hostile = replace(PASSAGE, text="See <img src=x> [1](http://evil.example).")
    shown = parts.closest_html([hostile] * 9)
    assert foreign_nodes(shown) == []
    assert shown.count("fn-title") == parts.MOST_CLOSEST
    assert "which may not answer it" in shown_text(shown)
    assert "<img src=x>" in shown_text(shown)
