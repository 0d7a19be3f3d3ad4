"""kill -9 while a process switches revisions in a loop: never lost, never half switched."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.models import Hit, derive_id
from tests.catalogs import ALICE, CHUNK, document, switch_forever, switch_in_pieces_forever
from tests.postgres import fresh_database

CHUNKS = 3


def survive_kills(
    url: str, work: Callable[[str, Connection], None], *, kills: int, between: tuple[float, float]
) -> list[str]:
    """Kill a worker so often, at some moment between these seconds; return what was wrong."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.catalogs"])  # so that a worker starts at once
    chance = random.Random(7)
    wrong = []
    for _ in range(kills):
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(url, theirs))
        worker.start()
        theirs.close()
        acknowledged = [ours.recv()]
        time.sleep(chance.uniform(*between))
        worker.kill()
        worker.join()
        with ours, suppress(EOFError):
            while True:
                acknowledged.append(ours.recv())
        wrong += check(url, acknowledged[-1])
    return wrong


def check(url: str, acknowledged: int) -> list[str]:
    """Look at the catalog as the next process finds it."""
    catalog = SqlCatalog.open(url)
    try:
        revision = catalog.revision(document().id, ALICE)
        wrong = []
        if int(revision.text[:6]) < acknowledged:
            wrong.append(f"{acknowledged} was acknowledged, {revision.text[:6]} is live")
        if catalog.counts().revisions.get("live") != 1:
            wrong.append(f"states are {catalog.counts().revisions}")
        hits = [Hit(derive_id(revision.id, str(number)), 1.0) for number in range(CHUNKS)]
        texts = [passage.text for passage in catalog.passages(hits, ALICE)]
        if "".join(texts) != revision.text or len(revision.text) != CHUNKS * CHUNK:
            wrong.append(f"passages are {texts}")
        catalog.forget(catalog.dead())
        return wrong
    finally:
        catalog.close()


def test_a_killed_writer_leaves_whole_revisions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"

    assert survive_kills(url, switch_forever, kills=20, between=(0, 0.25)) == []


def test_the_check_notices_a_switch_in_pieces(tmp_path: Path) -> None:
    """Control: with a commit in the middle of the switch the same check finds broken states."""
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"

    assert survive_kills(url, switch_in_pieces_forever, kills=1, between=(2, 2)) != []


@pytest.mark.postgres
def test_a_killed_writer_leaves_whole_revisions_in_postgresql(server: str) -> None:
    with fresh_database(server) as url:
        assert survive_kills(url, switch_forever, kills=5, between=(0, 0.25)) == []
