from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from footnote import show

ANSWER = {
    "text": "The budget is 4211 euros. [1]",
    "verdict": "answered",
    "citations": [
        {"number": 1, "title": "Herd", "uri": "/herd.pdf", "page": 2, "quote": "It is\n4211 euros."}
    ],
    "model": "extractive",
    "extractive": True,
    "fallback_reason": "",
}


def test_an_answer_is_shown_with_its_verdict_and_footnotes() -> None:
    assert show.answer(ANSWER).splitlines() == [
        "The budget is 4211 euros. [1]",
        "",
        "(answered; extractive: sentences quoted from the documents, no model wrote this)",
        "",
        "[1] Herd, page 2",
        "    /herd.pdf",
        "    “It is 4211 euros.”",
    ]


def test_a_fallback_and_a_model_are_told_apart() -> None:
    fallen = show.answer({**ANSWER, "fallback_reason": "timeout"})
    assert "extractive, since the model could not answer: timeout" in fallen
    written = show.answer({**ANSWER, "extractive": False, "model": "gpt-oss-20b"})
    assert "written by gpt-oss-20b" in written


def test_what_is_not_carried_is_told_with_the_reason() -> None:
    doubtful = {
        "span": {"start": 0, "end": 29},
        "backing": "unsupported",
        "reasons": ["number:4211"],
    }
    shown = show.answer({**ANSWER, "statements": [doubtful], "withheld": 1})
    assert "Not in the source: The budget is 4211 euros. [1]" in shown
    assert "the number 4211 is not in the source" in shown
    assert "1 sentence left out" in shown


def test_documents_that_do_not_agree_are_told_side_by_side() -> None:
    cited = ANSWER["citations"][0]  # type: ignore[index]
    other = {**cited, "title": "Zoo", "page": None, "quote": "It is 7."}
    sides = [
        {"value": "7", "citation": other, "dated_at": "2026-05-01T10:00:00+00:00"},
        {"value": "4211", "citation": cited, "dated_at": None},
    ]
    shown = show.answer({**ANSWER, "conflicts": [{"kind": "number", "sides": sides}]})
    assert shown.splitlines()[4:9] == [
        "  Documents do not agree:",
        "  - 7: Zoo, 2026-05-01",
        "      “It is 7.”",
        "  - 4211: Herd, page 2",
        "      “It is 4211 euros.”",
    ]


def test_not_knowing_is_said() -> None:
    unknown = {**ANSWER, "text": "", "citations": [], "verdict": "not_found"}
    assert "I do not know" in show.answer(unknown)
    assert show.passages({"passages": []}) == "Nothing found."


@given(st.text())
def test_no_text_can_steer_the_terminal(text: str) -> None:
    citation = {**ANSWER["citations"][0], "title": text, "uri": text, "quote": text}  # type: ignore[index]
    shown = show.answer({**ANSWER, "text": text, "citations": [citation]})
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_a_summary_lists_what_is_not_searchable_with_the_reason() -> None:
    events = [
        {"outcome": "indexed", "uri": "/a", "chunks": 1, "reason": ""},
        {"outcome": "rejected", "uri": "/b.pdf", "chunks": 0, "reason": "it is encrypted"},
        {"outcome": "empty", "uri": "/c.pdf", "chunks": 0, "reason": "it holds no text"},
    ]
    shown = show.summary(events)
    assert shown.startswith("1 empty, 1 indexed, 1 rejected")
    assert "/b.pdf: it is encrypted" in shown
    assert "/c.pdf: it holds no text" in shown
    assert show.summary([]).startswith("nothing to do")
