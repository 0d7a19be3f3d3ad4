"""`footnote doctor --model`: asks the model server small questions, and judges the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from footnote.finding import Finding, State
from footnote.wiring.model import adapter, window
from knowledge.errors import ModelError
from knowledge.models import (
    Context,
    Delta,
    Document,
    Effort,
    Passage,
    Principal,
    Question,
    Span,
    Verdict,
)
from knowledge.settings import Settings
from knowledge.vocabulary import count_tokens
from serving.answer import Answerer
from serving.browse.arguments import TOOLS
from serving.chat import ChatGenerator
from serving.events import AnswerEvent, ErrorEvent
from serving.prompt import browse_messages, build_messages

TEXTS = (
    "The canteen of the Harbour Office sells soup for 3.20 euro.",
    "The archive of the Harbour Office is open on Tuesdays.",
)
REVISION = "doctor"
QUESTION = "How much is the soup in the canteen of the Harbour Office?"
FACT = "3.20"
OVERHEAD = 120
"""Tokens that harmony itself may add to a prompt: system block, channels, headers."""
SLOW = 10.0
"""Seconds until the first text, from which on people wonder."""
BUDGET = 64
ADVICE = {
    "unavailable": "start it, or set FOOTNOTE_MODEL_URL",
    "unauthorized": "set FOOTNOTE_MODEL_API_KEY",
    "timeout": "it is overloaded or too slow: see FOOTNOTE_FIRST_TOKEN_TIMEOUT",
    "reasoning_only": "cap what it thinks: FOOTNOTE_THINKING_TOKENS",
    "length": "give it room: FOOTNOTE_ANSWER_TOKENS",
    "harmony_markup": "run vLLM with --reasoning-parser openai_gptoss",
    "http_404": "set FOOTNOTE_MODEL_NAME to a model that it serves",
}
MAY_STOP = ("length", "reasoning_only", "null_content")
"""What a request that leaves no room for an answer may end with, though it was taken."""


Check = Callable[[Settings], Coroutine[Any, Any, Finding]]


def self_test(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each thing that answers rest on; the first failure to answer ends it."""
    checks: tuple[tuple[str, Check], ...] = (
        ("streaming", _streams),
        ("window", _keeps_our_window),
        ("citations", _cites),
        ("effort", _takes_efforts),
        ("budget", _takes_a_budget),
        ("tools", _takes_tools),
    )
    for part, check in checks:
        try:
            yield asyncio.run(check(settings))
        except ModelError as error:
            advice = next((ADVICE[code] for code in ADVICE if error.code.startswith(code)), "")
            yield Finding(part, State.FAIL, f"{error} ({error.code}); {advice}".rstrip("; "))
            if part == "streaming":
                return


async def _streams(settings: Settings) -> Finding:
    """Look at how an answer comes, and whether its prompt was as long as we count it."""
    begun = time.monotonic()
    first, pieces, usage = 0.0, 0, None
    async for delta in _deltas(adapter(settings), known_context()):
        first = first or (time.monotonic() - begun if delta.text else 0.0)
        pieces += bool(delta.text)
        usage = delta.usage or usage
    told = f"first text after {first:.1f} s, {pieces} pieces"
    if pieces < 2:
        return Finding("streaming", State.WARN, f"{told}: it does not stream; look at the proxy")
    if usage is not None and not _counts_like_us(usage.prompt_tokens):
        ours = f"{told}; it counts {usage.prompt_tokens} tokens where gpt-oss has {_our_count()}"
        return Finding("streaming", State.WARN, f"{ours}: another vocabulary, so budgets are off")
    if first > SLOW:
        return Finding("streaming", State.WARN, f"{told}: people will wonder")
    return Finding("streaming", State.OK, told)


async def _keeps_our_window(settings: Settings) -> Finding:
    """Compare the window that requests are cut to with the one that the server tells."""
    ours = window(settings).tokens
    model = adapter(settings)
    try:
        told = await model.window()
    finally:
        await model.aclose()
    if told is None:
        return Finding("window", State.OK, f"{ours} tokens; the server does not tell its own")
    advice = f"the server has {told} tokens, and we keep to {ours}: set FOOTNOTE_MODEL_WINDOW"
    if told < ours:
        return Finding("window", State.FAIL, f"{advice}={told}")
    return Finding("window", State.OK, f"{ours} tokens" if told == ours else f"{advice} for more")


async def _cites(settings: Settings) -> Finding:
    """Have a known question answered from two known passages, by the whole story."""
    model = adapter(settings)
    answerer = Answerer(retriever=_Known(), generator=model)
    try:
        last = await answerer.answer(Question(QUESTION), Principal("doctor"))
    finally:
        await model.aclose()
    if isinstance(last, ErrorEvent):
        advice = "gpt-oss cites; another model may not" if last.code == "uncited" else last.code
        return Finding("citations", State.FAIL, f"{last.message} {advice}")
    return _judged(last)


def _judged(last: AnswerEvent) -> Finding:
    answer = last.answer
    right = any(FACT in citation.quote for citation in answer.citations)
    if answer.verdict is Verdict.ANSWERED and right and FACT in answer.text:
        return Finding("citations", State.OK, f"says {answer.text!r}, verified")
    state = State.WARN if right else State.FAIL
    said = f"a question whose answer is {FACT} is answered with {answer.text!r}"
    return Finding("citations", state, f"{said} ({answer.verdict.value})")


async def _takes_efforts(settings: Settings) -> Finding:
    refused = [
        effort.value
        for effort in Effort
        if not await _taken(adapter(settings, answer=64), known_context(effort))
    ]
    if refused:
        return Finding("effort", State.WARN, f"not taken: {', '.join(refused)}")
    return Finding("effort", State.OK, "low, medium and high are taken")


async def _takes_a_budget(settings: Settings) -> Finding:
    taken = await _taken(adapter(settings, thinking=BUDGET, answer=64), known_context())
    is_set = settings.thinking_tokens
    if taken:
        told = is_set or "taken; FOOTNOTE_THINKING_TOKENS would set one"
        return Finding("budget", State.OK, told)
    told = "a cap on reasoning is refused: run vLLM with --reasoning-config"
    return Finding("budget", State.FAIL if is_set else State.WARN, told)


async def _takes_tools(settings: Settings) -> Finding:
    if not settings.research_rounds:
        return Finding("tools", State.OK, "not used (FOOTNOTE_RESEARCH_ROUNDS=0)")
    model = adapter(settings, answer=256)
    asked = known_context(Effort.LOW)
    try:
        async with aclosing(
            model.converse(asked, browse_messages(asked.question, "[0] Nothing yet."), TOOLS)
        ) as deltas:
            called = [delta.call.name async for delta in deltas if delta.call]
    except ModelError as error:
        if error.code.startswith("http_4"):
            told = "tools are refused: vLLM needs --enable-auto-tool-choice"
            return Finding("tools", State.WARN, f"{told} --tool-call-parser openai")
        if not error.code.startswith(MAY_STOP):
            raise
        called = []
    finally:
        await model.aclose()
    return Finding("tools", State.OK, f"taken; it called {', '.join(called) or 'none'}")


async def _taken(model: ChatGenerator, context: Context) -> bool:
    """Say whether the server takes a request, whatever becomes of the answer."""
    try:
        async for _ in _deltas(model, context):
            pass
    except ModelError as error:
        if error.code == "http_400":
            return False
        if not error.code.startswith(MAY_STOP):
            raise
    return True


async def _deltas(model: ChatGenerator, context: Context) -> AsyncGenerator[Delta, None]:
    try:
        async with aclosing(model.generate(context)) as deltas:
            async for delta in deltas:
                yield delta
    finally:
        await model.aclose()


def _counts_like_us(told: int) -> bool:
    ours = _our_count()
    return 0.9 * ours <= told <= 1.1 * ours + OVERHEAD


def _our_count() -> int:
    messages = build_messages(known_context(), mark="0a1b2c3d")
    return sum(count_tokens(message["content"]) for message in messages)


def known_context(effort: Effort = Effort.LOW) -> Context:
    """Return two passages, of which the first answers the question."""
    passages = tuple(_passage(text, number) for number, text in enumerate(TEXTS, start=1))
    return Context(replace(Question(QUESTION), effort=effort), passages)


def _passage(text: str, number: int) -> Passage:
    document = Document(
        id=f"doctor-{number}",
        source_id="doctor",
        uri=f"doctor-{number}.txt",
        title="Harbour Office",
        collection="doctor",
        access=frozenset({"u:doctor"}),
    )
    span = Span(0, len(text))
    return Passage(f"doctor-{number}", document, REVISION, span, text, rank=number, score=1.0)


class _Known:
    def retrieve(self, question: Question, principal: Principal) -> Context:
        return replace(known_context(), question=question)

    def readable(self, document_ids: Collection[str], principal: Principal) -> dict[str, str]:
        return dict.fromkeys(document_ids, REVISION)
