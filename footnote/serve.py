"""`footnote serve`, `worker`, `parser`: the processes that stay. The only file with uvicorn."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator

import uvicorn

from footnote.client import answers
from footnote.owner import Ownership, Service, announced, own_or_find
from footnote.page import free_port, page_beside
from footnote.wiring import House
from knowledge.errors import ConfigurationError, OwnedElsewhere
from knowledge.settings import Settings, parser_environment

TURN_SECONDS = 0.0005
"""A thread that computes in Python keeps the others from the interpreter for so long. A question is
embedded in some hundred operations, after each of which its thread waits for a turn: with Python's
own 5 ms, a search beside an ingest took 194 ms at its 99th percentile; with this, 48."""

STOP_SECONDS = 10
"""Requests in flight have so long to finish once the service is told to stop."""


def serve(settings: Settings, *, ui: bool, say: Callable[[str], None]) -> None:
    """Answer over HTTP until told to stop; with `ui`, keep the page running beside it."""
    _say_where_it_died()
    sys.setswitchinterval(TURN_SECONDS)
    if announced(settings.data_dir):  # say so before the port is found to be taken
        with contextlib.ExitStack() as brief:
            _owner(settings, brief, say)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_bound(settings.host, settings.port))
        if ui:
            free_port(settings.ui_port)
        House(settings).gate  # noqa: B018 (says at once what is missing)
        owner = _owner(settings, stack, say)
        _spool_beside(settings)
        house = stack.enter_context(House(settings))
        say("opening the stores and the embedding model …")
        server = uvicorn.Server(_config(house))
        house.start_worker(say)
        listener.listen(1024)
        url = _url(listener)
        if owner:
            owner.announce(Service(url, house.owner_token))
        if ui:
            stack.enter_context(page_beside(settings, url, say=say))
        say(f"answering at {url}; Ctrl-C stops it")
        with _interruptible():
            server.run(sockets=[listener])


def work(settings: Settings, *, once: bool) -> None:
    """Index uploads that an API elsewhere has taken in, until told to stop."""
    if settings.embedded:
        raise ConfigurationError(
            "footnote worker needs FOOTNOTE_DATABASE_URL and FOOTNOTE_QDRANT_URL; with embedded "
            "stores, footnote serve indexes uploads itself"
        )
    with House(settings, only_indexes=True) as house, _interruptible():
        house.work(once=once)


def parse(settings: Settings) -> None:
    """Become the parser server."""
    if settings.parser_socket is None:
        raise ConfigurationError("set FOOTNOTE_PARSER_SOCKET to where the parser shall listen")
    options = {
        "--socket": settings.parser_socket,
        "--memory-mb": settings.parse_memory_mb,
        "--seconds": settings.parse_seconds,
        "--ocr-languages": settings.ocr_languages,
        "--max-file-mb": settings.max_file_mb,
    }
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "ingest.parsing.server", *words]
    os.execve(sys.executable, command, parser_environment())  # noqa: S606 (our own module)


def _say_where_it_died() -> None:
    """Have a process that the system kills, as for a full disk, leave a trace."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__.fileno())


def _owner(
    settings: Settings, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> Ownership | None:
    """Take the data folder; servers of a database and a vector store share theirs."""
    if not settings.embedded:
        return None
    held = own_or_find(settings.data_dir, command="serve", answers=answers, say=say)
    if isinstance(held, Service):
        raise OwnedElsewhere(
            f"{settings.data_dir} is served already, at {held.url}; stop that service, or set "
            "FOOTNOTE_DATA_DIR to another folder"
        )
    return stack.enter_context(held)


def _spool_beside(settings: Settings) -> None:
    """Have uploads spooled on the disk that will keep them, not in a small /tmp."""
    folder = settings.data_dir / "spool"
    if settings.embedded:  # a former owner may have been killed
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tempfile.tempdir = str(folder)


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the address before anything slow is done; it does not listen yet."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends without Nagle's 40 ms delay only where the protocol is named.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigurationError(_why_not(error, host, port)) from error
        yield listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken; set FOOTNOTE_PORT to another one (0: any free one)"
    if error.errno == errno.EACCES:
        return f"port {port} may not be used by this account; set FOOTNOTE_PORT above 1023"
    return f"{host} is no address of this machine ({error.strerror}); set FOOTNOTE_HOST"


def _config(house: House) -> uvicorn.Config:
    return uvicorn.Config(
        house.app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Take Ctrl-C and SIGTERM as the ordinary end of something that stays."""
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(_: int, __: object) -> None:
    raise KeyboardInterrupt
