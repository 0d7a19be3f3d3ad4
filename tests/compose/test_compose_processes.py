"""api, worker, parser and ui as processes, with exactly compose's commands, environment and checks.

Host names become loopback ports and volumes become folders; all else is what `compose.yaml` says.
PostgreSQL is real; Qdrant is the test server of `qdrant_rest`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from tests.compose.compose_file import SECRETS, image_environment, load
from tests.compose.qdrant_rest import qdrant_server
from tests.conftest import GUARD, REPORT
from tests.postgres import postgres_server
from tests.service import ROOT, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(280)]

HEALTHY_SECONDS = 120
NOTICE = """# Notice periods

Permanent staff may end their contract with a notice period of eleven weeks.
During probation, two weeks suffice for either side.
"""


class Stack:
    """The services of `compose.yaml` on this machine."""

    def __init__(self, folder: Path, qdrant: str, postgres: int) -> None:
        self.folder = folder
        self.api, self.ui = free_port(), free_port()
        self.services: dict[str, dict[str, Any]] = load(SECRETS)["services"]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._places = {
            "http://qdrant:6333": qdrant,
            "tcp://qdrant:6333": f"tcp://{urlsplit(qdrant).netloc}",
            "postgres:5432": f"127.0.0.1:{postgres}",
            "api:8765": f"127.0.0.1:{self.api}",
            "8765": str(self.api),
            "8501": str(self.ui),
            "0.0.0.0": "127.0.0.1",  # noqa: S104 (what it replaces)
        }
        for volume in ("data", "keys", "run/parser", "tmp"):
            (folder / volume).mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def run(self, name: str, *command: str) -> str:
        """Run a one-off of a service, as `docker compose run` does; return what it prints."""
        words = [*self.services[name].get("entrypoint", []), *command]
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, **self._context(name)
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        command = [self._here(word) for word in self.services[name]["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, **self._context(name)
            )

    def healthy(self, name: str) -> bool:
        """Run the service's own health check once."""
        kind, *check = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self._here(word) for word in check]
        seconds = float(self.services[name]["healthcheck"]["timeout"].removesuffix("s"))
        done = subprocess.run(
            words, capture_output=True, check=False, timeout=seconds * 4, **self._context(name)
        )
        return done.returncode == 0

    def wait_for(self, name: str) -> None:
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not self.healthy(name):
            assert self._running[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.5)

    def stop(self, name: str) -> int:
        """Stop as Docker does: SIGTERM, ten seconds; return the exit status."""
        self._running[name].send_signal(signal.SIGTERM)
        return self._running[name].wait(10)

    def log(self, name: str) -> str:
        return f"{name}:\n" + (self.folder / f"{name}.log").read_text()

    def _context(self, name: str) -> dict[str, Any]:
        variables = image_environment() | self.services[name].get("environment", {})
        here = {key: self._here(value) for key, value in variables.items()}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
        guarded = f"{GUARD}{os.pathsep}{here['PYTHONPATH']}"
        extra = {"PATH": programs, "PYTHONPATH": guarded, "FOOTNOTE_GUARD_REPORT": str(REPORT)}
        return {"env": here | extra, "cwd": self._here(self.services[name]["working_dir"])}

    def _here(self, word: str) -> str:
        if "/" not in word and not word.isdigit() and ":" not in word and word[:1] != "0":
            return word
        for there, here in self._places.items():
            word = word.replace(there, here)
        for mount in ("/data", "/keys", "/run/parser", "/tmp"):  # noqa: S108 (a mount)
            if word.removeprefix("unix://").split("/", 2)[:2] == ["", mount.split("/")[1]]:
                word = word.replace(mount, f"{self.folder}{mount}", 1)
        return word.replace("/app", str(ROOT)) if word.startswith("/app") else word


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="fn-", dir="/tmp"))  # short: it will hold a socket
    try:
        with postgres_server() as server, qdrant_server(SECRETS["QDRANT_API_KEY"]) as qdrant:
            with _by_tcp(server) as port, Stack(folder, qdrant, port) as stack:
                yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)
