"""The parser process: listens on a Unix socket and parses each file in a child of its own.

`python -m ingest.parsing.server --socket PATH` starts it; it prints one line when it is ready.
It leaves the network where the system lets it, needs no settings and no folder of ours, and is the
only process that ever looks inside a document. Each connection is served by a forked handler, which
forks the jailed child (see `jail`), so nothing a file does reaches the next one. Where forking is
unsafe once libraries are loaded (macOS), the server stays lean and each child imports its parser.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from ingest.parsing import wire
from ingest.parsing.background import go_to_background
from ingest.parsing.formats import PARSER_VERSION, parse, preload
from ingest.parsing.jail import Limits, cut_network, die_with_parent, memory_is_limited, run_jailed
from ingest.parsing.ocr import use_languages
from knowledge.errors import IngestError, ParserFailed, TooLarge

_BACKLOG = 64
_HEADER_SECONDS = 10
_MEGABYTE = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; with `--check`, say by the exit status whether a server answers."""
    options = _options(arguments)
    if options.check:
        return 0 if _answers(options.socket) else 1
    _forbid_threads()
    if options.background:
        go_to_background()
    limits = Limits(options.memory_mb, options.seconds, options.max_file_mb)
    use_languages(options.ocr_languages)
    listener = _listen(options.socket)
    try:
        ready = {
            "ready": str(options.socket),
            "version": PARSER_VERSION,
            "network": not cut_network(),
            "memory_limit": memory_is_limited(),
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        _Server(listener, limits, options.workers, options.stop_with_stdin, options.cold).serve()
    finally:
        options.socket.unlink(missing_ok=True)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    defaults = Limits()
    parser = argparse.ArgumentParser(prog="ingest.parsing.server", description=__doc__)
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--memory-mb", type=int, default=defaults.memory_mb, help="per file")
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="per file")
    parser.add_argument("--max-file-mb", type=int, default=defaults.max_file_mb)
    parser.add_argument("--ocr-languages", default="eng", help="of scans; empty: none is read")
    parser.add_argument("--workers", type=int, default=2, help="files parsed at the same time")
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when stdin closes")
    parser.add_argument("--background", action="store_true", help="let everybody else go first")
    parser.add_argument("--check", action="store_true", help="ask a running server; exit 0 or 1")
    parser.add_argument(
        "--cold",
        action="store_true",
        default=sys.platform != "linux",
        help="import parsers in each child (always so where forking warm is unsafe)",
    )
    return parser.parse_args(arguments)


def _forbid_threads() -> None:
    """Keep pandas from importing pyarrow: it starts a thread, and a process with one cannot fork.

    The threads of numerical libraries are switched off by `parser_environment`.
    """
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # makes its import fail


def _listen(path: Path) -> socket.socket:
    """Listen at `path`, for this user only; a socket left behind by a dead server is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_HEADER_SECONDS)
        try:
            connection.connect(str(path))
            wire.send_frame(connection, wire.encode({"ping": True}))
            return wire.receive_frame(connection) is not None
        except OSError:
            return False


@dataclass(slots=True)
class _Server:
    """One thread, one loop: accepts while a handler is free, reaps, ends when told to."""

    listener: socket.socket
    limits: Limits
    workers: int
    stop_with_stdin: bool
    cold: bool
    handlers: set[int] = field(default_factory=set)

    def serve(self) -> None:
        """Run until SIGTERM, SIGINT, or the end of stdin where that was asked for."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _note)
        try:
            while self._turn(woken):
                pass
        finally:
            self._end_handlers()

    def _turn(self, woken: socket.socket) -> bool:
        """Wait for something to happen and deal with it; False means stop."""
        watched: list[socket.socket | int] = [woken]
        if len(self.handlers) < self.workers:
            watched.append(self.listener)
        if self.stop_with_stdin:
            watched.append(0)
        ready, _, _ = select.select(watched, [], [])
        if woken in ready and set(woken.recv(4096)) & {signal.SIGTERM, signal.SIGINT}:
            return False
        if 0 in ready and not os.read(0, 4096):
            return False
        self._reap()
        if self.listener in ready:
            self._accept()
        return True

    def _accept(self) -> None:
        """Read who comes with what, import what that needs, and fork a handler for it."""
        connection, _ = self.listener.accept()
        with connection, suppress(OSError, ValueError, KeyError):
            connection.settimeout(_HEADER_SECONDS)
            request = wire.decode(wire.receive_frame(connection, wire.MAX_HEADER) or b"")
            if "ping" in request:
                wire.send_frame(connection, wire.encode({"version": PARSER_VERSION}))
                return
            name, size = str(request["name"]), int(request["size"])
            connection.settimeout(None)
            if not self.cold:
                with suppress(IngestError):  # the child finds it out again and reports it
                    preload(name)
            pid = os.fork()
            if pid == 0:
                _be_the_handler(connection, name, size, self.limits)
            self.handlers.add(pid)

    def _reap(self) -> None:
        for pid in list(self.handlers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.handlers.discard(pid)

    def _end_handlers(self) -> None:
        for pid in self.handlers:
            os.kill(pid, signal.SIGTERM)
        for pid in self.handlers:
            os.waitpid(pid, 0)


def _note(number: int, frame: object) -> None:
    """Do nothing: the wake-up socket has already been written to."""


# --- in the handler -----------------------------------------------------------------------------


def _be_the_handler(connection: socket.socket, name: str, size: int, limits: Limits) -> NoReturn:
    """Serve one request and leave; never returns into the code of the server."""
    try:
        die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _leave)  # so that the jailed child is ended, too
        with suppress(OSError):  # the client is gone: nobody to tell
            _handle(connection, name, size, limits)
    finally:
        os._exit(0)


def _handle(connection: socket.socket, name: str, size: int, limits: Limits) -> None:
    try:
        if size > limits.max_file_mb * _MEGABYTE:
            raise too_large(limits)
        wire.send_frame(connection, wire.encode({"started": True}))
        data = wire.receive_exactly(connection, size)
        work = partial(_documents, data, name)
        jailed = run_jailed(work, limits, prepare=partial(preload, name), hangup=connection)
        with closing(jailed) as frames:
            for frame in frames:
                wire.send_frame(connection, frame)
        wire.send_frame(connection, wire.encode({"end": True}))
    except IngestError as error:
        wire.send_frame(connection, wire.encode(wire.from_error(error)))


def _documents(data: bytes, name: str) -> Iterator[bytes]:
    for parsed in parse(data, name):
        frame = wire.encode(wire.from_parsed(parsed))
        if len(frame) > wire.MAX_FRAME:
            raise TooLarge("it holds more text and structure than one document may")
        yield frame


def too_large(limits: Limits) -> TooLarge:
    """Return the error for a file over the cap."""
    return TooLarge(
        f"it is larger than {limits.max_file_mb} MB; FOOTNOTE_MAX_FILE_MB allows more",
        code="too_large",
    )


def _leave(number: int, frame: object) -> NoReturn:
    raise ParserFailed("the parser was stopped; try again", code="unavailable")


if __name__ == "__main__":
    sys.exit(main())
