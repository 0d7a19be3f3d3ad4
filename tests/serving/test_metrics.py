from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from knowledge.models import Feed, Principal, Verdict
from knowledge.settings import Settings
from serving.metrics import Metrics, Stock
from tests.house import Keys, QuickHouse, bearer

ALICE = Principal("alice", frozenset({"hr"}))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """A house with a document, a refused file and a source, and a client who may scrape it."""

    def __init__(self, house: QuickHouse, keys: Keys, folder: Path) -> None:
        self.house = house
        self.keys = keys
        self.client = TestClient(house.app, base_url="http://127.0.0.1:8765")
        house.take_in("secret.txt", "The zebra budget is 4211 euros.", ALICE)
        folder.mkdir()
        (folder / "lion.txt").write_text("The lion sleeps.")
        self.source = house.keeper.add(Feed("", "savannah", "", str(folder))).id
        list(house.keeper.sync_source(self.source))
        (folder / "lion.txt").write_text("The lion eats.")
        list(house.keeper.sync_source(self.source))
        house.catalog.reject("s", "upload:alice/bad.pdf", code="damaged", reason="It is damaged.")

    def scrape(self) -> str:
        reply = self.client.get("/metrics", headers=bearer(self.keys.admin))
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return reply.text

    def ask(self, question: str) -> httpx2.Response:
        given = bearer(self.keys.alice)
        return self.client.post("/v1/ask", headers=given, json={"question": question})


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Scraped]:
    keys = Keys(tmp_path)
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", api_keys_file=keys.path)
    with QuickHouse(settings) as house:
        yield Scraped(house, keys, tmp_path / "docs")


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_what_is_stored_and_what_waits_is_counted(scraped: Scraped) -> None:
    found = samples(scraped.scrape())
    for name, expected in (
        ("footnote_documents", 2),
        ("footnote_passages", 2),
        ("footnote_index_points", 2),
        ("footnote_generation", 1),
        ("footnote_refused", 1),
        ("footnote_quarantined", 0),
    ):
        assert value(found, name) == expected, name
    assert value(found, "footnote_jobs", state="done") == 1
    assert value(found, "footnote_revisions", state="live") == 2


def test_how_fresh_a_source_is_stands_under_its_id(scraped: Scraped) -> None:
    found = samples(scraped.scrape())
    assert value(found, "footnote_source_documents", source=scraped.source) == 1
    assert value(found, "footnote_source_failed", source=scraped.source) == 0
    lag = value(found, "footnote_source_freshness_seconds", source=scraped.source, quantile="0.95")
    assert 0 <= lag < 60


def test_searches_and_answers_are_counted_as_they_come(scraped: Scraped) -> None:
    before = samples(scraped.scrape())
    assert value(before, "footnote_search_seconds_count") == 0
    given = bearer(scraped.keys.alice)
    for _ in range(3):
        scraped.client.post("/v1/search", headers=given, json={"query": "zebra budget"})
    verdict = scraped.ask("What is the zebra budget?").json()["verdict"]
    found = samples(scraped.scrape())
    assert value(found, "footnote_search_seconds_count") == 3
    assert value(found, "footnote_search_seconds_bucket", le="+Inf") == 3
    assert value(found, "footnote_answers_total", verdict=verdict, extractive="true") == 1
    total = sum(number for (name, _), number in found.items() if name == "footnote_answers_total")
    assert total == 1


def test_no_label_names_a_document_a_question_or_a_person(scraped: Scraped) -> None:
    scraped.ask("What is the zebra budget?")
    text = scraped.scrape()
    written = ("alice", "root", "secret", "zebra", "lion", "savannah", "bad.pdf", "docs")
    told = [word for word in written if word in text]
    jobs = scraped.client.get("/v1/jobs", headers=bearer(scraped.keys.admin)).text
    control = [word for word in written if word in jobs]
    print(f"\nwords of people in the metrics: {told}, in the list of jobs: {control}")
    assert told == []
    assert control != []


def test_every_verdict_begins_at_nothing_so_that_a_rate_can_be_told() -> None:
    found = samples(Metrics(Stock).exposition().decode())
    for verdict in Verdict:
        assert (
            value(found, "footnote_answers_total", verdict=verdict.value, extractive="false") == 0
        )
