"""Documents' vectors from a child process of low priority, so that questions come first.

Parent and child hold the two ends of a pipe: texts go down as JSON, vectors come back as 32-bit
floats, one frame each. The child ends when the pipe does, so it cannot outlive its parent.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

from knowledge.embedding.child import READY
from knowledge.errors import ConfigurationError
from knowledge.models import Span
from knowledge.ports import Embedder
from knowledge.settings import ROOT, child_environment

_START_SECONDS = 240
_ANSWER_SECONDS = 600
_GRACE = 5
_MOST_DEATHS = 3
_COMMAND = (sys.executable, "-W", "ignore", "-m", "knowledge.embedding.child")

log = logging.getLogger(__name__)


class NicedEmbedder:
    """Implements the `Embedder` door over `here`, which does little work itself and a child much.

    The child costs seconds to start and a copy of the model in memory, so it is started once
    embedding here has taken `patience` seconds, and ends after `idle` seconds without work. Both
    make vectors of one space. If the child dies, what it was asked for is embedded here and the
    next call starts another; after three deaths, or if it cannot start, all is done here.
    """

    def __init__(
        self,
        here: Embedder,
        folder: Path | None = None,
        *,
        patience: float = 2.0,
        idle: float = 120.0,
    ) -> None:
        self.name = here.name
        self.dimension = here.dimension
        self.max_tokens = here.max_tokens
        self._here = here
        self._folder = folder
        self._patience = patience
        self._idle = idle
        self._spent = 0.0
        self._deaths = 0
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return one unit vector per text, in order; texts beyond `max_tokens` are cut."""
        with self._lock:
            made = self._by_child(texts) if texts else []
        if made is not None:
            return made
        began = time.monotonic()
        vectors = self._here.embed(texts)
        self._spent += time.monotonic() - began
        return vectors

    def token_spans(self, text: str) -> list[Span]:
        """Return the span of every token of `text`, in order, without special tokens."""
        return self._here.token_spans(text)

    def close(self) -> None:
        """End the child; a later call may start another."""
        with self._lock:
            self._let_go()

    def _by_child(self, texts: Sequence[str]) -> list[tuple[float, ...]] | None:
        """Return the vectors, or None where the child is not worth it or has failed."""
        if self._spent < self._patience or self._deaths >= _MOST_DEATHS:
            return None
        try:
            self._child = self._child or _Child(self._folder, self.name, self._idle)
            return self._child.embed(texts, self.dimension)
        except ConfigurationError as error:
            self._deaths = _MOST_DEATHS
            log.warning("documents are embedded in this process: %s", error)
        except (OSError, EOFError) as error:
            self._bury(error)
        except BaseException:  # its answer to this call must not be taken for that to the next
            self._let_go()
            raise
        return None

    def _bury(self, error: Exception) -> None:
        """Forget the child, which has died, or ended by itself since nothing came."""
        if self._let_go() == 0:
            self._spent = 0.0
        else:
            self._deaths += 1
            log.warning("the embedding process died (%s); going on without it", repr(error))

    def _let_go(self) -> int | None:
        """End the child if there is one; returns its exit status."""
        child, self._child = self._child, None
        return child.end() if child else None


class _Child:
    """The process and this side of the pipe. Raises `OSError` or `EOFError` once it has died."""

    def __init__(self, folder: Path | None, name: str, idle: float) -> None:
        self._pipe, theirs = Pipe()
        where = [str(folder.resolve())] if folder else []
        with theirs:
            # In this session, since Linux weighs priorities only within one; in a group of its
            # own, since Ctrl-C is for the parent.
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [*_COMMAND, str(theirs.fileno()), str(idle), name, *where],
                cwd=ROOT,
                env=child_environment(OMP_NUM_THREADS="1"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        try:
            self._await_ready()
        except BaseException:
            self.end()
            raise

    def embed(self, texts: Sequence[str], dimension: int) -> list[tuple[float, ...]]:
        """Have the texts embedded; returns their vectors in order."""
        self._pipe.send_bytes(json.dumps(list(texts)).encode())
        flat = array("f")
        flat.frombytes(self._receive(_ANSWER_SECONDS))
        if len(flat) != len(texts) * dimension:
            raise ConnectionError(f"{len(flat)} numbers for {len(texts)} texts")
        return [tuple(flat[i : i + dimension]) for i in range(0, len(flat), dimension)]

    def end(self) -> int:
        """Close the pipe, wait, and kill the process if it is still busy; returns its status."""
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_GRACE)
        self._process.kill()
        return self._process.wait()

    def _await_ready(self) -> None:
        said = self._receive(_START_SECONDS)
        if said != READY:
            raise ConfigurationError(said.decode())

    def _receive(self, seconds: float) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"no answer within {seconds:g} s")
        return self._pipe.recv_bytes()
