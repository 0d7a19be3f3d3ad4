"""Whatever a model server does: one end, in time, with something to read and nothing leaked.

`make test-faults` makes each fault two hundred times and prints what came of it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from knowledge.models import Principal
from knowledge.settings import Settings
from serving.answer import Answerer
from serving.auth import LOCAL
from serving.chat import ChatGenerator, Limits
from serving.events import AnswerEvent, DeltaEvent, Event, Terminal
from serving.extractive import ExtractiveGenerator
from serving.steady.breaker import Breaker
from serving.steady.line import Line
from serving.steady.model import SteadyModel
from tests.house import QuickHouse
from tests.serving.chat_contract import ASKED, WINDOW, Found
from tests.vllm_stub import (
    KEY,
    MODEL,
    Bytes,
    Delta,
    End,
    Pause,
    Raw,
    Refusal,
    Script,
    VllmStub,
    breaks,
    calls_json,
    fails_midway,
    hangs,
    leaks_markup,
    only_thinks,
    refuses,
    says,
    stops_short,
    vllm_stub,
    writes_nothing,
)

BASE = "http://127.0.0.1:8765"
RUNS = 200
AT_ONCE = 8
DEADLINE = 1.0
"""Seconds for a whole answer, and half of it until its first text."""
MOST_SECONDS = 2.0
BOOM = {"error": {"message": "boom", "type": "x", "param": None, "code": 500}}
HALF = b'data: {"choices": [{"index": 0, "delta": {"content": "So'
BROKEN = b'data: {"choices": [{"index": 0, "delta": {"content": "Soup \xff\xfe costs"}}]}\n\n'

FAULTS: dict[str, Script] = {
    "reset before any text": breaks(),
    "reset after text": breaks("Soup costs"),
    "null content, stop": writes_nothing(),
    "null content, length": writes_nothing(finish="length"),
    "white space only": says(" ", "\n"),
    "reasoning only": only_thinks(),
    "markup at once": leaks_markup(),
    "markup after text": leaks_markup("Soup costs "),
    "a json tool call": calls_json(),
    "empty stream": (End(),),
    "error event at once": fails_midway(),
    "error event after text": fails_midway("Soup costs"),
    "200 with an error body": Refusal(200, BOOM),
    "hang before any text": hangs(),
    "hang after text": hangs("Soup costs"),
    "a drip that never ends": tuple(
        step for _ in range(60) for step in (Delta({"content": "so "}), Pause(0.1))
    ),
    "stream cut within an event": (Bytes(HALF), End()),
    "bytes that are no UTF-8": (Bytes(BROKEN), End()),
    "ends without a reason": stops_short("Soup costs"),
    "text without end": says(*["Soup costs [1]. " * 1000] * 30),
    "no JSON": (Raw("{not json"),),
    "prompt too long": refuses(400, "Input length (9) exceeds model's maximum context length (4)."),
    "400": refuses(400, "no"),
    "429": refuses(429, "slow down"),
    "500": refuses(500, "Internal server error"),
    "503": refuses(503, "overloaded"),
}


@dataclass(frozen=True)
class Run:
    """One answer, and how it went."""

    ends: int
    seconds: float
    text: str
    shown: str
    extractive: bool

    def complaints(self) -> Iterator[str]:
        if self.ends != 1:
            yield "not one end"
        if self.seconds > MOST_SECONDS:
            yield "too late"
        if not self.text.strip():
            yield "blank"
        if re.search(r"<\||canary", self.text + self.shown):
            yield "markup"
        if not self.extractive and "[1]" not in self.text:
            yield "no quote, and not said"


@pytest.fixture
def stub() -> Iterator[VllmStub]:
    with vllm_stub() as stub:
        yield stub


def chat(url: str) -> ChatGenerator:
    limits = Limits(seconds=DEADLINE, first_seconds=DEADLINE / 2, window=WINDOW)
    return ChatGenerator(url, MODEL, api_key=KEY, limits=limits)


async def many(url: str, runs: int) -> list[Run]:
    """Ask so often, some at once; afterwards nothing may be left running."""
    model = chat(url)
    steady = SteadyModel(
        model,
        line=Line(places=AT_ONCE, waiting=runs),
        breaker=Breaker(failures=10**9, seconds=1),  # or most would not be sent
        seconds=DEADLINE * 1.5,
    )
    answerer = Answerer(retriever=Found(), generator=steady, fallback=ExtractiveGenerator(0.3))
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Run:
        async with gate:
            begun = time.monotonic()
            events = [each async for each in answerer.stream(ASKED.question, Principal("ann"))]
            return judged(events, time.monotonic() - begun)

    try:
        return await asyncio.gather(*(one() for _ in range(runs)))
    finally:
        await model.aclose()
        await asyncio.sleep(0.05)  # generators within httpx2 are closed a moment later
        assert asyncio.all_tasks() == {asyncio.current_task()}


def judged(events: list[Event], seconds: float) -> Run:
    last = events[-1]
    assert isinstance(last, AnswerEvent), last
    return Run(
        ends=sum(isinstance(event, Terminal) for event in events),
        seconds=seconds,
        text=last.answer.text,
        shown="".join(event.text for event in events if isinstance(event, DeltaEvent)),
        extractive=last.answer.extractive and bool(last.answer.fallback_reason),
    )


async def naive(url: str) -> Run:
    """The control: show what comes, until nothing more does."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "What does soup cost?"}],
        "stream": True,
        "include_reasoning": False,
    }
    shown, begun, ends = "", time.monotonic(), 1
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(headers=headers, timeout=MOST_SECONDS, trust_env=False) as client:
        try:
            async with client.stream("POST", f"{url}/chat/completions", json=body) as reply:
                async for line in reply.aiter_lines():
                    if line.startswith("data: {"):
                        choices = json.loads(line.removeprefix("data: "))["choices"]
                        shown += "".join(each["delta"].get("content") or "" for each in choices)
                    if time.monotonic() - begun > MOST_SECONDS:
                        break
        except (httpx2.HTTPError, ValueError, LookupError):
            ends = 0
    return Run(ends, time.monotonic() - begun, shown, shown, extractive=False)


def outcome(stub: VllmStub, name: str, runs: int) -> list[Run]:
    stub.usual = FAULTS[name]
    made = asyncio.run(many(stub.url, runs))
    assert stub.until(lambda: stub.running == 0), "the server still works on something"
    return made


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_once_in_time_and_with_something_to_read(stub: VllmStub, name: str) -> None:
    for run in outcome(stub, name, 2):
        assert list(run.complaints()) == []


def test_a_server_that_is_not_there_ends_so_too() -> None:
    for run in asyncio.run(many("http://127.0.0.1:9/v1", 2)):
        assert list(run.complaints()) == []
        assert run.extractive


def test_what_passes_is_answered_by_the_model_after_all(stub: VllmStub) -> None:
    stub.then(FAULTS["503"])
    (run,) = asyncio.run(many(stub.url, 1))
    assert run.text == "Soup costs three euro [1]."


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_each_fault_two_hundred_times(stub: VllmStub, capsys: pytest.CaptureFixture[str]) -> None:
    complaints: Counter[str] = Counter()
    control: Counter[str] = Counter()
    for name in FAULTS:
        runs = outcome(stub, name, RUNS)
        found = [complaint for run in runs for complaint in run.complaints()]
        complaints.update(found)
        control.update(asyncio.run(naive(stub.url)).complaints())
        times = sorted(run.seconds for run in runs)
        quotes = sum(run.extractive for run in runs)
        with capsys.disabled():
            print(
                f"{name:28} {len(runs)} runs, {quotes} answered with quotes, "
                f"p50 {times[len(times) // 2]:.3f} s, most {times[-1]:.3f} s, {len(found)} wrong"
            )
    with capsys.disabled():
        print(
            f"{len(FAULTS)} faults, {len(FAULTS) * RUNS} runs: {dict(complaints) or 'none wrong'}"
        )
        print(f"control, one run each without what guards them: {dict(control)}")
    assert not complaints
    assert control.total() > len(FAULTS) / 2


# --- through the whole house --------------------------------------------------------------------


def test_a_server_that_keeps_failing_is_left_alone_and_everybody_is_answered(
    stub: VllmStub, tmp_path: Path
) -> None:
    stub.usual = FAULTS["503"]
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        model_url=stub.url,
        model_api_key=SecretStr(KEY),
        support_threshold=0.0,
    )
    with QuickHouse(settings) as house, TestClient(house.app, base_url=BASE) as client:
        house.take_in("soup.txt", "Soup costs three euro.", LOCAL, "everyone")
        told = [client.post("/v1/ask", json={"question": "What does soup cost?"}) for _ in range(6)]
        answers = [reply.json() for reply in told]
        streamed = client.post("/v1/ask", json={"question": "Soup?", "stream": True}).text
    assert {reply.status_code for reply in told} == {200}
    assert {answer["text"] for answer in answers} == {"Soup costs three euro. [1]"}
    assert answers[0]["fallback_reason"].endswith("(http_503)")
    assert answers[-1]["fallback_reason"].endswith("(resting)")
    assert len(stub.bodies) == 5
    assert streamed.count("event: answer") + streamed.count("event: error") == 1
