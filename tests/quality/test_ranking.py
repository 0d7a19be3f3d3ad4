"""What each stage of ranking earns, through the real retriever: nDCG@10 by set and by stage.

`pytest -m quality tests/quality/test_ranking.py -s` prints the table of `docs/measurements.md`.
Corpora are cut and embedded once, into `build/quality/shelf`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import ir_measures
import pytest
from ir_measures import nDCG

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.models import Question, Turn
from knowledge.ports import Embedder
from knowledge.ranking import Ranking
from retrieval.retriever import condense
from tests.quality import beir, corpora
from tests.quality.shelf import Shelf
from tests.service import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

MEANING, WORDS, EVEN = "meaning alone", "words alone", "even rank fusion"
PLAIN = Ranking(language_trust=False, relevance_feedback=0)
WAYS = {
    MEANING: replace(PLAIN, word_weight=0.0),
    WORDS: replace(PLAIN, word_weight=1.0),
    EVEN: replace(PLAIN, fusion="places"),
    "as it is set": Ranking(),
    "by places": Ranking(fusion="places"),
    "without feedback": Ranking(relevance_feedback=0),
    "without trust by language": Ranking(language_trust=False),
    "with repeats put last": Ranking(collapse=True),
}
FLOORS = {
    "scifact": 0.740, "hotpotqa-100": 0.830, "clapnq-a": 0.975, "mtragun-govt-wiki": 0.840,
    "mtragun-govt-wiki with history": 0.870, "xquad-dev en": 0.960,
    **{f"xquad-dev mono {language}": 0.93 for language in ("de", "es", "ru", "ar", "zh")},
}  # fmt: skip
SLACK = 0.002
"""Less than one query of the smaller sets."""
_RESAMPLES = 2000


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return SentenceTransformerEmbedder()


@pytest.mark.parametrize("name", FLOORS)
def test_each_stage_earns_its_place(
    name: str, embedder: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = judged_set(name)
    shelf = Shelf(judged.name, judged.corpus, embedder, ROOT / "build" / "quality" / "shelf")
    figures = {way: _ndcg(judged, shelf, ranking) for way, ranking in WAYS.items()}
    shelf.index.close()
    ours = figures["as it is set"]
    best = max((MEANING, WORDS, EVEN), key=lambda way: fmean(figures[way]))
    with capsys.disabled():
        print(f"\n{name}: {len(ours)} queries, {shelf.pieces} chunks")
        for way, each in figures.items():
            print(f"  {way:30} {fmean(each):.4f}")
        low, high = interval(ours, figures[best])
        print(f"  ours less {best}: {low:+.4f} to {high:+.4f}")
    assert fmean(ours) >= FLOORS[name]
    assert fmean(ours) >= fmean(figures[best]) - SLACK


def interval(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference by a paired bootstrap."""
    chance = random.Random(0)
    differences = [a - b for a, b in zip(some, others, strict=True)]
    means = sorted(
        fmean(chance.choices(differences, k=len(differences))) for _ in range(_RESAMPLES)
    )
    return means[_RESAMPLES // 40], means[-_RESAMPLES // 40]


def _ndcg(judged: beir.Set, shelf: Shelf, ranking: Ranking) -> list[float]:
    """Return the figure of each query, in the order of the queries."""
    run = {query: shelf.search(text, ranking) for query, text in judged.queries.items()}
    return values(judged, run)


def values(judged: beir.Set, run: Mapping[str, Mapping[str, float]]) -> list[float]:
    """Judge what was found for each query, in the order of the queries."""
    found: Mapping[str, float] = {
        each.query_id: each.value for each in _measured(judged.qrels, run)
    }
    return [found[query] for query in judged.queries]


def _measured(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> Iterator[ir_measures.Metric]:
    yield from ir_measures.iter_calc([nDCG @ 10], qrels, run)


def judged_set(name: str) -> beir.Set:
    """Return a set, or that part of one that `name` tells."""
    folder, *part = name.split(" ")
    judged = beir.load(corpora.folder(folder))
    match part:
        case ["mono", language]:
            corpus = corpora.folder(folder) / "mono" / f"corpus.{language}.jsonl"
            return _of_language(replace(judged, corpus=corpus, name=f"mono-{language}"), language)
        case [language]:
            return _of_language(judged, language)
        case ["with", "history"]:
            return _with_history(judged, corpora.folder(folder))
    return judged


def _of_language(judged: beir.Set, language: str) -> beir.Set:
    queries = {k: text for k, text in judged.queries.items() if k.startswith(f"{language}:")}
    chosen = dict(list(queries.items())[::4])  # one in four, as spread out as they are
    return replace(judged, queries=chosen, qrels={query: judged.qrels[query] for query in chosen})


def _with_history(judged: beir.Set, folder: object) -> beir.Set:
    asked = {}
    for row in beir.rows(corpora.folder("mtragun-govt-wiki") / "queries.jsonl.gz"):
        turns = tuple(Turn(turn["speaker"], turn["text"]) for turn in row["history"])
        asked[str(row["_id"])] = condense(Question(row["text"], history=turns))
    return replace(judged, queries={query: asked[query] for query in judged.queries})
