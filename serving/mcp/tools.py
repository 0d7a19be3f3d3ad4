"""What an agent gets: `search` and `fetch` in the shapes that agents know, always as the caller."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from knowledge.errors import NotFound
from knowledge.models import Passage, Principal, Span
from knowledge.ports import Library
from serving.prompt import neutralise
from serving.services import Searching

Json = dict[str, Any]

MOST_CHARACTERS = 50_000
"""Of one document at once, some 12,000 tokens: a longer one is read in several pieces."""
RESULTS = 10
_ID = re.compile(r"^(?P<document>[0-9a-f-]{36})(?::(?P<start>\d{1,9}))?$")


class Tools:
    """The tools of one caller; synchronous. Links begin with `base`, which ends with a slash.

    Texts are verbatim, but for markup and invisible characters that a model could obey.
    """

    def __init__(
        self, retriever: Searching, library: Library, principal: Principal, base: str
    ) -> None:
        self._retriever = retriever
        self._library = library
        self._principal = principal
        self._base = base

    def search(self, query: str) -> Json:
        """Return the best passages, each with the id that `fetch` takes to read on around it."""
        found = self._retriever.search(query, self._principal, limit=RESULTS)
        return {"results": list(map(self._result, found))}

    def fetch(self, identity: str) -> Json:
        """Return a document's text, from where the id points to; raises `NotFound`.

        `metadata` says which characters of how many these are, and the id of the piece after them.
        """
        known = _ID.match(identity)
        if known is None:
            raise NotFound(identity)
        document = self._library.document(known["document"], self._principal)
        text = self._library.revision(document.id, self._principal).text
        span = _piece(int(known["start"] or 0), len(text))
        metadata: Json = {"characters": f"{span.start}-{span.end} of {len(text)}"}
        if span.end < len(text):
            metadata["next"] = f"{document.id}:{span.end}"
        return {
            "id": identity,
            "title": neutralise(document.title),
            "text": neutralise(span.cut(text)),
            "url": self._link(document.id),
            "metadata": metadata | {"uri": document.uri, "collection": document.collection},
        }

    def _result(self, passage: Passage) -> Json:
        return {
            "id": f"{passage.document.id}:{passage.span.start}",
            "title": neutralise(passage.document.title),
            "url": self._link(passage.document.id),
            "text": neutralise(passage.text),
            "metadata": {
                "page": passage.page,
                "section": neutralise(" > ".join(passage.heading)),
                "table_header": neutralise(passage.header),
            },
        }

    def _link(self, document_id: str) -> str:
        return f"{self._base}v1/documents/{quote(document_id)}/content"


def _piece(start: int, length: int) -> Span:
    """Return what is read at once: a short document whole, of a long one what follows `start`."""
    if length <= MOST_CHARACTERS:
        return Span(0, length)
    begin = min(start, length)
    return Span(begin, min(begin + MOST_CHARACTERS, length))
