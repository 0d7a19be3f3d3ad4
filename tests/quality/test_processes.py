from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.quality.processes import cpu_seconds, measured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

BUSY = """
import sys, time
kept = bytearray(40 << 20)
while time.process_time() < 0.3: pass
"""


def test_what_a_child_used_counts_while_it_runs_and_after_it_has_ended() -> None:
    with measured(os.getpid()) as use:
        subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert 0.29 <= use.cpu < 10  # clocks of the system tick in hundredths
    assert use.wall >= 0.29
    assert use.peak_mb > 0


def test_another_process_is_measured_with_its_own_children() -> None:
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); input()"
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        with measured(process.pid) as use:
            while cpu_seconds(process.pid) < 0.3:
                pass
        process.communicate(b"\n")
    assert use.cpu >= 0.2
    assert use.peak_mb > 40
