"""Families: texts that say nearly the same, found by their MinHash signatures in bands.

Each text is compared with the founders of families, never with all members: so everyone in a family
is near to one and the same text, and ten thousand copies cost no more than two. Signatures of
128 numbers estimate a Jaccard similarity with a deviation of 0.035 at 0.8; in 32 bands of four
numbers, two texts of that similarity share at least one band but once in ten million times.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, exists, insert, select

from knowledge.catalog.database import now
from knowledge.catalog.schema import families, family_bands, revisions
from knowledge.models import Sketch

_ROWS = 4
"""Numbers of a band."""


def family_of(connection: Connection, revision_id: str, sketch: Sketch) -> str:
    """Return the oldest family whose founder is as like as the sketch demands, else a new one."""
    bands = list(_bands(sketch.numbers))
    sharing = select(family_bands.c.family_id).where(family_bands.c.band.in_(bands))
    near = select(families.c.id, families.c.numbers).where(families.c.id.in_(sharing))
    for family, numbers in connection.execute(near.order_by(families.c.founded_at, families.c.id)):
        if likeness(numbers, sketch.numbers) >= sketch.threshold:
            return str(family)
    return _found(connection, revision_id, sketch, bands)


def likeness(numbers: Sequence[int], others: Sequence[int]) -> float:
    """Estimate the Jaccard similarity of two texts, 0..1, from their signatures."""
    return sum(map(int.__eq__, numbers, others)) / len(numbers)


def drop_childless(connection: Connection, ids: Sequence[str]) -> None:
    """Drop those families that no revision belongs to any more."""
    member = exists().where(revisions.c.family == families.c.id)
    gone = list(connection.scalars(select(families.c.id).where(families.c.id.in_(ids), ~member)))
    connection.execute(delete(family_bands).where(family_bands.c.family_id.in_(gone)))
    connection.execute(delete(families).where(families.c.id.in_(gone)))


def _found(connection: Connection, name: str, sketch: Sketch, bands: Sequence[int]) -> str:
    drop_childless(connection, [name])  # of an earlier attempt to store the same revision
    row = {"id": name, "numbers": sketch.numbers, "founded_at": now()}
    connection.execute(insert(families), row)
    rows = [{"band": band, "family_id": name} for band in sorted(set(bands))]
    connection.execute(insert(family_bands), rows)
    return name


def _bands(numbers: Sequence[int]) -> Iterator[int]:
    """Yield one number of 64 bits for each band."""
    for place in range(0, len(numbers), _ROWS):
        band = array("Q", [place, *numbers[place : place + _ROWS]]).tobytes()
        yield int.from_bytes(hashlib.blake2b(band, digest_size=8).digest(), signed=True)
