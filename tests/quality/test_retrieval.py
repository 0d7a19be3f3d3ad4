"""Retrieval quality through the real command and the real `POST /v1/search`.

`make quality` ingests each corpus with `footnote ingest`, starts a fresh `footnote serve`, asks
every judged query and prints nDCG@10 and recall, computed by ir_measures (pytrec_eval).
"""

from __future__ import annotations

import ir_measures
import pytest
from ir_measures import R, nDCG

from tests.quality import beir, corpora

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

FLOORS = {"scifact": 0.715}
NAMES = [
    "scifact",
    "hotpotqa-100",
    "clapnq-a",
    "mtragun-govt-wiki",
    "xquad-dev",
    "financebench-dev",
]


@pytest.mark.parametrize("name", NAMES)
def test_search_finds_what_the_judges_found(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    judged = beir.load(corpora.folder(name))
    with corpora.served(judged) as search:
        run = {
            query: search(text, collection=judged.name) for query, text in judged.queries.items()
        }
    figures = ir_measures.calc_aggregate([nDCG @ 10, R @ 10, R @ 50], judged.qrels, run)
    cells = "  ".join(f"{measure} {value:.4f}" for measure, value in figures.items())
    with capsys.disabled():
        print(f"\n{name:20} queries {len(run):5}  {cells}")
    assert figures[nDCG @ 10] >= FLOORS.get(name, 0.1)
