"""A queue before a server that can do so much at once: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from knowledge.errors import ModelError


class Line:
    """Gives out `places`; at most `waiting` may stand in line. Used from one event loop."""

    def __init__(self, *, places: int, waiting: int) -> None:
        self._places = self._free = places
        self._most = waiting
        self._waiting: deque[Turn] = deque()

    def __len__(self) -> int:
        """Return how many stand in line."""
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """Return how many places are taken."""
        return self._places - self._free

    def join(self) -> Turn:
        """Take a place, or stand in line; raises `ModelError` where the line is full."""
        turn = Turn(self)
        if self._free and not self._waiting:
            self._free -= 1
            turn.come()
        elif len(self._waiting) >= self._most:
            raise ModelError("Too many questions are waiting for the model.", code="busy")
        else:
            self._waiting.append(turn)
        return turn

    def position(self, turn: Turn) -> int:
        """Return how manyeth a turn is in the line, from 1."""
        return self._waiting.index(turn) + 1

    def left(self, turn: Turn) -> None:
        """Give the place of a turn to the next, or let it leave the line."""
        if turn.has_come:
            self._free += 1
        else:
            self._waiting.remove(turn)
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().come()
        for other in self._waiting:
            other.move()


class Turn:
    """One place in the line, and then at the server; `leave` exactly once, whatever happens."""

    def __init__(self, line: Line) -> None:
        self.has_come = False
        self._line = line
        self._moved = asyncio.Event()

    async def positions(self) -> AsyncGenerator[int, None]:
        """Yield where the turn stands, whenever that changes, until it has come."""
        while not self.has_come:
            yield self._line.position(self)
            await self._moved.wait()
            self._moved.clear()

    def come(self) -> None:
        """Say that it is this one's turn."""
        self.has_come = True
        self._moved.set()

    def move(self) -> None:
        """Say that the line has moved."""
        self._moved.set()

    def leave(self) -> None:
        """Make room."""
        self._line.left(self)
