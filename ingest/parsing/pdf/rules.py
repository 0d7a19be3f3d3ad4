"""Finds what is painted on a page besides text: ruled lines, shaded rectangles, large pictures."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.pdf.calls import INT, POINTER, address, direct
from ingest.parsing.pdf.page import Area, Drawn

Matrix = np.ndarray[Any, np.dtype[Any]]

_THIN = 2.5  # points: anything thicker is a shade
_SHORT = 4.0  # points: anything shorter is a dot
_MOST_OBJECTS = 100_000
_MOST_SEGMENTS = 2_000

_object_at = direct(raw.FPDFPage_GetObject, POINTER, POINTER, INT)
_kind_of = direct(raw.FPDFPageObj_GetType, INT, POINTER)
_bounds_of = direct(
    raw.FPDFPageObj_GetBounds, INT, POINTER, POINTER, POINTER, POINTER, POINTER
)
_mode_of = direct(raw.FPDFPath_GetDrawMode, INT, POINTER, POINTER, POINTER)
_segments_of = direct(raw.FPDFPath_CountSegments, INT, POINTER)


def drawn_on(page: pdfium.PdfPage, matrix: Matrix, width: float, height: float) -> Drawn:
    """Return the rules, shades and pictures; `matrix` turns the page's places into displayed."""
    drawn = Drawn()
    count = min(raw.FPDFPage_CountObjects(page.raw), _MOST_OBJECTS)
    handle = address(page.raw)
    objects = [_object_at(handle, index) for index in range(count)]
    kinds = list(map(_kind_of, objects))
    others = [
        (item, kind)
        for item, kind in zip(objects, kinds, strict=True)
        if kind != raw.FPDF_PAGEOBJ_TEXT
    ]
    paths = [item for item, kind in others if kind == raw.FPDF_PAGEOBJ_PATH]
    for area, filled, stroked in _displayed(_painted(paths), matrix):
        _sort_in(drawn, area, filled, stroked)
    pictures = [item for item, kind in others if _pictures(item, kind)]
    for area, _, _ in _displayed(((_bounds(item), True, False) for item in pictures), matrix):
        shown_width = min(area.x1, width) - max(area.x0, 0)
        shown_height = min(area.y1, height) - max(area.y0, 0)
        share = max(0.0, shown_width) * max(0.0, shown_height) / (width * height)
        drawn.pictured = max(drawn.pictured, share)
    return drawn


def _pictures(item: int, kind: int) -> bool:
    """Say whether an object is a picture, or a group that holds one."""
    if kind != raw.FPDF_PAGEOBJ_FORM:
        return kind == raw.FPDF_PAGEOBJ_IMAGE
    group = ctypes.cast(item, raw.FPDF_PAGEOBJECT)
    return any(
        raw.FPDFPageObj_GetType(raw.FPDFFormObj_GetObject(group, index)) == raw.FPDF_PAGEOBJ_IMAGE
        for index in range(min(raw.FPDFFormObj_CountObjects(group), 50))
    )


_Painted = tuple[tuple[float, ...], bool, bool]


def _painted(paths: list[int]) -> Iterator[_Painted]:
    """Yield (left, bottom, right, top), filled, stroked of each rectangle or straight line."""
    fill, stroke = ctypes.c_int(), ctypes.c_int()
    fill_at, stroke_at = ctypes.addressof(fill), ctypes.addressof(stroke)
    for path in paths:
        _mode_of(path, fill_at, stroke_at)
        if not fill.value and not stroke.value:
            continue
        count = _segments_of(path)
        if count <= 5:
            yield _bounds(path), bool(fill.value), bool(stroke.value)
        elif count <= _MOST_SEGMENTS:
            for corners in _strokes(path, count):
                yield corners, bool(fill.value), bool(stroke.value)


def _strokes(path: int, count: int) -> Iterator[tuple[float, ...]]:
    """Yield the bounds of each part of a path that is drawn in several strokes."""
    handle = ctypes.cast(path, raw.FPDF_PAGEOBJECT)
    place = raw.FS_MATRIX()
    raw.FPDFPageObj_GetMatrix(handle, place)
    x, y = ctypes.c_float(), ctypes.c_float()
    corners: list[tuple[float, float]] = []
    for index in range(count):
        segment = raw.FPDFPath_GetPathSegment(handle, index)
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_BEZIERTO:
            return
        if kind == raw.FPDF_SEGMENT_MOVETO and corners:
            yield _hull(corners)
            corners = []
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        corners.append(
            (
                place.a * x.value + place.c * y.value + place.e,
                place.b * x.value + place.d * y.value + place.f,
            )
        )
    if corners:
        yield _hull(corners)


def _hull(corners: list[tuple[float, float]]) -> tuple[float, ...]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


_edges = (ctypes.c_float * 4)()
_edges_at = [ctypes.addressof(_edges) + 4 * number for number in range(4)]


def _bounds(item: int) -> tuple[float, ...]:
    return tuple(_edges) if _bounds_of(item, *_edges_at) else (0.0, 0.0, 0.0, 0.0)


def _displayed(painted: Iterator[_Painted], matrix: Matrix) -> Iterator[tuple[Area, bool, bool]]:
    found = list(painted)
    if not found:
        return
    bounds = np.array([corners for corners, _, _ in found])
    ends = np.stack([bounds[:, :2] @ matrix[:2], bounds[:, 2:] @ matrix[:2]], 1) + matrix[2]
    boxes = np.hstack([ends.min(1), ends.max(1)]).tolist()
    for box, (_, filled, stroked) in zip(boxes, found, strict=True):
        yield Area(*box), filled, stroked


def _sort_in(drawn: Drawn, area: Area, filled: bool, stroked: bool) -> None:
    x0, y0, x1, y1 = area
    if y1 - y0 <= _THIN:
        if x1 - x0 > _SHORT:
            drawn.across.append(area)
    elif x1 - x0 <= _THIN:
        if y1 - y0 > _SHORT:
            drawn.down.append(area)
    else:
        if filled:
            drawn.shades.append(area)
        if stroked:
            drawn.across += [Area(x0, y0, x1, y0), Area(x0, y1, x1, y1)]
            drawn.down += [Area(x0, y0, x0, y1), Area(x1, y0, x1, y1)]
