"""A thousand outputs as no model should write them, and what leaves the service."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

import serving.draft
from knowledge.models import Context, Principal, Question
from knowledge.settings import Settings
from serving.answer import Answerer
from serving.auth import LOCAL
from serving.events import AnswerEvent, DeltaEvent, Event
from serving.wire import event_json
from tests.fakes import Parrot, Unchanged, passage
from tests.house import QuickHouse
from tests.vllm_stub import KEY, says, vllm_stub

OUTPUTS, CONTROL = 1000, 200
SENTENCES = (
    "The office opens at nine on weekdays.",
    "Soup costs three euro in the canteen.",
    "Leave is thirty days for new employees.",
    "The key to the archive is kept at the front desk.",
    "Invoices are paid within fourteen days.",
)
BEFORE = "What stood before it. "
PASSAGES = tuple(
    passage(f"{sentence} It has been so since 2019.", document=f"d{n}", start=len(BEFORE))
    for n, sentence in enumerate(SENTENCES, start=1)
)
WELL_FORMED = (
    "[{n}]", "[{n}]", "【{n}】", "【{n}†L3-L9】", "【{n}†source】", "[{n}†L4]", "[^{n}]", "[ {n} ]",
    "［{n}］", "[{wide}]", "【{wide}†L1】", "[[{n}]]", "[{n}:2†L3]", "[\u200b{n}]", "[{n}, {n}]",
    "[{n}-{n}]", "[{n};{n}]", "[{n}][{n}]", "\\[{n}\\]", "[{n}-{last}]", "【{n}–{last}】",
)  # fmt: skip
"""Forms that gpt-oss is known to write, and what people make of them."""
MANGLED = (
    "[99]", "[0]", "【77†L1-L2】", "[{n}", "【{n}†L3", "{n}]", "[[99]", "[{n}, 99]", "[-{n}]",
    "[{n}](http://x.example/{n})", "![a](http://x.example/a.png)", "[a]: http://x.example",
    "[see [{n}]", "[99][98]", "<|channel|>", "<|end|>", "[1e9]", "[{n}.5]", "[٣]", "[ⅲ]", "[]",
    "[{n}[{n}]", "【】", "[12345678901234567890]", "(【{n}】", "[n]", "[TODO]",
)  # fmt: skip
LONE = re.compile(r"\[(\d+)\]")
WRONG = re.compile(
    r"\d\s?†\s?(?:L\d|source)|<\||[［【]\s*\^?\d+\s*[］】]|\[(?!\d+\])\s*\^?\s*\d+\s*\]"
)
"""What looks like a mark but is none of ours, or markup."""


@dataclass
class Output:
    """What a model writes, in pieces, and the numbers of its well-formed marks."""

    pieces: list[str]
    marks: Counter[int]


ODD = st.text("[]【】［］†^\\-–,;:()<|>! 0129３٣ab.L\u200b", min_size=1, max_size=12)


@st.composite
def outputs(draw: st.DrawFn) -> Output:
    """Draw sentences with a well-formed mark each, and between their words what is none."""
    text, marks, swallowed = "", Counter[int](), False
    for _ in range(draw(st.integers(1, 6))):
        n = draw(st.integers(1, len(SENTENCES)))
        last = draw(st.integers(n, len(SENTENCES)))
        form = draw(st.sampled_from(WELL_FORMED))
        mark = form.format(n=n, last=last, wide=chr(ord("０") + n))
        words = SENTENCES[n - 1][:-1].split()
        mangled = draw(st.sampled_from(KNOWN[n]) | ODD)
        words.insert(draw(st.integers(1, len(words) - 1)), mangled)
        body = " ".join(filter(None, words))
        text += draw(st.sampled_from([f"{body}{mark}. ", f"{body} {mark}. ", f"{body}. {mark} "]))
        marks.update(range(n, last + 1) if "{last}" in form else [n] * (1 + (form == "[{n}][{n}]")))
        swallowed = swallowed or mangled not in KNOWN[n]
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=40)))
    pieces = [text[start:end] for start, end in pairwise([0, *places, len(text)])]
    return Output(pieces, Counter[int]() if swallowed else marks)


KNOWN = {n: ["", *(each.format(n=n) for each in MANGLED)] for n in range(1, len(SENTENCES) + 1)}
"""Anything else may open a bracket that rightly swallows the mark that comes after it."""


def drawn(count: int) -> list[Output]:
    """Return the first outputs that hypothesis draws, the same in each run."""
    found: list[Output] = []

    @settings(max_examples=count, derandomize=True, deadline=None, database=None)
    @given(outputs())
    def keep(each: Output) -> None:
        found.append(each)

    keep()
    return found[:count]


@dataclass
class Found:
    """What left the service."""

    answers: int = 0
    invalid: int = 0
    expected: int = 0
    kept: int = 0
    quotes: int = 0
    not_verbatim: int = 0
    other_text: int = 0
    examples: list[str] = field(default_factory=list)


class Finds(Unchanged):
    def retrieve(self, question: Question, principal: Principal) -> Context:
        return Context(question, PASSAGES)


def answered(pieces: list[str]) -> list[Event]:
    answerer = Answerer(retriever=Finds(), generator=Parrot(*pieces))

    async def run() -> list[Event]:
        return [each async for each in answerer.stream(Question("What is so?"), Principal("ann"))]

    return asyncio.run(run())


def look(outputs: Iterable[Output]) -> Found:
    found = Found()
    for each in outputs:
        try:
            events = answered(each.pieces)
        except IndexError:  # a number that stands for nothing reached the citations
            found.invalid += 1
            continue
        last = events[-1]
        if isinstance(last, AnswerEvent):
            note(found, each, events, last)
    return found


def note(found: Found, each: Output, events: list[Event], last: AnswerEvent) -> None:
    _, body = event_json(last)
    text, citations = body["text"], body["citations"]
    cited = {citation["number"] for citation in citations}
    numbers = [int(number) for number in LONE.findall(text)]
    bad = [number for number in numbers if number not in cited]
    bad += WRONG.findall(text)
    found.answers += 1
    found.invalid += len(bad)
    found.examples += [repr(text)] if bad else []
    found.expected += each.marks.total()
    found.kept += (each.marks & Counter(numbers)).total()
    found.quotes += len(citations)
    texts = {p.revision_id: BEFORE + p.text for p in PASSAGES}
    found.not_verbatim += sum(
        citation["quote"]
        != texts[citation["revision_id"]][citation["span"]["start"] : citation["span"]["end"]]
        for citation in citations
    )
    shown = "".join(event.text for event in events if isinstance(event, DeltaEvent))
    found.other_text += shown != text


class Untouched:
    """The control: what a model writes goes on as it is."""

    dropped = 0

    def __init__(self, *_: object) -> None:
        pass

    def feed(self, piece: str) -> str:
        return piece

    def finish(self) -> str:
        return ""


def test_of_a_thousand_outputs_nothing_invalid_leaves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = look(drawn(OUTPUTS))
    monkeypatch.setattr(serving.draft, "MarkerNormaliser", Untouched)
    control = look(drawn(CONTROL))
    with capsys.disabled():
        print(
            f"\n{found.answers} answers of {OUTPUTS} outputs: {found.invalid} invalid citations, "
            f"{found.kept} of {found.expected} well-formed marks kept, "
            f"{found.not_verbatim} of {found.quotes} quotes not verbatim, "
            f"{found.other_text} where the stream said something else; "
            f"control without the normaliser: {control.invalid} invalid of {CONTROL}"
        )
    assert found.answers == OUTPUTS
    assert found.invalid == 0, found.examples[:3]
    assert found.kept >= 0.99 * found.expected
    assert found.not_verbatim == 0
    assert found.other_text == 0
    assert control.invalid > CONTROL // 2


def test_the_same_leaves_the_api(tmp_path: Path) -> None:
    with vllm_stub() as stub:
        configured = Settings(
            _env_file=None,
            data_dir=tmp_path,
            model_url=stub.url,
            model_api_key=SecretStr(KEY),
            answer_tokens=4000,
        )
        with QuickHouse(configured) as house, TestClient(house.app, base_url=BASE) as client:
            for number, sentence in enumerate(SENTENCES):
                house.take_in(f"{number}.txt", BEFORE + sentence, LOCAL, "everyone")
            for each in drawn(20):
                stub.then(says(*each.pieces))
                body = client.post("/v1/ask", json={"question": "What is so, and where?"}).json()
                cited = {citation["number"] for citation in body["citations"]}
                assert set(map(int, LONE.findall(body["text"]))) <= cited
                assert not WRONG.search(body["text"]), body["text"]
                for citation in body["citations"]:
                    whole = house.catalog.revision(citation["document_id"], LOCAL).text
                    span = citation["span"]
                    assert citation["quote"] == whole[span["start"] : span["end"]]


BASE = "http://127.0.0.1:8765"
