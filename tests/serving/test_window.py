from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import ModelError
from knowledge.models import Context, Effort, Question, Turn
from knowledge.vocabulary import count_tokens
from retrieval.context import pack
from serving.browse.arguments import TOOLS
from serving.prompt import browse_messages, build_messages, source_tokens
from serving.window import FEWEST_SOURCES, THINKING_ROOM, Window, _written
from tests.fakes import passage

SMALL = 16_384
WINDOW = Window(SMALL, 1024, count_tokens)
LONGEST_QUESTION = 8_000
"""Characters, as the API takes them."""
SCRIPTS = (
    "The office opens at nine and closes at five. ",
    "Öffnungszeiten des Bürgeramts: montags bis donnerstags. ",
    "市議会は本日午前九時に開会した。",
    "龘靐齉爩鱻麤䨻䲜",
    "Öz̸̧̢a̷̛͎l̶̰̀g̴̱͛o̵͕͊",
    "👩‍👩‍👧‍👦🏳️‍🌈🫱🏿‍🫲🏻",
    "ᚠᛇᚻ᛫ᛒᛦᚦ᛫ ꙮ𐍈𒀱",
    "<|end|><|start|>assistant",
    "a1b2c3d4e5f6 0x9f8e7d6c5b ",
)


def said(script: str, characters: int) -> str:
    return (script * (characters // len(script) + 1))[:characters]


def conversation(scripts: list[str], turns: int) -> tuple[Turn, ...]:
    return tuple(
        Turn("user" if place % 2 == 0 else "assistant", said(scripts[place % len(scripts)], 4000))
        for place in range(turns)
    )


def packed(window: Window, question: Question, scripts: list[str]) -> Context:
    """Return a context as retrieval makes it, of more than can be in it."""
    found = [passage(f"{n} {said(script, 120)}. " * 6) for n, script in enumerate(scripts * 6)]
    return pack(
        question,
        found,
        budget=window.sources(question, 4096),
        most=12,
        cost=lambda each: source_tokens(each, count_tokens),
    )


@settings(max_examples=40, deadline=None)
@given(
    asked=st.sampled_from(SCRIPTS),
    characters=st.integers(1, LONGEST_QUESTION),
    turns=st.integers(0, 12),
    scripts=st.lists(st.sampled_from(SCRIPTS), min_size=1, max_size=4),
    effort=st.sampled_from(list(Effort)),
    size=st.sampled_from([8_192, SMALL, 32_768]),
)
def test_a_request_and_its_answer_never_exceed_the_window(
    asked: str, characters: int, turns: int, scripts: list[str], effort: Effort, size: int
) -> None:
    window = replace(WINDOW, tokens=size)
    question = Question(said(asked, characters), effort=effort)
    question = window.remember(replace(question, history=conversation(scripts, turns)))
    context = packed(window, question, scripts)
    messages = build_messages(context, mark=secrets.token_hex(4))
    prompt = _written(messages, (), count_tokens)
    try:
        room = window.room(messages, (), effort)
    except ModelError as error:
        assert error.code == "context_overflow"
        assert prompt + window.answer >= size  # it is told only where it is so
        assert count_tokens(question.text) > size // 3
        return
    assert prompt + room <= size
    assert room > window.answer
    assert context.passages


def test_without_a_window_a_long_conversation_exceeds_it() -> None:
    """The control of the figure above: what the same requests came to when nothing was cut."""
    over = 0
    for script in SCRIPTS:
        question = Question(said(script, LONGEST_QUESTION), history=conversation([script], 12))
        context = packed(replace(WINDOW, tokens=1_000_000), question, [script])
        prompt = _written(build_messages(context, mark="0a1b2c3d"), (), count_tokens)
        over += prompt + WINDOW.answer + THINKING_ROOM[Effort.LOW] > SMALL
    print(f"control: {over} of {len(SCRIPTS)} requests exceed {SMALL} tokens")
    assert over > 0


def test_what_fits_is_left_as_it_is() -> None:
    history = (Turn("user", "When does the office open?"), Turn("assistant", "At nine [1]."))
    question = Question("And on Fridays?", history=history)
    assert WINDOW.remember(question) == question
    assert WINDOW.sources(question, 4096) == 4096


@pytest.mark.parametrize("effort", list(Effort))
def test_a_short_request_gets_all_the_room_that_its_effort_wants(effort: Effort) -> None:
    wide = replace(WINDOW, tokens=32_768)
    messages = build_messages(Context(Question("When?"), ()), mark="m")
    assert wide.room(messages, (), effort) == wide.answer + THINKING_ROOM[effort]


def test_a_cap_that_the_server_keeps_is_the_room_for_thinking() -> None:
    capped = replace(WINDOW, thinking={Effort.HIGH: 300})
    messages = build_messages(Context(Question("When?"), ()), mark="m")
    assert capped.room(messages, (), Effort.HIGH) == capped.answer + 300
    assert capped.room(messages, (), Effort.LOW) == capped.answer + THINKING_ROOM[Effort.LOW]


def test_the_oldest_turns_give_way_first() -> None:
    long = said(SCRIPTS[0], 2000)
    history = tuple(Turn("user", f"{number}: {long}") for number in range(6))
    kept = WINDOW.remember(Question("And now?", history=history)).history
    assert 0 < len(kept) < len(history)
    assert kept == history[-len(kept) :]


def test_a_question_that_leaves_no_room_still_gets_passages_to_quote() -> None:
    question = Question(said("龘靐齉爩鱻麤䨻䲜", LONGEST_QUESTION))
    assert count_tokens(question.text) > SMALL
    assert WINDOW.sources(question, 4096) == FEWEST_SOURCES
    with pytest.raises(ModelError, match="too long"):
        WINDOW.room(build_messages(Context(question, ()), mark="m"), (), Effort.LOW)


def test_tools_calls_and_thoughts_take_room_too() -> None:
    bare = browse_messages(Question("When?"), "[0] Hours")
    thought = [*bare[:-2], {**bare[-2], "reasoning": "Hm. " * 100}, bare[-1]]
    left = [
        WINDOW.left(messages, tools, Effort.LOW)
        for messages, tools in ((bare, ()), (bare, TOOLS), (thought, ()))
    ]
    assert left[1] < left[0] - 100
    assert left[2] < left[0] - 100


def test_bytes_bound_tokens() -> None:
    """What lets short requests through uncounted."""
    assert all(count_tokens(script) <= len(script.encode()) for script in SCRIPTS)
