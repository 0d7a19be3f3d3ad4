"""Who goes where: the integers that the kernels read. No device synchronisation, fixed shapes.

A *slot* is one (token, choice) pair, numbered token * k + choice. Slots are sorted by expert; a
*tile* is up to `block` neighbouring slots of one expert; a kernel's program works on one tile. The
number of tiles is only known on the device, so the list has the length of the worst case, and what
is beyond the last tile holds expert -1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NO_EXPERT = -1


@dataclass(frozen=True, slots=True)
class Tiles:
    """All int32: slots [M * k] in order of their expert, and per tile what it covers."""

    slots: Tensor
    counts: Tensor  # [E] slots of each expert
    expert: Tensor  # [most_tiles] or -1
    start: Tensor  # [most_tiles] first place in `slots`
    rows: Tensor  # [most_tiles] 1..block, 0 beyond the last tile


def most_tiles(slots: int, experts: int, block: int) -> int:
    """Return how many tiles `slots` slots need at the most.

    Each reached expert may leave one tile partly filled, the rest fills tiles wholly.

    >>> most_tiles(4, 32, 16), most_tiles(64, 4, 16), most_tiles(0, 4, 16)
    (4, 7, 0)
    """
    reached = min(slots, experts)
    return reached + (slots - reached) // block


def make_tiles(ids: Tensor, *, experts: int, block: int, largest_first: bool = False) -> Tiles:
    """Sort the slots of ids [M, k] by expert and cut them into tiles.

    `largest_first` puts full tiles before partly filled ones, so that the last wave of programs
    has the least work. Order within an expert is the order of slots: results repeat bit by bit.
    """
    flat = ids.flatten()
    slots = torch.argsort(flat, stable=True)
    known = torch.arange(experts, device=flat.device)
    counts = (flat == known.unsqueeze(1)).sum(1)
    expert, start, rows = _cut(counts, most_tiles(flat.numel(), experts, block), block)
    if largest_first:
        order = torch.argsort(rows, descending=True, stable=True)
        expert, start, rows = expert[order], start[order], rows[order]
    return Tiles(*(part.int() for part in (slots, counts, expert, start, rows)))


def _cut(counts: Tensor, length: int, block: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return expert, start and rows of each tile."""
    tiles = (counts + block - 1) // block
    ends = tiles.cumsum(0)
    number = torch.arange(length, device=counts.device)
    expert = torch.searchsorted(ends, number, right=True).clamp(max=len(counts) - 1)
    within = (number - (ends - tiles)[expert]) * block
    first = counts.cumsum(0) - counts
    real = number < ends[-1]
    rows = torch.where(real, (counts[expert] - within).clamp(max=block), 0)
    start = torch.where(real, first[expert] + within, 0)
    return torch.where(real, expert, NO_EXPERT), start, rows
