"""Nouns as JSON values and back, by what their fields are declared to be; pure.

What is kept for months is read by later versions: a field that is unknown is left out, one that is
missing has its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a noun, or what its fields hold, as JSON has it."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def noun(kind: type[T], given: Mapping[str, Any]) -> T:
    """Return the noun that `plain` made JSON of."""
    hints = _hints(kind)  # type: ignore[arg-type] # a class is hashable
    return kind(**{name: _made(hints[name], part) for name, part in given.items() if name in hints})


def _made(hint: Any, part: Any) -> Any:  # noqa: ANN401
    origin, inner = get_origin(hint), get_args(hint)
    if part is None:
        return None
    if origin in (Union, UnionType):
        return _made(next(each for each in inner if each is not type(None)), part)
    if origin is tuple:
        return tuple(_made(inner[0], each) for each in part)
    if is_dataclass(hint):
        return noun(hint, part)  # type: ignore[arg-type]
    if hint is datetime:
        return datetime.fromisoformat(part)
    return hint(part) if isinstance(hint, type) and issubclass(hint, Enum) else part


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
