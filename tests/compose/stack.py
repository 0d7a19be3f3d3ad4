"""The services of `compose.yaml` as processes: its commands, environment and health checks.

Only places change: host names become loopback ports or sockets, mounts become folders.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.compose.compose_file import SECRETS, image_environment, load
from tests.conftest import GUARD, REPORT
from tests.service import ROOT, free_port

HEALTHY_SECONDS = 120
_MOUNT = re.compile(r"^(unix://)?/(data|keys|run/parser|tmp)(?=/|$)")


class Stack:
    """A running installation in `folder`; all its processes end with the block."""

    def __init__(self, folder: Path, *, qdrant: str, database: str) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.services: dict[str, dict[str, Any]] = load(SECRETS)["services"]
        api, page = free_port(), free_port()
        self.api_url, self.page_url = f"http://127.0.0.1:{api}", f"http://127.0.0.1:{page}"
        stores = self.services["api"]["environment"]
        self._places = {
            stores["FOOTNOTE_DATABASE_URL"]: database.replace("postgresql:", "postgresql+psycopg:"),
            "tcp://postgres:5432": _listener(database),
            "http://qdrant:6333": qdrant,
            "tcp://qdrant:6333": f"tcp://{urlsplit(qdrant).netloc}",
            "api:8765": f"127.0.0.1:{api}",
            "127.0.0.1:8765": f"127.0.0.1:{api}",
            "127.0.0.1:8501": f"127.0.0.1:{page}",
        }
        self._words = {"8765": str(api), "8501": str(page), "0.0.0.0": "127.0.0.1"}  # noqa: S104
        for mount in ("data", "keys", "run/parser", "tmp"):
            (folder / mount).mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def run(self, name: str, *command: str) -> str:
        """Run a one-off to its end, as `docker compose run` does; return what it prints."""
        words = [*self.services[name]["entrypoint"], *command]
        done = self._finished(name, words, seconds=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str) -> None:
        """Start a service by its command."""
        command = [self._here(word) for word in self.services[name]["command"]]
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, **self._context(name)
            )

    def healthy(self, name: str) -> bool:
        """Run the service's own health check once."""
        kind, *check = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        done = self._finished(name, [self._here(word) for word in check], seconds=60)
        return done.returncode == 0

    def wait_for(self, name: str) -> None:
        """Wait until the service is healthy."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while not self.healthy(name):
            assert self._running[name].poll() is None, self.log(name)
            assert time.monotonic() < deadline, self.log(name)
            time.sleep(0.5)

    def stop(self, name: str) -> int:
        """Stop as Docker does, by SIGTERM and ten seconds; return the exit status."""
        self._running[name].send_signal(signal.SIGTERM)
        return self._running[name].wait(10)

    def ended(self, name: str) -> int:
        """Wait for a service that ends by itself; return the exit status."""
        return self._running[name].wait(60)

    def log(self, name: str) -> str:
        """Return what the service has written."""
        return f"{name} wrote:\n{self._log(name).read_text()}"

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _finished(
        self, name: str, words: list[str], *, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        context = self._context(name)
        return subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=seconds, **context
        )

    def _context(self, name: str) -> dict[str, Any]:
        """Return environment and folder of a service; PATH and the network guard are ours."""
        stated = image_environment() | self.services[name].get("environment", {})
        here = {key: self._here(value) for key, value in stated.items()}
        ours = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "PYTHONPATH": f"{GUARD}{os.pathsep}{here['PYTHONPATH']}",
            "FOOTNOTE_GUARD_REPORT": str(REPORT),
        }
        return {"env": here | ours, "cwd": self._here(self.services[name]["working_dir"])}

    def _here(self, word: str) -> str:
        """Put our places where compose's stand."""
        if word == "/app":
            return str(ROOT)
        if word in self._words:
            return self._words[word]
        word = _MOUNT.sub(lambda mount: f"{mount[1] or ''}{self._folder}/{mount[2]}", word)
        for there, here in self._places.items():
            word = word.replace(there, here)
        return word


def _listener(database: str) -> str:
    """Return where a PostgreSQL listens, as an address for the health check."""
    parts = urlsplit(database)
    if folder := parse_qs(parts.query).get("host"):
        return f"unix://{folder[0]}/.s.PGSQL.5432"
    return f"tcp://{parts.hostname}:{parts.port or 5432}"
