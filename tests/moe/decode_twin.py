"""A slow readable twin of `kernels/decode_sm90.py`: lane by lane, register by register.

It computes addresses as the kernel does, runs the kernel's own PTX on each word, and places
registers where the PTX manual puts the fragments of `mma.m16n8k16`. The kernel's changes of layout
are asserted to be free when it is compiled, so this order is the one it computes with.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from serving.moe.kernels.unpack import unpacking
from serving.moe.layout import PackedWeights
from serving.moe.routing import Tiles
from serving.moe.spec import MoESpec

LANES = np.arange(32)
G, T = LANES // 4, LANES % 4

Floats = NDArray[np.float32]

OPERATIONS: dict[str, Callable[..., NDArray[np.uint32]]] = {
    "mov": lambda a: a,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "shl": np.left_shift,
    "mul": lambda a, b: (a.view(np.float16) * b.view(np.float16)).view(np.uint32),
}


def run_ptx(text: str, *inputs: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Execute mov, and, or, shl and mul.f16x2 on 32-bit words; return the outputs as [..., 4]."""
    known = {f"${4 + number}": word for number, word in enumerate(inputs)}

    def value(name: str) -> NDArray[np.uint32]:
        return known[name] if name in known else np.uint32(int(name, 0))  # type: ignore[return-value]

    for operation, operands in re.findall(r"(\w+)\.(?:b32|f16x2) ([^;]+);", text.partition(";")[2]):
        target, *rest = [each.strip() for each in operands.split(",")]
        known[target] = OPERATIONS[operation](*(value(each) for each in rest))
    return np.stack([known[f"${number}"] for number in range(4)], -1)


def left_operand(registers: NDArray[np.uint32]) -> Floats:
    """Gather A [16, 16] of one warp from registers [32, 4] of two float16 each.

    `mma.m16n8k16` and a warp's sixteen rows of `wgmma.m64nNk16` place them alike.
    """
    halves = np.ascontiguousarray(registers).view(np.float16).reshape(32, 4, 2)
    a = np.full((16, 16), np.nan, np.float32)
    for register in range(4):
        for b in range(2):
            column = 2 * T + b + 8 * (register // 2)
            a[G + 8 * (register % 2), column] = halves[:, register, b]
    return a


class DecodeTwin:
    """One layer in memory as the kernel sees it: flat, addressed by numbers."""

    def __init__(self, weights: PackedWeights, spec: MoESpec, bm: int) -> None:
        self.spec, self.bm, self.text = spec, bm, unpacking()
        self.weights = weights

    def gate_up(self, prepared: NDArray[np.float16], tiles: Tiles) -> NDArray[np.float32]:
        """Return prepared activations [slots, I], not yet rounded to float16."""
        spec, out = self.spec, np.full((len(tiles.slots), self.spec.intermediate), np.nan, "f4")
        bias = self.weights.b13.numpy().ravel()
        for expert, first, rows in self._each(tiles):
            tokens = [int(tiles.slots[first + m]) // spec.top_k for m in range(rows)]
            for block in range(2 * spec.intermediate // 16):
                tile = expert * (2 * spec.intermediate // 16) + block
                starts = [token * spec.hidden for token in tokens]
                acc = self._product("w13", prepared, starts, tile, 0, spec.hidden // 64)
                acc = acc * 2.0**14 + bias[16 * tile : 16 * tile + 16, None]
                gate, up = acc[:8], acc[8:]
                gate, up = np.minimum(gate, spec.limit), np.clip(up, -spec.limit, spec.limit)
                value = gate / (1 + np.exp(-spec.alpha * gate)) * (up + 1)
                i = 8 * block + np.arange(8)
                place = i // 64 * 64 + i % 8 // 2 * 16 + i % 64 // 16 * 4 + i % 16 // 8 * 2 + i % 2
                out[first : first + rows, place] = value[:, :rows].T
        return out

    def down(
        self, activated: NDArray[np.float16], shares: Floats, tiles: Tiles, split: int
    ) -> Floats:
        """Return [slots * split, H]."""
        spec, each = self.spec, self.spec.intermediate // 64 // split
        out = np.full((len(tiles.slots) * split, spec.hidden), np.nan, "f4")
        bias = self.weights.b2.numpy().ravel()
        for expert, first, rows in self._each(tiles):
            starts = [(first + m) * spec.intermediate for m in range(rows)]
            for block in range(spec.hidden // 16):
                tile = expert * (spec.hidden // 16) + block
                for part in range(split):
                    acc = self._product(
                        "w2", activated, starts, tile, part * each, part * each + each
                    )
                    acc = acc * 2.0**14 + (part == 0) * bias[16 * tile : 16 * tile + 16, None]
                    for m in range(rows):
                        slot = int(tiles.slots[first + m])
                        row = slice(16 * block, 16 * block + 16)
                        out[slot * split + part, row] = acc[:, m] * shares.ravel()[slot]
        return out

    def _each(self, tiles: Tiles) -> list[tuple[int, int, int]]:
        cut = zip(tiles.expert.tolist(), tiles.start.tolist(), tiles.rows.tolist(), strict=True)
        return [each for each in cut if each[0] >= 0]

    def _product(
        self,
        name: str,
        x: NDArray[np.float16],
        starts: list[int],
        tile: int,
        start: int,
        stop: int,
    ) -> Floats:
        """Sixteen rows by bm tokens over the K tiles start to stop, as one warp computes them."""
        words = getattr(self.weights, name).numpy().view(np.uint32).ravel()
        scales = getattr(self.weights, f"{name}_scales").numpy().view(np.uint32).ravel()
        tiles_of_k, flat = x.shape[1] // 64, x.ravel()
        acc = np.zeros((16, self.bm), np.float32)
        for k in range(start, stop):
            at = (tile * tiles_of_k + k) * 128 + LANES * 4
            registers = run_ptx(self.text, words[at[:, None] + np.arange(4)])  # lane, j, R
            scale = scales[(tile * tiles_of_k + k) * 8 + G]
            for j in range(4):
                a = left_operand(registers[:, j])
                for n in range(0, self.bm, 8):
                    b = self._right(flat, starts, n, 64 * k + 4 * j)
                    acc[:, n : n + 8] += (a @ b) * self._scale(scale, j // 2)
        return acc

    @staticmethod
    def _right(x: NDArray[np.float16], starts: list[int], n: int, offset: int) -> Floats:
        """Gather B [16, 8]: lane 4g + t holds token n + g, columns 2t + {0, 1} and 8 more."""
        b = np.zeros((16, 8), np.float32)
        for lane in LANES[G + n < len(starts)]:
            for q in range(2):
                for odd in range(2):
                    at = starts[n + G[lane]] + offset + 16 * T[lane] + 2 * q + odd
                    b[2 * T[lane] + odd + 8 * q, G[lane]] = x[at]
        return b

    @staticmethod
    def _scale(word: NDArray[np.uint32], group: int) -> Floats:
        """Return [16, 1]: byte 2h + c to the exponent of a float32."""
        out = np.zeros((16, 1), np.float32)
        for high in range(2):
            byte = (word >> np.uint32(8 * (2 * high + group))) & np.uint32(255)
            out[G + 8 * high, 0] = (byte << np.uint32(23)).view(np.float32)
        return out
