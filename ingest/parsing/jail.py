"""Runs one piece of work in a forked child that may use only so much memory and time.

The child makes frames of bytes, the parent yields them. Whatever the child does - loop, eat memory,
crash, write garbage - the parent goes on, and says what happened.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ingest.parsing import wire
from knowledge.errors import ParserFailed

_MEGABYTE = 1 << 20
_GRACE = 5
_MOST_FILES = 64
_LOOK_SECONDS = 0.25
"""How often the parent looks at a child that is silent."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_DONE = b""
_PEAK_UNIT = 1024 if sys.platform == "linux" else 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the parser of one file may use."""

    memory_mb: int = 2048
    """Beyond what the process holds before it starts. Linux limits what is asked for; everywhere
    the resident memory is watched, and whoever passes it is ended within a second."""
    seconds: float = 100
    """Processor time for the file, and wall time for each document in it."""
    max_file_mb: int = 200


def run_jailed(
    work: Callable[[], Iterator[bytes]],
    limits: Limits,
    *,
    prepare: Callable[[], None] = lambda: None,
    hangup: socket.socket | None = None,
) -> Generator[bytes, None, None]:
    """Yield the frames that `work` makes in a child; `prepare` runs there before the limits hold.

    The last frame may be an error message (see `wire`). The time that the consumer takes between
    frames is not counted. Raises `ParserFailed` when the child dies, and stops quietly when the
    other side of `hangup` goes away. Only for single-threaded processes without other children: it
    forks, and ends every child that is there afterwards.
    """
    _adopt_strays()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _be_the_child(theirs, work, prepare, limits)
    theirs.close()
    child = _Child(pid)
    try:
        with ours:
            yield from _frames(_Watched(ours, hangup, pid, limits))
    except _HungUp:
        return
    except ConnectionError as error:
        raise child.cause_of_death(limits) from error
    finally:
        child.end()


def cut_network() -> bool:
    """Try to leave the network for good; says whether that worked (Linux, where allowed)."""
    libc = _libc()
    if libc is None:
        return False
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    ways = (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET)  # the second needs no privilege
    return any(libc.unshare(way) == 0 for way in ways)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies (Linux)."""
    if libc := _libc():
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def memory_is_limited() -> bool:
    """Say whether this system keeps `Limits.memory_mb`."""
    return sys.platform == "linux"


# --- in the child -------------------------------------------------------------------------------


def _be_the_child(
    channel: socket.socket,
    work: Callable[[], Iterator[bytes]],
    prepare: Callable[[], None],
    limits: Limits,
) -> NoReturn:
    """Do the work and leave; never returns into the code of the parent."""
    status = 1
    try:
        try:
            _let_go(channel)
            prepare()
            wire.send_frame(channel, b"%d" % _resident(os.getpid()))
            _confine(limits)
            for frame in _timed(work(), limits.seconds):
                wire.send_frame(channel, frame)
        finally:
            status = _report(channel, sys.exception(), limits)
    finally:
        os._exit(status)


def _let_go(channel: socket.socket) -> None:
    """Leave the parent's group, signals and files, all but the channel."""
    os.setpgid(0, 0)
    die_with_parent()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 (numbers, not paths)
        if int(name) > 2 and int(name) != channel.fileno():
            with suppress(OSError):
                os.close(int(name))


def _confine(limits: Limits) -> None:
    seconds = int(limits.seconds) + 1
    _limit(resource.RLIMIT_CPU, seconds, seconds + _GRACE)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_FSIZE, 0, 0)
    _limit(resource.RLIMIT_NOFILE, _MOST_FILES, _MOST_FILES)
    _limit(resource.RLIMIT_NPROC, 0, 0)
    if memory_is_limited():
        memory = _size_now() + limits.memory_mb * _MEGABYTE
        _limit(resource.RLIMIT_AS, memory, memory)


def _limit(what: int, soft: int, hard: int) -> None:
    """Lower a limit; one that already is lower, or that the system does not know, stays."""
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (soft, hard))


def _size_now() -> int:
    """Return the size of this process's address space in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _timed(frames: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """Let the alarm run while a frame is made, not while it is taken; the alarm kills."""
    while True:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        frame = next(frames, None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if frame is None:
            return
        yield frame


def _report(channel: socket.socket, error: BaseException | None, limits: Limits) -> int:
    """Tell the parent how the work ended; returns the exit status."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    if isinstance(error, MemoryError):
        error = _out_of_memory(limits)
    with suppress(OSError):
        if error is not None:
            wire.send_frame(channel, wire.encode(wire.from_error(error)))
        wire.send_frame(channel, _DONE)
    return 0


# --- in the parent ------------------------------------------------------------------------------


def _frames(channel: _Watched) -> Iterator[bytes]:
    """Yield frames until the child is done. Raises `ConnectionError` when it dies before that."""
    channel.allow_beyond(int(_frame(channel)[:20]))
    while (frame := _frame(channel)) != _DONE:
        yield frame


def _frame(channel: _Watched) -> bytes:
    channel.begin()
    frame = wire.receive_frame(channel)
    if frame is None:
        raise ConnectionError("the parser died")
    return frame


class _HungUp(Exception):
    """The client has gone: it says nothing after its request but that."""


class _Watched:
    """The child's channel. While it is read, the child's time and memory and the client are, too.

    A child that sends half a frame and stops, or drips, is out of time like any other.
    """

    def __init__(
        self, channel: socket.socket, hangup: socket.socket | None, pid: int, limits: Limits
    ) -> None:
        self._channel = channel
        self._sockets = [channel] if hangup is None else [channel, hangup]
        self._pid = pid
        self._limits = limits
        self._deadline = 0.0
        self._most = sys.maxsize

    def allow_beyond(self, held: int) -> None:
        """Limit the resident memory to what the child `held` before it saw the file, and more."""
        self._most = held + self._limits.memory_mb * _MEGABYTE

    def begin(self) -> None:
        """Let the time for one frame begin."""
        self._deadline = time.monotonic() + self._limits.seconds + _GRACE

    def recv_into(self, view: memoryview) -> int:
        """Wait for some bytes, as a socket does."""
        while True:
            ready, _, _ = select.select(self._sockets, [], [], _LOOK_SECONDS)
            if time.monotonic() > self._deadline:
                raise _out_of_time(self._limits)
            if self._channel in ready:
                return self._channel.recv_into(view)
            if ready:
                raise _HungUp
            if _resident(self._pid) > self._most:
                raise _out_of_memory(self._limits)


def _resident(pid: int) -> int:
    """Return the bytes of memory that a process holds; 0 when it has gone."""
    try:
        if sys.platform == "linux":
            statm = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
            return int(statm.split()[1]) * resource.getpagesize()
        command = ["/bin/ps", "-o", "rss=", "-p", str(pid)]
        said = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 (fixed words)
        return int(said.stdout) * 1024
    except (OSError, ValueError):
        return 0


class _Child:
    """The child as its parent sees it; its number is used only while it is certainly its own."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._reaped = False

    def cause_of_death(self, limits: Limits) -> ParserFailed:
        """Wait for the child, which has closed its channel, and say what killed it."""
        status, peak_mb = self._wait()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number in (signal.SIGALRM, signal.SIGXCPU):
            return _out_of_time(limits)
        if number == signal.SIGKILL or peak_mb > 0.8 * limits.memory_mb:
            return _out_of_memory(limits)
        cause = signal.Signals(number).name if number else f"status {os.WEXITSTATUS(status)}"
        return ParserFailed(
            f"the parser crashed on it ({cause}); open it in its own program and save it again",
            code="crashed",
        )

    def end(self) -> None:
        """Kill the child and whatever it has started, and reap it."""
        if not self._reaped:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._reaped = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        _end_strays()

    def _wait(self) -> tuple[int, float]:
        """Return (wait status, peak memory in MB); a child that lingers is killed."""
        deadline = time.monotonic() + _GRACE
        while True:
            pid, status, usage = os.wait4(self._pid, os.WNOHANG)
            if pid:
                self._reaped = True
                return status, usage.ru_maxrss * _PEAK_UNIT / _MEGABYTE
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.005)


def _adopt_strays() -> None:
    """Become the parent of whatever the child starts and lets go of (Linux)."""
    if libc := _libc():
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_strays() -> None:
    """Kill what the child has left behind in another group or session.

    A bomb of forks can outrun this for a while, but not for long: it only shrinks.
    """
    deadline = time.monotonic() + _GRACE
    with suppress(ChildProcessError):  # none is left
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for stray in _children():
                    os.kill(stray, signal.SIGKILL)
                time.sleep(0.001)


def _children() -> Iterator[int]:
    """Yield the processes whose parent this is (Linux)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has gone meanwhile
            parent = int(status.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            if parent == os.getpid():
                yield int(status.parent.name)


def _out_of_memory(limits: Limits) -> ParserFailed:
    return ParserFailed(
        f"the parser needed more than {limits.memory_mb} MB of memory; "
        "FOOTNOTE_PARSE_MEMORY_MB allows more",
        code="out_of_memory",
    )


def _out_of_time(limits: Limits) -> ParserFailed:
    return ParserFailed(
        f"the parser took longer than {limits.seconds:g} s; FOOTNOTE_PARSE_SECONDS allows more",
        code="timeout",
    )


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
