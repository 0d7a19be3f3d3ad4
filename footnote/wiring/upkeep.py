"""What goes on beside the questions: jobs are done, the index is made whole."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from footnote.wiring.ingestion import Ingestion
from knowledge.errors import CatalogUnavailable, FootnoteError

if TYPE_CHECKING:
    from ingest.rebuild import Missing

STORE_ASKED_SECONDS = 5.0

log = logging.getLogger(__name__)


class Upkeep(Ingestion):
    """What runs in threads of this process, or in a worker's."""

    def start_worker(self, say: Callable[[str], None]) -> None:
        """Index uploads and keep sources in sync until the house closes; restore the index once.

        Only where this process owns both.
        """
        if not self.settings.embedded:
            return
        stop = threading.Event()
        threads = (
            threading.Thread(target=self._do_jobs, args=(stop,), name="footnote-worker"),
            threading.Thread(target=self._restore, args=(say, stop), name="footnote-rebuild"),
        )
        for thread in threads:
            thread.start()

        def end() -> None:
            stop.set()
            self.keeper.stop()
            self.worker.wake()
            for thread in threads:
                thread.join()

        self._open.callback(end)

    def work(self, *, once: bool) -> None:
        """Do jobs, syncs among them, until interrupted or, `once`, until none is ready."""
        if once:
            self.worker.watch(self.keeper)
            while self.worker.work_one():
                pass
        else:
            self._do_jobs(threading.Event())

    def _do_jobs(self, stop: threading.Event) -> None:
        self.worker.watch(self.keeper)
        self.worker.also(self.drop_old_conversations)
        while not stop.is_set():
            try:
                self.worker.run(stop, self._engine())
            except CatalogUnavailable as error:
                log.warning("jobs wait: %s", error)
                stop.wait(STORE_ASKED_SECONDS)

    def drop_old_conversations(self) -> None:
        """Delete what nobody has added to for as long as the site keeps conversations."""
        if days := self.settings.conversation_days:
            before = datetime.now(UTC) - timedelta(days=days)
            self.catalog.drop_conversations(before=before)

    def missing(self, *, quick: bool = False) -> Missing:
        """Say what the index lacks of what the catalog holds."""
        from ingest.rebuild import missing

        return missing(self.catalog, self.index, quick=quick)

    def rebuild(self, found: Missing) -> Iterator[int]:
        """Embed it again; yield how many passages are done."""
        from ingest.rebuild import rebuild

        space = self.spaces.for_documents(self.spaces.live_generation())
        return rebuild(
            found,
            embedder=space.embedder,
            sparse=space.sparse,
            index=space.index,
            ledger=self.catalog,
        )

    def restore_index(
        self, say: Callable[[str], None], stop: threading.Event | None = None
    ) -> None:
        """Make the index whole again where this process owns it; what is there is found meanwhile.

        Servers are shared: there, `footnote rebuild` is for one of all processes to run.
        """
        found = self.missing(quick=True) if self.settings.embedded else None
        if found is None or not found.revisions:
            return
        say(f"{found}; rebuilding it from the catalog")
        for _ in self.rebuild(found):
            if stop is not None and stop.is_set():
                return
        say("the index is whole again")

    def _restore(self, say: Callable[[str], None], stop: threading.Event) -> None:
        try:
            self.restore_index(say, stop)
        except FootnoteError as error:
            say(f"the index may lack passages until the next start: {error}")
