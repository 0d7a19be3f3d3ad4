"""What reading on finds beyond one search, on questions that need two paragraphs.

`pytest -m quality tests/quality/test_browse.py -s`. The model is a script: it looks up the names
that the best passages of the first search tell, and then cites the first line of all it has seen.
It shows that the tools work and what they could give; what a real model gives is another figure.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from footnote.wiring import House
from knowledge.models import Answer, Context, Delta, Effort, Principal, Question, ToolCall
from knowledge.settings import Settings
from serving.answer import Answerer
from serving.browse.research import Researcher
from serving.events import AnswerEvent
from serving.extractive import ExtractiveGenerator
from serving.window import Window
from tests.quality import beir, corpora
from tests.quality.test_ranking import interval
from tests.service import ROOT, footnote

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

NAME = "hotpotqa-100"
JUDGE = Principal("judge")
READ = 4
"""Passages of the first search whose names are looked up."""
SEARCHES = 4
RESULTS = 3
"""Of each of those searches."""
Json = dict[str, Any]


class Follower:
    """Looks up names in its first round, and answers in its second."""

    name = "follower"

    async def converse(
        self, context: Context, messages: Sequence[Json], tools: Sequence[Json]
    ) -> AsyncGenerator[Delta, None]:
        pages = [message["content"] for message in messages if message["role"] == "tool"]
        if len(pages) == 1:
            for number, name in enumerate(names(pages[0], context.question.text)):
                wanted = json.dumps({"query": name, "topn": RESULTS})
                yield Delta(call=ToolCall(f"call-{number + 1}", "search", wanted))
        if len(pages) > 1 or not names(pages[0], context.question.text):
            for cursor, page in enumerate(pages):
                for line in first_lines(page):
                    yield Delta(f"A sentence 【{cursor}†L{line}】. ")


def names(page: str, question: str) -> list[str]:
    """Return names in the first passages, as often as they occur, but those that were asked for."""
    told = " ".join(page.split("【")[1 : READ + 1])
    found = re.findall(r"(?:[A-Z][\w'’.-]+ ){0,3}[A-Z][\w'’-]+", told)
    new = [name for name in found if name.lower() not in question.lower() and len(name) > 3]
    return sorted(dict.fromkeys(new), key=lambda name: -new.count(name))[:SEARCHES]


def first_lines(page: str) -> Iterator[int]:
    lines = page.splitlines()
    for line, after in pairwise(lines):
        if re.match(r"L\d+: 【\d+†", line):
            yield int(after.partition(":")[0].removeprefix("L"))


@dataclass(frozen=True)
class Asked:
    """How many of both paragraphs were seen in each way, 0 to 1, and how many one saw."""

    first: float
    more: float
    read_on: float
    seen: int


def test_reading_on_finds_what_one_search_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    judged = beir.load(corpora.folder(NAME))
    data = ROOT / "build" / "quality" / NAME
    done = footnote(data, "ingest", str(judged.corpus), "--collection", NAME, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    with House(Settings(_env_file=None, data_dir=data)) as house:
        asked = [
            ask(house, text, set(judged.qrels[query])) for query, text in judged.queries.items()
        ]
    ways = {
        "one search, the context": [each.first for each in asked],
        "one search, as many passages": [each.more for each in asked],
        "first search, then names": [each.read_on for each in asked],
    }
    with capsys.disabled():
        seen = sum(each.seen for each in asked) / len(asked)
        print(f"\n{NAME}: {len(asked)} questions, {seen:.1f} paragraphs seen when reading on")
        for way, shares in ways.items():
            both = sum(share == 1 for share in shares)
            print(f"  {way:30} both {both}, of all {sum(shares) / len(shares):.3f}")
        low, high = interval(ways["first search, then names"], ways["one search, the context"])
        print(f"  reading on less the context: {low:+.3f} to {high:+.3f}")
    assert sum(ways["first search, then names"]) >= sum(ways["one search, the context"])


def ask(house: House, text: str, gold: set[str]) -> Asked:
    question = Question(text, collection=NAME, effort=Effort.HIGH)
    context = house.retriever.retrieve(question, JUDGE)
    answer = written(house, question)
    cited = {str(each.external_id) for each in answer.citations}
    many = house.retriever.search(text, JUDGE, collection=NAME, limit=max(1, len(cited)))
    check_quotes(house, answer)
    return Asked(
        first=share(gold, {str(each.document.external_id) for each in context.passages}),
        more=share(gold, {str(each.document.external_id) for each in many}),
        read_on=share(gold, cited),
        seen=len(cited),
    )


def written(house: House, question: Question) -> Answer:
    researcher = Researcher(
        model=Follower(),
        retriever=house.retriever,
        library=house.catalog,
        window=Window(200_000, 1024, lambda text: len(text) // 4),
        rounds=2,
        tokens=20_000,
    )
    answerer = Answerer(
        retriever=house.retriever, generator=ExtractiveGenerator(0.0), researcher=researcher
    )
    last = asyncio.run(answerer.answer(question, JUDGE))
    assert isinstance(last, AnswerEvent), last
    assert last.answer.model == Follower.name
    return last.answer


def check_quotes(house: House, answer: Answer) -> None:
    for citation in answer.citations:
        revision = house.catalog.revision(citation.document_id, JUDGE)
        assert citation.revision_id == revision.id
        assert citation.quote == citation.span.cut(revision.text) != ""


def share(gold: set[str], seen: set[str]) -> float:
    return len(gold & seen) / len(gold)
