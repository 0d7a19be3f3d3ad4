from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from footnote.preparing import greeting
from ingest.chunk import MAX_CHUNKS
from ingest.likeness import signature
from ingest.prepare import TOO_MANY, Likeness, PreparerHere
from ingest.preparing import NicedPreparer
from knowledge.embedding.tokens import Tokens
from knowledge.embedding.weights import find
from knowledge.errors import TooLarge
from knowledge.models import Block, BlockKind, Parsed, Prepared, Span
from knowledge.sparse import Bm25Encoder
from tests.children import children_running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")

MODULE = "footnote.preparing"
LONG = "Meals on journeys are paid up to 40 euros a day. Trains come before planes. " * 12


class Doubtful(PreparerHere):
    """Never asked, or the test finds out."""

    def prepare(self, parsed: Parsed, *, most: int | None = None) -> Prepared:
        raise AssertionError("prepared in this process")


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    folder, _ = find(None)
    return Tokens((folder / "tokenizer.json").read_text(encoding="utf-8"))


def made_by(kind: type[PreparerHere], tokens: Tokens) -> PreparerHere:
    return kind(tokens.spans, "a model", Bm25Encoder(), 40, Likeness(signature, 0.7))


@pytest.fixture(scope="module")
def here(tokens: Tokens) -> PreparerHere:
    return made_by(PreparerHere, tokens)


@pytest.fixture(scope="module")
def aside(tokens: Tokens) -> Iterator[NicedPreparer]:
    never = made_by(Doubtful, tokens)
    made = NicedPreparer(never, greeting(never, tokens), patience=0)
    yield made
    made.close()


@st.composite
def texts(draw: st.DrawFn) -> Parsed:
    words = st.text(alphabet="ab c.é東🙂\n0|", min_size=1, max_size=60)
    blocks, text = [], ""
    for kind, piece in draw(st.lists(st.tuples(st.sampled_from(BlockKind), words), max_size=5)):
        span = Span(len(text), len(text) + len(piece))
        text += piece + "\n"
        blocks.append(Block(kind, span, page=draw(st.none() | st.integers(1, 3)), heading=(piece,)))
    return Parsed(draw(words), text + draw(st.sampled_from(["", LONG])), tuple(blocks))


@hypothesis_settings(max_examples=40)
@given(parsed=texts())
def test_the_child_prepares_exactly_what_is_prepared_here(
    aside: NicedPreparer, here: PreparerHere, parsed: Parsed
) -> None:
    assert aside.prepare(parsed) == here.prepare(parsed)


def test_the_child_works_behind_all_others(aside: NicedPreparer) -> None:
    aside.prepare(Parsed("t", "start", ()))
    (child,) = children_running(MODULE)
    assert os.getpriority(os.PRIO_PROCESS, child) == min(19, os.nice(0) + 10)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH


def test_a_text_of_too_many_passages_is_refused_and_the_child_goes_on(
    aside: NicedPreparer, here: PreparerHere
) -> None:
    for preparer in (aside, here):
        with pytest.raises(TooLarge, match="more than 3 passages") as refused:
            preparer.prepare(Parsed("t", LONG, ()), most=3)
        assert refused.value.code == TOO_MANY
    before = children_running(MODULE)
    assert aside.prepare(Parsed("t", LONG, ()), most=MAX_CHUNKS) == here.prepare(
        Parsed("t", LONG, ())
    )
    assert children_running(MODULE) == before


def test_little_text_starts_no_child(here: PreparerHere, tokens: Tokens) -> None:
    before = children_running(MODULE)
    preparer = NicedPreparer(here, greeting(here, tokens), patience=1000)
    assert preparer.prepare(Parsed("t", "short", ())) == here.prepare(Parsed("t", "short", ()))
    assert children_running(MODULE) == before


def test_a_child_that_was_killed_costs_nothing_but_time(
    here: PreparerHere, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    before, parsed = children_running(MODULE), Parsed("t", LONG, ())
    preparer = NicedPreparer(here, greeting(here, tokens), patience=0)
    right = preparer.prepare(parsed)
    (child,) = children_running(MODULE) - before
    os.kill(child, signal.SIGKILL)
    assert preparer.prepare(parsed) == right == here.prepare(parsed)
    assert "the process for it died" in caplog.text
    assert child not in children_running(MODULE)
    assert children_running(MODULE) == before, "another one comes with the next text"
