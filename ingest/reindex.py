"""A new generation of the index, beside the live one: built, measured, switched, or taken back.

Every live document gets a second revision, read, cut and embedded anew, which stands by in an
index of its own. Questions are answered from the live generation all the while, and what is added,
changed or removed meanwhile is followed. The switch is one transaction, and happens only when a
golden set of questions finds its answers as well as before; the former generation is kept to go
back to.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Protocol

from ingest.dating import own_date
from ingest.discover import file_path, unquote
from ingest.golden import GoldenQuestion, recall
from ingest.pipeline import Pipeline
from ingest.recover import clean, freeze
from knowledge.errors import IngestError, NotFound
from knowledge.language_code import language_code
from knowledge.models import (
    Document,
    Generation,
    Parsed,
    Reading,
    Revision,
)
from knowledge.ports import Generations, Ledger, Library, Parser, VectorSpace

BATCH = 64
"""Documents that are carried on together."""
ROUNDS = 20
"""So often what came in meanwhile is followed without anything standing by, then it is told."""
LOSS = 0.02
"""How much of the golden set's recall@10 a new generation may lose."""


class Catalog(Generations, Ledger, Library, Protocol):
    """The sides of the catalog that a new generation needs."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is; what only the last step knows is None before it."""

    done: int
    total: int
    kept: int = 0
    """Documents whose file could not be read anew, and that keep their former text."""
    before: float | None = None
    """recall@10 of the golden set in the live generation."""
    after: float | None = None
    """The same in the new one."""
    switched: bool | None = None
    note: str = ""
    """Why it was not switched, where that is no question of recall."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a new generation is made with."""

    generation: Generation
    pipeline: Pipeline
    """Makes revisions of the new generation."""
    new: VectorSpace
    live: VectorSpace
    parser: Parser
    content: Callable[[str], bytes]
    """The original bytes of a digest; raises `NotFound`."""


def reindex(
    plan: Plan,
    catalog: Catalog,
    questions: Callable[[], Sequence[GoldenQuestion]],
    *,
    loss: float = LOSS,
    force: bool = False,
) -> Generator[Step, None, None]:
    """Build the generation, measure it and switch to it; yield steps, the last one with a verdict.

    It is not switched when recall@10 falls by more than `loss`, unless by `force`; then it is kept,
    so that one can look into it, and a later call measures it again. Nor is it while documents
    change as fast as they are read, `force` or not: the last step's note says so. May be
    interrupted at any place and called again. Raises `IndexUnavailable` or `CatalogUnavailable`.
    """
    kept = 0
    for step in _build(plan, catalog):
        kept = step.kept
        yield step
    asked = questions()
    before, after = (recall(asked, each, catalog, catalog) for each in (plan.live, plan.new))
    catalog.measured(plan.generation.number, before=before, after=after)
    good = force or after >= before - loss
    late = (yield from _switch(plan, catalog)) if good else 0
    switched = good and not late
    if switched:
        clean(catalog, plan.new.index)
    done, total = _progress(plan, catalog, switched=switched)
    yield Step(done, total, kept, before, after, switched=switched, note=_restless(late))


def go_back(plan: Plan, catalog: Catalog) -> Iterator[Step]:
    """Make the former generation live again; what came since is brought into it first.

    `plan` is that of the former generation. It is not measured: it was good enough before. Of what
    changes all the time, see `reindex`.
    """
    late = yield from _switch(plan, catalog)
    done, total = _progress(plan, catalog, switched=not late)
    yield Step(done, total, switched=not late, note=_restless(late))


def _switch(plan: Plan, catalog: Catalog) -> Generator[Step, None, int]:
    """Switch as soon as nothing is behind; return how much is, if that does not come to an end.

    What came in meanwhile is followed, for as long as that leaves less to follow.
    """
    fewest, rounds = None, 0
    while late := catalog.switch_generation(plan.generation.number):
        rounds = 0 if fewest is None or late < fewest else rounds + 1
        fewest = late if fewest is None else min(fewest, late)
        if rounds >= ROUNDS:
            return late
        yield from _build(plan, catalog)
    freeze(catalog)
    return 0


def _progress(plan: Plan, catalog: Catalog, *, switched: bool) -> tuple[int, int]:
    done, total = catalog.progress(plan.generation.number)
    return (total, total) if switched else (done, total)


def _restless(late: int) -> str:
    if not late:
        return ""
    which = "1 document changes" if late == 1 else f"{late:,} documents change"
    return f"{which} as fast as they are read; stop what changes them, and run it again"


def _build(plan: Plan, catalog: Catalog) -> Iterator[Step]:
    """Bring the generation up to all live documents, as many at once as share their disk syncs.

    Each is tried once: one that changed meanwhile is left to the next time.
    """
    number, kept = plan.generation.number, 0
    stuck: set[str] = set()
    while behind := catalog.behind(number, limit=BATCH + len(stuck)):
        wanted = [each for each in behind if each not in stuck]
        if not wanted:
            break
        found = [each for each in map(catalog.stored, wanted) if each is not None]
        readings = [_reading(plan, *each) for each in found]
        _describe(catalog, found, readings)
        kept += sum(not each.anew for each in readings)
        made = plan.pipeline.stand_by([each.parts for each in readings], number)
        stuck.update(set(wanted) - set(made))
        done, total = catalog.progress(number)
        yield Step(done, total, kept)


@dataclass(frozen=True, slots=True)
class _Anew:
    """What a document is made of in the new generation."""

    parts: tuple[Document, Parsed, str, Reading]
    """As `Pipeline.stand_by` takes them."""
    anew: bool
    """Whether its file was read again, or need not be."""


def _reading(plan: Plan, document: Document, revision: Revision) -> _Anew:
    """Read the document anew where the parser changed and its file is at hand."""
    reading = revision.reading
    parsed = Parsed(document.title, revision.text, revision.blocks, coverage=revision.coverage)
    anew = revision.parser == plan.parser.version
    if not anew:
        with suppress(IngestError, NotFound):
            parsed = replace(_read_anew(plan, document, revision.digest), title=document.title)
            reading = replace(reading, metadata=parsed.metadata, notes=parsed.warnings)
            anew = True
    described = replace(
        document,
        language=document.language or language_code(parsed.text),
        dated_at=document.dated_at or own_date(document.metadata),
    )
    return _Anew((described, parsed, revision.digest, reading), anew)


def _describe(
    catalog: Catalog, found: Sequence[tuple[Document, Revision]], readings: Sequence[_Anew]
) -> None:
    """Note the language and date of documents that came before these were looked at."""
    for (known, _), reading in zip(found, readings, strict=True):
        if reading.parts[0] != known:
            catalog.describe(reading.parts[0])


def _read_anew(plan: Plan, document: Document, digest: str) -> Parsed:
    """Parse the file again, return the same part. Raises `NotFound` or an `IngestError`."""
    part = unquote(document.uri.partition("#")[2])
    name = PurePosixPath(file_path(document.uri)).name
    for parsed in plan.parser.parse(plan.content(digest), name=name):
        if parsed.part == part and parsed.external_id == document.external_id:
            return parsed
    raise NotFound("the file holds no such part any more")
