"""Ingesting beside others: the same files, batch by batch in turn, then the same questions.

`make bench-ingest` prints the table. Footnote is asked as a site asks it, a running `footnote
serve` for a folder at a time; the others run in environments and processes of their own. Start-up
is measured apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.quality import evidence, ingesting, mix
from tests.quality.ingesting import OURS, PEERS, System, Tally
from tests.quality.mix import Batch
from tests.requirements import eval_data

PAGES = 30
"""Of each annual report, those that questions are about among them: with 60 it takes an hour."""
WARMING_PAGES = 120
"""Ingested before, and not counted: enough for Footnote to have started its embedding process."""
BATCHES = 5
"""Long enough to be like a bulk ingest, short enough that nobody waits long for the next turn."""
AIM = 3.0
UNREAD = frozenset(
    {
        "Strict.docx",
        "csv-inconsistent-header.csv",
        "csv-too-many-columns.csv",
        "drawingml.docx",
        "picture.pptx",
        "single-column.csv",
        "table-semicolon-delimiter.csv",
    }
)
"""Files that one of the peers gives no text of."""
SYSTEMS = [OURS, *PEERS]


@pytest.mark.bench
@pytest.mark.timeout(2 * 3600)
def test_a_mix_becomes_findable_sooner_and_is_found_no_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = eval_data("financebench-dev")
    asked = evidence.questions(reports)
    cuts = mix.reports(reports / "pdfs", asked, PAGES, tmp_path / "cut")
    office, rest = mix.office(eval_data("office-samples"), UNREAD)
    pdfs = [each.path for each in cuts.values()]
    batches = mix.batches(pdfs, office, BATCHES, tmp_path / "files")
    tallies = {name: Tally() for name in SYSTEMS}
    with _everybody(tmp_path, tallies) as systems:
        _warm(systems, tmp_path)
        for turn, batch in enumerate(batches):
            for system in _in_turn(systems, turn):
                tallies[system.name].ingest(system, batch)
                with capsys.disabled():
                    _tell(turn, batch, system.name, tallies)
        sought = mix.in_cuts(asked, cuts)
        found = {each.name: _tally(each, sought) for each in systems}
        with capsys.disabled():
            print("now the files that not everybody reads, each alone", flush=True)
        apart = {each.name: _read(each, rest, tmp_path / "rest") for each in systems}
    with capsys.disabled():
        _print(batches, tallies, found)
        print(f"\nof {len(rest)} other files text was given of", apart)
    for name in PEERS:
        assert ingesting.ratio(*_walls(tallies, name))[0] >= AIM
        assert sum(found[OURS].every) >= sum(found[name].every)


@contextlib.contextmanager
def _everybody(folder: Path, tallies: Mapping[str, Tally]) -> Iterator[list[System]]:
    with contextlib.ExitStack() as stack:
        systems: list[System] = [
            stack.enter_context(ingesting.ours(folder / OURS, tallies[OURS])),
            *(
                stack.enter_context(ingesting.peer(name, folder / name, tallies[name]))
                for name in PEERS
            ),
        ]
        yield systems


def _warm(systems: Sequence[System], folder: Path) -> None:
    """Let each ingest something else first."""
    pdf = eval_data("office-samples") / "unstructured" / "pdf" / "DA-619p.pdf"
    mix.cut(pdf, folder / "warming.pdf", (), WARMING_PAGES)
    batch = mix.gathered([folder / "warming.pdf"], folder / "warming")
    for system in systems:
        system.ingest(batch)


def _in_turn(systems: Sequence[System], turn: int) -> list[System]:
    """Begin with Footnote: its embedding process ends after two minutes without work."""
    ours, *others = systems
    return [ours, *(others if turn % 2 == 0 else reversed(others))]


def _tell(turn: int, batch: Batch, name: str, tallies: Mapping[str, Tally]) -> None:
    """Print what one batch took, and beside it how much longer than Footnote."""
    use, ours = tallies[name].batches[turn], tallies[OURS].batches[turn]
    print(
        f"batch {turn + 1} of {BATCHES}, {len(batch.files)} files: {name:20} {use.wall:6.1f} s, "
        f"processor {use.cpu:6.1f} s; x {use.wall / ours.wall:.2f} and {use.cpu / ours.cpu:.2f}",
        flush=True,
    )


def _tally(system: System, asked: Sequence[evidence.Sought]) -> evidence.Tally:
    return evidence.tally(asked, {each.id: system.pages(each.text) for each in asked})


def _read(system: System, rest: Sequence[Path], folder: Path) -> int:
    """Return of how many files a system gives any text, each alone."""
    counts = []
    for number, path in enumerate(rest):
        batch = mix.gathered([path], folder / system.name / str(number))
        counts.append(sum(system.ingest(batch).values()))
    return sum(count > 0 for count in counts)


def _walls(tallies: Mapping[str, Tally], name: str) -> tuple[list[float], list[float]]:
    theirs, ours = tallies[name].batches, tallies[OURS].batches
    return [use.wall for use in theirs], [use.wall for use in ours]


def _cpus(tallies: Mapping[str, Tally], name: str) -> tuple[list[float], list[float]]:
    theirs, ours = tallies[name].batches, tallies[OURS].batches
    return [use.cpu for use in theirs], [use.cpu for use in ours]


def _print(
    batches: Sequence[Batch],
    tallies: Mapping[str, Tally],
    found: Mapping[str, evidence.Tally],
) -> None:
    files, pages = sum(len(each.files) for each in batches), sum(each.pages for each in batches)
    print(f"\n{files} files, among them PDFs of {pages} pages, in {len(batches)} batches")
    print(f"{'':13} start s  files/s  pages/s   wall s    cpu s  peak MB   pieces   unread")
    for name, tally in tallies.items():
        unread = [file for file, count in tally.pieces.items() if not count]
        print(
            f"{name:13}{tally.start.wall:8.1f}{files / tally.wall:9.2f}{pages / tally.wall:9.1f}"
            f"{tally.wall:9.1f}{tally.cpu:9.1f}{tally.peak_mb:9.0f}"
            f"{sum(tally.pieces.values()):9}{len(unread):9}  {', '.join(unread)}"
        )
    for name in PEERS:
        for unit, times in (("clock", _walls(tallies, name)), ("processor", _cpus(tallies, name))):
            times_longer, low, high = ingesting.ratio(*times)
            print(f"{name} takes {times_longer:.2f} times as long by the {unit}", end="")
            print(f" (95 %: {low:.2f} to {high:.2f} over batches)")
    for name, pages_found in found.items():
        print(f"{name:13} evidence pages {pages_found}")
