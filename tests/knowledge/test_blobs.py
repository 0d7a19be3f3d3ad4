from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge import disk
from knowledge.blobs import FolderBlobs
from knowledge.errors import NotFound, TooLarge
from knowledge.ports import Blobs

HELLO = b"Hello, footnote."
DIGEST = hashlib.sha256(HELLO).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_come_back_by_their_digest(blobs: FolderBlobs) -> None:
    door: Blobs = blobs

    assert door.put(io.BytesIO(HELLO), limit=100) == (DIGEST, len(HELLO))
    assert door.has(DIGEST)
    assert door.read(DIGEST) == HELLO


@given(data=st.binary(max_size=200))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    blobs = FolderBlobs(tmp_path_factory.mktemp("any"))

    digest, size = blobs.put(io.BytesIO(data), limit=200)

    assert (digest, size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert blobs.read(digest) == data


def test_the_same_bytes_are_kept_once(blobs: FolderBlobs, tmp_path: Path) -> None:
    for _ in range(3):
        blobs.put(io.BytesIO(HELLO), limit=100)

    assert [path.name for path in files(tmp_path)] == [DIGEST]


def test_files_are_readable_by_their_owner_alone(blobs: FolderBlobs, tmp_path: Path) -> None:
    blobs.put(io.BytesIO(HELLO), limit=100)

    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.is_file() else 0o700)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_up_to_the_limit_is_taken(blobs: FolderBlobs, size: int) -> None:
    assert blobs.put(io.BytesIO(b"x" * size), limit=100)[1] == size


def test_more_than_the_limit_is_refused_and_leaves_nothing(
    blobs: FolderBlobs, tmp_path: Path
) -> None:
    with pytest.raises(TooLarge, match="100 bytes") as caught:
        blobs.put(io.BytesIO(b"x" * 101), limit=100)

    assert caught.value.code == "too_large"
    assert files(tmp_path) == []
    with pytest.raises(TooLarge, match="2 MB"):
        blobs.put(io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)), limit=2 * 1024 * 1024)


def test_a_disk_that_is_nearly_full_takes_nothing_in_but_gives_back_what_was_there(
    blobs: FolderBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda _: disk.TO_ADD_MB * 2**20 - 1)
    with pytest.raises(OSError, match="fewer than 64 MB") as caught:
        blobs.put(io.BytesIO(b"x"), limit=100)
    assert caught.value.errno == errno.ENOSPC
    assert files(tmp_path) == []
    digest, _ = blobs.put(io.BytesIO(b"x"), limit=100, even_if_full=True)
    assert blobs.read(digest) == b"x"


class Endless(io.RawIOBase):
    """A stream without end that counts what was taken from it."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self.taken += size
        return b"x" * size


def test_an_endless_stream_is_cut_off_at_the_limit(blobs: FolderBlobs) -> None:
    stream = Endless()

    with pytest.raises(TooLarge):
        blobs.put(stream, limit=3_000_000)  # type: ignore[arg-type]

    assert stream.taken < 5_000_000


def test_a_broken_stream_leaves_nothing(blobs: FolderBlobs, tmp_path: Path) -> None:
    class Broken(Endless):
        def read(self, size: int = -1) -> bytes:
            if self.taken:
                raise ConnectionResetError
            return super().read(size)

    with pytest.raises(ConnectionResetError):
        blobs.put(Broken(), limit=10**9)  # type: ignore[arg-type]

    assert files(tmp_path) == []


@pytest.mark.parametrize("digest", ["0" * 64, "", "../../secret", "..", DIGEST.upper(), "é" * 64])
def test_what_is_not_there_is_not_found(blobs: FolderBlobs, tmp_path: Path, digest: str) -> None:
    (tmp_path / "secret").write_text("secret")

    assert blobs.has(digest) is False
    with pytest.raises(NotFound):
        blobs.read(digest)
    blobs.delete(digest)
    assert (tmp_path / "secret").exists()


def test_deleted_bytes_are_gone(blobs: FolderBlobs, tmp_path: Path) -> None:
    blobs.put(io.BytesIO(HELLO), limit=100)
    blobs.delete(DIGEST)
    blobs.delete(DIGEST)

    assert blobs.has(DIGEST) is False
    assert files(tmp_path) == []


def test_what_a_dead_process_left_half_written_is_dropped_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for name in ("old", "new"):
        (incoming / name).write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(incoming / "old", (yesterday, yesterday))

    FolderBlobs(tmp_path)

    assert [path.name for path in files(tmp_path)] == ["new"]
