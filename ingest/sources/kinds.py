"""What kind of source an address names, and which settings it takes; no secret is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from knowledge.errors import ConfigurationError
from knowledge.models import COLLECTION_NAME, Feed

KINDS = {
    "file": "folder",
    "s3": "s3",
    "webdav": "webdav",
    "webdavs": "webdav",
    "smb": "smb",
    "http": "web",
    "https": "web",
    "reader": "reader",
}
_CHOICE = frozenset({"include", "exclude"})
SETTINGS = {
    "folder": _CHOICE,
    "s3": _CHOICE | {"endpoint", "region", "key", "secret", "anonymous"},
    "webdav": _CHOICE | {"user", "password"},
    "smb": _CHOICE | {"user", "password", "port"},
    "web": _CHOICE | {"allow", "delay", "max_depth", "max_mb", "max_pages", "sitemap"},
}
"""A reader takes what its class takes."""
SHORTEST_SECONDS = 10

_NAME = re.compile(r"[\w][\w .-]{0,99}")
_TOKEN = re.compile(r"everyone|[ug]:[^\x00-\x20\x7f]{1,190}")
_SECRET_WORDS = re.compile(
    r"(^|_)(password|passwd|secret|token|key|credentials?|cookies?)$", re.IGNORECASE
)
_NO_SECRETS = frozenset({"space_key", "project_key"})
_FROM_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z][A-Za-z0-9_]*)\}")


def described(feed: Feed) -> Feed:
    """Return a feed with its kind and its full address; raises `ConfigurationError` with advice.

    >>> described(Feed("", "wiki", "", "https://wiki.example.org")).kind
    'web'
    """
    if not _NAME.fullmatch(feed.name):
        raise ConfigurationError(
            f"not a name for a source: {feed.name!r} (1 to 100 letters, digits, spaces and .-_)"
        )
    if not re.fullmatch(COLLECTION_NAME, feed.collection):
        raise ConfigurationError("a collection is named by 1 to 100 characters, without slashes")
    for token in feed.access:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(f"not an access token: {token} (everyone, u:…, g:…)")
    if not feed.access:
        raise ConfigurationError("somebody must be allowed to read it: everyone, u:… or g:…")
    if feed.every is not None and feed.every < SHORTEST_SECONDS:
        raise ConfigurationError(f"a source is synced every {SHORTEST_SECONDS} seconds at most")
    kind = kind_of(feed.uri)
    _check_settings(kind, feed.settings)
    return replace(feed, kind=kind, uri=_address(kind, feed.uri))


def kind_of(uri: str) -> str:
    """Return the kind of source that an address names; a path is a folder.

    >>> kind_of("~/Documents"), kind_of("s3://bucket/handbook"), kind_of("reader:NotionPageReader")
    ('folder', 's3', 'reader')
    """
    scheme, colon, _ = uri.partition(":")
    if not colon or not scheme.isalnum() or len(scheme) == 1:
        return "folder"
    try:
        return KINDS[scheme.lower()]
    except KeyError:
        known = "a path, s3://, webdav(s)://, smb://, http(s)://, reader:Class"
        raise ConfigurationError(f"no source begins with {scheme}: ({known})") from None


def filled_in(settings: Mapping[str, str], secret: Mapping[str, str]) -> dict[str, str]:
    """Put secrets in place of `${env:NAME}`; raises `ConfigurationError` for one that is not set.

    >>> filled_in({"user": "ann", "password": "${env:WIKI}"}, {"WIKI": "hush"})
    {'user': 'ann', 'password': 'hush'}
    """

    def value(match: re.Match[str]) -> str:
        name = match[1].upper()
        if not secret.get(name):
            raise ConfigurationError(f"set FOOTNOTE_SECRET_{name} in the environment or in .env")
        return secret[name]

    return {name: _FROM_ENVIRONMENT.sub(value, text) for name, text in settings.items()}


def folder_path(uri: str) -> Path:
    """Return the path that a folder's address names."""
    return Path(uri.removeprefix("file://")).expanduser()


def _address(kind: str, uri: str) -> str:
    if kind == "folder":
        return str(folder_path(uri).resolve())
    if kind == "reader":
        return uri
    parts = urlsplit(uri)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "no user and password in an address, which everybody sees: --set user=… and "
            "--set password='${env:NAME}', with FOOTNOTE_SECRET_NAME in the environment"
        )
    if not parts.netloc:
        raise ConfigurationError(f"the address names no host or bucket: {uri}")
    return uri.partition("#")[0]


def _check_settings(kind: str, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        if kind in SETTINGS and name not in SETTINGS[kind]:
            known = ", ".join(sorted(SETTINGS[kind]))
            raise ConfigurationError(f"a {kind} source has no setting {name!r} (it has: {known})")
        if _is_secret(name) and not _FROM_ENVIRONMENT.fullmatch(value):
            raise ConfigurationError(
                f"{name} is a secret, which is not stored: set FOOTNOTE_SECRET_NAME in the "
                f"environment or in .env, and --set {name}='${{env:NAME}}'"
            )


def _is_secret(name: str) -> bool:
    return name.lower() not in _NO_SECRETS and bool(_SECRET_WORDS.search(name))
