"""The tools `search`, `open` and `find` for one question of one person, and what was cited."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal

from knowledge.errors import NotFound
from knowledge.models import Context, Passage, Principal, Reckoned
from knowledge.ports import Library
from knowledge.terms import language_of
from serving.browse.arguments import (
    ARGUMENTS,
    CALCULATOR,
    MOST_RESULTS,
    TOOLS,
    Calculate,
    Find,
    Open,
    Search,
)
from serving.browse.calculate import NoValue, calculate
from serving.browse.page import (
    VIEW_TOKENS,
    Line,
    Page,
    cited,
    document_page,
    line_of,
    matches_page,
    results_page,
    view,
)
from serving.checks.numbers import numbers
from serving.prompt import MOST_SOURCES
from serving.services import Searching

_CITED = re.compile(r"(\d{1,4})\s?†\s?L(\d{1,7})(?:\s?[-–]\s?L?(\d{1,7}))?")
_SEPARATED = re.compile(rf"\s*{_CITED.pattern}(?:\s*[,;]\s*{_CITED.pattern})*\s*")


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
        *,
        calculates: bool = False,
    ) -> None:
        """Begin with the passages of `context` as the first page of results."""
        self.tools = (*TOOLS, CALCULATOR) if calculates else TOOLS
        self.cited: list[Passage] = []
        """What was cited so far; the first is number 1."""
        self.reckoned: list[Reckoned] = []
        """What was worked out so far."""
        self._calculates = calculates
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
        kind = ARGUMENTS.get(tool)
        if kind is None or (kind is Calculate and not self._calculates):
            raise _Misuse("There is no such tool.")
        try:
            given = kind.model_validate_json(arguments)
        except ValueError:
            raise _Misuse(f"These are no arguments of `{tool}`.") from None
        match given:
            case Search():
                return self._search(given)
            case Open():
                return self._open(given)
            case Find():
                return self._find(given)
            case Calculate():
                return self._calculate(given)

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

    def _calculate(self, given: Calculate) -> str:
        """Work out an expression over numbers that stand in lines that were shown."""
        values: dict[str, list[Decimal]] = {}
        lines: dict[tuple[int, int], Line] = {}
        for each in given.inputs:
            line = self._line(each.cursor, each.line)
            values.setdefault(each.name, []).append(_read(each.value, line, each.line))
            lines[each.cursor, each.line] = line
        try:
            value = calculate(given.expression, values)
        except NoValue as error:
            raise _Misuse(f"This cannot be worked out: {error}.") from error
        places = tuple(
            (line.source.revision_id, line.span) for line in lines.values() if line.source
        )
        self.reckoned.append(Reckoned(f"{value:f}", places))
        marks = "".join(f"【{cursor}†L{number}】" for cursor, number in lines)
        return f"{value:f}\nIt rests on these lines: cite them all where you say it. {marks}"

    def _line(self, cursor: int, number: int) -> Line:
        lines = self._page(cursor).lines
        if not 0 <= number < len(lines) or lines[number].source is None:
            raise _Misuse(f"Line {number} of page {cursor} is not part of a document.")
        return lines[number]

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


def _read(value: str, line: Line, number: int) -> Decimal:
    """Return what a number says that stands in a line; raises `_Misuse` else."""
    found = [each for each in numbers(value, language_of(line.text)) if each.text]
    exact = [each for each in found[0].values if isinstance(each, Decimal)] if found else []
    if len(found) != 1 or len(exact) != 1:
        raise _Misuse(f"`{value}` is not one number.")
    if not re.search(rf"(?<![\d.,]){re.escape(value.strip())}(?![.,]?\d)", line.text):
        raise _Misuse(f"Line {number} does not say `{value}`.")
    negative = value.strip().startswith(("-", "−", "("))
    return -exact[0] if negative else exact[0]


def _looks_like_a_mark(bare: str) -> bool:
    """Say whether this is a mark of a form that points at no lines: it must not be shown."""
    return "†" in bare or re.fullmatch(r"[\s\d^,;:–-]+", bare) is not None
