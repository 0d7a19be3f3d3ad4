"""The parts of an Office Open XML file, how they refer to each other, and the texts they share."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import unquote

from ingest.parsing.grid import Grid
from ingest.parsing.markup import (
    Element,
    attribute,
    child,
    children,
    descendants,
    name,
    parse_xml,
)
from knowledge.errors import Unreadable

_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".tif", ".tiff", ".webp")
_PLOTTED = ("cat", "val", "xVal", "yVal")


class Part:
    """One part of the file: its tree, and the parts that it refers to."""

    def __init__(self, package: Package, path: str) -> None:
        self.package = package
        self.path = path
        self.root: Element = parse_xml(package.read(path), f"its part {posixpath.basename(path)}")
        self._targets = package.targets(path)

    def related(self, identifier: str) -> Part | None:
        """Return the part behind a relationship id; None if it lies elsewhere or nowhere."""
        path = self._targets.get(identifier, ("", ""))[1]
        return Part(self.package, path) if path in self.package else None

    def all_related(self, kind: str) -> Iterator[Part]:
        """Yield the parts related in the way whose name ends so, such as `/comments`."""
        for how, path in self._targets.values():
            if how.lower().endswith(kind.lower()) and path in self.package:
                yield Part(self.package, path)


class Package:
    """The container of a .docx, .pptx or .xlsx file."""

    def __init__(self, data: bytes) -> None:
        self._container = zipfile.ZipFile(io.BytesIO(data))
        self._sizes = {part.filename: part.file_size for part in self._container.infolist()}

    def __contains__(self, path: object) -> bool:
        return path in self._sizes

    def read(self, path: str) -> bytes:
        """Return a part. Raises `Unreadable` if the file lacks it."""
        if path not in self._sizes:
            raise Unreadable(f"it lacks its part {path[:100]}", code="damaged")
        return self._container.read(path)

    def main(self) -> Part:
        """Return the part that everything hangs on."""
        for how, path in self.targets("").values():
            if how.endswith("/officeDocument"):
                return Part(self, path)
        raise Unreadable("it does not say where its content is", code="damaged")

    def targets(self, path: str) -> dict[str, tuple[str, str]]:
        """Return, by id, how and to which path a part is related; what is outside is left out."""
        folder, base = posixpath.split(path)
        where = posixpath.join(folder, "_rels", f"{base}.rels")
        if where not in self._sizes:
            return {}
        found = {}
        for each in children(parse_xml(self._container.read(where)), "Relationship"):
            if each.get("TargetMode") != "External":
                target = unquote(each.get("Target") or "")
                whole = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                found[each.get("Id") or ""] = (each.get("Type") or "", whole)
        return found

    def picture_bytes(self) -> int:
        """Return the size of all pictures, which are not read."""
        pictures = (size for path, size in self._sizes.items() if path.lower().endswith(_PICTURES))
        return sum(pictures)


def chosen(elements: Iterable[Element]) -> Iterator[Element]:
    """Yield elements; of alternatives for newer and older programs, those for the newer."""
    for element in elements:
        if name(element) == "AlternateContent":
            for choice in islice(children(element, "Choice", "Fallback"), 1):
                yield from chosen(choice)
        else:
            yield element


def drawing_text(paragraph: Element) -> str:
    """Return the text of a paragraph of a drawing or slide; its number or date is left out."""
    parts = []
    for element in descendants(paragraph, "t", "br", "tab"):
        tag = name(element)
        field = element.getparent()
        if tag == "t":
            if name(field) != "fld" or not (field.get("type") or "").startswith(("slide", "date")):
                parts.append(element.text or "")
        else:
            parts.append("\n" if tag == "br" else " ")
    return "".join(parts)


def alternative(properties: Element | None) -> str:
    """Return what the author says that a picture shows; a mere file name says nothing."""
    said = (properties.get("descr") or "").strip() if properties is not None else ""
    return said if " " in said else ""


def diagram(part: Part) -> Iterator[str]:
    """Yield the texts of a SmartArt drawing."""
    for point in descendants(part.root, "pt"):
        yield "\n".join(drawing_text(paragraph) for paragraph in descendants(point, "p"))


def chart(part: Part) -> tuple[str, Grid]:
    """Return the title of a chart and its data as the table that it was drawn from."""
    whole = child(part.root, "chart")
    title = child(whole, "title")
    shown = "\n".join(drawing_text(paragraph) for paragraph in descendants(title, "p"))
    names, columns = [], []
    keys: dict[int, str] = {}
    for series in descendants(whole, "ser"):
        plotted = {tag: _points(child(series, tag)) for tag in _PLOTTED}
        names.append(" ".join(_points(child(series, "tx")).values()))
        columns.append(plotted["val"] or plotted["yVal"])
        keys = (plotted["cat"] or plotted["xVal"]) | keys
    grid = Grid()
    grid.row(header=True)
    for text in ("", *names):
        grid.add(text)
    for point in sorted({*keys, *(point for column in columns for point in column)}):
        grid.row(header=False)
        for text in (keys.get(point, ""), *(column.get(point, "") for column in columns)):
            grid.add(text)
    return shown, grid


def _points(element: Element | None) -> dict[int, str]:
    """Return the stored values of a series by their number."""
    found: dict[int, str] = {}
    for point in descendants(element, "pt"):
        number = attribute(point, "idx")
        value = child(point, "v")
        if number.isdecimal() and value is not None and value.text:
            at = int(number)
            found[at] = " ".join(filter(None, (found.get(at, ""), number_text(value.text))))
    if not found and element is not None and name(element) == "tx":
        found = {0: "".join(v.text or "" for v in descendants(element, "v"))}
    return found


def number_text(text: str) -> str:
    """Return a stored number without the noise of floating point.

    >>> number_text("4.5999999999999996"), number_text("2.0"), number_text("A 1")
    ('4.6', '2', 'A 1')
    """
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:.15g}" if abs(value) < 1e15 else text
