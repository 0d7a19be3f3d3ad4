"""Hostile work in the jail. Each case has a fresh process: the jail forks, pytest has threads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from knowledge.settings import ROOT, parser_environment

LINUX = sys.platform == "linux"
only_linux = pytest.mark.skipif(not LINUX, reason="this system knows no such limit")

SCRIPT = """
import ctypes, itertools, json, os, signal, socket, subprocess, sys, time
from ingest.parsing import jail, wire
from ingest.parsing.jail import Limits, run_jailed
from knowledge.errors import IngestError

def report(frames):
    seen = []
    try:
        for frame in frames:
            seen.append(frame.decode())
    except IngestError as error:
        seen.append(error.code)
        seen.append(str(error))
    return seen

{case}
print(json.dumps(report(run_jailed(work, limits))))
print(json.dumps(report(run_jailed(lambda: iter([b"still here"]), limits))))
"""


def run(case: str) -> list[str]:
    """Run a case; return what came out of the jail, and check that the next one works."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("{case}", case)],
        env=parser_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    first, second = done.stdout.splitlines()
    assert json.loads(second) == ["still here"]
    outcome: list[str] = json.loads(first)
    return outcome


def test_frames_come_out_in_order() -> None:
    assert run("limits = Limits()\ndef work():\n  yield b'a'\n  yield b'b'") == ["a", "b"]


def test_a_loop_is_ended_after_its_time_and_keeps_what_came_before() -> None:
    began = time.monotonic()
    outcome = run("limits = Limits(seconds=0.5)\ndef work():\n  yield b'first'\n  while True: pass")
    assert outcome[:2] == ["first", "timeout"]
    assert "FOOTNOTE_PARSE_SECONDS" in outcome[2]
    assert time.monotonic() - began < 10


def test_a_sleeper_is_ended_as_well() -> None:
    sleeper = "limits = Limits(seconds=0.5)\ndef work():\n  time.sleep(60)\n  yield b''"
    assert run(sleeper)[0] == "timeout"


def test_processor_time_is_limited_over_all_frames() -> None:
    busy = """
limits = Limits(seconds=1)
def work():
    for number in itertools.count():
        until = time.process_time() + 0.25
        while time.process_time() < until: pass
        yield b"%d" % number
"""
    *frames, code, _ = run(busy)
    assert code == "timeout"
    assert 4 <= len(frames) <= 16


def test_the_time_of_a_slow_reader_is_not_counted() -> None:
    slow = """
limits = Limits(seconds=0.5)
big = b"x" * 1_000_000
def work():
    for _ in range(3): yield big
real = run_jailed
def run_jailed(*arguments):
    for frame in real(*arguments):
        time.sleep(0.8)
        yield frame[:10]
"""
    assert run(slow) == ["x" * 10] * 3


@only_linux
def test_memory_is_limited() -> None:
    hog = (
        "limits = Limits(memory_mb=64)\ndef work():\n  hoard = bytearray(500_000_000)\n  yield b''"
    )
    (message,) = run(hog)
    failed = json.loads(message)["failed"]
    assert failed["code"] == "out_of_memory"
    assert "64 MB" in failed["message"]
    assert "FOOTNOTE_PARSE_MEMORY_MB" in failed["message"]


HOARDING = """
limits = Limits(memory_mb=64, seconds=20)
def work():
    hoard = []
    for number in range(400):
        hoard.append(b"x" * 4_000_000)
        time.sleep(0.002)
    yield b"ate it all"
"""
UNLIMITED = "jail.memory_is_limited = lambda: False\n"


def test_where_the_system_does_not_limit_memory_it_is_watched() -> None:
    code, message = run(UNLIMITED + HOARDING)
    assert code == "out_of_memory"
    assert "64 MB" in message


def test_without_the_watch_the_same_work_eats_it_all() -> None:
    assert run(UNLIMITED + "jail._resident = lambda pid: 0\n" + HOARDING) == ["ate it all"]


@pytest.mark.parametrize("sent", ["1000 .to_bytes(4, 'big') + b'half'", "b''"])
def test_half_a_frame_and_then_silence_is_out_of_time(sent: str) -> None:
    """The alarm is of no use here: a parser that was taken over switches it off."""
    dumb = f"""
jail._GRACE = 1
limits = Limits(seconds=0.5)
def work():
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in range(3, 64):
        try: os.write(number, {sent})
        except OSError: pass
    time.sleep(60)
    yield b""
"""
    began = time.monotonic()
    assert run(dumb)[0] == "timeout"
    assert time.monotonic() - began < 20


def test_a_drip_is_out_of_time() -> None:
    drip = """
jail._GRACE = 1
limits = Limits(seconds=0.5)
def work():
    signal.setitimer(signal.ITIMER_REAL, 0)
    channels = []
    for number in range(3, 64):
        try: os.write(number, 60_000 .to_bytes(4, "big")); channels.append(number)
        except OSError: pass
    while True:
        for number in channels: os.write(number, b"x")
        time.sleep(0.01)
    yield b""
"""
    assert run(drip)[0] == "timeout"


def test_the_same_memory_is_given_where_it_is_allowed() -> None:
    hog = "limits = Limits(memory_mb=900)\ndef work():\n  b = bytearray(500_000_000)\n  yield b'ok'"
    assert run(hog) == ["ok"]


@pytest.mark.parametrize(
    ("death", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("ctypes.string_at(0)", "crashed"),
        ("os.abort()", "crashed"),
        ("os._exit(3)", "crashed"),
        ("os._exit(0)", "crashed"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "out_of_memory"),
    ],
)
def test_every_death_is_reported(death: str, code: str) -> None:
    assert run(f"limits = Limits()\ndef work():\n  {death}\n  yield b''")[0] == code


def test_an_error_of_a_library_means_a_damaged_file() -> None:
    (message,) = run("limits = Limits()\ndef work():\n  {}['x']\n  yield b''")
    assert json.loads(message)["failed"]["code"] == "damaged"


def test_garbage_instead_of_frames_is_a_crash() -> None:
    garbage = """
limits = Limits()
def work():
    for number in range(3, 64):
        try: os.write(number, b"\\xff" * 1000)
        except OSError: pass
    os._exit(0)
    yield b""
"""
    assert run(garbage)[0] == "crashed"


def writes_and_forks(target: Path) -> str:
    return f"""
limits = Limits()
def work():
    try:
        with open({str(target)!r}, "w") as file: file.write("x")
    except OSError: pass
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        for number in range(3): os.close(number)
        time.sleep(20)
        os._exit(0)
    yield b"%d" % pid
"""


def test_nothing_can_be_written_and_no_process_outlives_the_work(tmp_path: Path) -> None:
    target = tmp_path / "written"
    (pid,) = run(writes_and_forks(target))
    assert not target.exists() or target.stat().st_size == 0
    assert int(pid) == -1 or not _is_alive(int(pid))


@only_linux
def test_a_process_that_hides_in_a_session_of_its_own_is_found(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    told.touch()
    hider = f"""
limits = Limits()
told = os.open({str(told)!r}, os.O_WRONLY)
prepared = jail._confine
def _confine(limits):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(told, b"%d" % os.getpid())
            for number in range(3): os.close(number)
            time.sleep(20)
        os._exit(0)
    os.wait()
    time.sleep(0.2)
    prepared(limits)
jail._confine = _confine
keep = jail._let_go
def _let_go(channel):
    global told
    keep(channel)
    told = os.open({str(told)!r}, os.O_WRONLY)
jail._let_go = _let_go
def work(): yield b"done"
"""
    assert run(hider) == ["done"]
    pid = int(told.read_text())
    assert not _is_alive(pid)
    assert run(hider + "\njail._end_strays = lambda: None\n") == ["done"]
    other = int(told.read_text())
    assert _is_alive(other)
    os.kill(other, signal.SIGKILL)


def test_without_the_jail_the_same_work_writes_and_leaves_a_process(tmp_path: Path) -> None:
    target = tmp_path / "written"
    bare = "\ndef run_jailed(work, limits): return work()\n"
    (pid,) = run(writes_and_forks(target) + bare)
    assert target.read_text() == "x"
    assert _is_alive(int(pid))
    os.kill(int(pid), signal.SIGKILL)


@only_linux
def test_without_a_network_nothing_is_reached_and_with_one_it_is() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        reach = f"""
limits = Limits()
def work():
    try:
        socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}), timeout=5).close()
    except OSError: yield b"unreachable"
    else: yield b"reached"
"""
        assert run(reach) == ["reached"]
        (cut, outcome) = run(
            reach + "\ncut = jail.cut_network()\nplain = work\n"
            "def work():\n  yield b'%d' % cut\n  yield from plain()"
        )
    if cut == "0":
        pytest.skip("this machine does not let a process leave the network")
    assert outcome == "unreachable"


def _is_alive(pid: int) -> bool:
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return False  # dead, waiting to be collected
        time.sleep(0.05)
    return True
