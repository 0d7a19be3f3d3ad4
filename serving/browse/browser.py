"""The tools `search`, `open` and `find` for one question of one person, and what was cited."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from knowledge.errors import NotFound
from knowledge.models import LONGEST_QUESTION, Context, Passage, Principal
from knowledge.ports import Library
from serving.browse.page import (
    VIEW_TOKENS,
    Page,
    cited,
    document_page,
    line_of,
    matches_page,
    results_page,
    view,
)
from serving.prompt import BROWSER_TOOLS, MOST_SOURCES
from serving.services import Searching

MOST_RESULTS = 10
LONGEST_PATTERN = 200
"""Characters."""
_CITED = re.compile(r"(\d{1,4})\s?†\s?L(\d{1,7})(?:\s?[-–]\s?L?(\d{1,7}))?")
_SEPARATED = re.compile(rf"\s*{_CITED.pattern}(?:\s*[,;]\s*{_CITED.pattern})*\s*")


class Search(BaseModel):
    """Arguments of the tool; each text in these classes is what a model is told."""

    query: Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)]
    topn: int = MOST_RESULTS


class Open(BaseModel):
    """Arguments of the tool; -1 is what the model was trained to leave out."""

    id: Annotated[int | str, Field(description="The number of a link; -1: stay on the page.")] = -1
    cursor: Annotated[int, Field(description="The page that has the link; -1: the latest.")] = -1
    loc: Annotated[int, Field(description="The line to begin at.")] = -1
    num_lines: Annotated[int, Field(description="How many lines; -1: what fits.")] = -1


class Find(BaseModel):
    """Arguments of the tool."""

    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)]
    cursor: Annotated[int, Field(description="The page to look in; -1: the latest.")] = -1


def _tool(name: str, arguments: type[BaseModel]) -> dict[str, Any]:
    schema = arguments.model_json_schema()
    parameters = {
        "type": "object",
        "properties": {
            each: {key: value for key, value in of.items() if key != "title"}
            for each, of in schema["properties"].items()
        },
        "required": schema.get("required", []),
    }
    described = {"name": name, "description": BROWSER_TOOLS[name], "parameters": parameters}
    return {"type": "function", "function": described}


TOOLS = (_tool("search", Search), _tool("open", Open), _tool("find", Find))
"""As chat completions offer them."""


class Browser:
    """Runs a model's tool calls with the rights of whoever asks; synchronous.

    What a model gets wrong is answered in words, as is all that it may not read: never with an
    exception, and never differently from what is not there.
    """

    def __init__(
        self,
        retriever: Searching,
        library: Library,
        context: Context,
        principal: Principal,
        count_tokens: Callable[[str], int],
    ) -> None:
        """Begin with the passages of `context` as the first page of results."""
        self.cited: list[Passage] = []
        """What was cited so far; the first is number 1."""
        self._retriever = retriever
        self._library = library
        self._question = context.question
        self._principal = principal
        self._count_tokens = count_tokens
        self._pages: list[Page] = []
        found = results_page(context.question.text, context.passages)
        self.first = self._show(found, tokens=max(VIEW_TOKENS, 2 * context.tokens))
        """That page, as the model reads it: whole, as a context has its own budget."""

    def call(self, tool: str, arguments: str) -> str:
        """Run a tool with its arguments, a JSON object, and return what the model reads.

        Raises `IndexUnavailable` or `CatalogUnavailable`.
        """
        try:
            return self._run(tool, arguments or "{}")
        except ValidationError:
            return f"Error: These are no arguments of `{tool}`."
        except NotFound:
            return "Error: There is no such document."
        except _Misuse as error:
            return f"Error: {error}"

    def read_mark(self, content: str) -> list[int] | None:
        """Return the numbers of what a mark such as `3†L7-L9` cites, given without its brackets.

        What no page has shown has the number 0; None: it is no mark at all.
        """
        bare = unicodedata.normalize("NFKC", content)
        if not _SEPARATED.fullmatch(bare):
            return [0] if _looks_like_a_mark(bare) else None
        found = (self._number(*map(int, (c, a, b or a))) for c, a, b in _CITED.findall(bare))
        return list(dict.fromkeys(found))

    @property
    def read(self) -> frozenset[str]:
        """Ids of all documents that were opened or listed."""
        opened = {page.document.id for page in self._pages if page.document is not None}
        return frozenset(opened | {link.document.id for p in self._pages for link in p.links})

    def _run(self, tool: str, arguments: str) -> str:
        match tool:
            case "search":
                return self._search(Search.model_validate_json(arguments))
            case "open":
                return self._open(Open.model_validate_json(arguments))
            case "find":
                return self._find(Find.model_validate_json(arguments))
            case _:
                raise _Misuse("There is no such tool.")

    def _search(self, given: Search) -> str:
        asked = self._question
        found = self._retriever.search(
            given.query,
            self._principal,
            collection=asked.collection,
            document_ids=asked.document_ids,
            filters=asked.filters,
            limit=max(1, min(given.topn, MOST_RESULTS)),
        )
        return self._show(results_page(given.query, found))

    def _open(self, given: Open) -> str:
        page, first = self._page(given.cursor), max(0, given.loc)
        passage = self._linked(given.id, page)
        if passage is None:
            self._ensure_readable(page)
        else:
            revision = self._library.revision(passage.document.id, self._principal)
            page = document_page(passage.document, revision)
            if given.loc < 0:
                first = line_of(passage.span.start, page)
        return self._show(page, first=first, count=given.num_lines)

    def _find(self, given: Find) -> str:
        page = self._page(given.cursor)
        if page.document is None:
            raise _Misuse("`find` looks in a document: open one first.")
        self._ensure_readable(page)
        return self._show(matches_page(given.pattern, page))

    def _number(self, cursor: int, first: int, last: int) -> int:
        """Return the number of a passage that is cited, a new one for a new passage."""
        passage = cited(self._pages[cursor], first, last) if cursor < len(self._pages) else None
        if passage is None:
            return 0
        for number, known in enumerate(self.cited, start=1):
            if (known.revision_id, known.span) == (passage.revision_id, passage.span):
                return number
        if len(self.cited) == MOST_SOURCES:
            return 0
        self.cited.append(passage)
        return len(self.cited)

    def _show(
        self, page: Page, *, first: int = 0, count: int = -1, tokens: int = VIEW_TOKENS
    ) -> str:
        if page.lines and first >= len(page.lines):
            raise _Misuse(f"The page ends with line {len(page.lines) - 1}.")
        self._pages.append(page)
        cursor = len(self._pages) - 1
        return view(page, cursor, self._count_tokens, first=first, count=count, tokens=tokens)

    def _page(self, cursor: int) -> Page:
        if not -1 <= cursor < len(self._pages):
            raise _Misuse(f"There are pages 0 to {len(self._pages) - 1}.")
        return self._pages[cursor]

    def _linked(self, link: int | str, page: Page) -> Passage | None:
        """Return what a link leads to; None for -1, which stays on the page.

        A document can also be named by id or address, if a search has listed it.
        """
        if isinstance(link, str) and not link.lstrip("-").isdigit():
            listed = [passage for each in self._pages for passage in each.links]
            named = (p for p in listed if link in (p.document.id, p.document.uri))
            if (passage := next(named, None)) is None:
                raise NotFound(link)
            return passage
        number = int(link)
        if number < 0:
            return None
        if number >= len(page.links):
            raise _Misuse(f"The page has no link {number}.")
        return page.links[number]

    def _ensure_readable(self, page: Page) -> None:
        """Raise `NotFound` where the document of an open page can no longer be read."""
        if page.document is not None:
            self._library.document(page.document.id, self._principal)


class _Misuse(Exception):
    """Why a call cannot be done, in words for the model."""


def _looks_like_a_mark(bare: str) -> bool:
    """Say whether this is a mark of a form that points at no lines: it must not be shown."""
    return "†" in bare or re.fullmatch(r"[\s\d^,;:–-]+", bare) is not None
