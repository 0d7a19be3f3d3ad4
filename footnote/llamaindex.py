"""Footnote as the retriever of a LlamaIndex application. The only file with its retriever classes.

Needs `llama-index-core`, which comes with the extra `connectors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Self

from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from footnote.client import ServiceDesk
from footnote.owner import Service
from knowledge.models import UNFILTERED, Filters, Principal
from serving.services import Searching
from serving.wire import passages_json

Json = dict[str, Any]
Find = Callable[[str], Json]
"""Takes a query and returns what `POST /v1/search` returns."""


class FootnoteRetriever(BaseRetriever):
    """Returns passages as nodes, best first, with what a citation needs in their metadata.

    Made by `at` or `within`. A node's score is 1 / rank: the store's own scores would tell of
    documents that the caller may not read. Its id is `revision:start-end`, its text verbatim.
    """

    def __init__(self, find: Find) -> None:
        super().__init__()
        self._find = find

    @classmethod
    def at(
        cls,
        url: str,
        *,
        key: str = "",
        collection: str | None = None,
        filters: Json | None = None,
        limit: int = 10,
    ) -> Self:
        """Ask the service at `url` over HTTP, with the rights of `key`.

        `filters` are those of `POST /v1/search`. Retrieving raises `FootnoteError` with the
        service's own words for what is refused, `OwnedElsewhere` where nothing answers.
        """
        service = Service(url.rstrip("/"), key)

        def find(query: str) -> Json:
            with closing(ServiceDesk(service)) as desk:
                return desk.search(query, collection=collection, limit=limit, filters=filters)

        return cls(find)

    @classmethod
    def within(
        cls,
        retriever: Searching,
        principal: Principal,
        *,
        collection: str | None = None,
        filters: Filters = UNFILTERED,
        limit: int = 10,
    ) -> Self:
        """Ask the retriever of this process (`House.retriever`) on behalf of a principal."""

        def find(query: str) -> Json:
            found = retriever.search(
                query, principal, collection=collection, filters=filters, limit=limit
            )
            return passages_json(found)

        return cls(find)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(passage) for passage in self._find(query_bundle.query_str)["passages"]]


def _node(passage: Mapping[str, Any]) -> NodeWithScore:
    document, span = passage["document"], passage["span"]
    shown = {
        "title": document["title"],
        "section": " > ".join(passage["heading"]),
        "table_header": passage["header"],
    }
    kept = {
        "document_id": document["id"],
        "uri": document["uri"],
        "revision": passage["revision"],
        "page": passage["page"],
        "start": span["start"],
        "end": span["end"],
    }
    node = TextNode(
        id_=f"{passage['revision']}:{span['start']}-{span['end']}",
        text=passage["text"],
        metadata={name: value for name, value in (shown | kept).items() if value not in (None, "")},
        excluded_llm_metadata_keys=list(kept),
        excluded_embed_metadata_keys=list(kept),
    )
    return NodeWithScore(node=node, score=1 / passage["rank"])
