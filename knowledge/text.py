"""Pure functions over text: cleaning, words, sentences, and a normal form for matching quotes."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator

from knowledge.models import Span

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2032\u02bc`"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"

_TO_ASCII = {
    **{ord(char): None for char in _INVISIBLE},
    **{ord(char): "-" for char in _HYPHENS},
    **{ord(char): "'" for char in _SINGLE_QUOTES},
    **{ord(char): '"' for char in _DOUBLE_QUOTES},
}


# --- characters ---------------------------------------------------------------------------------

_UNSTORABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")


def clean(text: str) -> str:
    r"""Return `text` without characters that databases refuse, all line ends as `\n`.

    Lengths change, so this comes before any span is taken.

    >>> clean("one\r\ntwo\x00")
    'one\ntwo'
    """
    return _UNSTORABLE.sub("", _LINE_ENDS.sub("\n", text))


def normalise_for_match(text: str) -> str:
    r"""Return a form in which two spellings of the same quote are equal.

    Compatibility forms, dashes, quotation marks, case, invisible characters and runs of white
    space no longer differ.

    >>> normalise_for_match("The \u201cnon\u2011smoking\u201d  Area")
    'the "non-smoking" area'
    """
    plain = unicodedata.normalize("NFKC", text).translate(_TO_ASCII)
    return " ".join(unicodedata.normalize("NFKC", plain.casefold()).split())


# --- words --------------------------------------------------------------------------------------

# Scripts written without spaces between words, and Korean, which joins particles to words; their
# runs become overlapping pairs of characters.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)


def _mark_class() -> str:
    """Return all combining marks, as ranges for a character class."""
    ranges: list[tuple[int, int]] = []
    for code in range(0x300, min(0x20000, sys.maxunicode)):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)


_PART = rf"(?:[^\W_]|[{_mark_class()}])+"
_PARTS = re.compile(_PART)
_COMPOUND = re.compile(rf"{_PART}(?:(?:[-/._:+]|(?<=\d),(?=\d)){_PART})*")
_NUMBER = re.compile(r"[\d.,]+")
_UNSPACED_RUN = re.compile(rf"([{_UNSPACED}]+)")


def words(text: str) -> list[str]:
    """Return the normalised words of `text` in order, repetitions included.

    A compound appears in parts and also whole, without its separators, so that spellings such as
    `INV-2024/017`, `TGF-beta` or `1,000` find each other; decimals keep their point. Scripts
    written without spaces, and Korean, appear as pairs of characters.

    >>> words("Pay 1,000.50 for INV-2024/017, non-smoking.")
    ['pay', '1000.50', 'for', 'inv2024017', 'inv', '2024', '017', 'nonsmoking', 'non', 'smoking']
    >>> words("東京都")
    ['東京', '京都']
    """
    plain = unicodedata.normalize("NFKC", text).translate(_TO_ASCII).casefold()
    found: list[str] = []
    for match in _COMPOUND.finditer(plain):
        found.extend(_pieces(match.group()))
    return found


def _pieces(compound: str) -> Iterator[str]:
    if compound.isascii() and compound.isalnum():  # nearly all words, and fast
        yield compound
    elif _NUMBER.fullmatch(compound):
        yield compound.replace(",", "")
    else:
        parts = _PARTS.findall(compound)
        if len(parts) > 1:
            yield "".join(parts)
        for part in parts:
            yield from _split_unspaced(part)


def _split_unspaced(part: str) -> Iterator[str]:
    for run in _UNSPACED_RUN.split(part):
        if not _UNSPACED_RUN.match(run):
            if run:
                yield run
        elif len(run) < 3:
            yield run
        else:
            yield from (run[i : i + 2] for i in range(len(run) - 1))


# --- sentences ----------------------------------------------------------------------------------

_LONG_LINE = 60
"""A line at least so long, without a final mark, is taken to be wrapped rather than finished."""

_LINE = re.compile(r"[^\n]+")
_ROW_OR_ITEM = re.compile(r"\s*(?:[-*•‣◦▪–—|]\s|\(?\w{1,3}[.)]\s|#{1,6}\s)|.*(?:\t|\s\|\s?)")
_FINAL = re.compile(r"[.!?…:;。！？؟।]['\"”’»)\]]*$")
_END = re.compile(  # possessive, and from the first mark of a run only: linear on any text
    r"(?<![.!?…؟।])[.!?…؟।]++['\"”’»)\]]*+(?:\[\d+(?:\s?[,–-]\s?\d+)*\])*+(?=\s)"
    r"|[。！？]++[」』”’）]*+"
)
_NEXT = re.compile(r"\s*(\S\w*)")
_LAST_WORD = re.compile(r"(?:^|[\s(\[\"'“‘])([^\s(\[\"'“‘]*)$")
_LABEL = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|\w)\.$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+$")

_ABBREVIATIONS = """
adj adm al apr approx art assn aug ave bldg bros ca cap capt cf ch chap cmdr col comm cpl ct dec
dept dr ed eds eg eq eqs esp est et ex exec ext feb fig figs fn fr ft gen gov hon hr hrs ibid ie
illus int intl jan jul jun lt maj mar max min misc mr mrs ms mt mtg nat no nos nov oct op orig p
para pg pp prep pres prof pt pvt ref refs reg rep res rev sec sect sen sept sgt spp sr st subsp
suppl tab tel temp univ var viz vol vols vs yr abb abs bzgl bzw evtl ggf inkl nr std str tbd usw
vgl zb
"""
_STARTERS = """
A After All Also An And As At Because Before But By During Each For From He However If In It Its
Many More Most No On Once Only Our She Since So Some Such That The Their Then There Therefore These
They This Those Thus To Under Unless Until We What When Where Which While Who With You Your
"""
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())
_STARTING = frozenset(_STARTERS.split())


def sentence_spans(text: str) -> list[Span]:
    r"""Return the sentences of `text` in order: trimmed, never empty, never overlapping.

    Blank lines, list items and table rows end a sentence whatever the marks say; abbreviations,
    initials, decimals and numbered labels do not.

    >>> [s.cut("Dr. Lee paid 3.5 kg. Why?\n- salt") for s in sentence_spans(
    ...     "Dr. Lee paid 3.5 kg. Why?\n- salt")]
    ['Dr. Lee paid 3.5 kg.', 'Why?', '- salt']
    """
    return [
        trimmed
        for block in _blocks(text)
        for sentence in _sentences(text, block)
        if (trimmed := _trim(text, sentence)) is not None
    ]


def _blocks(text: str) -> Iterator[Span]:
    """Join lines that continue each other; every other line end is a boundary."""
    start = end = -1
    for match in _LINE.finditer(text):
        if start >= 0 and not _continues(text[end - _line_length(text, end) : end], text, match):
            yield Span(start, end)
            start = -1
        if start < 0:
            start = match.start()
        end = match.end()
    if start >= 0:
        yield Span(start, end)


def _line_length(text: str, end: int) -> int:
    return end - (text.rfind("\n", 0, end) + 1)


def _continues(line: str, text: str, following: re.Match[str]) -> bool:
    after = following.group()
    stripped = after.lstrip()
    if text[following.start() - 2 : following.start()] == "\n\n" or not (line.strip() and stripped):
        return False
    if _ROW_OR_ITEM.match(after) or "\t" in line or " | " in line:
        return False
    return not _FINAL.search(line.rstrip()) and (
        stripped[0].islower() or len(line.strip()) >= _LONG_LINE
    )


def _sentences(text: str, block: Span) -> Iterator[Span]:
    start = block.start
    for match in _END.finditer(text, block.start, block.end):
        if _ends_sentence(text, start, match):
            yield Span(start, match.end())
            start = match.end()
    if start < block.end:
        yield Span(start, block.end)


def _ends_sentence(text: str, start: int, mark: re.Match[str]) -> bool:
    following = _NEXT.match(text, mark.end())
    if following is None or mark.group()[0] in "。！？":
        return True
    if following.group(1)[0].islower():
        return False
    if mark.group()[0] != "." or mark.group().startswith(".."):
        return True
    before = text[max(start, mark.start() - 40) : mark.start() + 1].lstrip()
    return not _is_abbreviated(before, starter=following.group(1) in _STARTING)


def _is_abbreviated(before: str, *, starter: bool) -> bool:
    """Say whether the full stop at the end of `before` belongs to its last word."""
    if _LABEL.fullmatch(before):
        return True
    found = _LAST_WORD.search(before)
    last = found.group(1) if found else before
    if _INITIALS.fullmatch(last):
        return not starter
    return last[:-1].replace(".", "").casefold() in _ABBREVIATED


def _trim(text: str, span: Span) -> Span | None:
    cut = span.cut(text)
    start = span.start + len(cut) - len(cut.lstrip())
    end = span.start + len(cut.rstrip())
    return Span(start, end) if start < end else None
