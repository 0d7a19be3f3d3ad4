"""One owner per data folder: a lock held by the system, and a note saying where the owner serves.

The lock is `flock` on `owner.lock`; the system drops it when its holder ends, however it ends, so
there is nothing stale to clean up. `service.json` counts only while somebody holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Self

from knowledge.errors import ConfigurationError

_LOCK = "owner.lock"
_SERVICE = "service.json"
_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Service:
    """Where the owner of a data folder answers, and the token that its own commands show."""

    url: str
    token: str = field(repr=False)


class Ownership:
    """The lock on a data folder; a context manager."""

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self._folder = folder
        self._lock = lock

    def announce(self, service: Service) -> None:
        """Write down where this owner serves, for this account's eyes only."""
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=_SERVICE)  # mode 0600
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(service), file)
        Path(name).replace(self._folder / _SERVICE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        (self._folder / _SERVICE).unlink(missing_ok=True)
        self._lock.close()


def own_or_find(
    folder: Path,
    *,
    command: str,
    answers: Callable[[Service], bool],
    say: Callable[[str], None],
) -> Ownership | Service:
    """Become the owner of `folder`, or find the service that owns it.

    While a command that does not serve holds the folder, this waits and says so once.
    """
    said = False
    while True:
        if ownership := try_own(folder, command=command):
            return ownership
        service = announced(folder)
        if service and answers(service):
            return service
        if not said:
            said = True
            who = owner(folder) or "another footnote command"
            say(f"{folder} is in use ({who}); waiting for it, Ctrl-C to stop")
        time.sleep(_POLL_SECONDS)


def try_own(folder: Path, *, command: str) -> Ownership | None:
    """Take the lock if it is free; raises `ConfigurationError` where no lock can be had at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {folder} cannot be written ({error.strerror}); "
            "set FOOTNOTE_DATA_DIR to a folder of your own"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError as error:
        lock.close()
        raise ConfigurationError(
            f"the file system of {folder} has no locks ({error.strerror}); "
            "set FOOTNOTE_DATA_DIR to a local folder"
        ) from error
    (folder / _SERVICE).unlink(missing_ok=True)  # of an owner that was killed
    lock.truncate(0)
    lock.write(f"{command} since {datetime.now().astimezone():%H:%M:%S}, process {os.getpid()}")
    lock.flush()
    return Ownership(folder, lock)


def owner(folder: Path) -> str:
    """Say who holds the lock, as the holder put it; empty when nobody wrote anything."""
    with contextlib.suppress(OSError):
        return (folder / _LOCK).read_text(encoding="utf-8")
    return ""


def announced(folder: Path) -> Service | None:
    """Return what `service.json` says; it may be about an owner that is gone."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Service(**json.loads((folder / _SERVICE).read_text(encoding="utf-8")))
    return None
