"""What the service adds to a model's own time; `make bench-answer`.

The model is the stub of vLLM's wire, on a socket of this machine: it answers at once, so all time
that passes is ours or the wire's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from statistics import median

import pytest

from knowledge.models import Context, Delta, Principal
from serving.answer import Answerer
from serving.chat import ChatGenerator, Limits
from serving.events import AnswerEvent
from serving.wire import event_json, sse
from tests.serving.chat_contract import ASKED, WINDOW, Found
from tests.vllm_stub import KEY, MODEL, VllmStub, says, vllm_stub

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

ANSWERS = 200
STREAMS = 32
CHUNKS = 300
MOST_FIRST_MS, MOST_CHUNK_MS = 60.0, 5.0
WORDS = ("Soup", " costs", " three", " euro", " [", "1", "].", " Tea", " is", " free", " [2]", ". ")


@pytest.fixture(scope="module")
def stub() -> Iterator[VllmStub]:
    with vllm_stub() as stub:
        stub.usual = says(*WORDS)
        yield stub


def test_the_first_text_comes_soon_after_retrieval(
    stub: VllmStub, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run() -> list[float]:
        limits = Limits(seconds=30, first_seconds=30, window=WINDOW)
        model = ChatGenerator(stub.url, MODEL, api_key=KEY, limits=limits)
        answerer = Answerer(retriever=Found(), generator=model)
        found = []
        for _ in range(ANSWERS):
            last = await answerer.answer(ASKED.question, Principal("ann"))
            assert isinstance(last, AnswerEvent), last
            timings = last.answer.timings_ms
            found.append(timings["first_delta"] - timings["retrieval"])
        await model.aclose()
        return sorted(found)

    times = asyncio.run(run())
    with capsys.disabled():
        print(f"\nfirst text after retrieval: p50 {median(times):.1f} ms, ", end="")
        print(f"p95 {times[int(0.95 * len(times))]:.1f} ms, {ANSWERS} answers, the stub included")
    assert median(times) <= MOST_FIRST_MS


class Writer:
    """Writes many chunks, as fast as they are taken."""

    name, extractive = "writer", False

    async def generate(self, context: Context) -> AsyncGenerator[Delta, None]:
        for number in range(CHUNKS):
            yield Delta(WORDS[number % len(WORDS)])
            await asyncio.sleep(0)


def test_a_chunk_costs_little_while_many_stream(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the processor, with all that happens to a chunk up to the bytes that are sent."""

    async def one(answerer: Answerer) -> int:
        sent = 0
        async for event in answerer.stream(ASKED.question, Principal("ann")):
            sent += len(sse(*event_json(event)))
        return sent

    async def run() -> None:
        answerer = Answerer(retriever=Found(), generator=Writer())
        assert min(await asyncio.gather(*(one(answerer) for _ in range(STREAMS)))) > 0

    begun, cpu = time.perf_counter(), time.process_time()
    asyncio.run(run())
    spent, wall = time.process_time() - cpu, time.perf_counter() - begun
    chunks = STREAMS * CHUNKS
    with capsys.disabled():
        print(f"\n{STREAMS} streams of {CHUNKS} chunks: {1000 * spent / chunks:.3f} ms of CPU and ")
        print(f"{1000 * wall / chunks:.3f} ms a chunk, the verification at the end included")
    assert 1000 * wall / chunks <= MOST_CHUNK_MS
