"""Keeps the last of a disk free, so that what must never fail halfway still finds room."""

from __future__ import annotations

import errno
import os
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
TO_ADD_MB = 64
"""Nothing is taken in below this: what is left is for removing, and for the catalog's journal."""
TO_REMOVE_MB = 16
"""Below this the index is not even opened. It writes through mapped files, and a process that
touches a page of such a file that the disk has no room for is killed on the spot."""

_MEGABYTE = 1 << 20


def require_room(folder: Path, megabytes: int) -> None:
    """Raise `OSError` (ENOSPC) unless so much is free on the disk of `folder`, which may be new."""
    if free_bytes(folder) < megabytes * _MEGABYTE:
        raise OSError(
            errno.ENOSPC, f"the disk is full: fewer than {megabytes} MB are free", str(folder)
        )


def free_bytes(folder: Path) -> int:
    """Return what this account may still write on the disk of `folder`, which may be new."""
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
