"""What a monitoring system scrapes: the only file that knows Prometheus.

No label holds what somebody has written: no name, title, path, question or collection. A source is
named by its id, which `footnote source list --json` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from knowledge.models import Verdict
from serving.steady.breaker import State
from serving.steady.standing import Standing

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class SourceState:
    """How fresh a source is, in seconds from a change there until it was searchable."""

    id: str
    documents: int
    failed: bool
    """Whether its last sync failed."""
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is at one moment, counted over everybody's documents."""

    documents: int = 0
    passages: int = 0
    """Of live documents, by the catalog."""
    points: int = 0
    """The same by the live index; fewer: `footnote rebuild`."""
    generation: int = 0
    revisions: Mapping[str, int] = field(default_factory=dict)
    """By state; those that are neither live, standing by nor dead are on their way."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    refused: int = 0
    quarantined: int = 0
    sources: Sequence[SourceState] = ()


def _no_model() -> None:
    return None


class Metrics:
    """Counts what happens in this process; `stock` and `model` are asked at each scrape.

    `model` says how it stands with the model server, None where there is none.
    """

    def __init__(
        self, stock: Callable[[], Stock], model: Callable[[], Standing | None] = _no_model
    ) -> None:
        self._registry = CollectorRegistry()
        self._searches = Histogram(
            "footnote_search_seconds",
            "Time of a search, embedding and rights included.",
            registry=self._registry,
            buckets=SECONDS,
        )
        self._answers = Counter(
            "footnote_answers",
            "Answers given, by verdict and by who wrote them.",
            ("verdict", "extractive"),
            registry=self._registry,
        )
        self._failures = Counter(
            "footnote_answer_failures",
            "Questions that ended in an error.",
            registry=self._registry,
        )
        for verdict in Verdict:
            for extractive in ("true", "false"):
                self._answers.labels(verdict.value, extractive)  # from 0: a rate needs a beginning
        self._registry.register(_StockCollector(stock))
        self._registry.register(_ModelCollector(model))

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Time a search; one that fails is not counted."""
        began = perf_counter()
        yield
        self._searches.observe(perf_counter() - began)

    def answered(self, verdict: Verdict, *, extractive: bool) -> None:
        """Count an answer."""
        self._answers.labels(verdict.value, str(extractive).lower()).inc()

    def failed(self) -> None:
        """Count a question that got none."""
        self._failures.inc()

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format; raises what `stock` raises."""
        return generate_latest(self._registry)


class _StockCollector:
    """Turns a `Stock` into gauges when it is asked."""

    def __init__(self, stock: Callable[[], Stock]) -> None:
        self._stock = stock

    def describe(self) -> list[Metric]:
        """Name nothing in advance: registering must not count."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of now."""
        stock = self._stock()
        yield from _plain(stock)
        yield _by("footnote_revisions", "Revisions of documents.", "state", stock.revisions)
        yield _by("footnote_jobs", "Jobs: what waits, runs, failed.", "state", stock.jobs)
        yield from _of_sources(stock.sources)


class _ModelCollector:
    """Turns a `Standing` into gauges and counters when it is asked."""

    def __init__(self, model: Callable[[], Standing | None]) -> None:
        self._model = model

    def describe(self) -> list[Metric]:
        """Name nothing in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield how it stands with the model; nothing where there is none."""
        if (model := self._model()) is None:
            return
        yield GaugeMetricFamily(
            "footnote_model_writing", "Requests that the model server works on.", model.writing
        )
        yield GaugeMetricFamily(
            "footnote_model_waiting", "Requests that wait in the line before it.", model.waiting
        )
        yield _by(
            "footnote_model_breaker",
            "1 for the state it is in: closed (all ask), open (none does), half_open (one tries).",
            "state",
            {state.value: int(state is model.breaker) for state in State},
        )
        yield from _counted(model)


def _counted(model: Standing) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "footnote_model_breaker_opened",
        "How often the model server failed so often in a row that it was left alone.",
        model.opened,
    )
    yield CounterMetricFamily(
        "footnote_model_second_tries", "Requests that were sent again.", model.second_tries
    )
    for name, help_text, label, values in (
        ("footnote_model_faults", "Tries that failed, by the fault.", "code", model.faults),
        (
            "footnote_model_turned_away",
            "Requests not sent: full (the line was), late (the time was up), resting (left alone).",
            "reason",
            model.turned_away,
        ),
    ):
        family = CounterMetricFamily(name, help_text, labels=(label,))
        for each, value in sorted(values.items()):
            family.add_metric((each,), value)
        yield family


def _plain(stock: Stock) -> Iterator[Metric]:
    for name, help_text, value in (
        ("footnote_documents", "Documents that can be found.", stock.documents),
        ("footnote_passages", "Their passages, by the catalog.", stock.passages),
        ("footnote_index_points", "Their passages, by the live index.", stock.points),
        ("footnote_generation", "Number of the live generation of the index.", stock.generation),
        ("footnote_refused", "Files and lines that are not indexed.", stock.refused),
        ("footnote_quarantined", "Those of them that are not tried again.", stock.quarantined),
    ):
        yield GaugeMetricFamily(name, help_text, value)


def _by(name: str, help_text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=(label,))
    for each, value in sorted(values.items()):
        family.add_metric((each,), value)
    return family


def _of_sources(sources: Sequence[SourceState]) -> Iterator[Metric]:
    fresh = GaugeMetricFamily(
        "footnote_source_freshness_seconds",
        "From a change at the source until it was searchable, over the latest change of each item.",
        labels=("source", "quantile"),
    )
    held = {each.id: each.documents for each in sources}
    failed = {each.id: int(each.failed) for each in sources}
    for each in sources:
        for quantile, seconds in (("0.5", each.p50), ("0.95", each.p95)):
            if seconds is not None:
                fresh.add_metric((each.id, quantile), seconds)
    yield _by("footnote_source_documents", "Documents of a source.", "source", held)
    yield _by("footnote_source_failed", "1 where the last sync failed.", "source", failed)
    yield fresh
