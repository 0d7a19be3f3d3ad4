"""Waits until something changes in folders of this machine; only this file knows watchdog."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from watchdog.events import (
    FileClosedNoWriteEvent,
    FileOpenedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from knowledge.errors import ConfigurationError

QUIET_SECONDS = 0.5
"""A change is told once nothing has changed for so long …"""
LONGEST_SECONDS = 5.0
"""… or after so long."""


class Watch(FileSystemEventHandler):
    """Watches folders with everything below them; a context manager."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._changed = threading.Event()
        self._observer = Observer()

    def __enter__(self) -> Self:
        try:
            for folder in self._folders:
                self._observer.schedule(self, str(folder), recursive=True)
            self._observer.start()
        except OSError as error:
            raise ConfigurationError(_advice(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._observer.stop()
        self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note a change; reading a file is none."""
        if not isinstance(event, (FileOpenedEvent, FileClosedNoWriteEvent)):
            self._changed.set()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for a change, and then until things are quiet again."""
        if not self._changed.wait(seconds):
            return False
        until = time.monotonic() + LONGEST_SECONDS
        while self._changed.is_set() and time.monotonic() < until:
            self._changed.clear()
            self._changed.wait(QUIET_SECONDS)
        self._changed.clear()
        return True


def _advice(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            "there are more folders than this system watches; raise fs.inotify.max_user_watches, "
            "or give the source a schedule: --every 5m"
        )
    return f"{error.filename or 'a folder'} cannot be watched: {error.strerror}"
