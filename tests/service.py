"""A real `footnote serve` (and other commands) as child processes, for tests that go over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2

ROOT = Path(__file__).resolve().parent.parent
PATHS = os.pathsep.join([str(ROOT / "tests" / "guard"), str(ROOT)])
"""What children import from; the first folder keeps them on this machine."""


def free_port() -> int:
    """Return a loopback port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(data_dir: Path, *arguments: str, **settings: str) -> list[str]:
    """Return the command line of `footnote` with its own data folder and settings.

    The program `env` sets them, so that nothing here touches this process's environment.
    """
    variables = {"FOOTNOTE_DATA_DIR": str(data_dir), "PYTHONPATH": PATHS, **settings}
    assignments = [f"{name}={value}" for name, value in variables.items()]
    return ["env", *assignments, sys.executable, "-m", "footnote", *arguments]


def footnote(
    data_dir: Path, *arguments: str, timeout: float = 120, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run one `footnote` command to its end."""
    return subprocess.run(
        command(data_dir, *arguments, **settings),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def serving(data_dir: Path, *, wait: float = 90, **settings: str) -> Iterator[str]:
    """Run `footnote serve` on a free port; yield its URL once it is healthy; stop it after."""
    with service(data_dir, wait=wait, **settings) as (url, _):
        yield url


@contextlib.contextmanager
def service(
    data_dir: Path, *, wait: float = 90, **settings: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Do what `serving` does, and yield the process as well."""
    port = free_port()
    environment: Mapping[str, str] = {"FOOTNOTE_PORT": str(port), **settings}
    log = data_dir.with_suffix(".serve.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        process = subprocess.Popen(
            command(data_dir, "serve", **environment), stdout=out, stderr=subprocess.STDOUT
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _await_health(url, process, log, wait)
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_health(url: str, process: subprocess.Popen[bytes], log: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"serve ended with {process.returncode}:\n{log.read_text()}")
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/v1/health", timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(f"serve was not healthy after {wait} s:\n{log.read_text()}")
