"""Reads Markdown (CommonMark with tables) with markdown-it-py: what readers see, no marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.parsing.builder import Builder, Row
from ingest.parsing.text import decode
from knowledge.models import BlockKind, Parsed

_READER = MarkdownIt("commonmark", {"html": True, "maxNesting": 40}).enable("table")


def parse_markdown(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document; its title is the first heading of the first level."""
    builder = Builder()
    tokens = _READER.parse(_without_front_matter(decode(data)))
    _write(builder, tokens)
    yield builder.build(_title(tokens) or stem)


def _write(builder: Builder, tokens: Sequence[Token]) -> None:
    position = 0
    in_item = False
    while position < len(tokens):
        token = tokens[position]
        if token.type == "heading_open":
            builder.heading(_shown(tokens[position + 1]), int(token.tag[1]))
            position += 2
        elif token.type == "table_open":
            end = _closing(tokens, position, "table_close")
            builder.table(map(Row, _rows(tokens[position:end])))
            position = end
        elif token.type in ("fence", "code_block"):
            builder.add(BlockKind.CODE, token.content)
        elif token.type == "inline":
            builder.add(BlockKind.LIST_ITEM if in_item else BlockKind.PARAGRAPH, _shown(token))
        elif token.type == "html_block":
            builder.add(BlockKind.PARAGRAPH, _without_tags(token.content))
        in_item = token.type == "list_item_open" or (in_item and token.type == "paragraph_open")
        position += 1


def _shown(token: Token) -> str:
    """Return the text of an inline token: no emphasis marks, link text without its target."""
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "image":
            parts.append(child.content)
        elif child.type == "html_inline" and child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)


def _rows(tokens: Sequence[Token]) -> Iterator[list[str]]:
    row: list[str] = []
    for token in tokens:
        if token.type == "inline":
            row.append(_shown(token))
        elif token.type == "tr_close":
            yield row
            row = []


def _closing(tokens: Sequence[Token], position: int, kind: str) -> int:
    return next(n for n in range(position, len(tokens)) if tokens[n].type == kind)


def _without_tags(html: str) -> str:
    """Drop tags and comments from a block of raw HTML, character by character, in linear time."""
    parts, position = [], 0
    while (start := html.find("<", position)) >= 0:
        parts.append(html[position:start])
        mark = "-->" if html.startswith("<!--", start) else ">"
        end = html.find(mark, start)
        if end < 0:
            return "".join(parts)
        position = end + len(mark)
    return "".join([*parts, html[position:]])


def _without_front_matter(text: str) -> str:
    """Drop the YAML between two `---` lines at the very top."""
    if not text.startswith("---\n") and not text.startswith("---\r\n"):
        return text
    end = text.find("\n---", 3)
    return text if end < 0 else text[end + 4 :].partition("\n")[2]


def _title(tokens: Sequence[Token]) -> str:
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h1":
            return _shown(content)
    return ""
