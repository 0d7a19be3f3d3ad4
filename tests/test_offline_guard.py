"""The guard of the test suite catches what leaves this machine: in process and in children."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPORT
from tests.guard.loopback_only import LeavesThisMachine
from tests.service import ROOT, command

ELSEWHERE = ("192.0.2.1", 9)  # an address reserved for documentation: nobody is there
KNOCK = f"import socket; socket.create_connection({ELSEWHERE!r}, timeout=1)"


@contextlib.contextmanager
def _noted(what: str) -> Iterator[None]:
    """Check that an attempt was written down, then forgive it: it was made on purpose."""
    before = REPORT.read_text()
    yield
    assert what in REPORT.read_text()[len(before) :]
    REPORT.write_text(before)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(socket.SOCK_STREAM, id="tcp"),
        pytest.param(socket.SOCK_DGRAM, id="udp"),
    ],
)
def test_a_connection_to_elsewhere_is_refused(kind: int) -> None:
    outward = socket.socket(type=kind)
    with _noted("192.0.2.1"), outward, pytest.raises(LeavesThisMachine):
        outward.connect(ELSEWHERE)


def test_a_datagram_to_elsewhere_is_refused() -> None:
    outward = socket.socket(type=socket.SOCK_DGRAM)
    with _noted("192.0.2.1"), outward, pytest.raises(LeavesThisMachine):
        outward.sendto(b"?", ELSEWHERE)


def test_the_lookup_of_a_foreign_name_is_refused() -> None:
    with _noted("footnote.invalid"), pytest.raises(LeavesThisMachine):
        socket.getaddrinfo("footnote.invalid", 443)


def test_an_asynchronous_connection_to_elsewhere_is_refused() -> None:
    with _noted("192.0.2.1"), pytest.raises(LeavesThisMachine):
        asyncio.run(asyncio.open_connection(*ELSEWHERE))


def test_a_child_process_is_guarded_too() -> None:
    with _noted("192.0.2.1"):
        child = subprocess.run([sys.executable, "-c", KNOCK], capture_output=True, text=True)
    assert "LeavesThisMachine" in child.stderr


def test_without_the_guard_the_same_child_is_not_stopped_by_it() -> None:
    unguarded = [sys.executable, "-I", "-c", KNOCK]
    child = subprocess.run(unguarded, capture_output=True, text=True)
    assert child.returncode != 0
    assert "LeavesThisMachine" not in child.stderr


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port), timeout=5) as client:
            assert client.getpeername()[1] == port


def test_a_test_fails_even_if_it_swallows_the_refusal(tmp_path: Path) -> None:
    module = tmp_path / "test_outward.py"
    module.write_text(
        "import contextlib, socket\n"
        "def test_outward():\n"
        "    with contextlib.suppress(OSError):\n"
        f"        socket.create_connection({ELSEWHERE!r}, timeout=1)\n"
    )
    config = ["-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider"]
    own_report = ["env", "-u", "FOOTNOTE_GUARD_REPORT"]  # else this test would be the one to fail
    run = subprocess.run(
        [*own_report, sys.executable, "-m", "pytest", "-q", *config, str(module)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 1, run.stdout
    assert "tried to leave this machine" in run.stdout


def test_the_commands_that_tests_run_are_guarded_too(tmp_path: Path) -> None:
    *settings, _python, _m, _footnote = command(tmp_path)
    with _noted("192.0.2.1"):
        child = subprocess.run([*settings, sys.executable, "-c", KNOCK], stderr=subprocess.PIPE)
    assert b"LeavesThisMachine" in child.stderr
