"""Reads pictures of text: PNG, JPEG and TIFF, decoded by Pillow, recognised by `ocr`.

A TIFF may hold many pages. A box is in points, at the resolution that the picture states.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from PIL import Image as Picture
from PIL import ImageOps, ImageSequence

from ingest.parsing import ocr
from ingest.parsing.builder import Builder
from knowledge.errors import TooLarge, Unreadable, Unsupported
from knowledge.models import BlockKind, Box, Parsed

MAX_PAGES = 1000
_FORMATS = ("PNG", "JPEG", "TIFF")
_DPI = 300
_LEAST_DPI, _MOST_DPI = 50, 2400
_POINTS = 72


def parse_image(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document with a page for each picture in the file.

    Raises `Unsupported` where nothing can be recognised, `TooLarge` above 20 million pixels.
    """
    if reason := ocr.why_not():
        raise Unsupported(f"it is a picture, and {reason}", code="no_ocr")
    builder = Builder()
    confidences: list[float] = []
    pages = 0
    for page, picture in enumerate(_pictures(data), start=1):
        pages = page
        words = ocr.recognise(_image(picture))
        confidences.extend(word.confidence for word in words)
        _write(builder, words, page, _POINTS / _dpi(picture))
    yield _covered(builder.build(stem), pages, confidences)


def _pictures(data: bytes) -> Iterator[Picture.Image]:
    """Yield the pages, upright. Raises `TooLarge` before a page that is too large is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # we have a cap of our own
            file = Picture.open(io.BytesIO(data), formats=_FORMATS)
            for number, picture in enumerate(ImageSequence.Iterator(file), start=1):
                if number > MAX_PAGES:
                    raise TooLarge(f"it has more than {MAX_PAGES:,} pages; split it")
                if picture.width * picture.height > ocr.MOST_PIXELS:
                    raise TooLarge(
                        f"it has more than {ocr.MOST_PIXELS:,} pixels; save it smaller",
                        code="too_many_pixels",
                    )
                yield ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, EOFError, Picture.DecompressionBombError) as error:
        raise Unreadable(f"the picture is damaged ({error})"[:200], code="damaged") from error


def _image(picture: Picture.Image) -> ocr.Image:
    """Return the picture in grey, on white where it is transparent."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        paper = Picture.new("RGBA", picture.size, "white")
        picture = Picture.alpha_composite(paper, picture.convert("RGBA"))
    if picture.mode.startswith("I;16"):
        picture = picture.point(lambda value: value / 256)
    grey = picture.convert("L")
    return ocr.Image(
        grey.tobytes(), grey.width, grey.height, stride=grey.width, channels=1, dpi=_dpi(picture)
    )


def _dpi(picture: Picture.Image) -> int:
    """Return the resolution; one that cannot be is taken for a scanner's usual one."""
    stated = picture.info.get("dpi") or (0, 0)
    try:
        dpi = round(float(stated[0]))
    except (TypeError, ValueError, OverflowError, IndexError):
        return _DPI
    return dpi if _LEAST_DPI <= dpi <= _MOST_DPI else _DPI


def _write(builder: Builder, words: list[ocr.Word], page: int, scale: float) -> None:
    """Append the words, a paragraph a block, its lines kept."""
    for _, paragraph in groupby(words, key=lambda word: word.line[:2]):
        inside = list(paragraph)
        lines = [
            " ".join(word.text for word in line)
            for _, line in groupby(inside, key=lambda word: word.line)
        ]
        box = Box(
            scale * min(word.x0 for word in inside),
            scale * min(word.y0 for word in inside),
            scale * max(word.x1 for word in inside),
            scale * max(word.y1 for word in inside),
        )
        builder.add(BlockKind.PARAGRAPH, "\n".join(lines), page=page, box=box)


def _covered(parsed: Parsed, pages: int, confidences: list[float]) -> Parsed:
    with_text = {block.page for block in parsed.blocks}
    coverage = replace(
        parsed.coverage,
        pages=pages,
        empty_pages=tuple(page for page in range(1, pages + 1) if page not in with_text),
        ocr_pages=tuple(sorted(page for page in with_text if page is not None)),
        ocr_confidence=sum(confidences) / len(confidences) if confidences else None,
    )
    return replace(parsed, coverage=coverage)
