"""LlamaIndex readers as sources: Confluence, SharePoint, Notion, Jira, Google Drive and others.

A reader is code of somebody else that talks to a service of somebody else. So it runs in a process
of its own, with a time limit, and only if it is on the list of those that are allowed.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ingest.sources.entries import INSTALL
from knowledge.errors import ConfigurationError, SourceUnavailable, TooLarge, Unreadable
from knowledge.models import Item, Listing
from knowledge.settings import ROOT, child_environment

KNOWN = {
    "AsanaReader": "llama_index.readers.asana",
    "BoxReader": "llama_index.readers.box",
    "ConfluenceReader": "llama_index.readers.confluence",
    "GithubRepositoryReader": "llama_index.readers.github",
    "GitLabIssuesReader": "llama_index.readers.gitlab",
    "GitLabRepositoryReader": "llama_index.readers.gitlab",
    "GoogleDocsReader": "llama_index.readers.google",
    "GoogleDriveReader": "llama_index.readers.google",
    "HubspotReader": "llama_index.readers.hubspot",
    "JiraReader": "llama_index.readers.jira",
    "MondayReader": "llama_index.readers.monday",
    "NotionPageReader": "llama_index.readers.notion",
    "OneDriveReader": "llama_index.readers.microsoft_onedrive",
    "OutlookLocalCalendarReader": "llama_index.readers.microsoft_outlook",
    "SharePointReader": "llama_index.readers.microsoft_sharepoint",
    "SlackReader": "llama_index.readers.slack",
    "TrelloReader": "llama_index.readers.trello",
    "ZendeskReader": "llama_index.readers.zendesk",
}
"""Readers of services, which may be used without more; others FOOTNOTE_READERS allows."""
MOST_METADATA = 64
LONGEST_VALUE = 1000
LOAD = "load."
"""Begins the settings that go to `load_data` in place of the reader itself."""
_KEYS = ("page_id", "id", "file_id", "issue_id", "document_id", "url", "source", "file_path")
_TITLES = ("title", "page_title", "file_name", "name", "subject", "summary")
_CHANGES = ("last_modified_date", "last_modified", "updated_at", "updated", "last_edited_time",
            "modified_at", "modified")  # fmt: skip
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_JSON = re.compile(r"-?\d+(\.\d+)?|true|false|null|\[.*\]|\{.*\}", re.DOTALL)


class ReaderConnector:
    """Loads all documents of a reader at once; each is an item of plain text."""

    def __init__(
        self, uri: str, request: Mapping[str, Any], *, max_bytes: int, seconds: float
    ) -> None:
        self._uri = uri
        self._request = request
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._texts: dict[str, str] = {}
        self._child: subprocess.Popen[str] | None = None

    def list(self, cursor: str) -> Listing:
        """Run the reader. None at all may be a fault nobody told of, and removes nothing."""
        documents = self._load()
        items = list(self._items(documents))
        note = "" if items else "the reader returned nothing"
        return Listing(items, gaps=() if items else ("",), note=note)

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return a document's text as it was loaded."""
        try:
            data = self._texts[item.uri].encode("utf-8", "replace")
        except KeyError:
            raise Unreadable("it was not loaded") from None
        if len(data) > limit:
            raise TooLarge(f"it is over the limit of {limit / 1e6:.0f} MB")
        return data

    def covers(self, uri: str) -> bool:
        """Say that every document of this source is loaded, if it is there."""
        return True

    def close(self) -> None:
        """End the reader if it runs."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()

    def _load(self) -> Sequence[Mapping[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="footnote-reader-") as folder:
            out = Path(folder, "documents.jsonl")
            self._run(json.dumps({**self._request, "out": str(out)}))
            with out.open(encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]

    def _run(self, request: str) -> None:
        environment = {
            name: value
            for name, value in child_environment().items()
            if not name.startswith("FOOTNOTE_") or name == "FOOTNOTE_GUARD_REPORT"
        }
        self._child = subprocess.Popen(
            [sys.executable, "-m", "ingest.sources.reading"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            _, said = self._child.communicate(request, timeout=self._seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
            raise SourceUnavailable(
                f"the reader did not finish within {self._seconds:.0f} s (FOOTNOTE_READER_SECONDS)"
            ) from None
        if self._child.returncode != 0:
            last = (said.strip().splitlines() or ["it ended without a word"])[-1]
            raise SourceUnavailable(f"the reader failed: {self._without_secrets(last)[:300]}")

    def _without_secrets(self, text: str) -> str:
        """Take out of an error what this source was told in confidence."""
        for secret in self._request["secrets"]:
            text = text.replace(secret, "…")
        return text

    def _items(self, documents: Sequence[Mapping[str, Any]]) -> Iterator[Item]:
        for key, document in zip(_keys(documents), documents, strict=True):
            uri = f"{self._uri}/{quote(key, safe='')}"
            metadata = document["metadata"]
            self._texts[uri] = document["text"]
            told = json.dumps([document["text"], metadata], sort_keys=True)
            yield Item(
                uri=uri,
                name=f"{_title(metadata) or key}.txt",
                media_type="text/plain",
                size=len(document["text"]),
                fingerprint=hashlib.sha256(told.encode()).hexdigest(),
                modified_at=_changed_at(metadata),
                metadata={
                    name: value[:LONGEST_VALUE]
                    for name, value in list(metadata.items())[:MOST_METADATA]
                },
            )


def open_reader(
    uri: str,
    settings: Mapping[str, str],
    *,
    secrets: Sequence[str],
    allowed: str,
    max_bytes: int,
    seconds: float,
) -> ReaderConnector:
    """Open `reader:Class`; raises `ConfigurationError` for one that is not allowed or installed."""
    name = uri.partition(":")[2]
    readers = KNOWN | dict(_allowed(allowed))
    if name not in readers:
        raise ConfigurationError(
            f"the reader {name} is not allowed; allow it with FOOTNOTE_READERS=module:{name}"
        )
    if not _is_installed("llama_index.core"):
        raise ConfigurationError(f"readers need LlamaIndex, which is not installed: {INSTALL}")
    if not _is_installed(readers[name]):
        package = readers[name].replace("_", "-").replace(".", "-")
        raise ConfigurationError(f"{name} is not installed: .venv/bin/pip install {package}")
    load = {k.removeprefix(LOAD): v for k, v in settings.items() if k.startswith(LOAD)}
    request = {
        "module": readers[name],
        "name": name,
        "settings": _typed({k: v for k, v in settings.items() if not k.startswith(LOAD)}, secrets),
        "load": _typed(load, secrets),
        "secrets": list(secrets),
    }
    return ReaderConnector(uri, request, max_bytes=max_bytes, seconds=seconds)


def _allowed(text: str) -> Iterator[tuple[str, str]]:
    for each in filter(None, (part.strip() for part in text.split(","))):
        module, colon, name = each.partition(":")
        if not (colon and name.isidentifier() and all(map(str.isidentifier, module.split(".")))):
            raise ConfigurationError(f"FOOTNOTE_READERS: not module:Class: {each}")
        yield name, module


def _is_installed(module: str) -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec(module) is not None
    return False


def _typed(settings: Mapping[str, str], secrets: Sequence[str]) -> dict[str, Any]:
    """Read numbers, truth values, lists and objects as JSON; a secret is always text.

    >>> _typed({"cloud": "true", "pages": "[1, 2]", "token": "12", "space_key": "HR"}, ["12"])
    {'cloud': True, 'pages': [1, 2], 'token': '12', 'space_key': 'HR'}
    """
    typed: dict[str, Any] = dict(settings)
    for name, value in settings.items():
        if value not in secrets and _JSON.fullmatch(value):
            with suppress(ValueError):
                typed[name] = json.loads(value)
    return typed


def _keys(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each document by what stays the same from one run to the next."""
    names = [_key(document) for document in documents]
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        seen[name] += 1
        keys.append(name if seen[name] == 1 else f"{name}/{seen[name]}")
    return keys


def _key(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    told = next((str(metadata[name]) for name in _KEYS if metadata.get(name)), "")
    if told or not _RANDOM.fullmatch(document["id"]):
        return told or str(document["id"])
    return hashlib.sha256(str(document["text"]).encode("utf-8", "replace")).hexdigest()[:32]


def _title(metadata: Mapping[str, str]) -> str:
    title = next((metadata[name] for name in _TITLES if metadata.get(name)), "")
    return " ".join(title.replace("/", " ").split())[:200]


def _changed_at(metadata: Mapping[str, str]) -> datetime | None:
    for name in _CHANGES:
        with suppress(ValueError, KeyError):
            moment = datetime.fromisoformat(metadata[name])
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
