"""Recognises text in images with Tesseract's library, which only this file knows.

The library is called in this process: nothing is started, nothing is written, and the limits of the
jail hold for it as they are. It is found where the system's package puts it and loaded when the
first image comes.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

MOST_PIXELS = 20_000_000
"""Of one image; larger ones are to be made smaller first."""

_LIBRARIES = (
    ("libtesseract.5.dylib", "/opt/homebrew/lib/libtesseract.5.dylib")
    if sys.platform == "darwin"
    else ("libtesseract.so.5", "libtesseract.so.4")
)
_LANGUAGES = re.compile(r"[A-Za-z_]{3,12}(?:\+[A-Za-z_]{3,12})*")
_AUTOMATIC = 3  # page segmentation without finding out which way is up
_FIELDS = 12  # of a line of Tesseract's table; the last is the text
_WORD = "5"  # the level of words in it
_FAINT = 30  # per cent: words less certain are specks and drawings


class Word(NamedTuple):
    """A recognised word, in pixels from the top left corner."""

    text: str
    x0: int
    y0: int
    x1: int
    y1: int
    line: tuple[int, int, int]
    """Numbers of its block, paragraph and line."""
    confidence: float
    """How certain it is, 0..1."""


@dataclass(frozen=True, slots=True)
class Image:
    """Pixels, row by row from the top: grey (1 byte), red, green, blue (3), or with alpha (4)."""

    pixels: bytes | bytearray | memoryview
    width: int
    height: int
    stride: int
    """Bytes from one row to the next."""
    channels: int = 1
    dpi: int = 300


_languages = "eng"


def use_languages(languages: str) -> None:
    """Recognise these from now on, such as `eng` or `deu+eng`; empty switches recognition off."""
    global _languages
    _languages = languages.replace(",", "+").replace(" ", "")


def is_on() -> bool:
    """Say whether images are to be recognised at all."""
    return bool(_languages)


def why_not() -> str:
    """Return why nothing can be recognised and what to do about it; empty if all is well."""
    if not _languages:
        return "OCR is not switched on"
    if not _LANGUAGES.fullmatch(_languages):
        return f"FOOTNOTE_OCR_LANGUAGES is {_languages}, not languages such as eng or deu+eng"
    if _library() is None:
        return "install Tesseract (the system's package tesseract-ocr) to read scanned pages"
    if _engine(_languages) is None:
        packages = " and ".join(
            f"tesseract-ocr-{language.replace('_', '-')}" for language in _languages.split("+")
        )
        return f"Tesseract lacks the data of a language; install {packages}"
    return ""


def recognise(image: Image) -> list[Word]:
    """Return the words of an image in reading order; none if nothing can be recognised at all."""
    library, engine = _library(), _engine(_languages) if not why_not() else None
    if library is None or engine is None or image.width * image.height > MOST_PIXELS:
        return []
    pixels = (ctypes.c_ubyte * len(image.pixels)).from_buffer_copy(image.pixels)
    library.TessBaseAPISetImage(
        engine, pixels, image.width, image.height, image.channels, image.stride
    )
    library.TessBaseAPISetSourceResolution(engine, image.dpi)
    found = None
    try:
        if library.TessBaseAPIRecognize(engine, None) == 0:
            found = library.TessBaseAPIGetTsvText(engine, 0)
        return list(_words(ctypes.string_at(found).decode("utf-8", "replace"))) if found else []
    finally:
        if found:
            library.TessDeleteText(found)
        library.TessBaseAPIClear(engine)


def _words(table: str) -> Iterator[Word]:
    for row in table.splitlines():
        fields = row.split("\t", _FIELDS - 1)
        if len(fields) < _FIELDS or fields[0] != _WORD or not fields[-1].strip():
            continue
        block, paragraph, line = map(int, fields[2:5])
        left, top, width, height = map(int, fields[6:10])
        confidence = float(fields[10])
        if confidence >= _FAINT:
            box = (left, top, left + width, top + height)
            yield Word(fields[-1].strip(), *box, (block, paragraph, line), confidence / 100)


@cache
def _library() -> ctypes.CDLL | None:
    """Load the library; None where it is not installed."""
    for name in _LIBRARIES:
        with suppress(OSError):
            return _declared(ctypes.CDLL(name))
    return None


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """Tell the types of the functions that are used (capi.h of Tesseract 4 and 5)."""
    engine, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    library.TessBaseAPICreate.restype = engine
    for name, result, arguments in (
        ("TessBaseAPIInit3", number, [engine, text, text]),
        ("TessBaseAPISetVariable", number, [engine, text, text]),
        ("TessBaseAPISetPageSegMode", None, [engine, number]),
        ("TessBaseAPISetImage", None, [engine, ctypes.c_void_p, number, number, number, number]),
        ("TessBaseAPISetSourceResolution", None, [engine, number]),
        ("TessBaseAPIRecognize", number, [engine, ctypes.c_void_p]),
        ("TessBaseAPIGetTsvText", ctypes.c_void_p, [engine, number]),
        ("TessDeleteText", None, [ctypes.c_void_p]),
        ("TessBaseAPIClear", None, [engine]),
        ("TessBaseAPIDelete", None, [engine]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


@cache
def _engine(languages: str) -> int | None:
    """Make the engine, which lives as long as this process; None where a language is missing."""
    library = _library()
    if library is None:
        return None
    engine: int = library.TessBaseAPICreate()
    if library.TessBaseAPIInit3(engine, None, languages.encode()) != 0:
        library.TessBaseAPIDelete(engine)
        return None
    library.TessBaseAPISetVariable(engine, b"debug_file", b"/dev/null")
    library.TessBaseAPISetPageSegMode(engine, _AUTOMATIC)
    return engine
