"""Cleans a stream of model text: citation marks become `[n]`, links and harmony markup go; pure.

However the text is cut into pieces, the joined result is the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import partial

SHORT_HOLD = 24
"""Characters after a `[` that are held back, waiting for its end."""
LONG_HOLD = 40
"""The same for `【`, the bracket gpt-oss was trained to cite with."""
DAGGER_HOLD = 200
"""The same once the text after the bracket can only be a citation: `1†…`."""
TARGET_HOLD = 2048
"""Longest link target that is taken out in one piece."""


ReadMark = Callable[[str], list[int] | None]
"""Returns the numbers of a mark, given what stands between its brackets; None for other text."""


class MarkerNormaliser:
    """Turns pieces of model text into text that is safe to show, holding back what is undecided.

    Citation marks in any form gpt-oss writes (`[1]`, `[1, 2]`, `[2-3]`, `[^1]`, `【1†L3-L9】`,
    full-width digits) become `[n]`; those outside 1..`count` are dropped. Other brackets stay,
    but no markdown link, image or reference definition survives. White space at either end is
    dropped.
    """

    def __init__(self, count: int, read: ReadMark | None = None) -> None:
        """Read marks by `read` instead of `read_mark`; it returns what that does."""
        self.dropped = 0
        """Marks so far that pointed at nothing."""
        self._count = count
        self._read = read or partial(read_mark, count=count)
        self._raw = ""
        self._text = ""
        self._lost_brackets = 0
        self._out = _Output()

    def feed(self, piece: str) -> str:
        """Take the next piece; return what can be shown now."""
        return self._take(piece, final=False)

    def finish(self) -> str:
        """Return the rest, once nothing more will come."""
        return self._take("", final=True)

    def _take(self, piece: str, *, final: bool) -> str:
        self._raw += piece
        self._take_markup(final=final)
        while self._text:
            if plain_text := _PLAIN.match(self._text):
                self._out.show(plain_text.group())
                self._text = self._text[plain_text.end() :]
            elif not self._take_bracket(final=final):
                break
        return self._out.take()

    def _take_markup(self, *, final: bool) -> None:
        """Move text from `_raw` to `_text` without markup: it cannot hide inside a mark then."""
        while self._raw:
            before, angle, rest = self._raw.partition("<")
            self._text += before
            self._raw = angle + rest
            if match := _MARKUP.match(self._raw):
                self._raw = self._raw[match.end() :]
            elif _MARKUP_BEGUN.fullmatch(self._raw) and not final:
                return
            elif self._raw:
                self._text += "<"
                self._raw = self._raw[1:]

    def _take_bracket(self, *, final: bool) -> bool:
        """Handle the bracket or `!` that `_text` begins with; False when undecided."""
        match = _BRACKET.match(self._text)
        if match is None:
            return self._take_stray(final=final)
        bang, opening, content, closing = match.groups()
        if len(content) > _hold(opening, content) or not closing:
            undecided = match.end() == len(self._text) and len(content) <= _hold(opening, content)
            if undecided and not final:
                return False
            self._release(bang, opening, content[: _hold(opening, content) + 1])
            return True
        after = _after(self._text[match.end() :], final=final)
        if after is None:
            return False
        rest = self._text[match.end() + after.target :]
        self._text = self._show_pair(match, after) + rest
        return True

    def _release(self, bang: str, opening: str, content: str) -> None:
        """Let go of a bracket that did not close; without it where a mark could still form."""
        self._out.show(bang)
        self._text = self._text[len(bang) + len(opening) :]
        if begun := _DAGGER_BEGUN.match(content):  # can be nothing else: it goes
            self.dropped += 1
            self._out.leave_out()
            self._text = self._text[begun.end() :]
        elif _MARK_BEGUN.fullmatch(_bare(content)):
            self._lost_brackets += 1
        else:
            self._out.show(opening)

    def _show_pair(self, match: re.Match[str], after: _After) -> str:
        """Show a closed bracket; return what of it is to be read again."""
        bang, opening, content, closing = match.groups()
        numbers = self._read(content)
        if after.target:  # a link: read on without the target; of ordinary text, only the label
            return match.group() if numbers is not None else content
        self._out.show(bang)
        if numbers is None:
            label = content if after.follower else opening + content + closing
            self._out.show(label, is_label=True)
            return ""
        valid = [number for number in numbers if 1 <= number <= self._count]
        self.dropped += len(numbers) - len(valid)
        if valid:
            self._out.show("".join(f"[{number}]" for number in valid))
        else:
            self._out.leave_out()
        return ""

    def _take_stray(self, *, final: bool) -> bool:
        """Handle a `!` before no bracket, or a closing bracket that was not opened."""
        char, rest = self._text[0], self._text[1:]
        if char == "!":
            if not rest and not final:
                return False
            self._out.show(char)
            self._text = rest
            return True
        after = _after(rest, final=final)
        if after is None:
            return False
        if after.target:
            self._text = char + rest[after.target :]
            return True
        if self._lost_brackets:
            self._lost_brackets -= 1
        else:
            self._out.show(char + (" " if after.follower == ":" else ""))
        self._text = rest
        return True


def plain(text: str) -> str:
    """Return a document's text as it may stand in an answer: its own `[3]`, links and such go.

    >>> plain("It grew fast.[3] See [the plan](http://example.org).")
    'It grew fast. See the plan.'
    """
    normaliser = MarkerNormaliser(0)
    return normaliser.feed(text) + normaliser.finish()


def read_mark(content: str, count: int) -> list[int] | None:
    """Return the numbers of a mark, given what stands between its brackets; None for other text.

    A range is spelled out as far as `count`; what lies beyond is one number.

    >>> read_mark("1†L3-L9", 5), read_mark("^2", 5), read_mark("1, 3-4", 5), read_mark("sic", 5)
    ([1], [2], [1, 3, 4], None)
    """
    bare = _bare(content)
    if _DAGGER.match(bare):
        return [int(number) for number in _DAGGERS.findall(bare)]
    if not _MARK.fullmatch(bare):
        return None
    numbers: list[int] = []
    for first, last in _RANGE.findall(bare):
        numbers.extend(_expand(int(first), int(last or first), count))
    return list(dict.fromkeys(numbers))


_MARKUP = re.compile(r"<\|[^<>|\n]{1,40}\|>")
_MARKUP_BEGUN = re.compile(r"<(?:\|(?:[^<>|\n]{0,40}|[^<>|\n]{1,40}\|))?")

_PLAIN = re.compile(r"[^!\[\]［］【】]+")
_BRACKET = re.compile(rf"(!?)([\[［【])([^\[\]［］【】\n]{{0,{DAGGER_HOLD + 1}}})([\]］】]?)")
_TARGET = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*\)")
_TARGET_BEGUN = re.compile(r"\((?:[^()\n]|\([^()\n]*\))*(?:\([^()\n]*)?")

_DAGGER = re.compile(r"\s{0,3}\^?\d{1,9}(?::\d{1,9})?\s?†")
_DAGGER_BEGUN = re.compile(rf"{_DAGGER.pattern}(?:\s?L\d+(?:\s?[-–]\s?L?\d+)?)?")
_DAGGERS = re.compile(r"(?:^|[,;])\s*\^?(\d+)(?::\d+)?\s?†")
_MARK = re.compile(r"\s*\^?\s*\d+(?:\s*[-–—,;、]\s*\^?\s*\d+)*\s*")
_MARK_BEGUN = re.compile(r"[\s\d^,;:、–—-]*(?:†.*)?")
_RANGE = re.compile(r"(\d+)(?:\s*[-–—]\s*(\d+))?")


def _bare(content: str) -> str:
    """Return the compatibility form, without what a reader does not see."""
    compatible = unicodedata.normalize("NFKC", content).replace("\\", "")
    return "".join(char for char in compatible if unicodedata.category(char) != "Cf")


def _hold(opening: str, content: str) -> int:
    if _DAGGER.match(content):
        return DAGGER_HOLD
    return LONG_HOLD if opening == "【" else SHORT_HOLD


class _After:
    """What follows a closing bracket: the length of a link target, or a telling character."""

    def __init__(self, *, target: int = 0, follower: str = "") -> None:
        self.target = target
        self.follower = follower


def _after(rest: str, *, final: bool) -> _After | None:
    """Look at what follows a closing bracket; None when more text is needed."""
    if not rest:
        return _After() if final else None
    if rest[0] not in "(:":
        return _After()
    target = _TARGET.match(rest, 0, TARGET_HOLD)
    if target:
        return _After(target=target.end())
    if rest[0] == "(" and len(rest) < TARGET_HOLD and _TARGET_BEGUN.fullmatch(rest) and not final:
        return None
    return _After(follower=rest[0])


def _expand(first: int, last: int, count: int) -> list[int]:
    if last <= first:
        return [first] if last == first else [first, last]
    known = list(range(first, min(last, count) + 1))
    return known if last <= count else [*known, last]


class _Output:
    """Collects what is shown. Holds white space back, so that a mark left out leaves no gap."""

    def __init__(self) -> None:
        self._line_has_letters = False
        self._ready: list[str] = []
        self._last = ""
        self._left_out = False
        self._before = ""
        self._space = ""

    def show(self, text: str, *, is_label: bool = False) -> None:
        solid = text.strip()
        start = text.index(solid) if solid else len(text)
        self._space += text[:start]
        self._see_letters(text[:start])
        if solid:
            # What markup leaves behind may meet and look like markup again.
            self._ready += [self._lead(solid[0]), solid.replace("<|", "< |")]
            self._last = solid[-1]
            self._left_out, self._before = False, ""
            self._space = text[start + len(solid) :]
            self._see_letters("" if is_label else text[start:])

    def leave_out(self) -> None:
        """Note that a mark was dropped here."""
        self._before, self._space = self._one_space(), ""
        self._left_out = True

    def take(self) -> str:
        ready, self._ready = "".join(self._ready), []
        return ready

    def _lead(self, following: str) -> str:
        if not self._last:
            return ""
        if self._left_out and not self._space and following in ".,;:!?)。，":
            return ""
        return self._one_space() or (" " if self._must_stay_apart(following) else "")

    def _must_stay_apart(self, following: str) -> bool:
        """Say whether the two would make markup, a link, or at a line's head a link definition."""
        pair = self._last + following
        return pair in ("<|", "](") or (pair == "]:" and not self._line_has_letters)

    def _see_letters(self, text: str) -> None:
        _, newline, line = text.rpartition("\n")
        letters = any(char.isalpha() for char in line)
        self._line_has_letters = letters or (self._line_has_letters and not newline)

    def _one_space(self) -> str:
        """Join the white space on both sides of a dropped mark; a line end counts most."""
        if "\n" in self._before:
            return self._before + self._space
        return self._space or self._before
