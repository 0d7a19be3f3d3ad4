"""Work done aside: by a child process of low priority, so that questions come first.

Parent and child hold the two ends of a pipe, over which frames of bytes go. The child ends when
the pipe does, so it cannot outlive its parent.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TypeAlias, TypeVar

from knowledge.errors import ConfigurationError
from knowledge.settings import ROOT, child_environment

Receive: TypeAlias = Callable[[], bytes]
"""Returns the next frame."""
T = TypeVar("T")

_READY = b"ready"
_NICE = 10
_START_SECONDS = 240
_ANSWER_SECONDS = 600
_GRACE = 5
_MOST_DEATHS = 3

log = logging.getLogger(__name__)


class Aside:
    """One such child, started when it is first asked for; safe to share between threads.

    It runs `module` with `arguments` (see `attend`), and ends after `idle` seconds without work,
    of which `rested` is told. One that has died is replaced at the next call; after three deaths,
    or if it cannot start, there is none any more. `work` is what it does, for the log.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        work: str,
        idle: float = 120.0,
        greeting: bytes = b"",
        rested: Callable[[], None] = lambda: None,
    ) -> None:
        self._command = (module, str(idle), *arguments)
        self._greeting = greeting
        self._called = work
        self._rested = rested
        self._deaths = 0
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def ask(self, frames: Iterable[bytes], read: Callable[[Receive], T]) -> T | None:
        """Send the frames and return what `read` makes of the answer; None: do it yourself.

        What `read` raises is raised, once it has read all that belongs to the answer.
        """
        with self._lock:
            if self._deaths >= _MOST_DEATHS:
                return None
            try:
                self._child = self._child or _Child(self._command, self._greeting)
                return self._child.ask(frames, read)
            except ConfigurationError as error:
                self._deaths = _MOST_DEATHS
                log.warning("%s in this process: %s", self._called, error)
            except (OSError, EOFError) as error:
                self._bury(error)
            except BaseException:  # its answer to this call must not be taken for that to the next
                self._let_go()
                raise
            return None

    def close(self) -> None:
        """End the child; a later call may start another."""
        with self._lock:
            self._let_go()

    def _bury(self, error: Exception) -> None:
        """Forget the child, which has died, or ended by itself since nothing came."""
        if self._let_go() == 0:
            self._rested()
        else:
            self._deaths += 1
            log.warning("%s: the process for it died (%s); going on without", self._called, error)

    def _let_go(self) -> int | None:
        """End the child if there is one; returns its exit status."""
        child, self._child = self._child, None
        return child.end() if child else None


class _Child:
    """The process and this side of the pipe. Raises `OSError` or `EOFError` once it has died."""

    def __init__(self, command: Sequence[str], greeting: bytes) -> None:
        module, *arguments = command
        self._pipe, theirs = Pipe()
        with theirs:
            # In this session, since Linux weighs priorities only within one; in a group of its
            # own, since Ctrl-C is for the parent.
            self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-W", "ignore", "-m", module, str(theirs.fileno()), *arguments],
                cwd=ROOT,
                env=child_environment(OMP_NUM_THREADS="1"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        try:
            self._pipe.send_bytes(greeting)
            self._await_ready()
        except BaseException:
            self.end()
            raise

    def ask(self, frames: Iterable[bytes], read: Callable[[Receive], T]) -> T:
        """Have something done."""
        for frame in frames:
            self._pipe.send_bytes(frame)
        return read(self._receive)

    def end(self) -> int:
        """Close the pipe, wait, and kill the process if it is still busy; returns its status."""
        self._pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_GRACE)
        self._process.kill()
        return self._process.wait()

    def _await_ready(self) -> None:
        said = self._receive(_START_SECONDS)
        if said != _READY:
            raise ConfigurationError(said.decode())

    def _receive(self, seconds: float = _ANSWER_SECONDS) -> bytes:
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"no answer within {seconds:g} s")
        return self._pipe.recv_bytes()


# --- in the child -------------------------------------------------------------------------------

Answer: TypeAlias = Callable[[Receive], Iterable[bytes]]
"""Reads the frames of one question and returns those of the answer."""


def attend(arguments: Sequence[str], begin: Callable[[bytes, Sequence[str]], Answer]) -> int:
    """Be the child: answer until the pipe closes, or nothing has come for a while.

    `begin` is given the greeting and the arguments; a `ConfigurationError` from it is passed on.
    """
    number, idle, *others = arguments
    with Connection(int(number)) as pipe, suppress(EOFError, BrokenPipeError):
        try:
            answer = begin(pipe.recv_bytes(), others)
        except ConfigurationError as error:
            pipe.send_bytes(str(error).encode())
            return 1
        pipe.send_bytes(_READY)
        _stand_back()  # not before: on a busy machine the start alone would take minutes
        while pipe.poll(float(idle)):
            for frame in answer(pipe.recv_bytes):
                pipe.send_bytes(frame)
    return 0


def _stand_back() -> None:
    """Yield to whatever else wants the processor; never interrupt it on waking up."""
    os.nice(_NICE)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
