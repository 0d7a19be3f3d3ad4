from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from footnote.owner import Ownership, Service, announced, own_or_find, owner, try_own
from knowledge.errors import ConfigurationError

HOLDER = """
import sys, time
from pathlib import Path
from footnote.owner import Service, try_own
held = try_own(Path(sys.argv[1]), command="ingest")
held.announce(Service("http://127.0.0.1:9", "token"))
print("held", flush=True)
time.sleep(600)
"""


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = try_own(tmp_path, command="serve")
    assert first is not None
    assert try_own(tmp_path, command="ingest") is None
    assert owner(tmp_path).startswith("serve since ")
    with first:
        pass
    second = try_own(tmp_path, command="ingest")
    assert second is not None
    with second:
        assert owner(tmp_path).startswith("ingest since ")


def test_the_note_of_a_service_is_for_its_own_account_and_goes_with_it(tmp_path: Path) -> None:
    held = try_own(tmp_path, command="serve")
    assert held is not None
    with held:
        held.announce(Service("http://127.0.0.1:1", "token"))
        assert (tmp_path / "service.json").stat().st_mode & 0o777 == 0o600
        assert announced(tmp_path) == Service("http://127.0.0.1:1", "token")
    assert announced(tmp_path) is None


def test_an_owner_that_was_killed_is_no_owner(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        assert try_own(tmp_path, command="ask") is None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert announced(tmp_path) is not None  # its note is still there
    held = try_own(tmp_path, command="ask")
    assert held is not None
    with held:
        assert announced(tmp_path) is None


def test_a_command_goes_through_a_service_that_answers(tmp_path: Path) -> None:
    held = try_own(tmp_path, command="serve")
    assert held is not None
    service = Service("http://127.0.0.1:1", "token")
    with held:
        held.announce(service)
        found = own_or_find(tmp_path, command="ask", answers=lambda _: True, say=_fail)
    assert found == service


def test_a_command_waits_for_an_owner_that_does_not_serve_and_says_so_once(tmp_path: Path) -> None:
    held = try_own(tmp_path, command="ingest")
    assert held is not None
    said: list[str] = []
    got: list[Ownership | Service] = []

    def wait() -> None:
        got.append(own_or_find(tmp_path, command="ask", answers=lambda _: False, say=said.append))

    waiting = threading.Thread(target=wait)
    waiting.start()
    held.announce(Service("http://127.0.0.1:1", "not yet listening"))
    time.sleep(0.7)
    assert not got
    held.__exit__()
    waiting.join(10)
    assert isinstance(got[0], Ownership)
    got[0].__exit__()
    assert len(said) == 1
    assert "ingest since" in said[0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="FOOTNOTE_DATA_DIR"):
        try_own(tmp_path / "file" / "data", command="serve")


def _fail(message: str) -> None:
    raise AssertionError(message)
