"""Reads XML of any kind: text in the order of its elements, repeated records as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ingest.parsing.builder import Builder
from ingest.parsing.markup import Element, name, parse_xml
from ingest.parsing.records import write_records
from ingest.parsing.webpage import write_tree
from knowledge.models import BlockKind, Parsed

_TITLES = frozenset({"title", "heading", "head", "headline", "caption"})
_PROSE = frozenset({"p", "para", "paragraph", "content", "text", "body", "line", "item", "li"})


def parse_xml_document(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document. Raises `Unreadable` where a document type is declared."""
    root = parse_xml(data)
    builder = Builder()
    if name(root) == "html":
        write_tree(builder, root)
    else:
        reader = _Reader(builder)
        reader.read(root, 1)
        texts = (text for text in root.itertext())
        builder.coverage = replace(
            builder.coverage, layer_characters=sum(len("".join(t.split())) for t in texts)
        )
    yield builder.build(stem)


class _Reader:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def read(self, element: Element, level: int) -> None:
        """Append an element and what is in it; `level` is how deep it lies."""
        if _is_prose(element):
            self._prose(element, level)
            return
        self._attributes(element)
        records = _records(element)
        if records:
            write_records(self._builder, records)
            return
        labelled = len({name(inner) for inner in element}) > 1
        for inner in element:
            if labelled and not len(inner) and name(inner) not in _TITLES | _PROSE:
                self._builder.add(BlockKind.PARAGRAPH, _labelled(inner))
            else:
                self.read(inner, level + 1)

    def _prose(self, element: Element, level: int) -> None:
        text = " ".join("".join(element.itertext()).split())
        if name(element).lower() in _TITLES:
            self._builder.heading(text, level)
        else:
            self._attributes(element)
            self._builder.add(BlockKind.PARAGRAPH, text)

    def _attributes(self, element: Element) -> None:
        """Append attributes that hold words; ids, numbers and addresses are left to records."""
        for value in element.attrib.values():
            if " " in value.strip() and "://" not in value:
                self._builder.add(BlockKind.PARAGRAPH, value)


def _is_prose(element: Element) -> bool:
    """Say whether an element holds text of its own, between other elements perhaps."""
    return bool(
        (element.text or "").strip() or any((inner.tail or "").strip() for inner in element)
    )


def _labelled(element: Element) -> str:
    fields = [f"{key.rpartition('}')[2]}: {value}" for key, value in element.attrib.items()]
    text = " ".join((element.text or "").split())
    inside = " ".join([text, *fields]).strip()
    return f"{name(element)}: {inside}" if inside else ""


def _records(element: Element) -> list[dict[str, str]]:
    """Return the children as records, if there are several of one kind with plain fields only."""
    if len(element) < 2 or len({inner.tag for inner in element}) > 1:
        return []
    records = [_fields(inner) for inner in element]
    widest = max(len(record or {}) for record in records)
    return [r for r in records if r] if None not in records and widest > 1 else []


def _fields(element: Element) -> dict[str, str] | None:
    """Return attributes and plain children by name; None if an element holds more than text."""
    if _is_prose(element):
        return None
    fields = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for inner in element:
        if len(inner):
            return None
        text = " ".join([*(inner.text or "").split(), *inner.attrib.values()])
        key = name(inner)
        fields[key] = f"{fields[key]}, {text}" if fields.get(key) else text
    return fields
