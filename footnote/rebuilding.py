"""`footnote rebuild`: make the index whole again from the catalog, with a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from footnote.client import answers
from footnote.owner import Service, own_or_find
from footnote.wiring import House
from knowledge.errors import OwnedElsewhere
from knowledge.settings import Settings


def rebuild(settings: Settings, *, check: bool, say: Callable[[str], None]) -> int:
    """Embed what the index lacks, or only `check`; return 1 when something is missing still."""
    with _opened(settings, say) as house:
        found = house.missing()
        if found.revisions and check:
            print(f"{found}; run: footnote rebuild")
            return 1
        if found.revisions:
            say(f"{found}; {len(found.revisions):,} documents are embedded again")
            _show(house.rebuild(found), sum(found.revisions.values()))
        print(f"The index holds all {found.passages:,} passages.")
        return 0


@contextmanager
def _opened(settings: Settings, say: Callable[[str], None]) -> Iterator[House]:
    """Yield the house; a service that owns the stores has them whole, or is at it."""
    if not settings.embedded:
        with House(settings) as house:
            yield house
        return
    held = own_or_find(settings.data_dir, command="rebuild", answers=answers, say=say)
    if isinstance(held, Service):
        raise OwnedElsewhere(
            f"{settings.data_dir} is served at {held.url}: that service makes its index whole by "
            "itself when it starts; stop it first to do it here"
        )
    with held, House(settings) as house:
        yield house


def _show(progress: Iterator[int], total: int) -> None:
    columns = (TextColumn("passages"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        for done in progress:
            bar.update(task, completed=done)
