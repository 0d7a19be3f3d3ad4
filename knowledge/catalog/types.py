"""Column types: how a moment, a text, a list of strings and term ids lie in either database."""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import DateTime, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from knowledge.catalog.nouns import noun, plain
from knowledge.models import Answer, Coverage, Reading

LONGEST_KEY = 500
"""Characters."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_Noun = TypeVar("_Noun", Coverage, Reading)
_UNSTORABLE = {0: REPLACEMENT} | dict.fromkeys(range(0xD800, 0xE000), REPLACEMENT)


class Moment(TypeDecorator[datetime]):
    """An aware point in time, stored in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Move it to UTC; a naive time is a mistake and raises `ValueError`."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AnyText(TypeDecorator[str]):
    """Text from outside: what no database stores (NUL, lone surrogates) becomes U+FFFD.

    One character for one character, so that spans stay true.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else storable(value)


class KeyText(TypeDecorator[str]):
    """Text from outside in a key: a long one is cut, and told from others by its sha256.

    PostgreSQL refuses keys over 2,704 bytes, and anybody may upload what has a longer name.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Cut what is too long, wherever it is stored or compared."""
        if value is None or len(value) <= LONGEST_KEY:
            return None if value is None else storable(value)
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{storable(value[:LONGEST_KEY])}…{digest}"


class Strings(TypeDecorator[tuple[str, ...]]):
    """A short list of strings, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:
        """Write JSON in ASCII: nothing in it can be unstorable."""
        return json.dumps(list(value or ()))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        """Read JSON; the same heading path comes again and again, so it is remembered."""
        return _strings(value or "[]")


class Pairs(TypeDecorator[dict[str, str]]):
    """A mapping of strings, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> str:
        """Write JSON in ASCII."""
        return json.dumps(dict(value or {}))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, str]:
        """Read JSON."""
        pairs: dict[str, str] = json.loads(value or "{}")
        return pairs


class _Fields(TypeDecorator[_Noun]):
    """A small noun all of whose fields have defaults, as JSON."""

    impl = Text
    cache_ok = True
    noun: type[_Noun]

    def process_bind_param(self, value: _Noun | None, dialect: Dialect) -> str:
        """Write only what differs from the default."""
        usual = asdict(self.noun())
        given = asdict(value or self.noun()).items()
        return json.dumps({name: part for name, part in given if part != usual[name]})

    def process_result_value(self, value: str | None, dialect: Dialect) -> _Noun:
        """Read JSON; its lists are tuples."""
        given = json.loads(value or "{}").items()
        return self.noun(**{name: _frozen(part) for name, part in given})


class Extraction(_Fields[Coverage]):
    """What a parser says of how much it read."""

    cache_ok = True
    noun = Coverage


class Remarks(_Fields[Reading]):
    """What a parser says of a document besides its text."""

    cache_ok = True
    noun = Reading


class Answered(TypeDecorator[Answer]):
    """A whole answer, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Answer | None, dialect: Dialect) -> str:
        """Write JSON in ASCII."""
        return json.dumps(plain(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Answer:
        """Read JSON, also that of another version."""
        return noun(Answer, json.loads(value or "{}"))


class Numbers(TypeDecorator["array[int]"]):
    """Unsigned 32-bit numbers, little-endian, compressed."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Iterable[int] | None, dialect: Dialect) -> bytes:
        """Pack the numbers."""
        return pack(value or ())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> array[int]:
        """Unpack the numbers."""
        return unpack(value or b"")


def _frozen(part: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    return tuple(part) if isinstance(part, list) else part


def storable(text: str) -> str:
    """Return `text` with every character that cannot be stored replaced, length unchanged."""
    if "\0" not in text and text.isascii():
        return text
    return text.translate(_UNSTORABLE)


def pack(numbers: Iterable[int]) -> bytes:
    """Pack numbers below 2**32.

    >>> list(unpack(pack([7, 4294967295])))
    [7, 4294967295]
    """
    return zlib.compress(_little_endian(array("I", numbers)).tobytes(), level=1)


def unpack(packed: bytes) -> array[int]:
    """Turn what `pack` made back into numbers; nothing packed is no numbers."""
    numbers = array("I")
    if packed:
        numbers.frombytes(zlib.decompress(packed))
    return _little_endian(numbers)


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


@lru_cache(maxsize=10_000)
def _strings(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value))
