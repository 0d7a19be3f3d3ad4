"""A queue before a server that can do so much at once: one of each person, again and again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from knowledge.errors import ModelError


class Line:
    """Gives out `places`; at most `waiting` may stand in line. Used from one event loop.

    Whoever has much to ask is served in turn with the others, first come, first served among one's
    own: a person's first request waits for no more than one of each other's. Where the line is
    full, one who has fewer in it takes the place of the latest of whoever has most.
    """

    def __init__(self, *, places: int, waiting: int) -> None:
        self._places = self._free = places
        self._most = waiting
        self._waiting: dict[str, deque[Turn]] = {}
        """By person, in the order in which they are served next; none is empty."""

    def __len__(self) -> int:
        """Return how many stand in line."""
        return sum(map(len, self._waiting.values()))

    @property
    def taken(self) -> int:
        """Return how many places are taken."""
        return self._places - self._free

    def join(self, person: str = "") -> Turn:
        """Take a place, or stand in line; raises `ModelError` where the line is full."""
        turn = Turn(self, person)
        if self._free and not self._waiting:
            self._free -= 1
            turn.come()
            return turn
        if len(self) >= self._most:
            self._make_room(person)
        self._waiting.setdefault(person, deque()).append(turn)
        self._tell()
        return turn

    def position(self, turn: Turn) -> int:
        """Return how manyeth a turn is in the line, from 1; who comes later may still go before."""
        before = self._waiting[turn.person].index(turn)
        position, ahead = before + 1, 1
        for person, turns in self._waiting.items():
            if person == turn.person:
                ahead = 0
            else:
                position += min(len(turns), before + ahead)
        return position

    def left(self, turn: Turn) -> None:
        """Give the place of a turn to the next, or let it leave the line."""
        if turn.has_come:
            self._free += 1
        elif not turn.gave_way:
            self._remove(turn)
        while self._free and self._waiting:
            self._free -= 1
            self._next().come()
        self._tell()

    def _next(self) -> Turn:
        """Take the first turn of the person whom it is up to, who is last then."""
        person = next(iter(self._waiting))
        turns = self._waiting.pop(person)
        turn = turns.popleft()
        if turns:
            self._waiting[person] = turns
        return turn

    def _make_room(self, person: str) -> None:
        held = len(self._waiting.get(person, ()))
        most = max(self._waiting.values(), key=len, default=deque[Turn]())
        if len(most) <= held + 1:
            raise ModelError("Too many questions are waiting for the model.", code="busy")
        most[-1].give_way()
        self._remove(most[-1])

    def _remove(self, turn: Turn) -> None:
        self._waiting[turn.person].remove(turn)
        if not self._waiting[turn.person]:
            del self._waiting[turn.person]

    def _tell(self) -> None:
        for turns in self._waiting.values():
            for turn in turns:
                turn.move()


class Turn:
    """One place in the line, and then at the server; `leave` exactly once, whatever happens."""

    def __init__(self, line: Line, person: str) -> None:
        self.person = person
        self.has_come = False
        self.gave_way = False
        self._line = line
        self._moved = asyncio.Event()

    async def positions(self) -> AsyncGenerator[int, None]:
        """Yield where the turn stands, whenever that changes, until it has come.

        Raises `ModelError` where it has to give way.
        """
        told = 0
        while not self.has_come:
            if self.gave_way:
                raise ModelError("You have many questions waiting for the model.", code="busy")
            if (position := self._line.position(self)) != told:
                told = position
                yield position
            await self._moved.wait()
            self._moved.clear()

    def come(self) -> None:
        """Say that it is this one's turn."""
        self.has_come = True
        self._moved.set()

    def give_way(self) -> None:
        """Say that it will not come."""
        self.gave_way = True
        self._moved.set()

    def move(self) -> None:
        """Say that the line has moved."""
        self._moved.set()

    def leave(self) -> None:
        """Make room."""
        self._line.left(self)
