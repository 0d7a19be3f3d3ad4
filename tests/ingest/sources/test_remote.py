"""WebDAV against a real server on loopback; what SMB shares with it against fsspec's own stores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cheroot.wsgi import Server
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

from ingest.sources.globs import chooser
from ingest.sources.opening import Allowed, open_source
from ingest.sources.remote import Driver, RemoteConnector, open_smb, open_webdav
from knowledge.errors import ConfigurationError, SourceUnavailable
from knowledge.models import Feed, Outcome
from knowledge.ports import Connector
from tests.ingest.sources.connector_contract import LIMIT, ConnectorContract, Place
from tests.ingest.world import World, outcomes
from tests.service import free_port

EVERYTHING = chooser(include=(), exclude=())


@contextmanager
def webdav_server(folder: Path, *, password: str = "") -> Iterator[str]:
    """Serve a folder by WebDAV; yield its host and port."""
    people: dict[str, Any] = {"ann": {"password": password}} if password else {}
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": FilesystemProvider(str(folder))},
            "simple_dc": {"user_mapping": {"*": people or True}},
            "http_authenticator": {"accept_digest": False, "accept_basic": True},
            "verbose": 0,
            "logging": {"enable": False},
            "lock_storage": False,
        }
    )
    port = free_port()
    server = Server(("127.0.0.1", port), app, numthreads=4)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop()
        thread.join()


class WebDav(Place):
    def __init__(self, host: str, folder: Path) -> None:
        super().__init__()
        self.base = f"webdav://{host}/docs"
        self._folder = folder / "docs"
        self._folder.mkdir()

    def put(self, path: str, data: bytes) -> None:
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).write_bytes(data)

    def delete(self, path: str) -> None:
        (self._folder / path).unlink()

    def connector(self, wanted: Callable[[str], bool], max_bytes: int) -> Connector:
        return open_webdav(self.base, {}, wanted=wanted, max_bytes=max_bytes)

    def missing(self) -> Connector:
        return open_webdav(f"{self.base}/none", {}, wanted=EVERYTHING, max_bytes=LIMIT)


class TestWebDav(ConnectorContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with webdav_server(tmp_path) as host:
            yield WebDav(host, tmp_path)


class Stored(Place):
    """A file system of fsspec that needs no server."""

    base = "smb://files/share"

    def __init__(self, system: AbstractFileSystem, root: str) -> None:
        super().__init__()
        self._system, self._root = system, root
        system.makedirs(root, exist_ok=True)

    def put(self, path: str, data: bytes) -> None:
        full = f"{self._root}/{path}"
        self._system.makedirs(full.rpartition("/")[0], exist_ok=True)
        self._system.pipe_file(full, data)

    def delete(self, path: str) -> None:
        self._system.rm_file(f"{self._root}/{path}")

    def connector(self, wanted: Callable[[str], bool], max_bytes: int) -> Connector:
        return self._at(self._root, wanted, max_bytes)

    def missing(self) -> Connector:
        return self._at(f"{self._root}/none", EVERYTHING, LIMIT)

    def _at(self, root: str, wanted: Callable[[str], bool], max_bytes: int) -> Connector:
        return RemoteConnector(
            Driver(lambda: self._system), root, self.base, wanted=wanted, max_bytes=max_bytes
        )


class TestInMemory(ConnectorContract):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        system = MemoryFileSystem(skip_instance_cache=True)
        system.store, system.pseudo_dirs = {}, [""]
        yield Stored(system, "/share")


class TestOnDisk(ConnectorContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        local = LocalFileSystem(skip_instance_cache=True)
        yield Stored(DirFileSystem(str(tmp_path), local), "share")


def test_a_folder_that_cannot_be_listed_is_a_gap() -> None:
    class Closed(MemoryFileSystem):  # type: ignore[misc]
        cachable = False

        def ls(self, path: str, detail: bool = True, **options: object) -> Any:  # noqa: ANN401
            if path.endswith("closed"):
                raise PermissionError(13, "Permission denied", path)
            return super().ls(path, detail=detail, **options)

    system = Closed()
    system.store, system.pseudo_dirs = {}, [""]
    place = Stored(system, "/share")
    place.put("a.txt", b"x")
    place.put("closed/b.txt", b"x")
    listing = place.open().list("")
    assert [item.name for item in listing.items] == ["a.txt"]
    assert listing.gaps == ("smb://files/share/closed",)
    assert "Permission denied" in listing.note


def test_a_share_asks_for_a_password_that_is_not_stored(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "dav"
    (folder / "hr").mkdir(parents=True)
    (folder / "hr" / "a.txt").write_text("the apple text")
    with webdav_server(folder, password="hush") as host:  # noqa: S106
        feed = Feed(
            "", "hr", "webdav", f"webdav://{host}/hr",
            settings={"user": "ann", "password": "${env:DAV}"},
        )  # fmt: skip
        kept = world.keeper.add(feed)
        assert "hush" not in str(world.keeper.feed(kept.id))
        for secret, said in (("wrong", "401"), ("hush", "")):
            allowed = Allowed(max_bytes=LIMIT, secrets={"DAV": secret})
            world.connectors[feed.uri] = open_source(feed, allowed)
            if said:
                with pytest.raises(SourceUnavailable, match=said):
                    world.sync_source(kept)
            else:
                assert outcomes(world.sync_source(kept)) == [Outcome.INDEXED]
        with pytest.raises(ConfigurationError, match="FOOTNOTE_SECRET_DAV"):
            open_source(feed, Allowed(max_bytes=LIMIT))
    assert world.texts("apple") == ["the apple text"]
    world.connectors[feed.uri] = open_source(feed, allowed)  # the server is gone
    with pytest.raises(SourceUnavailable):
        world.sync_source(kept)
    assert world.texts("apple") == ["the apple text"]


def test_an_smb_server_that_is_not_there_is_an_error_that_removes_nothing() -> None:
    share = open_smb(f"smb://127.0.0.1:{free_port()}/share", {}, wanted=EVERYTHING, max_bytes=LIMIT)
    with pytest.raises(SourceUnavailable, match="cannot be listed"):
        share.list("")
