"""A PostgreSQL server of our own for as long as a test needs it, reached by a Unix socket.

Where FOOTNOTE_TEST_DATABASE_URL is set that server is used instead; its user must be allowed to
create databases.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from knowledge.settings import TestSettings
from tests.requirements import require

START_SECONDS = 60


@contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a server's maintenance database; skip the test where there is none."""
    given = TestSettings().test_database_url
    if given:
        yield given
        return
    programs = server_programs()
    require(programs, "PostgreSQL", "apt-get install postgresql, or brew install postgresql")
    assert programs is not None
    # A socket's path has to be short, which pytest's own folders are not.
    folder = Path(tempfile.mkdtemp(prefix="footnote-pg-", dir="/tmp"))
    try:
        with _running(programs, folder):
            yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder)


@contextmanager
def fresh_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """Yield the URL of a new database on the server, dropped in the end."""
    name = f"footnote_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING \'UTF8\'')
        try:
            yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def server_programs() -> Path | None:
    """Return the folder of initdb and postgres; Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[None]:
    data = folder / "data"
    user = _unprivileged()
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    _run([programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale",
          "--auth=trust", "--no-sync"], folder, user)  # fmt: skip
    server = _start([programs / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=",
                     "-c", "fsync=off", "-c", "shared_buffers=32MB"], folder, user)  # fmt: skip
    try:
        _wait(server, folder)
        yield
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait(timeout=START_SECONDS)


def _unprivileged() -> pwd.struct_passwd | None:
    """Return who runs the server where we are root, which it refuses to be."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return None


def _start(
    command: list[object], folder: Path, user: pwd.struct_passwd | None
) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            stdout=log,
            stderr=log,
        )


def _run(command: list[object], folder: Path, user: pwd.struct_passwd | None) -> None:
    status = _start(command, folder, user).wait(timeout=START_SECONDS)
    assert status == 0, (folder / "log").read_text()


def _wait(server: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(f"postgresql://postgres@/postgres?host={folder}").close()
        except psycopg.OperationalError:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return
