"""What it costs in tokens to mark passages as data, so that no document can speak for another.

`pytest -m quality tests/quality/test_prompt_cost.py -s`
"""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest

from knowledge.models import Context, Passage
from knowledge.vocabulary import count_tokens
from serving.prompt import build_messages, source_tokens
from tests.quality import corpora
from tests.quality.judging import made, read

pytestmark = [pytest.mark.quality, pytest.mark.timeout(600)]

MARK = "0a1b2c3d"


def test_marks_around_passages_are_cheap(capsys: pytest.CaptureFixture[str]) -> None:
    questions = read(corpora.folder("rgb-en-fact") / "questions.jsonl")
    contexts = [
        made(row["query"], [("", text) for text in [*row["positive"], *row["negative"]]][:8])
        for row in questions
    ]
    plain = [count_tokens(each.text) for context in contexts for each in context.passages]
    marks = [_marks(context) / len(context.passages) for context in contexts]
    booked = [_booked(each) for context in contexts for each in context.passages]
    with capsys.disabled():
        print(f"\n{len(plain)} passages of {fmean(plain):.0f} tokens on average")
        print(
            f"  the lines that bound one: {fmean(marks):.1f} tokens, {fmean(booked):.1f} reserved"
        )
        for size in (fmean(plain), 254, 400):
            print(f"  of a passage of {size:.0f} tokens that is {fmean(marks) / size:.1%}")
    assert fmean(marks) <= fmean(booked) <= 45


def _marks(context: Context) -> int:
    """Count what the bounding lines of all passages of a request take."""
    marked = build_messages(context, mark=MARK)[-1]["content"]
    bare = "\n\n".join(line for line in marked.split("\n") if MARK not in line)
    return count_tokens(marked) - count_tokens(bare)


def _booked(passage: Passage) -> int:
    """Count what is reserved for a passage's lines: all that is not its text, title and page."""
    untold = replace(passage, text="")
    title = count_tokens(f"Title: {passage.document.title}")
    return source_tokens(untold, count_tokens) - title
