"""Damages good files in ways that chance and attackers do; the same seed gives the same files."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_LONGEST = 20_000_000
_LENGTHS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00")


@dataclass(frozen=True, slots=True)
class Bad:
    """A file that should not be, and what was done to it."""

    name: str
    data: bytes
    kind: str

    @property
    def format(self) -> str:
        """Return what its name says that it is."""
        return suffix(self.name)[1:]


def suffix(name: str) -> str:
    """Return the ending of a name, with that of what is packed inside."""
    return "".join(PurePosixPath(name).suffixes[-2 if name.endswith(".gz") else -1 :])


class Chance(random.Random):
    """The dice, and the other good files to take pieces from."""

    def __init__(self, seed: int, files: Mapping[str, bytes]) -> None:
        super().__init__(seed)
        self.files = list(files.values())
        self.suffixes = sorted({suffix(name) for name in files})

    def piece(self, longest: int) -> bytes:
        """Return some bytes of some file."""
        data = self.choice(self.files)
        start = self.randrange(max(len(data), 1))
        return data[start : start + self.randint(1, longest)]


def corruptions(files: Mapping[str, bytes], *, count: int, seed: int) -> Iterator[Bad]:
    """Yield `count` damaged files: each format and each kind of damage in turn."""
    chance = Chance(seed, files)
    by_format: dict[str, list[str]] = {}
    for name in sorted(files):
        by_format.setdefault(suffix(name), []).append(name)
    formats = sorted(by_format)
    for number in range(count):
        ending = formats[number % len(formats)]
        good = chance.choice(by_format[ending])
        ways = [*DAMAGES, *(INSIDE if files[good][:2] in (b"PK", b"\x1f\x8b") else ())]
        way = ways[number // len(formats) % len(ways)]
        data = way(files[good], chance)[:_LONGEST]
        kind = way.__name__.strip("_")
        ending = chance.choice(chance.suffixes) if way is _rename else ending
        yield Bad(f"{kind}-{number}{ending}", data, kind)


# --- damage to the bytes ------------------------------------------------------------------------


def _truncate(data: bytes, chance: Chance) -> bytes:
    return data[: int(len(data) * chance.random())]


def _behead(data: bytes, chance: Chance) -> bytes:
    return data[chance.randint(1, 2000) :]


def _flip(data: bytes, chance: Chance) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 40)):
        if damaged:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _overwrite(data: bytes, chance: Chance) -> bytes:
    """Lay a piece of another file over it."""
    start = chance.randrange(max(len(data), 1))
    piece = chance.piece(4096)
    return data[:start] + piece + data[start + len(piece) :]


def _splice(data: bytes, chance: Chance) -> bytes:
    """Go on as another file in the middle."""
    return data[: int(len(data) * chance.random())] + chance.piece(200_000)


def _swap_header(data: bytes, chance: Chance) -> bytes:
    head = chance.choice((8, 512, 4096))
    return chance.choice(chance.files)[:head] + data[head:]


def _swap_halves(data: bytes, _: Chance) -> bytes:
    return data[len(data) // 2 :] + data[: len(data) // 2]


def _lie_about_lengths(data: bytes, chance: Chance) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        start = chance.randrange(max(len(data), 1))
        damaged[start : start + 4] = chance.choice(_LENGTHS)
    return bytes(damaged)


def _repeat(data: bytes, chance: Chance) -> bytes:
    """Blow it up: one stretch, a hundred times."""
    start = chance.randrange(max(len(data), 1))
    stretch = data[start : start + chance.randint(1, 2000)]
    return data[:start] + stretch * 100 + data[start:]


def _nest(data: bytes, chance: Chance) -> bytes:
    """Put its own beginning inside itself, over and over."""
    head, tail = data[: len(data) // 3], data[-len(data) // 3 :]
    return head * chance.randint(3, 30) + data + tail * 10


def _double(data: bytes, _: Chance) -> bytes:
    return data + data


def _rename(data: bytes, _: Chance) -> bytes:
    """Leave it as it is: its name will say that it is something else."""
    return data


DAMAGES: tuple[Callable[[bytes, Chance], bytes], ...] = (
    _truncate,
    _flip,
    _overwrite,
    _splice,
    _swap_header,
    _lie_about_lengths,
    _repeat,
    _nest,
    _behead,
    _swap_halves,
    _double,
    _rename,
)


# --- damage to what is packed inside ------------------------------------------------------------


def _inside(data: bytes, chance: Chance) -> bytes:
    """Damage one part, and pack it again so that the container is sound."""
    way = chance.choice(DAMAGES[:9])
    if data.startswith(b"\x1f\x8b"):
        return gzip.compress(way(gzip.decompress(data), chance)[:_LONGEST], mtime=0)
    return _repacked(data, chance, lambda part: way(part, chance)[:_LONGEST])


def _bomb(data: bytes, chance: Chance) -> bytes:
    """Let one part unpack to very much."""
    much = bytes(chance.choice((2_000_000, 60_000_000)))
    if data.startswith(b"\x1f\x8b"):
        return gzip.compress(much, mtime=0)
    return _repacked(data, chance, lambda part: part + much)


def _matryoshka(data: bytes, chance: Chance) -> bytes:
    """Pack it into itself, again and again."""
    for _ in range(chance.randint(1, 6)):
        inner = data
        if data.startswith(b"\x1f\x8b"):
            data = gzip.compress(inner, mtime=0)
        else:
            data = _repacked(data, chance, lambda _, inner=inner: inner)  # type: ignore[misc]
    return data


INSIDE = (_inside, _inside, _bomb, _matryoshka, _inside)


def _repacked(data: bytes, chance: Chance, change: Callable[[bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        names = old.namelist()
        texts = [name for name in names if name.endswith(".xml")]
        chosen = chance.choice(texts or names)
        for name in names:
            part = old.read(name)
            new.writestr(name, change(part) if name == chosen else part)
    return out.getvalue()
