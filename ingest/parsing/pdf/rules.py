"""Finds what is painted on a page besides text: ruled lines, shaded rectangles, large pictures."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pypdfium2 as pdfium
import pypdfium2.raw as raw

from ingest.parsing.pdf.calls import INT, POINTER, address, direct
from ingest.parsing.pdf.page import Area, Drawn

Matrix = np.ndarray[Any, np.dtype[Any]]

_WHITE = 0xFFFFFF
_THIN = 2.5  # points: anything thicker is a shade
_SHORT = 4.0  # points: anything shorter is a dot
_OUTSIDE = 20.0  # points beyond the page: what reaches further is a clip, no rule
_MOST_OBJECTS = 100_000
_MOST_MEMBERS = 50
_MOST_SEGMENTS = 2_000

_object_at = direct(raw.FPDFPage_GetObject, POINTER, POINTER, INT)
_kind_of = direct(raw.FPDFPageObj_GetType, INT, POINTER)
_bounds_of = direct(raw.FPDFPageObj_GetBounds, INT, POINTER, POINTER, POINTER, POINTER, POINTER)
_mode_of = direct(raw.FPDFPath_GetDrawMode, INT, POINTER, POINTER, POINTER)
_color_of = direct(raw.FPDFPageObj_GetFillColor, INT, POINTER, POINTER, POINTER, POINTER, POINTER)
_segments_of = direct(raw.FPDFPath_CountSegments, INT, POINTER)


def drawn_on(page: pdfium.PdfPage, matrix: Matrix, width: float, height: float) -> Drawn:
    """Return the rules, shades and pictures; `matrix` turns the page's places into displayed."""
    drawn = Drawn()
    count = min(raw.FPDFPage_CountObjects(page.raw), _MOST_OBJECTS)
    objects = list(map(partial(_object_at, address(page.raw)), range(count)))
    paths, pictures = [], []
    for item, kind in zip(objects, map(_kind_of, objects), strict=True):
        if kind == raw.FPDF_PAGEOBJ_PATH:
            paths.append(item)
        elif kind != raw.FPDF_PAGEOBJ_TEXT and _pictures(item, kind):
            pictures.append(item)
    shapes = list(_displayed(_painted(paths), matrix))
    _sort_in(drawn, [shape for shape in shapes if _on_page(shape[0], width, height)])
    shown = (_Painted(_bounds(item), True, False, 0) for item in pictures)
    for area, _ in _displayed(shown, matrix):
        across = min(area.x1, width) - max(area.x0, 0)
        down = min(area.y1, height) - max(area.y0, 0)
        share = max(0.0, across) * max(0.0, down) / (width * height)
        drawn.pictured = min(1.0, drawn.pictured + share)  # a scan may come in strips
    return drawn


def _pictures(item: int, kind: int) -> bool:
    """Say whether an object is a picture, or a group that holds one."""
    if kind != raw.FPDF_PAGEOBJ_FORM:
        return bool(kind == raw.FPDF_PAGEOBJ_IMAGE)
    group = ctypes.cast(item, raw.FPDF_PAGEOBJECT)
    members = range(min(raw.FPDFFormObj_CountObjects(group), _MOST_MEMBERS))
    kinds = [_kind_of(address(raw.FPDFFormObj_GetObject(group, index))) for index in members]
    return any(kind == raw.FPDF_PAGEOBJ_IMAGE for kind in kinds)


class _Painted(NamedTuple):
    bounds: tuple[float, ...]
    """Left, bottom, right, top in the page's own space."""
    filled: bool
    stroked: bool
    color: int
    """Of the fill: red, green and blue, eight bits each."""


def _painted(paths: list[int]) -> Iterator[_Painted]:
    """Yield each rectangle and each straight line of the paths."""
    fill, stroke, color = ctypes.c_int(), ctypes.c_int(), (ctypes.c_uint * 4)()
    modes = ctypes.addressof(fill), ctypes.addressof(stroke)
    channels = [ctypes.addressof(color) + 4 * number for number in range(4)]
    for path in paths:
        _mode_of(path, *modes)
        filled, stroked = fill.value != 0, stroke.value != 0
        if not filled and not stroked:
            continue
        shade = 0
        if filled and _color_of(path, *channels):
            shade = color[0] << 16 | color[1] << 8 | color[2]
        count = _segments_of(path)
        if count <= 5:
            yield _Painted(_bounds(path), filled, stroked, shade)
        elif count <= _MOST_SEGMENTS:
            for bounds in _strokes(path, count):
                yield _Painted(bounds, filled, stroked, shade)


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


def _displayed(painted: Iterable[_Painted], matrix: Matrix) -> Iterator[tuple[Area, _Painted]]:
    found = list(painted)
    if not found:
        return
    bounds = np.array([one.bounds for one in found])
    ends = np.stack([bounds[:, :2] @ matrix[:2], bounds[:, 2:] @ matrix[:2]], 1) + matrix[2]
    boxes = np.hstack([ends.min(1), ends.max(1)]).tolist()
    for box, one in zip(boxes, found, strict=True):
        yield Area(*box), one


def _on_page(area: Area, width: float, height: float) -> bool:
    return (
        area.x0 > -_OUTSIDE
        and area.y0 > -_OUTSIDE
        and area.x1 < width + _OUTSIDE
        and area.y1 < height + _OUTSIDE
    )


def _sort_in(drawn: Drawn, painted: list[tuple[Area, _Painted]]) -> None:
    """Tell rules from shades; a thin strip of a shaded row, or of white, is no rule."""
    shades = {
        (area.y0, area.y1, one.color)
        for area, one in painted
        if one.filled and area.y1 - area.y0 > _THIN and area.x1 - area.x0 > _THIN
    }
    for area, one in painted:
        width, height = area.x1 - area.x0, area.y1 - area.y0
        strip = one.filled and not one.stroked and one.color == _WHITE
        if min(width, height) > _THIN:
            _sort_in_box(drawn, area, one)
        elif strip or max(width, height) <= _SHORT:
            continue
        elif height <= _THIN:
            drawn.across.append(area)
        elif (area.y0, area.y1, one.color) not in shades:
            drawn.down.append(area)


def _sort_in_box(drawn: Drawn, area: Area, one: _Painted) -> None:
    x0, y0, x1, y1 = area
    if one.filled:
        drawn.shades.append(area)
    if one.stroked:
        drawn.across += [Area(x0, y0, x1, y0), Area(x0, y1, x1, y1)]
        drawn.down += [Area(x0, y0, x0, y1), Area(x1, y0, x1, y1)]
