"""Spares a model server that keeps failing: after some failures it is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from knowledge.errors import ModelError


class State(StrEnum):
    """Whom a breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One: it is asking now, or the next one will."""


class Breaker:
    """Counts failures in a row; open after `failures`, it lets one try every `seconds`.

    All calls come from one event loop.
    """

    def __init__(
        self, *, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        self._in_a_row = 0
        self._next_try = 0.0
        self._is_tried = False
        self.opened = 0
        """How often it was closed and did not stay so."""

    @property
    def state(self) -> State:
        """Say whom it lets through now."""
        if not self.is_open:
            return State.CLOSED
        is_over = self._is_tried or self._clock() >= self._next_try
        return State.HALF_OPEN if is_over else State.OPEN

    @property
    def is_open(self) -> bool:
        """Say whether the server has failed too often to be asked by everybody."""
        return self._in_a_row >= self._failures

    def enter(self) -> None:
        """Raise `ModelError` where nobody is to ask now; else whoever enters may."""
        if not self.is_open:
            return
        if self._clock() < self._next_try:
            message = "The model server has failed several times in a row and is left alone."
            raise ModelError(message, code="resting")
        self._next_try = self._clock() + self._seconds  # this one tries, the others go on waiting
        self._is_tried = True

    def succeeded(self) -> None:
        """The server has answered; whatever it said."""
        self._in_a_row = 0
        self._is_tried = False

    def failed(self) -> None:
        """The server did not answer, broke off, or said that it cannot."""
        self._in_a_row += 1
        self._is_tried = False
        self.opened += self._in_a_row == self._failures
        if self.is_open:
            self._next_try = self._clock() + self._seconds
