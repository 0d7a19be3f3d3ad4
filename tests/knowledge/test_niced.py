from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from knowledge.embedding.embedder import Precision, SentenceTransformerEmbedder, precision_here
from knowledge.embedding.niced import NicedEmbedder
from knowledge.settings import ROOT
from tests.children import children_running
from tests.fakes import FakeEmbedder, cosine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")

ROUNDED = precision_here(documents=True, bundled=True) is Precision.INT8
NAME = "all-MiniLM-L6-v2@53aa51172d14"
TEXTS = [f"Rule {i}: meals cost {i} euros. " * (i % 7 + 1) for i in range(40)]


class Here(FakeEmbedder):
    """Makes other vectors than any child would, and counts what it is asked for."""

    def __init__(self, name: str = NAME) -> None:
        super().__init__(dimension=384, max_tokens=256)
        self.name = name
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        self.texts += len(texts)
        return super().embed(texts)


@pytest.fixture(scope="module")
def real() -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder()


@pytest.fixture(scope="module")
def niced(real: SentenceTransformerEmbedder) -> Iterator[NicedEmbedder]:
    embedder = NicedEmbedder(real, patience=0)
    yield embedder
    embedder.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., NicedEmbedder]]:
    made: list[NicedEmbedder] = []

    def open_one(here: Here, folder: Path | None = None, **options: float) -> NicedEmbedder:
        made.append(NicedEmbedder(here, folder, **options))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


@hypothesis_settings(max_examples=25)
@given(texts=st.lists(st.text(alphabet="ab c.é東🙂\n0", max_size=60), max_size=12))
def test_the_child_makes_the_same_vectors_in_the_same_order(
    niced: NicedEmbedder, real: SentenceTransformerEmbedder, texts: list[str]
) -> None:
    made = niced.embed(texts)
    assert len(made) == len(texts)
    for theirs, ours in zip(made, real.embed(texts), strict=True):
        assert cosine(theirs, ours) > (0.95 if ROUNDED else 0.999)
        assert sum(x * x for x in theirs) == pytest.approx(1, abs=1e-4)


def test_the_child_works_behind_all_others(niced: NicedEmbedder) -> None:
    niced.embed(["start"])
    (child,) = children()
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.nice(0) + 10)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH
    assert os.getsid(child) == os.getsid(0), "across sessions, Linux weighs no priorities"


def test_little_work_starts_no_child(opened: Callable[..., NicedEmbedder]) -> None:
    here, before = Here(), children()
    opened(here).embed(TEXTS)
    assert here.texts == len(TEXTS)
    assert children() == before


def test_a_child_killed_in_the_middle_of_a_batch_costs_nothing_but_time(
    opened: Callable[..., NicedEmbedder], caplog: pytest.LogCaptureFixture
) -> None:
    here, before = Here(), children()
    embedder = opened(here, patience=0.001, idle=5)
    embedder.embed(TEXTS)
    right = embedder.embed(TEXTS)
    (child,) = children() - before
    killer = threading.Timer(0.3, os.kill, (child, signal.SIGKILL))
    killer.start()
    many = [f"{text} number {i}" for i in range(60) for text in TEXTS]
    assert embedder.embed(many) == Here().embed(many)
    assert here.texts == len(TEXTS) + len(many)
    assert "the process for it died" in caplog.text
    caplog.clear()
    assert embedder.embed(TEXTS) == right, "another child"
    assert child not in children()
    _await(lambda: children() == before)  # it ends when nothing comes
    assert embedder.embed(TEXTS) != right, "too little work for a third one"
    assert not caplog.records


def test_a_child_that_cannot_start_is_done_without(
    opened: Callable[..., NicedEmbedder], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    here, before = Here(), children()
    embedder = opened(here, tmp_path, patience=0)
    for _ in range(3):
        assert embedder.embed(TEXTS) == Here().embed(TEXTS)
    assert here.texts == 3 * len(TEXTS)
    assert caplog.text.count("no .safetensors weights") == 1
    assert children() == before


def test_a_child_that_holds_another_model_is_not_used(
    opened: Callable[..., NicedEmbedder], caplog: pytest.LogCaptureFixture
) -> None:
    embedder = opened(Here(name="all-MiniLM-L6-v2@000000000000"), patience=0)
    assert embedder.embed(TEXTS) == Here().embed(TEXTS)
    assert "restart the service" in caplog.text


def test_a_child_does_not_outlive_its_parent() -> None:
    script = (
        "import os, signal, tests.knowledge.test_niced as t\n"
        "embedder = t.NicedEmbedder(t.Here(), patience=0)\n"
        "embedder.embed(t.TEXTS)\n"
        "print(*t.children(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = int(done.stdout)
    _await(lambda: not Path(f"/proc/{child}").exists())


def children() -> set[int]:
    return children_running("knowledge.embedding.child")


def _await(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
