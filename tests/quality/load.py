"""A steady load of questions: each has its moment, and a late answer counts from that moment on."""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

Ask = Callable[[str], None]


@dataclass(slots=True)
class Taken:
    """How long each answer took, in seconds from the moment that it was due to be asked for."""

    seconds: list[float] = field(default_factory=list)

    def ms(self, percentile: int) -> float:
        """Return a percentile, in milliseconds."""
        cuts = statistics.quantiles(self.seconds, n=100, method="inclusive")
        return 1000 * cuts[percentile - 1]

    def __str__(self) -> str:
        return f"p50 {self.ms(50):.0f} ms, p95 {self.ms(95):.0f} ms, {len(self.seconds)} searches"


@contextmanager
def asking(
    client: Callable[[], AbstractContextManager[Ask]],
    texts: Sequence[str],
    *,
    clients: int,
    rate: float,
) -> Iterator[Taken]:
    """Ask `rate` texts a second from so many threads, in turn, until the block ends.

    `client` is entered once in each thread. A client whose answer is late asks again at once, and
    the wait is counted: slow answers do not make the load lighter.
    """
    taken, over, began = Taken(), threading.Event(), time.monotonic()
    faults: list[BaseException] = []

    def run(number: int) -> None:
        with client() as ask:
            for turn in itertools.count(number, clients):
                due = began + turn / rate
                if over.wait(max(0.0, due - time.monotonic())):
                    return
                ask(texts[turn % len(texts)])
                taken.seconds.append(time.monotonic() - due)

    def guarded(number: int) -> None:
        try:
            run(number)
        except BaseException as fault:
            faults.append(fault)
            raise

    threads = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not faults, faults
