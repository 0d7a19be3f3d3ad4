"""Parses files in another process: the client of the parser server, and its keeper."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ingest.parsing import wire
from ingest.parsing.formats import PARSER_VERSION, declared_format
from ingest.parsing.jail import Limits
from ingest.parsing.server import too_large
from knowledge.errors import ParserFailed
from knowledge.models import Parsed
from knowledge.settings import parser_environment

_LONGEST_SOCKET = 100  # bytes; a socket's path may have 103 on macOS, 107 on Linux
_START_SECONDS = 60.0
_QUEUE_SECONDS = 900.0
_GRACE = 15.0
_MEGABYTE = 1 << 20


class JailedParser:
    """Implements `Parser` over a parser server, which it starts itself unless given a `socket`.

    Safe to use from many threads: each call has a connection of its own and waits for its turn.
    A server of its own is started at the first call, started again if it died, and ends with this
    process however that ends; its socket lies in `folder`, or in a temporary folder. A server that
    does not answer is tried again for `patience` seconds.
    """

    version = PARSER_VERSION

    def __init__(
        self,
        socket: Path | None = None,
        *,
        limits: Limits | None = None,
        ocr_languages: str = "eng",
        folder: Path | None = None,
        patience: float = 15.0,
    ) -> None:
        self._limits = limits or Limits()
        self._ocr_languages = ocr_languages
        self._given = socket
        self._folder = folder
        self._patience = patience
        self._server: _Server | None = None
        self._lock = threading.Lock()

    def parse(self, data: bytes, *, name: str) -> Iterator[Parsed]:
        """Yield the documents of a file as they are read; closing the iterator stops the parser.

        Raises an `IngestError` and nothing else; `ParserFailed` with the code `unavailable` says
        nothing about the file and may be tried again.
        """
        declared_format(name)
        if len(data) > self._limits.max_file_mb * _MEGABYTE:
            raise too_large(self._limits)
        try:
            with self._request({"name": name, "size": len(data)}) as connection:
                connection.sendall(data)
                connection.settimeout(self._limits.seconds + _GRACE)
                while "end" not in (message := _next(connection)):
                    yield wire.to_parsed(message)
        except TimeoutError as error:
            raise ParserFailed("the parser does not answer", code="timeout") from error
        except OSError as error:
            raise _unavailable(str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ParserFailed("the parser gave a malformed answer", code="crashed") from error

    def ping(self) -> bool:
        """Say whether the parser answers; starts it if it is this process's own."""
        try:
            self._request({"ping": True}).close()
        except ParserFailed:
            return False
        return True

    def close(self) -> None:
        """Stop a server of its own; a later call would start another."""
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _request(self, request: dict[str, object]) -> socket.socket:
        """Return a connection whose request has been taken up; waits for its turn.

        Tries again for a while, since the server may be starting, or have died unnoticed.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return _dial(self._given or self._own_socket(), request)
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise _unavailable(str(error)) from error
            time.sleep(0.1)

    def _own_socket(self) -> Path:
        with self._lock:
            if self._server is None or not self._server.alive():
                if self._server is not None:
                    self._server.stop()
                self._server = _Server(self._limits, self._ocr_languages, self._folder)
            return self._server.socket


class _Server:
    """A parser server that is a child of this process and ends when its stdin closes."""

    def __init__(self, limits: Limits, ocr_languages: str, folder: Path | None) -> None:
        self._folder = _short_folder(folder)
        self.socket = self._folder / "parser.sock"
        command = [sys.executable, "-W", "ignore", "-m", "ingest.parsing.server"]
        options = {
            "--socket": self.socket,
            "--memory-mb": limits.memory_mb,
            "--seconds": limits.seconds,
            "--max-file-mb": limits.max_file_mb,
            "--ocr-languages": ocr_languages,
            "--workers": max(2, min(8, os.cpu_count() or 2)),
        }
        words = [str(word) for option in options.items() for word in option]
        self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [*command, "--stop-with-stdin", "--background", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=parser_environment(),
            start_new_session=True,
        )
        self._await_ready()

    def alive(self) -> bool:
        """Say whether the process still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Close the server's stdin, wait, and kill it if it lingers."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _await_ready(self) -> None:
        """Read the line that the server prints when it listens."""
        stdout = self._process.stdout
        readable = stdout and select.select([stdout], [], [], _START_SECONDS)[0]
        line = stdout.readline() if stdout and readable else b""
        if not line.startswith(b"{") or "ready" not in json.loads(line):
            self.stop()
            raise _unavailable("it did not start")


def _dial(path: Path, request: dict[str, object]) -> socket.socket:
    """Connect, send the request, and wait until it is taken up or refused."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_QUEUE_SECONDS)
        connection.connect(str(path))
        wire.send_frame(connection, wire.encode(request))
        _next(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _next(connection: socket.socket) -> dict[str, object]:
    """Return the next message. Raises the `IngestError` that it carries."""
    payload = wire.receive_frame(connection)
    if payload is None:
        raise ConnectionError("it ended in the middle of its answer")
    message = wire.decode(payload)
    if "failed" in message:
        raise wire.to_error(message)
    return message


def _short_folder(folder: Path | None) -> Path:
    """Make a private folder whose sockets have paths that the system can hold."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="parser-", dir=folder))
        if len(os.fsencode(made / "parser.sock")) <= _LONGEST_SOCKET:
            return made
        made.rmdir()
    made = Path(tempfile.mkdtemp(prefix="footnote-"))
    if len(os.fsencode(made / "parser.sock")) <= _LONGEST_SOCKET:
        return made
    made.rmdir()
    return Path(tempfile.mkdtemp(prefix="footnote-", dir="/tmp"))


def _unavailable(why: str) -> ParserFailed:
    return ParserFailed(
        f"the parser process is not available ({why}); try again, and see the log of the service",
        code="unavailable",
    )
