"""Text from outside as harmless HTML; pure, and the only file that knows markdown-it-py.

Whatever a model or a document says, the HTML made of it holds nothing but the tags below: no link,
no image, nothing that loads anything. Markdown for these becomes the plain text it is. Streamlit's
own Markdown is not used for text from outside: it also knows links without brackets, icons,
colours, formulas and emoji, and new ones with every release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from knowledge.models import Span

TAGS = {
    "paragraph": "p",
    "heading": "h4",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "em": "em",
    "strong": "strong",
    "blockquote": "blockquote",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
}
"""What of Markdown is kept, and as which tag; `code`, `pre`, `br`, `sup` and `mark` join them."""

_RULES = [
    *("block", "inline", "normalize", "text_join"),
    *("paragraph", "heading", "lheading", "list", "blockquote", "table", "code", "fence"),
    *("text", "newline", "escape", "entity", "backticks", "emphasis"),
    *("balance_pairs", "fragments_join"),
]
_FLAG = re.compile("\ue000(?:(\\d+)\ue001)?|\ue001")
_WORDLIKE = re.compile(r"[\w\]).!?]")
_MARKER = re.compile(r" ?\[(\d{1,4})\]")
_INVISIBLE = re.compile(  # controls, zero width, bidi overrides, tag characters, lone surrogates
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sentence of an answer that is not carried, or only partly."""

    span: Span
    """In characters of the answer."""
    label: str
    why: str
    kind: str
    """A class of style."""


def answer_html(text: str, notes: Mapping[int, str], doubts: Sequence[Doubt] = ()) -> str:
    """Return an answer, or the part of it that has arrived, as HTML.

    `notes` maps the numbers that may be cited to what is shown when the pointer rests on them; a
    marker `[n]` with another number stays as it was written. A label follows each sentence that is
    in doubt.
    """
    tokens = _markdown().parse(_visible(_flagged(text, doubts)))
    labels = [_label(doubt) for doubt in doubts]
    return f'<div class="fn-answer">{_with_labels("".join(_blocks(tokens, notes)), labels)}</div>'


def quoted_html(text: str, notes: Mapping[int, str]) -> str:
    """Return an answer that consists of quotes: like `answer_html`, but nothing is Markdown."""
    return f'<div class="fn-answer"><p>{_with_markers(plain(text), notes)}</p></div>'


def passage_html(text: str, quotes: Iterable[Span]) -> str:
    """Return a passage with its quotes marked; spans are in characters of `text`."""
    parts, end = [], 0
    for span in sorted(quotes):
        start = max(span.start, end)
        if start < min(span.end, len(text)):
            parts += [plain(text[end:start]), f"<mark>{plain(text[start : span.end])}</mark>"]
            end = span.end
    return "".join([*parts, plain(text[end:])])


def plain(text: str) -> str:
    """Return text that HTML shows as it is, without characters that nobody can see."""
    return escape(_visible(text), quote=True)


def _flagged(text: str, doubts: Sequence[Doubt]) -> str:
    """Put a flag after the last word or mark of each sentence in doubt, where Markdown keeps it."""
    pieces, start = [], 0
    for number, doubt in enumerate(doubts):
        words = doubt.span.cut(text)
        end = doubt.span.start + max((m.end() for m in _WORDLIKE.finditer(words)), default=0)
        if end > start:
            pieces += [_FLAG.sub("", text[start:end]), f"\ue000{number}\ue001"]
            start = end
    return "".join([*pieces, _FLAG.sub("", text[start:])])


def _with_labels(html: str, labels: Sequence[str]) -> str:
    return _FLAG.sub(lambda match: labels[int(match[1])] if match[1] else "", html)


def _label(doubt: Doubt) -> str:
    why = plain(doubt.why)
    return f'<span class="fn-doubt {doubt.kind}" title="{why}">{plain(doubt.label)}</span>'


def _markdown() -> MarkdownIt:
    """A parser that does not even know links, images, HTML and references."""
    return MarkdownIt("zero").enable(_RULES, ignoreInvalid=True)


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def _blocks(tokens: Sequence[Token], notes: Mapping[int, str]) -> Iterator[str]:
    for token in tokens:
        tag = TAGS.get(token.type.removesuffix("_open").removesuffix("_close"))
        if token.type == "inline":
            yield from _inlines(token.children or [], notes)
        elif tag and not token.hidden:
            yield f"</{tag}>" if token.nesting < 0 else f"<{tag}>"
        elif token.type in ("fence", "code_block"):
            yield f"<pre><code>{escape(token.content)}</code></pre>"
        elif token.content:
            yield escape(token.content)


def _inlines(tokens: Sequence[Token], notes: Mapping[int, str]) -> Iterator[str]:
    for token in tokens:
        tag = TAGS.get(token.type.removesuffix("_open").removesuffix("_close"))
        if tag:
            yield f"</{tag}>" if token.nesting < 0 else f"<{tag}>"
        elif token.type == "code_inline":
            yield f"<code>{escape(token.content)}</code>"
        elif token.type in ("softbreak", "hardbreak"):
            yield "<br>" if token.type == "hardbreak" else "\n"
        else:
            yield _with_markers(escape(token.content), notes)


def _with_markers(escaped: str, notes: Mapping[int, str]) -> str:
    def marker(match: re.Match[str]) -> str:
        number = int(match[1])
        if number not in notes:
            return match[0]
        title = plain(notes[number])
        return f'<sup class="fn-mark" title="{title}" aria-label="footnote {number}">{number}</sup>'

    return _MARKER.sub(marker, escaped)
