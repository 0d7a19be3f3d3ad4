"""The page as a child process: `footnote ui`, and `footnote serve --ui`."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

from knowledge.errors import ConfigurationError
from knowledge.settings import ROOT, Settings, child_environment

STOP_SECONDS = 5


def run_page(settings: Settings) -> int:
    """Run the page until it ends; return its exit code."""
    port = free_port(settings.ui_port)
    print(f"The page is at http://127.0.0.1:{port}", flush=True)
    process = _start(port, settings.api_url or f"http://127.0.0.1:{settings.port}")
    with _ended(process), contextlib.suppress(KeyboardInterrupt):
        return process.wait()
    return 0


@contextlib.contextmanager
def page_beside(settings: Settings, url: str, *, say: Callable[[str], None]) -> Iterator[None]:
    """Keep the page of the service at `url` running."""
    port = free_port(settings.ui_port)
    with _ended(_start(port, url)):
        say(f"the page is at http://127.0.0.1:{port}")
        yield


def _start(port: int, url: str) -> subprocess.Popen[bytes]:
    options = {
        "--server.port": str(port),
        "--server.address": "127.0.0.1",
        "--server.headless": "true",
        "--browser.gatherUsageStats": "false",
    }
    words = [word for option in options.items() for word in option]
    return subprocess.Popen(  # noqa: S603 (our own page)
        [sys.executable, "-m", "streamlit", "run", str(ROOT / "ui" / "app.py"), *words],
        cwd=ROOT,
        env=child_environment(FOOTNOTE_API_URL=url, PYTHONPATH=str(ROOT)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(port: int) -> int:
    """Return `port`, or a free one for 0; raises `ConfigurationError` when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = "is taken" if error.errno == errno.EADDRINUSE else f"fails: {error.strerror}"
            raise ConfigurationError(
                f"port {port} for the page {why}; set FOOTNOTE_UI_PORT to another one"
            ) from error
        free: int = probe.getsockname()[1]
        return free
