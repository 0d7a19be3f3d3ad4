"""Reads JSON: objects as `name: value` lines under the path that leads there, records as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ingest.parsing.builder import Builder, Row, one_line
from ingest.parsing.text import decode
from knowledge.errors import Unreadable
from knowledge.models import BlockKind, Parsed

DEEPEST = 100
_MOST_COLUMNS = 200
_LABELS = ("title", "name", "label", "id", "key")
_SHORT = 200
"""Characters of a list of values that is read as one line."""


def parse_json(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield one document. Numbers are kept as they are written."""
    text = decode(data)
    try:
        value = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError as error:
        raise Unreadable("its objects nest too deeply", code="hostile") from error
    except ValueError as error:
        advice = "; a file with a document a line is called .jsonl" if "Extra" in str(error) else ""
        raise Unreadable(f"it is not JSON ({error}){advice}"[:300], code="damaged") from error
    builder = Builder()
    _write(builder, value, 1)
    title = value.get("title") if isinstance(value, dict) else None
    yield builder.build(one_line(title) if isinstance(title, str) and title.strip() else stem)


def write_records(builder: Builder, records: Sequence[Mapping[str, str]]) -> None:
    """Append records as a table whose header is the names of their fields."""
    columns = list(dict.fromkeys(name for record in records for name in record))[:_MOST_COLUMNS]
    rows = ([record.get(column, "") for column in columns] for record in records)
    builder.table(map(Row, [columns, *rows]))


def _write(builder: Builder, value: object, level: int) -> None:
    if level > DEEPEST:
        raise Unreadable("its objects nest too deeply", code="hostile")
    if isinstance(value, dict):
        _write_object(builder, value, level)
    elif isinstance(value, list):
        _write_list(builder, value, level)
    else:
        builder.add(BlockKind.PARAGRAPH, _scalar(value))


def _write_object(builder: Builder, value: dict[str, Any], level: int) -> None:
    """Append the plain fields together, then each other one under its name."""
    lines = []
    for name, inner in value.items():
        line = _line(inner)
        if line is not None:
            lines.append(f"{name}: {line}")
    builder.add(BlockKind.PARAGRAPH, "\n".join(lines))
    for name, inner in value.items():
        if _line(inner) is None:
            builder.heading(name, level)
            _write(builder, inner, level + 1)


def _write_list(builder: Builder, value: list[Any], level: int) -> None:
    records = [_flat(item) if isinstance(item, dict) else None for item in value]
    flat = [record for record in records if record is not None]
    if len(flat) == len(value) > 1:
        write_records(builder, flat)
    elif all(not isinstance(item, dict | list) for item in value):
        for item in value:
            builder.add(BlockKind.LIST_ITEM, _scalar(item))
    else:
        for number, item in enumerate(value, start=1):
            builder.heading(_label(item) or str(number), level)
            _write(builder, item, level + 1)


def _label(item: object) -> str:
    """Return what an object calls itself."""
    found = (item.get(name) for name in _LABELS) if isinstance(item, dict) else ()
    return next((one_line(each) for each in found if isinstance(each, str) and each.strip()), "")


def _line(value: object) -> str | None:
    """Return a plain value, or a short list of them, on one line; None for all else."""
    if isinstance(value, dict):
        return "" if not value else None
    if not isinstance(value, list):
        return _scalar(value)
    if any(isinstance(item, dict | list) for item in value):
        return None
    line = ", ".join(map(_scalar, value))
    return line if len(line) <= _SHORT else None


def _flat(record: dict[str, Any]) -> dict[str, str] | None:
    """Return the fields of a record, inner ones by their path; None if it holds records."""
    fields: dict[str, str] = {}
    for path, value in _fields(record, "", DEEPEST):
        line = _line(value)
        if line is None:
            return None
        fields[path] = line
    return fields


def _fields(record: dict[str, Any], path: str, depth: int) -> Iterable[tuple[str, object]]:
    for name, value in record.items():
        if isinstance(value, dict) and value and depth:
            yield from _fields(value, f"{path}{name}.", depth - 1)
        else:
            yield f"{path}{name}", value


def _scalar(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
