from __future__ import annotations

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from knowledge.models import Change, Conversation, Span, Staleness, Trace
from serving.archive import Opened
from serving.markdown import WITHHELD, as_markdown
from tests.knowledge.conversations_contract import ANSWER, WHEN, exchange
from tests.ui.judge import FORMS

TALK = Conversation("c1", "alice", "Zebras", WHEN, WHEN)


def opened(text: str = ANSWER.text, state: Staleness = Staleness.UNCHANGED) -> Opened:
    cited = replace(ANSWER.citations[0], title="Zebras")
    changed = Trace(1, state, "It is 7.", Span(0, 8), (Change("same", "It is"),))
    return Opened(
        replace(exchange(), answer=replace(ANSWER, text=text, citations=(cited,))),
        False,
        (changed,),
    )


def test_it_holds_question_answer_quote_and_what_became_of_it() -> None:
    told = as_markdown(TALK, [opened()])
    for part in (
        "Documents do not agree:",
        "# Zebras",
        "## How much is it? 1",
        "It is 4211 euros. \\[1\\]",
        "> The budget is",
    ):
        assert part in told
    assert "page 3" in told
    assert "since" not in told
    told = as_markdown(TALK, [opened(state=Staleness.CHANGED)])
    assert "changed since" in told
    assert "> It is 7." in told


def test_what_is_withheld_says_so() -> None:
    shown = opened("")
    bare = replace(shown.exchange, answer=replace(shown.exchange.answer, conflicts=()))
    hidden = replace(shown, exchange=bare, withheld=True, traces=(Trace(1, Staleness.GONE),))
    told = as_markdown(TALK, [hidden])
    assert WITHHELD in told
    assert "The budget" not in told


def test_no_form_of_a_link_or_an_image_is_one_in_the_file() -> None:
    def active(markdown: str) -> int:
        tokens = MarkdownIt("commonmark").parse(markdown)
        inner = [each for token in tokens for each in [token, *(token.children or [])]]
        kinds = ("link_open", "image", "html_inline", "html_block", "fence")
        bare = re.findall(r"\w+://|www\.", markdown, re.IGNORECASE)  # some make links of these
        return sum(token.type in kinds for token in inner) + len(bare)

    raw = active("\n\n".join(FORMS))
    told = sum(active(as_markdown(TALK, [opened(form)])) for form in FORMS)
    print(f"\n{raw} links, images and HTML unescaped; in the export: {told}")
    assert told == 0
    assert raw > 10
