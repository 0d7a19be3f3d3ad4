from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from knowledge.errors import Unsupported
from knowledge.models import Rating, SubmissionState, Turn
from knowledge.settings import ROOT
from serving.archive import Archive
from serving.auth import Gate
from serving.events import AnswerEvent, DeltaEvent, ErrorEvent, PassagesEvent
from serving.keys import KeyRing, add_key
from tests.service import free_port
from tests.ui import scripted
from tests.ui.judge import FORMS, foreign_nodes
from tests.ui.scripted import Script
from tests.ui.visits import Visit, aside, ask, button, seen


@pytest.fixture
def page(script: Script, visit: Visit) -> Iterator[AppTest]:
    with scripted.serving(script) as url:
        yield visit(url)


def test_an_answer_is_shown_with_its_quote_its_document_and_its_page(page: AppTest) -> None:
    ask(page, "How do I back up?")

    assert "How do I back up?" in seen(page)
    assert 'fn-mark" title="Handbook, page 2' in seen(page)
    assert f"<blockquote>{scripted.QUOTE}</blockquote>" in seen(page)
    assert "handbook.pdf · Backup · page 2" in seen(page)
    assert "Answered from your documents" in seen(page)
    assert "no model wrote this" in seen(page)
    assert [button.label for button in page.main.download_button] == ["Download the original"]


def test_a_follow_up_takes_the_conversation_along(page: AppTest, script: Script) -> None:
    ask(page, "How do I back up?")
    ask(page, "And then?")

    assert script.asked[0].history == ()
    assert script.asked[1].history == (
        Turn("user", "How do I back up?"),
        Turn("assistant", f"{scripted.QUOTE} [1]"),
    )
    shown = seen(page)
    assert shown.index("And then?") < shown.index("How do I back up?"), "the newest stands first"


def test_a_new_conversation_forgets_the_old_one(page: AppTest, script: Script) -> None:
    ask(page, "How do I back up?")
    page.run()
    button(page, "New conversation").click().run()
    ask(page, "And then?")

    assert script.asked[1].history == ()
    assert "How do I back up?" not in seen(page)


def test_a_kept_conversation_is_opened_renamed_and_deleted(page: AppTest, script: Script) -> None:
    ask(page, "How do I back up?")
    (kept,) = script.kept.conversations("local")
    talks = page.selectbox(key="talk")
    assert talks.value == kept.id
    talks.set_value(None).run()
    assert "How do I back up?" not in seen(page)

    script.stored = [replace(script.stored[0], live_revision="another")]
    page.selectbox(key="talk").set_value(kept.id).run()
    assert "How do I back up?" in seen(page)
    assert "fn-since" in seen(page), "the document has another revision by now"
    page.sidebar.text_input[0].set_value("Safety")
    button(page, "Rename").click().run()
    assert script.kept.conversation(kept.id, "local").title == "Safety"

    script.stored = []
    page.selectbox(key="talk").set_value(None).run()
    page.selectbox(key="talk").set_value(kept.id).run()
    assert "This answer is withheld" in seen(page)
    assert scripted.QUOTE not in seen(page)
    button(page, "Delete").click().run()
    assert script.kept.conversations("local") == []
    assert "This answer is withheld" not in seen(page)


def test_conversations_of_the_same_title_are_told_apart(page: AppTest, script: Script) -> None:
    for number in range(2):
        script.events = [AnswerEvent(scripted.answer(f"Answer {number}.", []))]
        ask(page, "How do I back up?")
        page.run()
        button(page, "New conversation").click().run()
    talks = page.selectbox(key="talk")
    assert talks.options[1:] == ["How do I back up? (2)", "How do I back up?"]

    talks.select("How do I back up?").run()

    assert "Answer 0." in seen(page) and "Answer 1." not in seen(page)


def test_a_reader_says_what_is_wrong_with_an_answer(page: AppTest, script: Script) -> None:
    ask(page, "How do I back up?")
    button(page, "Not helpful").click().run()
    (judged,) = script.kept.judged()
    assert judged.feedback is not None
    assert judged.feedback.rating is Rating.DOWN
    page.text_area[0].set_value("By copying.")
    button(page, "Send").click().run()
    (judged,) = script.kept.judged()
    assert judged.feedback is not None
    assert judged.feedback.correction == "By copying."
    assert not page.exception


def test_where_nothing_is_kept_the_page_takes_the_history_along(
    page: AppTest, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Archive, "keep", lambda *_: None)
    ask(page, "How do I back up?")
    ask(page, "And then?")
    assert [turn.text for turn in script.asked[1].history][:1] == ["How do I back up?"]


def test_two_quotes_of_one_passage_share_a_footnote(page: AppTest, script: Script) -> None:
    found = scripted.passage(scripted.document())
    quotes = [scripted.QUOTE, "Keep the key file with the backup."]
    cited = [scripted.citation(found, quote) for quote in quotes]
    script.events = scripted.told("Do. [1] Keep. [1]", [found], scripted.answer("Do. [1]", cited))

    ask(page, "How?")

    assert seen(page).count('class="fn-note"') == 1
    assert seen(page).count("<blockquote>") == 2
    assert len(page.main.download_button) == 1


def test_not_found_is_an_answer_without_footnotes(page: AppTest, script: Script) -> None:
    script.events = [AnswerEvent(scripted.answer("", []))]

    ask(page, "How many days of leave?")

    assert "Not found in your documents" in seen(page)
    assert "fn-notes-title" not in seen(page)


def test_a_stand_in_for_the_model_says_why(page: AppTest, script: Script) -> None:
    found = scripted.passage(scripted.document())
    whole = scripted.answer(
        f"{scripted.QUOTE} [1]", [scripted.citation(found)], fallback_reason="It took too long."
    )
    script.events = [PassagesEvent((found,)), DeltaEvent("Well, "), AnswerEvent(whole)]

    ask(page, "How?")

    assert "Quoted sentences in place of a written answer" in seen(page)
    assert "It took too long." in seen(page)
    assert "Well, " not in seen(page), "the whole answer stands in place of what was written"


def test_a_failed_answer_is_one_clear_notice(page: AppTest, script: Script) -> None:
    script.events = [ErrorEvent("index_unavailable", "The index does not answer.", True)]

    ask(page, "How?")

    assert "There is no answer" in seen(page)
    assert "The index does not answer." in seen(page)


def test_hostile_answers_names_and_reasons_never_become_more_than_text(
    page: AppTest, script: Script
) -> None:
    evil = "\n\n".join(FORMS)
    paper = scripted.document(evil, f"/x/{evil}")
    found = scripted.passage(paper, evil * 2)
    whole = scripted.answer(
        f"{evil} [1]", [scripted.citation(found, evil)], fallback_reason=evil, model=evil
    )
    script.stored = [paper]
    script.parts = {"catalog": "ok", "model": evil}
    script.events = scripted.told(f"{evil} [1]", [found], whole)
    script.refuse_upload = Unsupported(evil)

    page.file_uploader[0].upload("notes.txt", b"x").run()
    ask(page, evil[:8000])

    assert len(page.get("html")) > 8
    style = f"<style>{(ROOT / 'ui' / 'style.css').read_text()}</style>"
    bodies = [html.proto.body for html in page.get("html") if html.proto.body != style]
    assert [node for body in bodies for node in foreign_nodes(body)] == []
    assert not page.markdown, "Streamlit's own Markdown shows nothing from outside"
    assert "evil" not in "".join(caption.value for caption in page.caption)


def test_an_uploaded_file_is_followed_until_one_can_ask_about_it(
    page: AppTest, script: Script
) -> None:
    script.course = (SubmissionState.WORKING, SubmissionState.WORKING, SubmissionState.DONE)

    page.file_uploader[0].upload("travel.txt", b"By train.").run()

    assert script.received == {"travel.txt": b"By train."}
    assert "being read" in aside(page)
    page.run()
    page.run()
    assert 'class="fn-done"' in aside(page)
    assert "upload/travel.txt".rpartition("/")[2] in aside(page)
    assert '<span class="fn-title">Travel</span>' in aside(page), "it is in the list at once"


def test_a_file_that_is_refused_says_why_and_the_page_goes_on(
    page: AppTest, script: Script
) -> None:
    script.refuse_upload = Unsupported("this version does not read .txt.exe files")

    page.file_uploader[0].upload("a.txt", b"x").run()

    assert "not added: this version does not read .txt.exe files" in aside(page)
    ask(page, "How do I back up?")
    assert scripted.QUOTE in seen(page)


def test_an_upload_that_nobody_knows_any_more_is_not_waited_for(
    page: AppTest, script: Script
) -> None:
    page.file_uploader[0].upload("a.txt", b"x").run()
    script.uploads.clear()
    page.run()

    assert "not added: There is nothing here that you may see." in aside(page)


def test_without_documents_the_page_says_what_to_do_first(script: Script, visit: Visit) -> None:
    script.stored = []
    with scripted.serving(script) as url:
        page = visit(url)

        assert "There is nothing to ask about yet" in seen(page)
        assert page.chat_input[0].disabled


def test_a_service_that_is_not_there_is_told_with_the_command_that_starts_it(visit: Visit) -> None:
    page = visit(f"http://127.0.0.1:{free_port()}")

    assert "The service cannot be reached" in seen(page)
    assert "<code>footnote serve</code>" in seen(page)
    assert [each.label for each in page.button] == ["Try again"]


def test_the_page_asks_for_a_key_where_the_service_does(
    script: Script, visit: Visit, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    key = add_key(keys, "reader", groups=(), roles=())
    with scripted.serving(script, Gate(keys=KeyRing(keys))) as url:
        page = visit(url)
        assert "This service answers only with a key." in seen(page)

        page.text_input[0].set_value("fn_00_wrong")
        page.button[0].click().run()
        assert "This key is not accepted." in seen(page)

        page.text_input[0].set_value(key)
        page.button[0].click().run()
        ask(page, "How do I back up?")
        assert scripted.QUOTE in seen(page)
        assert key not in seen(page)


def test_a_question_can_be_asked_of_one_collection(page: AppTest, script: Script) -> None:
    other = replace(scripted.document("Travel", "/shared/travel.txt"), collection="travel")
    script.stored.append(other)
    page.run()

    page.selectbox[0].set_value("travel").run()
    ask(page, "By train?")

    assert script.asked[0].collection == "travel"
    assert "travel.txt" in aside(page)
    assert "handbook.pdf" not in aside(page)


def test_many_documents_are_leafed_through_and_found_by_name(page: AppTest, script: Script) -> None:
    script.stored = [scripted.document(f"Paper {n:02}", f"/shared/{n:02}.pdf") for n in range(20)]
    page.run()
    assert "Paper 07" in aside(page) and "Paper 08" not in aside(page)

    button(page, "More").click().run()
    assert "Paper 08" in aside(page) and "Paper 07" not in aside(page)

    page.text_input[0].set_value("paper 19").run()
    assert "Paper 19" in aside(page) and "Paper 08" not in aside(page)

    page.text_input[0].set_value("nothing").run()
    assert "No document is called that" in aside(page)


def test_an_ill_part_of_the_service_is_shown(page: AppTest, script: Script) -> None:
    script.parts = {"catalog": "ok", "model": "does not answer"}

    page.run()

    assert "model: does not answer" in aside(page)


def test_the_settings_of_the_page_are_the_safe_ones() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())

    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    assert config["server"]["enableCORS"] and config["server"]["enableXsrfProtection"]
    assert not config["server"]["enableStaticServing"]
    assert not config["server"]["enableAgentApi"]
    assert "corsAllowedOrigins" not in config["server"]


def test_nothing_of_one_reader_is_cached_for_all() -> None:
    source = "".join(path.read_text() for path in (ROOT / "ui").glob("*.py"))

    assert "cache_data" not in source and "cache_resource" not in source
    assert "unsafe_allow" not in source
