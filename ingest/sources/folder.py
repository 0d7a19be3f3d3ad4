"""Files and folders of this machine as a source."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ingest.discover import Found, discover, everything, file_path, quote
from knowledge.errors import SourceUnavailable, TooLarge, Unreadable
from knowledge.models import Item, Listing


class FolderConnector:
    """Lists what lies below some paths; `wanted` is asked about paths relative to them."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        max_bytes: int,
        wanted: Callable[[str], bool] = everything,
    ) -> None:
        self._paths = paths
        self._tops = [str(path.expanduser().resolve()) for path in paths]
        self._max_bytes = max_bytes
        self._wanted = wanted

    def list(self, cursor: str) -> Listing:
        """Walk the folders. Raises `NotFound` when one of the paths does not exist.

        A folder that was not empty the last time, and is now another folder and empty, is taken for
        the place where something is not mounted: that raises `SourceUnavailable`.
        """
        found = {
            each.uri: each
            for path in self._paths
            for each in discover(path, max_bytes=self._max_bytes, wanted=self._wanted)
        }
        identity = self._identity()
        if not found and cursor and cursor != identity:
            raise SourceUnavailable(
                f"{', '.join(self._tops)} is empty, and not the folder it was: is something not "
                "mounted? Nothing was removed"
            )
        return Listing(
            items=[_item(each) for each in found.values()],
            gaps=tuple(each.uri for each in found.values() if each.code == "unlisted"),
            cursor=identity if found else cursor,
        )

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return a file's bytes; raises `Unreadable`, `TooLarge`."""
        try:
            with Path(item.key).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise Unreadable(f"it cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise TooLarge(f"it is over the limit of {limit / 1e6:.0f} MB")
        return data

    def covers(self, uri: str) -> bool:
        """Say whether the file would be listed if it were there."""
        path = str(file_path(uri))
        return any(self._is_wanted_below(top, path) for top in self._tops)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _is_wanted_below(self, top: str, path: str) -> bool:
        if path == top:
            return True
        below = path.removeprefix(top.rstrip(os.sep) + os.sep)
        if below == path:
            return False
        parts = Path(below).parts
        folders = ("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))
        return all(map(self._wanted, folders)) and self._wanted("/".join(parts))

    def _identity(self) -> str:
        """Tell these folders from others that may come to lie at the same paths."""
        told = []
        for top in self._tops:
            status = Path(top).stat()
            told.append(f"{status.st_dev}:{status.st_ino}")
        return " ".join(told)


def folder_uri(path: Path) -> str:
    """Return the uri of a folder as its items begin with it."""
    return quote(str(path.expanduser().resolve()))


def _item(found: Found) -> Item:
    return Item(
        uri=found.uri,
        name=found.path.name,
        media_type=found.media_type,
        size=found.size,
        fingerprint=found.fingerprint,
        modified_at=found.modified_at,
        key=str(found.path),
        code=found.code,
        reason=found.reason,
    )
