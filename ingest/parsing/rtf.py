"""Reads RTF in one pass over its marks, without recursion: paragraphs, headings, lists, tables."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ingest.parsing.builder import Builder, one_line
from ingest.parsing.grid import Grid, write
from knowledge.errors import Unreadable
from knowledge.models import BlockKind, Parsed

_MARK = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})?[ ]?"  # a word with its number
    rb"|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)|."
)
_DEEPEST = 100_000
_WORDS = {
    "line": "\n", "tab": " ", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ",
    "softline": "\n", "nestcell": " ", "nestrow": " ", "column": " ",
}  # fmt: skip
_SIGNS = {b"~": "\u00a0", b"_": "\u2011", b"\n": "\n", b"\r": "\n"}
_ESCAPED = (b"\\", b"{", b"}")
_NOT_SHOWN = frozenset((
    "author", "bkmkend", "bkmkstart", "colortbl", "comment", "company", "datafield", "falt",
    "fldinst", "ftncn", "ftnsep", "ftnsepc", "generator", "header", "headerf", "headerl",
    "headerr", "footer", "footerf", "footerl", "footerr", "info", "keywords",
    "listoverridetable", "listtable", "mmath", "nonesttables", "object", "objdata", "operator",
    "pict", "pnseclvl", "private", "revtbl", "rsidtbl", "rxe", "stylesheet", "subject", "tc",
    "template", "themedata", "txe", "xe", "fonttbl", "sn", "sv", "shprslt", "nonshppict",
))  # fmt: skip
_SHOWN_ANYWAY = frozenset({"shpinst", "shptxt", "pntext"})
_CODE_PAGES = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_SYMBOLS = 2
_HEADING = re.compile(r"heading (\d)")


def parse_rtf(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document. Raises `Unreadable` if it does not begin as RTF does."""
    if not data.lstrip()[:5].lower().startswith(b"{\\rtf"):
        raise Unreadable("it is damaged, or not an .rtf file at all", code="wrong_type")
    builder = Builder()
    title = write_rtf(builder, data)
    yield builder.build(title or stem)


def write_rtf(builder: Builder, data: bytes) -> str:
    """Append a document and return its title, if it has one."""
    reader = _Reader(builder)
    reader.read(data.rstrip(b"\x00"))
    return reader.title()


@dataclass(frozen=True, slots=True)
class _State:
    """What holds inside a group, and ends with it."""

    into: str = ""
    """The destination, where it is none of the shown text: a name of `_NOT_SHOWN`, or `*`."""
    encoding: str = "cp1252"
    fallback: int = 1
    """How many characters stand for a Unicode character in older programs."""
    hidden: bool = False


@dataclass(slots=True)
class _Paragraph:
    """What has been said of the paragraph that is being read."""

    level: int | None = None
    style: int = 0
    listed: bool = False
    in_table: bool = False


class _Reader:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._state = _State()
        self._outer: list[_State] = []
        self._paragraph = _Paragraph()
        self._text: list[str] = []
        self._bytes = bytearray()
        self._pass_over = 0  # characters that repeat a Unicode character
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._styles: dict[int, list[str]] = {}
        self._style = 0
        self._grid: Grid | None = None
        self._cell: list[str] = []
        self._cells: list[str] = []
        self._encoding = "cp1252"
        self._title: list[str] = []
        self._begun = False
        self._pictures = 0
        self._seen = 0

    def read(self, data: bytes) -> None:
        """Read all marks."""
        position = 0
        while match := _MARK.match(data, position):
            position = match.end()
            word, number, byte, sign, brace, plain = match.groups()
            if word is not None:
                value = int(number) if number else None
                if word == b"bin" and value:
                    position += max(0, value)
                else:
                    self._word(word.decode("ascii"), value)
            elif byte is not None:
                self._put(bytes.fromhex(byte.decode("ascii")))
            elif brace is not None:
                self._brace(brace)
            elif sign is not None:
                self._sign(sign)
            elif plain is not None:
                self._put(plain)
        self._end_paragraph()
        self._end_table()
        self._builder.coverage = replace(
            self._builder.coverage,
            layer_characters=self._seen,
            skipped_bytes=self._pictures // 2,
        )

    def title(self) -> str:
        """Return what the document calls itself, or the heading that it begins with."""
        return one_line("".join(self._title))

    # --- marks ---

    def _brace(self, brace: bytes) -> None:
        self._decode()
        self._pass_over = 0
        if brace == b"{":
            if len(self._outer) >= _DEEPEST:
                raise Unreadable("its groups nest too deeply", code="hostile")
            self._outer.append(self._state)
        elif self._outer:
            self._state = self._outer.pop()

    def _sign(self, sign: bytes) -> None:
        if sign in _ESCAPED:
            self._put(sign)
        elif sign == b"*":
            self._into("*")
        elif sign in _SIGNS:
            self._say(_SIGNS[sign])

    def _word(self, word: str, value: int | None) -> None:
        if word == "u" and value is not None:
            self._unicode(value)
        elif word in _WORDS:
            self._say(_WORDS[word])
        elif self._state.into in ("fonttbl", "stylesheet") and word in ("f", "s", "fcharset"):
            self._learn(word, value or 0)
        elif word in _NOT_SHOWN or word in _SHOWN_ANYWAY or word == "title":
            self._into("" if word in _SHOWN_ANYWAY else word)
        elif (act := _ACTS.get(word)) is not None:
            self._decode()
            act(self, value)

    def _into(self, destination: str) -> None:
        self._decode()
        if self._state.into in ("", "*", "info"):
            self._state = replace(self._state, into=destination)

    def _learn(self, word: str, value: int) -> None:
        """Note the encoding of a font, or which style is being named."""
        if word == "f":
            self._font = value
        elif word == "s":
            self._style = value
        elif value == _SYMBOLS:
            self._fonts[self._font] = "symbol"
        else:
            self._fonts[self._font] = _CODE_PAGES.get(value, self._encoding)

    def _unicode(self, value: int) -> None:
        self._decode()
        self._say(chr(value & 0xFFFF))
        self._pass_over = self._state.fallback

    def _put(self, data: bytes) -> None:
        """Take characters in the encoding that holds here."""
        if self._pass_over:
            passed = min(self._pass_over, len(data))
            self._pass_over -= passed
            data = data[passed:]
        if self._state.into == "pict":
            self._pictures += len(data)
        elif data:
            self._bytes += data

    def _decode(self) -> None:
        if not self._bytes:
            return
        data, encoding = bytes(self._bytes), self._state.encoding
        self._bytes.clear()
        self._say("•" if encoding == "symbol" else data.decode(encoding, "replace"))

    def _say(self, text: str) -> None:
        self._decode()
        into = self._state.into
        if into == "title":
            self._title.append(text)
        elif into == "stylesheet":
            self._styles.setdefault(self._style, []).append(text)
        elif into == "" and not self._state.hidden:
            self._seen += len(text) - sum(map(str.isspace, text))
            self._text.append(text)

    # --- paragraphs and tables ---

    def _end_paragraph(self) -> None:
        text = self._taken()
        if self._paragraph.in_table:
            self._cell.append(text)
            return
        if not text.strip():
            return
        self._end_table()
        level = self._level()
        if level is not None:
            if not self._begun and not self._title:
                self._title.append(text)
            self._builder.heading(text, level)
        else:
            kind = BlockKind.LIST_ITEM if self._paragraph.listed else BlockKind.PARAGRAPH
            self._builder.add(kind, text)
        self._begun = True

    def _level(self) -> int | None:
        if self._paragraph.level is not None:
            return self._paragraph.level
        style = "".join(self._styles.get(self._paragraph.style, [])).strip(" ;").lower()
        match = _HEADING.match(style)
        return int(match[1]) if match else 0 if style == "title" else None

    def _taken(self) -> str:
        self._decode()
        text = "".join(self._text)
        self._text.clear()
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _end_cell(self) -> None:
        self._cells.append("\n".join([*self._cell, self._taken()]))
        self._cell.clear()

    def _end_row(self) -> None:
        if self._grid is None:
            self._grid = Grid()
        self._grid.row()
        for cell in self._cells:
            self._grid.add(cell)
        self._cells.clear()

    def _end_table(self) -> None:
        if self._cells or self._cell:  # a row that was not ended
            self._end_row()
        if self._grid is not None:
            write(self._builder, self._grid)
            self._grid = None

    # --- what words do ---

    def _reset(self, _: int | None) -> None:
        self._paragraph = _Paragraph()

    def _code_page(self, value: int | None) -> None:
        name = {65001: "utf-8", 10000: "mac_roman"}.get(value or 0, f"cp{value}")
        try:
            self._encoding = codecs.lookup(name).name
        except LookupError:
            return
        self._state = replace(self._state, encoding=self._encoding)

    def _use_font(self, value: int | None) -> None:
        if not self._state.into:
            encoding = self._fonts.get(value or 0, self._encoding)
            self._state = replace(self._state, encoding=encoding)

    def _hide(self, value: int | None) -> None:
        self._state = replace(self._state, hidden=value != 0)

    def _plain(self, _: int | None) -> None:
        self._state = replace(self._state, hidden=False, encoding=self._encoding)

    def _expect(self, value: int | None) -> None:
        self._state = replace(self._state, fallback=min(max(value or 0, 0), 100))

    def _outline(self, value: int | None) -> None:
        self._paragraph.level = value + 1 if value is not None and 0 <= value < 9 else None


_ACTS: dict[str, Callable[[_Reader, int | None], None]] = {
    "par": lambda reader, _: reader._end_paragraph(),
    "sect": lambda reader, _: reader._end_paragraph(),
    "cell": lambda reader, _: reader._end_cell(),
    "row": lambda reader, _: reader._end_row(),
    "pard": _Reader._reset,
    "ansicpg": _Reader._code_page,
    "f": _Reader._use_font,
    "v": _Reader._hide,
    "deleted": _Reader._hide,
    "plain": _Reader._plain,
    "uc": _Reader._expect,
    "outlinelevel": _Reader._outline,
    "s": lambda reader, value: setattr(reader._paragraph, "style", value or 0),
    "ls": lambda reader, value: setattr(reader._paragraph, "listed", bool(value)),
    "intbl": lambda reader, _: setattr(reader._paragraph, "in_table", True),
    "footnote": lambda reader, _: reader._say(" "),
}
