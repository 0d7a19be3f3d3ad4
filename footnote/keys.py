"""`footnote keys`: the file of hashed API keys, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from footnote import show
from knowledge.errors import ConfigurationError
from knowledge.settings import Settings
from serving import keys


def add(
    settings: Settings,
    user: str,
    *,
    groups: Sequence[str],
    roles: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Make a key; the key alone goes to standard output, so that it can be piped."""
    path = _file(settings)
    print(keys.add_key(path, user, groups=groups, roles=roles))
    say(f"kept its hash in {path}; the key cannot be shown again")
    if settings.api_keys_file is None:
        say(f"to use the file, set FOOTNOTE_API_KEYS_FILE={path}")


def show_all(settings: Settings) -> None:
    """List the keys without anything secret."""
    rows = [["id", "user", "groups", "roles"]]
    for entry in keys.read_keys(_file(settings)):
        rows.append([entry.id, entry.user, ", ".join(entry.groups), ", ".join(entry.roles)])
    print(show.table(rows))


def remove(settings: Settings, identity: str) -> None:
    """Remove the key with this id."""
    if not keys.remove_key(_file(settings), identity):
        raise ConfigurationError(f"there is no key with the id {identity}; see: footnote keys list")
    print(f"Removed {identity}.")


def _file(settings: Settings) -> Path:
    return settings.api_keys_file or settings.data_dir / "keys.json"
