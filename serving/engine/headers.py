"""What a safetensors file says it holds, without reading what it holds.

Eight bytes give the length of a JSON object; it gives each tensor's type, shape and place. The
places must lie end to end from 0 to the end of the file, so a file cut short is noticed at once.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 100_000_000
SIZES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
LIES = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What reading JSON of any shape may raise."""


class Damaged(Exception):
    """A file is not what a safetensors file must be; the message says how."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """Type and shape of one tensor."""

    kind: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by their names; raises `Damaged` or `OSError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LONGEST, size - 8):
            raise Damaged("it has no header")
        try:
            told = json.loads(file.read(length))
            told.pop("__metadata__", None)
            places = {name: _place(entry) for name, entry in told.items()}
        except LIES as error:
            raise Damaged("its header cannot be read") from error
    end = 0
    for _, first, last in sorted(places.values(), key=lambda place: place[1:]):
        if first != end:
            raise Damaged("its tensors do not lie end to end")
        end = last
    if size != 8 + length + end:
        raise Damaged(f"it has {size:,} bytes, and its header tells of {8 + length + end:,}")
    return {name: tensor for name, (tensor, _, _) in places.items()}


def _place(entry: dict[str, Any]) -> tuple[Tensor, int, int]:
    tensor = Tensor(entry["dtype"], tuple(map(int, entry["shape"])))
    first, last = map(int, entry["data_offsets"])
    if last - first != SIZES[tensor.kind] * math.prod(tensor.shape):
        raise ValueError(entry)
    return tensor, first, last
