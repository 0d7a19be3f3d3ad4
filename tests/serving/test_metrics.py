from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from knowledge.models import Feed, Principal, Verdict
from knowledge.settings import Settings
from serving.metrics import Metrics, Stock
from tests.house import Keys, QuickHouse, bearer
from tests.vllm_stub import KEY, Pause, refuses, says, vllm_stub

ALICE = Principal("alice", frozenset({"hr"}))

STATES = ("closed", "open", "half_open")

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

    def ask(self, question: str, key: str = "") -> httpx2.Response:
        given = bearer(key or self.keys.alice)
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


# --- the model ----------------------------------------------------------------------------------


@contextmanager
def before_a_model(folder: Path, url: str, *, places: int, queue: int) -> Iterator[Scraped]:
    keys = Keys(folder)
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        api_keys_file=keys.path,
        model_url=url,
        model_api_key=SecretStr(KEY),
        model_places=places,
        model_queue=queue,
        support_threshold=0.0,
    )
    with QuickHouse(settings) as house:
        scraped = Scraped(house, keys, folder / "docs")
        with scraped.client:
            yield scraped


def until(scraped: Scraped, **wanted: float) -> Samples:
    """Scrape until gauges of the model have these values; return the last scrape."""
    late = time.monotonic() + 10
    while True:
        found = samples(scraped.scrape())
        told = {name: value(found, f"footnote_model_{name}") for name in wanted}
        if told == wanted or time.monotonic() > late:
            assert told == wanted
            return found
        time.sleep(0.02)


def test_what_is_written_what_waits_and_who_is_turned_away(tmp_path: Path) -> None:
    question = "What is the zebra budget?"
    with (
        vllm_stub() as stub,
        before_a_model(tmp_path, stub.url, places=1, queue=1) as scraped,
        ThreadPoolExecutor(2) as people,
    ):
        stub.usual = (Pause(2), *says("It is 4211 euros [1]."))  # type: ignore[misc]
        until(scraped, writing=0, waiting=0)
        first = people.submit(scraped.ask, question)
        until(scraped, writing=1, waiting=0)
        second = people.submit(scraped.ask, question)
        until(scraped, writing=1, waiting=1)
        assert scraped.ask(question).json()["extractive"]
        found = until(scraped, writing=1, waiting=1)
        assert value(found, "footnote_model_turned_away_total", reason="full") == 1
        assert value(found, "footnote_model_turned_away_total", reason="late") == 0
        assert not first.result(20).json()["extractive"]
        assert not second.result(20).json()["extractive"]
        until(scraped, writing=0, waiting=0)


def test_in_a_full_line_one_who_asks_much_gives_way_to_another(tmp_path: Path) -> None:
    question = "What is the zebra budget?"
    with (
        vllm_stub() as stub,
        before_a_model(tmp_path, stub.url, places=1, queue=2) as scraped,
        ThreadPoolExecutor(4) as people,
    ):
        stub.usual = (Pause(2), *says("It is 4211 euros [1]."))  # type: ignore[misc]
        asked = []
        for writing, waiting in (1, 0), (1, 1), (1, 2):
            asked.append(people.submit(scraped.ask, question))
            until(scraped, writing=writing, waiting=waiting)
        other = people.submit(scraped.ask, question, scraped.keys.admin)
        assert [each.result(20).json()["extractive"] for each in asked] == [False, False, True]
        assert not other.result(20).json()["extractive"]


def test_faults_second_tries_and_the_breaker_are_told(tmp_path: Path) -> None:
    with (
        vllm_stub() as stub,
        before_a_model(tmp_path, stub.url, places=4, queue=4) as scraped,
    ):
        found = samples(scraped.scrape())
        assert value(found, "footnote_model_breaker", state="closed") == 1
        stub.then(refuses(503, "overloaded"))
        scraped.ask("What is the zebra budget?")  # the second try made it good
        found = samples(scraped.scrape())
        assert value(found, "footnote_model_faults_total", code="http_503") == 1
        assert value(found, "footnote_model_second_tries_total") == 1
        assert value(found, "footnote_model_breaker_opened_total") == 0
        stub.usual = refuses(503, "overloaded")
        for _ in range(5):
            scraped.ask("What is the zebra budget?")
        found = samples(scraped.scrape())
    states = {each: value(found, "footnote_model_breaker", state=each) for each in STATES}
    assert states == {"closed": 0, "open": 1, "half_open": 0}
    assert value(found, "footnote_model_breaker_opened_total") == 1
    sent = len(stub.bodies)
    assert value(found, "footnote_model_faults_total", code="http_503") == sent - 1  # one was good
    assert value(found, "footnote_model_turned_away_total", reason="resting") == 3


def test_without_a_model_nothing_is_told_of_one(scraped: Scraped) -> None:
    assert "footnote_model" not in scraped.scrape()


def test_names_and_help_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    with vllm_stub() as stub, before_a_model(tmp_path, stub.url, places=1, queue=1) as scraped:
        families = list(text_string_to_metric_families(scraped.scrape()))
    ours = [each for each in families if each.name.startswith("footnote_model")]
    assert len(ours) == 7
    for family in ours:
        assert family.documentation.endswith(".")
        assert {each.name.endswith("_total") for each in family.samples} == {
            family.type == "counter"
        }
