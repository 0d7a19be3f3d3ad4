"""The file of hashed API keys: read for every request, changed by `footnote keys`.

A JSON list of `{"id", "sha256", "user", "groups", "roles"}`. A key is `fn_<id>_<secret>`, shown
once when it is made; the file keeps its SHA-256, which is enough for a 256-bit random secret.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from knowledge.errors import ConfigurationError
from knowledge.models import Principal

ROLES = frozenset({"admin", "editor", "auditor"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_NO_HASH = "0" * 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One line of the keys file: whose key it is, never the key itself."""

    id: str
    sha256: str
    user: str
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()

    def principal(self) -> Principal:
        """Return whom a request with this key comes from."""
        return Principal(self.user, frozenset(self.groups), frozenset(self.roles))


class KeyRing:
    """The keys file, read again whenever it changes; an unreadable file admits nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries = {entry.id: entry for entry in read_keys(path)}
        self._seen = _stamp(path)

    def find(self, key: str) -> Principal | None:
        """Return whose key it is; None for an unknown one. Takes as long either way."""
        entry = self._current().get(_id_of(key))
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        same = hmac.compare_digest(digest, entry.sha256 if entry else _NO_HASH)
        return entry.principal() if entry and same else None

    def _current(self) -> dict[str, KeyEntry]:
        stamp = _stamp(self._path)
        with self._lock:
            if stamp != self._seen:
                self._seen = stamp
                self._entries = self._reread()
            return self._entries

    def _reread(self) -> dict[str, KeyEntry]:
        try:
            return {entry.id: entry for entry in read_keys(self._path)}
        except ConfigurationError as error:
            _log.error("no API key is valid until this is mended: %s", error)
            return {}


def read_keys(path: Path) -> list[KeyEntry]:
    """Read the keys file; raises `ConfigurationError` saying what is wrong with it."""
    try:
        if path.stat().st_mode & stat.S_IRWXO:
            raise ConfigurationError(f"{path} is open to everybody; run: chmod o= {path}")
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"the API keys file {path} does not exist; make a key with: "
            f"FOOTNOTE_API_KEYS_FILE={path} footnote keys add --user NAME"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the API keys file {path} is not readable: {error}") from error
    return _entries(path, rows)


def add_key(path: Path, user: str, *, groups: Iterable[str], roles: Iterable[str]) -> str:
    """Make a key and store its hash; return the key, which nobody can show again."""
    groups, roles = sorted(set(groups)), sorted(set(roles))
    for name in (user, *groups):
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"not a name: {name!r} (letters, digits and . _ @ + -)")
    if unknown := set(roles) - ROLES:
        raise ConfigurationError(f"no such role: {', '.join(sorted(unknown))}")
    identity = secrets.token_hex(4)
    key = f"fn_{identity}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    entry = KeyEntry(identity, digest, user, tuple(groups), tuple(roles))
    with _changing(path):
        write_keys(path, [*(read_keys(path) if path.exists() else []), entry])
    return key


def remove_key(path: Path, identity: str) -> bool:
    """Take a key away, effective at the next request; False when there is none with that id."""
    with _changing(path):
        entries = read_keys(path)
        kept = [entry for entry in entries if entry.id != identity]
        write_keys(path, kept)
    return len(kept) < len(entries)


def write_keys(path: Path, entries: Iterable[KeyEntry]) -> None:
    """Replace the keys file atomically; only its owner may read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump([asdict(entry) for entry in entries], file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Keep other commands from changing the file meanwhile: one would undo what another did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the file itself is replaced each time
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _id_of(key: str) -> str:
    prefix, _, rest = key.partition("_")
    return rest.partition("_")[0] if prefix == "fn" else ""


def _entries(path: Path, rows: object) -> list[KeyEntry]:
    if not isinstance(rows, list):
        raise ConfigurationError(f"the API keys file {path} is not a JSON list")
    return [_entry(path, row) for row in rows]


def _entry(path: Path, row: object) -> KeyEntry:
    match row:
        case {"id": str(identity), "sha256": str(digest), "user": str(user), **rest} if user:
            groups, roles = _strings(rest.get("groups", [])), _strings(rest.get("roles", []))
            if groups is not None and roles is not None:
                return KeyEntry(identity, digest.lower(), user, groups, roles)
    raise ConfigurationError(
        f"an entry of the API keys file {path} is not of the form "
        '{"id", "sha256", "user", "groups", "roles"}'
    )


def _strings(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    strings = tuple(item for item in value if isinstance(item, str) and item)
    return strings if len(strings) == len(value) else None
