"""What is hidden leaves no trace: not in a body, not in the order of results, not in time."""

from __future__ import annotations

from pathlib import Path
from random import Random
from statistics import median

import pytest
from sqlalchemy import bindparam, func, select

from knowledge.catalog import statistics
from knowledge.catalog.schema import documents
from knowledge.index import edge as edge_file
from tests.rights import twins

CEILING = 0.55


def test_two_services_that_differ_in_what_is_hidden_answer_alike(tmp_path: Path) -> None:
    with twins.services(tmp_path) as pair:
        assert twins.differences(pair, 30) == []


def test_the_stores_own_rarity_would_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control."""
    monkeypatch.setattr(edge_file, "_open", twins.open_with_idf)
    with twins.services(tmp_path) as pair:
        assert twins.differences(pair, 30)


def test_no_order_is_no_difference_in_time() -> None:
    chance = Random(1)
    one, other = ([chance.gauss(0, 1) for _ in range(2000)] for _ in range(2))
    area, error = twins.auc(one, other)
    assert abs(area - 0.5) < 3 * error < 0.04
    assert twins.auc(one, [value + 10 for value in one])[0] == 1.0
    assert twins.auc([1, 1], [1, 1])[0] == 0.5
    later, _ = twins.auc(one, [value + 0.18 for value in other])
    assert later == pytest.approx(0.55, abs=0.02)


@pytest.mark.rights
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("control", ["", "the store's own IDF", "statistics over all documents"])
def test_a_thousand_pairs_of_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, control: str
) -> None:
    if control.startswith("the store"):
        monkeypatch.setattr(edge_file, "_open", twins.open_with_idf)
    if control.startswith("statistics"):
        _count_everything(monkeypatch)
    with twins.services(tmp_path) as pair:
        found = twins.differences(pair, 1000)
    print(f"\n{control or 'as shipped'}: {len(found)} of 1,000 pairs differ")
    assert bool(found) is bool(control), found[:3]


def _count_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    live = documents.c.live_revision.is_not(None)
    of_collection = documents.c.collection == bindparam("collection")
    every = select(documents.c.live_revision).where(live, of_collection)
    bases = select(documents.c.collection, func.count(), func.max(documents.c.changed_at))
    monkeypatch.setattr(statistics, "_PUBLIC_REVISIONS", every)
    monkeypatch.setattr(statistics, "_BASES", bases.where(live).group_by(documents.c.collection))


@pytest.mark.rights
@pytest.mark.timeout(3600)
def test_time_does_not_tell_what_is_hidden(tmp_path: Path, many: int = 5000) -> None:
    with twins.services(tmp_path) as pair:
        twins.timings(pair, 100)  # both are warm
        without, with_it = twins.timings(pair, many)
    area, error = twins.auc(without, with_it)
    low, high = area - 1.96 * error, area + 1.96 * error
    gap = 1000 * (median(with_it) - median(without))
    print(f"\nAUC {area:.3f} ({low:.3f} to {high:.3f}) at {many:,} per arm; medians {gap:+.2f} ms")
    assert max(area, 1 - area) <= CEILING
