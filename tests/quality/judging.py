"""Sets for the verifier: judged answers, falsified sources, altered sentences; and intervals."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from knowledge.models import Context, Question, Turn
from serving.checks.names import names
from serving.cite import claims, states
from serving.markers import plain
from tests.fakes import passage

RESAMPLES = 1000


@dataclass(frozen=True)
class Case:
    """An answer or sentence with its marks, what it stands on, and what people said of it."""

    kind: str
    group: str
    """Cases of one group are resampled together and never on both sides of a split."""
    text: str
    context: Context
    supported: bool
    gold: tuple[str, ...] = ()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON-lines file."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def judged_answers(folder: Path) -> list[Case]:
    """Every response of every task; supported: mean rating of faithfulness of at least 3.

    The responses carry no marks: each of their sentences is made to cite all passages.
    """
    cases = []
    for task in read(folder / "tasks.jsonl.gz"):
        *before, last = task["input"]
        turns = tuple(
            Turn("user" if turn["speaker"] == "user" else "assistant", turn["text"])
            for turn in before
        )
        texts = [(each.get("title") or "", each["text"]) for each in task["contexts"]]
        context = made(last["text"], texts, turns)
        for response in task["responses"]:
            ratings = [
                float(each["value"]) for each in response["ratings"]["faithfulness"].values()
            ]
            group = task["_id"].partition("<")[0]
            text = citing(response["response"], len(texts))
            good = sum(ratings) / len(ratings) >= 3
            cases.append(Case(response["model"], group, text, context, good))
    return cases


def falsified(folder: Path) -> list[Case]:
    """Four cases a question: the true and the false answer, on true and on falsified sources.

    The statement is the question without its mark, a colon, and the answer; it cites all snippets.
    """
    cases = []
    for each in read(folder / "questions.jsonl"):
        for kind, answer in (("true", first(each["answer"])), ("false", each["fakeanswer"])):
            for sources, fits in (("positive", "true"), ("positive_wrong", "false")):
                texts = [("", text) for text in each[sources]]
                question = each["query"]
                said = f"{question.rstrip('? ')}: {answer.strip()}."
                text = citing(said, len(texts))
                context = made(question, texts)
                cases.append(
                    Case(f"{kind} on {sources}", str(each["id"]), text, context, kind == fits)
                )
    return cases


def references(folder: Path) -> Iterator[Case]:
    """The sentences of people's answers, each citing the passage that they wrote it from."""
    for query, title, text in answered(folder):
        gold = tuple(sentence for those in query["gold_sentences"] for sentence in those)
        context = made(query["text"], [(title, text)])
        for answer in query["answer"]:
            for claim in claims(plain(answer)):
                if claim.text != "NA" and states(claim):  # what annotators wrote for no answer
                    yield Case("reference", title, citing(claim.text, 1), context, True, gold)


def verbatim(folder: Path) -> Iterator[Case]:
    """The sentences that people marked as carrying the answer, as they stand."""
    for query, title, text in answered(folder):
        context = made(query["text"], [(title, text)])
        for sentence in dict.fromkeys(each for those in query["gold_sentences"] for each in those):
            if any(states(claim) for claim in claims(plain(sentence))):
                yield Case("verbatim", title, citing(sentence, 1), context, True)


def altered(folder: Path) -> Iterator[Case]:
    """Those sentences with one number, one name, or what they say turned round."""
    rng = random.Random(20261126)
    everywhere = sorted(
        {name for _, _, text in answered(folder) for name in names(text) if _plain_name(name)}
    )
    for query, title, text in answered(folder):
        here = sorted({name for name in names(text) if _plain_name(name)})
        elsewhere = [name for name in everywhere if name not in text]
        context = made(query["text"], [(title, text)])
        for sentence in dict.fromkeys(each for those in query["gold_sentences"] for each in those):
            for kind, made_of in (
                ("number", _other_number(sentence, rng)),
                ("name", _other_name(sentence, elsewhere, rng)),
                ("name of the same passage", _other_name(sentence, here, rng)),
                ("negation", _turned(sentence)),
            ):
                if made_of:
                    yield Case(kind, title, citing(made_of, 1), context, False)


def answered(folder: Path) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield each answerable question with title and text of its passage."""
    corpus = {each["_id"]: each for each in read(folder / "corpus.jsonl.gz")}
    for query in read(folder / "queries.jsonl"):
        if query["answerable"]:
            source = corpus[query["passage"]]
            yield query, source["title"], source["text"]


def made(
    question: str, texts: Sequence[tuple[str, str]], history: tuple[Turn, ...] = ()
) -> Context:
    """A context of passages, each of a document of its own."""
    passages = tuple(
        passage(text, rank=n, title=title, document=f"doc-{n}")
        for n, (title, text) in enumerate(texts, start=1)
    )
    return Context(Question(question, history=history), passages)


def citing(text: str, count: int) -> str:
    """Return the text with marks for all `count` passages after each sentence that claims."""
    marks = "".join(f"[{number}]" for number in range(1, count + 1))
    said = plain(text)
    for claim in reversed(claims(said)):
        if states(claim):
            said = f"{said[: claim.span.end]} {marks}{said[claim.span.end :]}"
    return said


def first(answer: object) -> str:
    """Return the first of an answer's spellings."""
    while isinstance(answer, list):
        answer = answer[0]
    return str(answer)


def balanced(right: Sequence[float], truth: Sequence[bool]) -> float:
    """Return the mean of the shares of supported and of unsupported ones decided rightly."""
    yes = [share for share, true in zip(right, truth, strict=True) if true]
    no = [share for share, true in zip(right, truth, strict=True) if not true]
    return (sum(yes) / max(1, len(yes)) + sum(no) / max(1, len(no))) / 2


def best_threshold(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Return the least score that counts as supported, with the highest balanced accuracy."""
    yes, no = sum(truth), len(truth) - sum(truth)
    best, threshold, below = -1.0, 0.0, {True: 0, False: 0}
    for score, tied in groupby(sorted(zip(scores, truth, strict=True)), key=itemgetter(0)):
        accuracy = (yes - below[True]) / max(1, yes) + below[False] / max(1, no)
        if accuracy > best:
            best, threshold = accuracy, score
        for _, true in tied:
            below[true] += 1
    return threshold


def cross_validated(
    scores: Sequence[float], cases: Sequence[Case], *, folds: int = 5, seed: int = 0
) -> list[bool]:
    """Decide each case by the threshold that is best for the groups of the other folds."""
    groups = sorted({case.group for case in cases})
    random.Random(seed).shuffle(groups)
    fold_of = {group: at % folds for at, group in enumerate(groups)}
    thresholds = []
    for fold in range(folds):
        kept = [at for at, case in enumerate(cases) if fold_of[case.group] != fold]
        thresholds.append(
            best_threshold([scores[at] for at in kept], [cases[at].supported for at in kept])
        )
    return [
        score >= thresholds[fold_of[case.group]] for score, case in zip(scores, cases, strict=True)
    ]


def interval(cases: Sequence[Case], figure: Callable[[list[int]], float]) -> tuple[float, float]:
    """Return the 95 % interval of a figure of cases, given by their places, over their groups."""
    rng = random.Random(7)
    places: dict[str, list[int]] = {}
    for at, case in enumerate(cases):
        places.setdefault(case.group, []).append(at)
    groups = list(places.values())
    drawn = sorted(
        figure([at for group in rng.choices(groups, k=len(groups)) for at in group])
        for _ in range(RESAMPLES)
    )
    return drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES)]


_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w,.-]*\d)")
_AUXILIARY = re.compile(
    r"\b(is|was|are|were|has|have|had|can|will|could|would|should|may|did|does|must)\b"
)


def _other_number(sentence: str, rng: random.Random) -> str:
    found = list(_NUMBER.finditer(sentence))
    if not found:
        return ""
    match = rng.choice(found)
    written = match.group().replace(",", "")
    if "." in written:
        other = f"{float(written) * rng.choice([0.5, 1.5, 2]) + 0.1:.1f}"
    else:
        steps = [-7, -3, 3, 4, 9, 11] if int(written) > 20 else [2, 3, 5]
        other = f"{int(written) + rng.choice(steps):{',' if ',' in match.group() else ''}}"
    return sentence[: match.start()] + other + sentence[match.end() :]


def _other_name(sentence: str, others: Sequence[str], rng: random.Random) -> str:
    own = [name for name in names(sentence) if _plain_name(name)]
    new = [name for name in others if name not in sentence]
    if not own or not new:
        return ""
    return re.sub(rf"\b{re.escape(rng.choice(own))}\b", rng.choice(new), sentence)


def _plain_name(name: str) -> bool:
    return name.isalpha() and len(name) > 3 and name.istitle()


def _turned(sentence: str) -> str:
    if re.search(r"\bnot\b", sentence):
        return re.sub(r"\s*\bnot\b", "", sentence, count=1)
    match = _AUXILIARY.search(sentence)
    return f"{sentence[: match.end()]} not{sentence[match.end() :]}" if match else ""
