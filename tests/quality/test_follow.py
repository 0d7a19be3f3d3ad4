"""What following names finds beyond one search, in the contexts that answers are written from.

`pytest -m quality tests/quality/test_follow.py -s`. No model takes part. hotpotqa-100 needs two
paragraphs a question; the other sets need one, and must lose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import pytest

from knowledge.embedding.embedder import SentenceTransformerEmbedder
from knowledge.models import Effort, Question
from knowledge.ports import Embedder
from knowledge.ranking import Ranking
from tests.quality import beir
from tests.quality.shelf import Shelf
from tests.quality.test_ranking import interval, judged_set
from tests.service import ROOT

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

LEAST_GAIN = {"hotpotqa-100": 0.02, "clapnq-a": -0.01, "mtragun-govt-wiki": -0.01, "scifact": -0.01}
"""Of the share of gold documents that are in the context, at high effort less at low."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Shares of each question's gold documents in its context, 0..1, and how long it took."""

    shares: Sequence[float]
    seconds: float
    """The median."""

    @property
    def whole(self) -> int:
        """How many questions have all."""
        return sum(share == 1 for share in self.shares)

    def __str__(self) -> str:
        return f"all {self.whole}, share {fmean(self.shares):.4f}, p50 {self.seconds * 1000:.0f} ms"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return SentenceTransformerEmbedder()


@pytest.mark.parametrize("name", LEAST_GAIN)
def test_names_that_are_followed_lead_to_what_one_search_does_not_find(
    name: str, embedder: Embedder, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = judged_set(name)
    shelf = Shelf(judged.name, judged.corpus, embedder, ROOT / "build" / "quality" / "shelf")
    low, high = (_ask(judged, shelf, effort) for effort in (Effort.LOW, Effort.HIGH))
    shelf.index.close()
    with capsys.disabled():
        print(f"\n{name}: {len(low.shares)} questions\n  low   {low}\n  high  {high}")
        least, most = interval(high.shares, low.shares)
        print(f"  high less low: {least:+.4f} to {most:+.4f}")
    assert fmean(high.shares) >= fmean(low.shares) + LEAST_GAIN[name]


def _ask(judged: beir.Set, shelf: Shelf, effort: Effort) -> Asked:
    shares, seconds = [], []
    for query, text in judged.queries.items():
        began = time.perf_counter()
        context = shelf.context(Question(text, effort=effort), Ranking())
        seconds.append(time.perf_counter() - began)
        gold = {document for document, gain in judged.qrels[query].items() if gain}
        found = {str(each.document.external_id) for each in context.passages}
        shares.append(len(gold & found) / len(gold))
    return Asked(shares, median(seconds))
