"""Makes this process, and all that it forks, take only what others leave of processor and disk."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

NICE = 10
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
"""The number of the system call, which no library of the system wraps."""
_WHO_PROCESS, _CLASS_IDLE, _CLASS_SHIFT = 1, 3, 13


def go_to_background() -> None:
    """Lower the priority for good; what the system does not know or allow is left as it is."""
    with suppress(OSError):
        os.nice(NICE)
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        _let_the_disk_wait()


def _let_the_disk_wait() -> None:
    """Read and write only when nobody else does (Linux)."""
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE << _CLASS_SHIFT)
