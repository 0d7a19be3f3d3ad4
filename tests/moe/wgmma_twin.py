"""A slow readable twin of `kernels/wgmma_sm90.py`: program by program, warp by warp, lane by lane.

It computes addresses as the kernel does, runs the kernel's own PTX on each word, places registers
where the PTX manual puts the left fragments of `wgmma.m64nNk16`, and keeps the ring of stages in
which tokens wait, poisoned: a tile that is read before it was copied, or after it was overwritten,
is not a number. Every address that is read or written is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from serving.moe.kernels.unpack import unpacking
from serving.moe.layout import PackedWeights
from serving.moe.routing import Tiles
from serving.moe.spec import MoESpec
from tests.moe.decode_twin import LANES, Floats, G, left_operand, run_ptx

WARPS = 4
Counts = NDArray[np.int64]


class WgmmaTwin:
    """One layer in memory as the kernel sees it: flat, addressed by numbers."""

    def __init__(
        self, weights: PackedWeights, spec: MoESpec, *, bm: int, r: int, stages: int
    ) -> None:
        self.spec, self.weights, self.bm, self.r, self.stages = spec, weights, bm, r, stages
        self.text = unpacking(scaled=True)
        self.read: dict[str, Counts] = {}  # how often each word was read, by the matrix's name
        self.written: Counts = np.zeros(0, np.int64)

    def gate_up(self, x: NDArray[np.float16], tiles: Tiles) -> Floats:
        """Return activations [slots, I], not yet rounded to float16."""
        spec, r = self.spec, self.r
        out = self._output(len(tiles.slots) * spec.intermediate)
        bias = self.weights.b13.numpy().ravel()
        for expert, first, rows in self._each(tiles):
            m = np.arange(self.bm)
            known = m < rows
            slot = np.where(known, tiles.slots.numpy()[np.where(known, first + m, 0)], 0)
            starts = slot // spec.top_k * spec.hidden
            for block in range(2 * spec.intermediate // (64 * r)):
                tile = expert * (2 * spec.intermediate // 16) + block * 4 * r
                acc = self._product("w13", x.ravel(), starts, known, tile, spec.hidden // 64)
                row = block * 64 * r + np.arange(64 * r)
                acc += bias[expert * 2 * spec.intermediate + row][:, None]
                gate, up = np.moveaxis(acc.reshape(4 * r, 2, 8, self.bm), 1, 0)
                gate, up = np.minimum(gate, spec.limit), np.clip(up, -spec.limit, spec.limit)
                value = gate / (1 + np.exp(-spec.alpha * gate)) * (up + 1)
                neuron = block * 32 * r + np.arange(32 * r)
                at = (first + m) * spec.intermediate + neuron[:, None]
                self._store(out, at[:, known], value.reshape(32 * r, self.bm)[:, known])
        return out.reshape(-1, spec.intermediate)

    def down(self, activated: NDArray[np.float16], shares: Floats, tiles: Tiles) -> Floats:
        """Return share * (activated @ w2 + b2) [slots, H], in the order of slots."""
        spec, r = self.spec, self.r
        out = self._output(len(tiles.slots) * spec.hidden)
        bias = self.weights.b2.numpy().ravel()
        for expert, first, rows in self._each(tiles):
            m = np.arange(self.bm)
            known = m < rows
            slot = np.where(known, tiles.slots.numpy()[np.where(known, first + m, 0)], 0)
            starts = (first + m) * spec.intermediate
            for block in range(spec.hidden // (64 * r)):
                tile = expert * (spec.hidden // 16) + block * 4 * r
                acc = self._product(
                    "w2", activated.ravel(), starts, known, tile, spec.intermediate // 64
                )
                row = block * 64 * r + np.arange(64 * r)
                acc = (acc + bias[expert * spec.hidden + row][:, None]) * shares.ravel()[slot]
                at = slot * spec.hidden + row[:, None]
                self._store(out, at[:, known], acc[:, known])
        return out.reshape(-1, spec.hidden)

    def _product(
        self,
        name: str,
        x: NDArray[np.float16],
        starts: NDArray[np.int64],
        known: NDArray[np.bool_],
        first_tile: int,
        tiles_of_k: int,
    ) -> Floats:
        """64 * r rows by bm tokens over all K tiles, as the four warps of a program do it."""
        acc = np.zeros((64 * self.r, self.bm), np.float32)
        for k, rows in self._ring(x, starts, known, tiles_of_k):
            for rep in range(self.r):
                for warp in range(WARPS):
                    tile = first_tile + 4 * rep + warp
                    place = slice(64 * rep + 16 * warp, 64 * rep + 16 * warp + 16)
                    for step, a in enumerate(self._left(name, tile * tiles_of_k + k)):
                        acc[place] += a @ rows[:, 16 * step : 16 * step + 16].T
        return acc

    def _left(self, name: str, tile: int) -> Iterator[Floats]:
        """Yield a warp's left operand [16, 16] of each of the four steps along a K tile."""
        words = getattr(self.weights, name).numpy().view(np.uint32).ravel()
        scales = getattr(self.weights, f"{name}_scales").numpy().view(np.uint32).ravel()
        at = tile * 128 + LANES[:, None] * 4 + np.arange(4)
        np.add.at(self.read.setdefault(name, np.zeros(len(words), np.int64)), at, 1)
        scale = scales[tile * 8 + G]
        for step in range(4):
            low, high = (self._power(scale, 2 * h + step // 2) for h in range(2))
            yield left_operand(run_ptx(self.text, words[at[:, step]], low, high))

    @staticmethod
    def _power(word: NDArray[np.uint32], byte: int) -> NDArray[np.uint32]:
        """A byte as float16, in both halves: 2^(scale - 127) * 2^14."""
        scale = (word >> np.uint32(8 * byte)) & np.uint32(255)
        half = ((scale - np.uint32(98)) << np.uint32(10)) & np.uint32(0xFFFF)
        return half | half << np.uint32(16)

    def _ring(
        self,
        x: NDArray[np.float16],
        starts: NDArray[np.int64],
        known: NDArray[np.bool_],
        tiles_of_k: int,
    ) -> Iterator[tuple[int, Floats]]:
        """Yield each K tile's tokens [bm, 64] out of the stage in which the kernel reads them."""
        s = self.stages
        rows = np.full((s, self.bm, 64), np.nan, np.float32)

        def copy(stage: int, k: int, *, inside: bool) -> None:
            rows[stage] = 0  # what a masked asynchronous copy leaves
            for token in np.flatnonzero(known & inside):
                at = starts[token] + 64 * k
                rows[stage, token] = x[at : at + 64]

        for stage in range(s - 1):
            copy(stage, stage, inside=True)
        for k in range(0, tiles_of_k, s):
            for stage in range(s):
                ahead = k + stage + s - 1
                copy((stage + s - 1) % s, ahead, inside=ahead < tiles_of_k)
                yield k + stage, rows[stage].copy()
                rows[stage] = np.nan

    def _output(self, size: int) -> Floats:
        self.written = np.zeros(size, np.int64)
        return np.full(size, np.nan, np.float32)

    def _store(self, out: Floats, at: NDArray[np.int64], value: Floats) -> None:
        np.add.at(self.written, at, 1)
        out[at] = value

    @staticmethod
    def _each(tiles: Tiles) -> list[tuple[int, int, int]]:
        cut = zip(tiles.expert.tolist(), tiles.start.tolist(), tiles.rows.tolist(), strict=True)
        return [each for each in cut if each[0] >= 0]
